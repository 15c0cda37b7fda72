//! Rows of a prompt and its completion, as texts or as lists of messages.
//!
//! Only the completion is learned. Does not know chat templates.

use serde_json::{Value, json};

use super::{Format, Row, expected, messages, of_messages, required, tools};
use crate::sample::{Fault, Message, Plain, Role, Sample};

pub fn read(row: &Row) -> Result<Sample, Fault> {
    let mut turns = side(row, "prompt", Role::User)?;
    for message in &mut turns {
        if message.role == Role::Assistant {
            message.more.insert("weight".to_owned(), json!(0));
        }
    }
    turns.extend(side(row, "completion", Role::Assistant)?);
    Ok(of_messages(turns, tools(row)?))
}

/// One of the two sides: a text is one turn of `role`.
fn side(row: &Row, key: &str, role: Role) -> Result<Vec<Message>, Fault> {
    match row.get(key) {
        Some(list @ Value::Array(_)) => messages::list(list, key),
        Some(message @ Value::Object(_)) => messages::list(&json!([message]), key),
        Some(other @ (Value::Bool(_) | Value::Number(_))) => {
            Err(expected(key, "text or a list of messages", other))
        }
        _ => Ok(vec![Message::new(
            role,
            required(row, key, Format::PromptCompletion)?,
        )]),
    }
}

/// The two texts as they stand.
pub fn read_raw(row: &Row) -> Result<Sample, Fault> {
    let text = |key| required(row, key, Format::RawPromptCompletion).map(str::to_owned);
    Ok(Sample {
        plain: Some(Plain::Pair {
            prompt: text("prompt")?,
            completion: text("completion")?,
        }),
        ..of_messages(Vec::new(), None)
    })
}

#[cfg(test)]
mod tests {
    use super::super::Format;
    use super::super::tests::{read, turns};
    use crate::sample::Plain;
    use serde_json::json;

    #[test]
    fn texts_become_turns_and_only_the_completion_is_learned() {
        let sample = read(json!({"prompt": "q", "completion": "a"})).unwrap();
        assert_eq!(turns(&sample), ["user: q", "assistant: a"]);
        let sample = read(json!({
            "prompt": [
                {"role": "system", "content": "s"}, {"role": "user", "content": "q"},
                {"role": "assistant", "content": "a"}, {"role": "user", "content": "r"}
            ],
            "completion": [{"role": "assistant", "content": "b"}]
        }))
        .unwrap();
        assert_eq!(
            turns(&sample),
            [
                "system: s",
                "user: q",
                "assistant: a",
                "user: r",
                "assistant: b"
            ]
        );
        let learned: Vec<bool> = sample.messages.iter().map(|m| m.is_learned()).collect();
        assert_eq!(learned, [false, false, false, false, true]);
    }

    #[test]
    fn raw_texts_stay_as_they_are() {
        let row = json!({"prompt": "2+2=", "completion": "4"});
        let sample = Format::RawPromptCompletion
            .read(row.as_object().unwrap())
            .unwrap();
        let expected = Plain::Pair {
            prompt: "2+2=".into(),
            completion: "4".into(),
        };
        assert_eq!(sample.plain, Some(expected));
        assert_eq!(
            serde_json::to_string(&sample).unwrap(),
            r#"{"id":"","prompt":"2+2=","completion":"4"}"#
        );
    }

    #[test]
    fn faults_name_the_side() {
        let fault = |row| read(row).unwrap_err().message;
        assert_eq!(
            fault(json!({"prompt": 3, "completion": "a"})),
            "`prompt` is a number, not text or a list of messages"
        );
        assert_eq!(
            fault(json!({"prompt": "q", "completion": [{"role": "assistant"}]})),
            "`completion[0]` has no `content`"
        );
        assert_eq!(
            fault(json!({"prompt": "q", "completion": ""})),
            "an assistant turn of the row has no text"
        );
    }
}
