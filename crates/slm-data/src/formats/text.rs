//! Rows of plain text, learned as they stand.
//!
//! Does not know chat templates.

use super::{Format, Row, of_messages, required};
use crate::sample::{Fault, Plain, Sample};

pub fn read(row: &Row) -> Result<Sample, Fault> {
    let text = required(row, "text", Format::Text)?.to_owned();
    Ok(Sample {
        plain: Some(Plain::Text { text }),
        ..of_messages(Vec::new(), None)
    })
}

#[cfg(test)]
mod tests {
    use super::super::tests::read;
    use serde_json::json;

    #[test]
    fn a_text_is_a_row_without_turns() {
        let sample = read(json!({"id": 7, "text": "Once."})).unwrap();
        assert!(sample.messages.is_empty());
        assert_eq!(
            serde_json::to_string(&sample).unwrap(),
            r#"{"id":"7","text":"Once."}"#
        );
        let fault = read(json!({"text": " \n"})).unwrap_err();
        assert_eq!(fault.message, "the row's text is empty");
    }
}
