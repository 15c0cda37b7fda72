//! From a row to the conversation that a subject is asked with.
//!
//! Does not know chat templates: those belong to the model.

use minijinja::{Environment, context};

use crate::error::EvalError;
use crate::rows::{Message, Row};
use crate::task::Task;

/// Instructions a template may run before it is stopped.
const FUEL: u64 = 1_000_000;

/// Whether a template can be compiled.
///
/// # Errors
/// What is wrong with it, in words.
pub fn check(template: &str) -> Result<(), String> {
    environment()
        .template_from_str(template)
        .map(|_| ())
        .map_err(|error| format!("the prompt template is invalid: {error}"))
}

/// The messages that ask for a row's answer. With a template its text becomes
/// the one user message, given `id`, `input`, `messages`, `tags`, `tools`,
/// `labels` and `schema`; without one the row speaks for itself. The task's worked examples
/// stand before the question, each with its answer.
///
/// # Errors
/// A template that fails on this row, or a row without a question.
pub fn messages(task: &Task, row: &Row) -> Result<Vec<Message>, EvalError> {
    let mut messages = question(task, row)?;
    let mut worked = Vec::new();
    for example in &task.examples {
        worked.extend(question(task, example)?);
        worked.push(Message {
            role: "assistant".into(),
            content: example.answer_text(example.kind(task)),
        });
    }
    // Instructions stay in front of everything.
    let system = messages
        .iter()
        .take_while(|message| message.role == "system");
    let at = system.count();
    messages.splice(at..at, worked);
    Ok(messages)
}

/// The messages of one row by itself.
fn question(task: &Task, row: &Row) -> Result<Vec<Message>, EvalError> {
    let user = |content: String| {
        vec![Message {
            role: "user".into(),
            content,
        }]
    };
    if let Some(template) = &task.prompt {
        let text = environment()
            .render_str(
                template,
                context! {
                    id => row.id,
                    input => row.question(),
                    messages => row.messages,
                    tags => row.tags,
                    tools => row.tools,
                    labels => task.output.labels,
                    schema => row.schema.as_ref().or(task.output.schema.as_ref()),
                },
            )
            .map_err(|error| {
                EvalError::invalid(
                    format!("the prompt of row `{}` cannot be rendered: {error}", row.id),
                    "mend the task's `prompt`",
                )
            })?;
        return Ok(user(text));
    }
    match &row.input {
        Some(input) => Ok(user(input.clone())),
        None if !row.messages.is_empty() => Ok(row.messages.clone()),
        None => Err(EvalError::invalid(
            format!("row `{}` has neither `input` nor `messages`", row.id),
            "add one of them",
        )),
    }
}

fn environment() -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_fuel(Some(FUEL));
    environment.set_undefined_behavior(minijinja::UndefinedBehavior::Strict);
    environment
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::OutputType;

    fn row() -> Row {
        Row {
            id: "a".into(),
            input: Some("late parcel".into()),
            ..Row::default()
        }
    }

    #[test]
    fn a_template_sees_the_row_and_the_labels() {
        let mut task = Task::of_kind("t", OutputType::Label);
        task.output.labels = vec!["x".into(), "y".into()];
        task.prompt = Some("{{ labels | join('/') }}: {{ input }}".into());
        let messages = messages(&task, &row()).unwrap();
        assert_eq!(messages[0].content, "x/y: late parcel");
    }

    #[test]
    fn worked_examples_stand_between_instructions_and_question() {
        let mut task = Task::of_kind("t", OutputType::Label);
        task.examples = vec![Row {
            target: serde_json::json!("y"),
            ..row()
        }];
        let message = |role: &str, content: &str| Message {
            role: role.into(),
            content: content.into(),
        };
        let asked = Row {
            messages: vec![message("system", "be brief"), message("user", "broken cup")],
            ..Row::default()
        };
        let found = messages(&task, &asked).unwrap();
        let texts: Vec<&str> = found
            .iter()
            .map(|message| message.content.as_str())
            .collect();
        assert_eq!(texts, ["be brief", "late parcel", "y", "broken cup"]);
        task.prompt = Some("Q: {{ input }}".into());
        let found = messages(&task, &row()).unwrap();
        assert_eq!(found[0].content, "Q: late parcel");
        assert_eq!(found[2].content, "Q: late parcel");
    }

    #[test]
    fn an_unknown_variable_and_endless_template_are_faults() {
        let mut task = Task::of_kind("t", OutputType::Text);
        for template in [
            "{{ nothing }}",
            "{% for i in range(100000) %}{% for j in range(100000) %}x{% endfor %}{% endfor %}",
        ] {
            task.prompt = Some(template.into());
            assert!(messages(&task, &row()).is_err(), "{template}");
        }
        assert!(check("{% if %}").is_err());
    }

    #[test]
    fn without_template_the_row_speaks() {
        let task = Task::of_kind("t", OutputType::Text);
        assert_eq!(messages(&task, &row()).unwrap()[0].content, "late parcel");
        assert!(messages(&task, &Row::default()).is_err());
    }
}
