//! `slm data flows`: the shipped flows, and whether a flow is sound.
//!
//! Does not run any.

use anyhow::Result;
use clap::Args;
use slm_data::flow::{SHIPPED, shipped_flow};

use super::generate::find_flow;
use crate::commands::Context;

/// Arguments of `slm data flows`.
#[derive(Debug, Args)]
pub struct Flows {
    /// Print a shipped flow, to begin one's own from
    #[arg(long, value_name = "NAME", conflicts_with = "check")]
    show: Option<String>,
    /// Check a flow, shipped or in a file
    #[arg(long, value_name = "NAME|FILE")]
    check: Option<String>,
}

impl Flows {
    /// Lists, prints or checks.
    pub fn run(self, context: &Context) -> Result<()> {
        if let Some(name) = &self.show {
            shipped_flow(name)?;
            let text = SHIPPED
                .iter()
                .find(|(known, _)| known == name)
                .map_or("", |(_, text)| text);
            return context.terminal.data(text.trim_end());
        }
        if let Some(name) = &self.check {
            let flow = find_flow(name)?;
            return context.terminal.data(&format!(
                "{}: sound, {} blocks",
                flow.metadata.name,
                flow.blocks.len()
            ));
        }
        let mut flows = Vec::new();
        for (name, _) in SHIPPED {
            flows.push(shipped_flow(name)?.metadata);
        }
        if context.terminal.is_json() {
            return context.terminal.json(&flows);
        }
        let lines: Vec<String> = flows
            .iter()
            .map(|flow| format!("{:<12} {}", flow.name, flow.description))
            .collect();
        context.terminal.data(&lines.join("\n"))
    }
}
