//! Faults as SARIF 2.1.0, which code hosts and editors show beside the lines.
//!
//! Format: <https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html>. It knows
//! nothing of how faults are found.

use crate::codes::Code;
use crate::diagnostic::{Diagnostic, Report};
use serde_json::{Value, json};

/// The faults of a report as one SARIF log. Every code is described, raised or not.
pub fn sarif(report: &Report) -> Value {
    let results: Vec<Value> = report.diagnostics.iter().map(result).collect();
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {
                "name": "slm taxonomy check",
                "semanticVersion": env!("CARGO_PKG_VERSION"),
                "rules": Code::ALL.iter().map(|code| rule(*code)).collect::<Vec<Value>>(),
            }},
            // Columns count characters, as in the other formats.
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    })
}

fn rule(code: Code) -> Value {
    json!({
        "id": code.id(),
        "shortDescription": {"text": code.title()},
        "fullDescription": {"text": code.explanation()},
        "help": {"text": code.explanation()},
        "defaultConfiguration": {"level": code.severity().name()},
    })
}

fn result(diagnostic: &Diagnostic) -> Value {
    let mut place = json!({"artifactLocation": {"uri": uri(&diagnostic.path)}});
    if diagnostic.snippet.is_some() {
        place["region"] = json!({
            "startLine": diagnostic.line,
            "startColumn": diagnostic.column,
            "endLine": diagnostic.end.line,
            "endColumn": diagnostic.end.column,
        });
    }
    let mut location = json!({"physicalLocation": place});
    if !diagnostic.yaml_path.is_empty() {
        location["logicalLocations"] = json!([{"fullyQualifiedName": diagnostic.yaml_path}]);
    }
    let text = format!("{}. Hint: {}", diagnostic.message, diagnostic.hint);
    let rule = Code::ALL
        .iter()
        .position(|code| code.id() == diagnostic.code);
    json!({
        "ruleId": diagnostic.code,
        "ruleIndex": rule,
        "level": diagnostic.severity.name(),
        "message": {"text": text},
        "locations": [location],
    })
}

/// The path as a URI reference; bytes that a URI may not hold are escaped.
fn uri(path: &str) -> String {
    let is_plain =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'-' | b'.' | b'_' | b'~');
    let mut uri = String::from(if path.starts_with('/') { "file://" } else { "" });
    for byte in path.bytes() {
        if is_plain(byte) {
            uri.push(char::from(byte));
        } else {
            uri.push_str(&format!("%{byte:02X}"));
        }
    }
    uri
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_become_uris() {
        assert_eq!(uri("a/b c/qna.yaml"), "a/b%20c/qna.yaml");
        assert_eq!(uri("/t/é"), "file:///t/%C3%A9");
    }

    #[test]
    fn every_code_is_a_rule() {
        let log = sarif(&Report::default());
        let rules = log
            .pointer("/runs/0/tool/driver/rules")
            .and_then(Value::as_array);
        assert_eq!(rules.map(Vec::len), Some(Code::ALL.len()));
    }
}
