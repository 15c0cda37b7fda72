//! Gates as JUnit XML, which CI systems draw.
//!
//! Does not know how gates were judged.

use crate::gate::GateResult;
use crate::report::visible;

/// One test suite with one case for each gate.
pub fn junit(task: &str, gates: &[GateResult]) -> String {
    let failed = gates.iter().filter(|gate| !gate.passed).count();
    let cases: String = gates.iter().map(|gate| case(task, gate)).collect();
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <testsuites tests=\"{n}\" failures=\"{failed}\" errors=\"0\">\n  \
         <testsuite name=\"{}\" tests=\"{n}\" failures=\"{failed}\" errors=\"0\" skipped=\"0\">\n{cases}  \
         </testsuite>\n</testsuites>\n",
        attribute(task),
        n = gates.len(),
    )
}

fn case(task: &str, gate: &GateResult) -> String {
    let head = format!(
        "    <testcase classname=\"slm.gate.{}\" name=\"{}\"",
        attribute(task),
        attribute(&gate.gate)
    );
    if gate.passed {
        return format!("{head}/>\n");
    }
    let found = attribute(&format!("found {}", gate.found));
    format!(
        "{head}>\n      <failure type=\"gate\" message=\"{found}\">{found}</failure>\n    </testcase>\n"
    )
}

/// Text for an attribute: markup escaped, and characters that XML 1.0 forbids made visible.
fn attribute(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in visible(text).chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\n' | '\t' => escaped.push(' '),
            '\u{fffe}' | '\u{ffff}' => escaped.push('\u{fffd}'),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passed_and_failed_gates() {
        let gate = |name: &str, passed| GateResult {
            gate: name.into(),
            passed,
            found: "0.5".into(),
        };
        let xml = junit(
            "a<b",
            &[gate("x at least 0.9", false), gate("y \u{1b}\"", true)],
        );
        assert_eq!(
            xml,
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
             <testsuites tests=\"2\" failures=\"1\" errors=\"0\">\n  \
             <testsuite name=\"a&lt;b\" tests=\"2\" failures=\"1\" errors=\"0\" skipped=\"0\">\n    \
             <testcase classname=\"slm.gate.a&lt;b\" name=\"x at least 0.9\">\n      \
             <failure type=\"gate\" message=\"found 0.5\">found 0.5</failure>\n    </testcase>\n    \
             <testcase classname=\"slm.gate.a&lt;b\" name=\"y \u{241b}&quot;\"/>\n  \
             </testsuite>\n</testsuites>\n"
        );
    }
}
