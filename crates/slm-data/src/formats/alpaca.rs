//! Rows of an instruction, an optional input and an output, as Alpaca has them.
//!
//! They become turns under the model's own chat template, not Alpaca's prompt of 2023: the model
//! is asked that way afterwards. Does not know chat templates.

use serde_json::Value;

use super::{Format, Row, expected, of_messages, optional, required};
use crate::sample::{Fault, Message, Sample};

pub fn read(row: &Row) -> Result<Sample, Fault> {
    let instruction = required(row, "instruction", Format::Alpaca)?;
    let output = required(row, "output", Format::Alpaca)?;
    let question = match optional(row, "input")? {
        Some(input) => format!("{instruction}\n{input}"),
        None => instruction.to_owned(),
    };
    let mut turns = Vec::new();
    turns.extend(optional(row, "system")?.map(Message::system));
    turns.extend(history(row)?);
    turns.extend([Message::user(question), Message::assistant(output)]);
    Ok(of_messages(turns, super::tools(row)?))
}

/// Earlier rounds: `[[question, answer], ...]`.
fn history(row: &Row) -> Result<Vec<Message>, Fault> {
    let rounds = match row.get("history") {
        None | Some(Value::Null) => return Ok(Vec::new()),
        Some(Value::Array(rounds)) => rounds,
        Some(other) => return Err(expected("history", "a list of rounds", other)),
    };
    let mut turns = Vec::with_capacity(rounds.len() * 2);
    for (index, round) in rounds.iter().enumerate() {
        match round.as_array().map(Vec::as_slice) {
            Some([Value::String(question), Value::String(answer)]) => {
                turns.extend([Message::user(question), Message::assistant(answer)]);
            }
            _ => {
                return Err(Fault::new(
                    format!("`history[{index}]` is no pair of question and answer"),
                    "write each earlier round as `[\"question\", \"answer\"]`",
                ));
            }
        }
    }
    Ok(turns)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{read, turns};
    use serde_json::json;

    #[test]
    fn input_follows_the_instruction_and_history_comes_first() {
        let sample = read(json!({
            "instruction": "Add.", "input": "1 2", "output": "3", "system": "s", "history": [["hi", "ho"]]
        }))
        .unwrap();
        assert_eq!(
            turns(&sample),
            [
                "system: s",
                "user: hi",
                "assistant: ho",
                "user: Add.\n1 2",
                "assistant: 3"
            ]
        );
        let sample = read(json!({"instruction": "Greet.", "input": "", "output": "Hi"})).unwrap();
        assert_eq!(turns(&sample), ["user: Greet.", "assistant: Hi"]);
    }

    #[test]
    fn faults_name_the_key() {
        let fault = |row| read(row).unwrap_err().message;
        assert_eq!(
            fault(json!({"instruction": 3, "output": "x"})),
            "`instruction` is a number, not text"
        );
        assert_eq!(
            fault(json!({"instruction": "i", "output": "x", "history": [["q"]]})),
            "`history[0]` is no pair of question and answer"
        );
    }
}
