//! What an answer is held to: by options of the command line, or a row's schema, labels or tools.
//!
//! Does not know how constraints are enforced.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Result;
use clap::Args;
use serde_json::Value;
use slm_eval::metrics::validity::{schema_of, standard_types};
use slm_eval::{OutputType, Row, Task};
use slm_infer::grammar::{CallForm, calls_schema};
use slm_infer::{Constraint, Finish, Grammar, MaskSource, Model};
use slm_model::Tokenizer;

use crate::commands::Context;
use crate::failure::Failure;
use crate::local::grammars;

/// Options that hold answers to a form.
#[derive(Debug, Args)]
pub struct HeldTo {
    /// Answer with JSON under this JSON Schema
    #[arg(long, value_name = "FILE", group = "form")]
    schema: Option<PathBuf>,
    /// Write YAML for the schema instead
    #[arg(long, requires = "schema")]
    yaml: bool,
    /// Answer with some JSON object
    #[arg(long, group = "form")]
    json: bool,
    /// Answer with one of these labels, separated by commas
    #[arg(long, value_name = "LABELS", value_delimiter = ',', group = "form")]
    labels: Vec<String>,
    /// Answer with a text that matches this regular expression as a whole
    #[arg(long, value_name = "EXPRESSION", group = "form")]
    regex: Option<String>,
    /// Answer with a text of this grammar, in llguidance's variant of Lark
    #[arg(long, value_name = "FILE", group = "form")]
    lark: Option<PathBuf>,
    /// Answer with a call of one of these functions: OpenAI's tool definitions, a JSON list
    #[arg(long, value_name = "FILE", group = "form")]
    tools: Option<PathBuf>,
    /// Leave out what of the schema cannot be enforced, and validate the answer
    #[arg(long)]
    lenient: bool,
    /// Bring an answer to its end before the budget cuts it
    #[arg(long)]
    pub close: bool,
}

impl HeldTo {
    /// The grammar that the options ask for, if any.
    ///
    /// # Errors
    /// A file cannot be read, or what it says cannot be enforced.
    pub fn compile(
        &self,
        context: &Context,
        tokenizer: &Tokenizer,
        model: &Model,
    ) -> Result<Option<Held>> {
        let Some(constraint) = self.constraint()? else {
            return Ok(None);
        };
        let grammar = grammars(tokenizer, model)?.compile(&constraint, self.lenient)?;
        for fault in grammar.unenforced() {
            let text = fault.to_string();
            context
                .terminal
                .warn(text.lines().next().unwrap_or_default());
        }
        Ok(Some(Held {
            constraint,
            grammar,
        }))
    }

    fn constraint(&self) -> Result<Option<Constraint>> {
        Ok(if let Some(path) = &self.schema {
            let schema = json_file(path)?;
            Some(match self.yaml {
                true => Constraint::Yaml(schema),
                false => Constraint::Schema(schema),
            })
        } else if let Some(path) = &self.tools {
            let tools = json_file(path)?;
            let tools = tools.as_array().map(Vec::as_slice).unwrap_or_default();
            let schema = calls_of(tools, CallForm::Named).ok_or_else(|| {
                Failure::new(format!("`{}` has no functions", path.display()))
                    .hint("it is a JSON list of OpenAI's tool definitions")
            })?;
            Some(Constraint::Schema(schema))
        } else if let Some(path) = &self.lark {
            Some(Constraint::Lark(text_file(path)?))
        } else if let Some(text) = &self.regex {
            Some(Constraint::Regex(text.clone()))
        } else if !self.labels.is_empty() {
            Some(Constraint::Labels(self.labels.clone()))
        } else {
            self.json.then_some(Constraint::JsonObject)
        })
    }
}

fn text_file(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).map_err(|error| Failure::io("read", path, &error).into())
}

fn json_file(path: &Path) -> Result<Value> {
    serde_json::from_str(&text_file(path)?).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        let place = format!("{}:{line}:{column}", path.display());
        let failure = Failure::new(format!("{place}: no JSON: {error}"));
        failure.hint("write the schema or the tools as JSON").into()
    })
}

/// What answers are held to, compiled.
pub struct Held {
    constraint: Constraint,
    grammar: Arc<Grammar>,
}

impl Held {
    /// The mask for a request.
    pub fn mask(&self) -> Arc<dyn MaskSource> {
        Arc::clone(&self.grammar) as _
    }

    /// Says what an answer does not keep: it was cut, or breaks what was not enforced.
    pub fn review(&self, context: &Context, text: &str, finish: Finish) {
        if finish != Finish::Stop {
            let cut = "the answer was cut, so it is not of the form asked for; give it a larger `--max-tokens`, or `--close`";
            context.terminal.warn(cut);
        } else if let Some(fault) = self.fault(text) {
            let warning = format!("the answer does not satisfy the schema: {fault}");
            context.terminal.warn(warning);
        }
    }

    /// What a whole answer breaks of that which is not enforced.
    fn fault(&self, text: &str) -> Option<String> {
        match &self.constraint {
            Constraint::Schema(schema) => fault(&self.grammar, schema, text),
            _ => None,
        }
    }
}

/// What a whole answer breaks of a schema that is not enforced in every part.
pub fn fault(grammar: &Grammar, schema: &Value, text: &str) -> Option<String> {
    match grammar.unenforced().is_empty() {
        true => None,
        false => slm_eval::schema::fault(schema, text),
    }
}

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
        OutputType::Calls => calls_of(&row.tools, CallForm::List).map(Constraint::Schema),
    }
}

/// The schema of calls of `tools`, whose parameters may name types as the Berkeley leaderboard
/// does; nothing without any.
pub fn calls_of(tools: &[Value], form: CallForm) -> Option<Value> {
    let tools: Vec<Value> = tools.iter().map(standard_types).collect();
    calls_schema(&tools, form)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn parameters_of_the_leaderboard_become_json_schema() {
        let tool = |kind: &str, number: &str| {
            json!({"type": "function", "function": {"name": "f", "parameters": {"type": kind,
                "properties": {"x": {"type": number}, "type": {"type": "string"}}, "required": ["x"]}}})
        };
        let named = calls_of(&[tool("dict", "float")], CallForm::Named);
        assert_eq!(
            named,
            calls_schema(&[tool("object", "number")], CallForm::Named)
        );
        let any = calls_of(&[tool("dict", "any")], CallForm::List).unwrap();
        let parameters = &any["items"]["anyOf"][0]["properties"]["f"]["properties"];
        assert_eq!(parameters, &json!({"x": {}, "type": {"type": "string"}}));
        assert_eq!(calls_of(&[], CallForm::List), None);
    }
}
