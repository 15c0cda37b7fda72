//! `slm data calibrate`: a flow's judges against people's labels.
//!
//! Does not know how agreement is measured; that is slm-data's.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use slm_data::RowReader;
use slm_data::flow::{Calibrations, Labelled, calibrate};

use super::generate::find_flow;
use crate::commands::Context;
use crate::failure::Failure;
use crate::stages::flow::calibrations_path;
use crate::teacher::{AnyTeacher, TeacherArguments};

/// Arguments of `slm data calibrate`.
#[derive(Debug, Args)]
pub struct Calibrate {
    /// Rows (JSONL or Parquet) with the columns that the judges read, and `accept`: true or false
    labelled: PathBuf,
    /// The flow whose judges are measured
    #[arg(long, value_name = "NAME|FILE")]
    flow: String,
    /// Fail with exit code 100 when a judge's kappa is below this, or cannot be told
    #[arg(long, value_name = "KAPPA", allow_negative_numbers = true)]
    min_kappa: Option<f64>,
    #[command(flatten)]
    teacher: TeacherArguments,
}

impl Calibrate {
    /// Asks the judges, prints the agreement, and keeps it for the runs that use the verdicts.
    pub fn run(self, context: &Context) -> Result<()> {
        let flow = find_flow(&self.flow)?;
        let rows = RowReader::<Labelled>::open(&self.labelled)?
            .collect::<slm_data::Result<Vec<Labelled>>>()?;
        if rows.is_empty() {
            return Err(Failure::new(format!(
                "`{}` has no labelled rows",
                self.labelled.display()
            ))
            .hint("label a few dozen rows, accepted and rejected ones")
            .into());
        }
        let teacher = AnyTeacher::open(context, &self.teacher)?;
        let found = calibrate(&flow, &teacher, &rows)?;
        let path = calibrations_path(context);
        let _lock = context.workspace.lock("calibrations")?;
        let mut known = Calibrations::read(&path)?;
        known.add(&flow, &teacher, &found);
        known.write(&path)?;
        if context.terminal.is_json() {
            let value = |(judge, agreement): &(String, _)| serde_json::json!({"judge": judge, "agreement": agreement});
            context
                .terminal
                .json(&found.iter().map(value).collect::<Vec<_>>())?;
        } else {
            for (judge, agreement) in &found {
                context.terminal.data(&format!("{judge}: {agreement}"))?;
            }
        }
        let least = self.min_kappa.unwrap_or(f64::NEG_INFINITY);
        let weak = |(_, agreement): &&(String, slm_data::agreement::Agreement)| {
            agreement.kappa.unwrap_or(f64::NEG_INFINITY) < least
        };
        match found.iter().find(weak) {
            None => Ok(()),
            Some((judge, _)) => Err(Failure::gate(format!(
                "judge `{judge}` agrees too little with people"
            ))
            .hint("mend its prompt, ask a stronger teacher, or label more rows of both kinds")
            .into()),
        }
    }
}
