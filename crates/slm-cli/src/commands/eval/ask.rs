//! `slm eval rows`: the rows of a task as they are asked, for systems that are not run here.
//!
//! Each line carries the rendered messages under the id that its answer must have, altered
//! copies included. Does not know who will answer.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use serde_json::json;
use slm_eval::Task;

use crate::commands::Context;
use crate::workspace::write_atomically;

/// Arguments of `slm eval rows`.
#[derive(Debug, Args)]
pub struct AskedRows {
    /// The task (YAML)
    #[arg(value_name = "TASK")]
    task: PathBuf,
    /// The file to write (JSONL: id, messages, tools, schema)
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

impl AskedRows {
    /// Writes the rows.
    pub fn run(self, context: &Context) -> Result<()> {
        let task = Task::load(&self.task)?;
        let rows = slm_eval::rows::load(&task.data, &task)?;
        let mut text = String::new();
        for row in &rows {
            let mut line = json!({
                "id": row.id,
                "messages": slm_eval::prompt::messages(&task, row)?,
            });
            if !row.tools.is_empty() {
                line["tools"] = row.tools.clone().into();
            }
            if let Some(schema) = row.schema.as_ref().or(task.output.schema.as_ref()) {
                line["schema"] = schema.clone();
            }
            text.push_str(&line.to_string());
            text.push('\n');
        }
        write_atomically(&self.out, text.as_bytes())?;
        let altered = rows.iter().filter(|row| row.origin.is_some()).count();
        context.terminal.note(format!(
            "{} rows, {altered} of them altered: {}",
            rows.len(),
            self.out.display()
        ));
        Ok(())
    }
}
