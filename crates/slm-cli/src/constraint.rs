//! What an answer is held to: a row's schema, labels or tools.
//!
//! Does not know how constraints are enforced.

use serde_json::Value;
use slm_eval::metrics::validity::schema_of;
use slm_eval::{OutputType, Row, Task};
use slm_infer::Constraint;
use slm_infer::grammar::{CallForm, calls_schema};

/// The constraint of a row's answer; nothing where any text will do.
pub fn of_row(task: &Task, row: &Row) -> Option<Constraint> {
    match row.kind(task) {
        OutputType::Text => None,
        OutputType::Json => {
            let schema = schema_of(task, row).cloned();
            Some(Constraint::Schema(schema.unwrap_or(Value::Bool(true))))
        }
        OutputType::Label => {
            let labels = row.declared_labels(task);
            (!labels.is_empty()).then(|| Constraint::Labels(labels.to_vec()))
        }
        OutputType::Calls => calls_schema(&row.tools, CallForm::List).map(Constraint::Schema),
    }
}
