//! The tree of a text, to hold a mend against: what it may change, and nothing else.
//!
//! It knows nothing of single mends.

use crate::source::{Source, Span};
use crate::yaml::{self, FaultKind, Flavor, Limits, Node, Value};

/// The tree of a text without faults of syntax. A key that stands twice is let pass: the
/// tree keeps both.
pub(super) fn read(source: &Source, flavor: Flavor) -> Option<Node> {
    let parsed = yaml::parse_strictly(source, flavor, Limits::default());
    let sound = parsed
        .faults
        .iter()
        .all(|fault| fault.kind == FaultKind::DuplicateKey);
    parsed.root.filter(|_| sound)
}

/// Whether two trees hold the same, wherever it stands.
pub(super) fn same(a: &Node, b: &Node) -> bool {
    match (&a.value, &b.value) {
        (Value::Scalar(a), Value::Scalar(b)) => a == b,
        (Value::Sequence(a), Value::Sequence(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b))
        }
        (Value::Mapping(a), Value::Mapping(b)) => {
            let pairs = || a.iter().zip(b);
            a.len() == b.len() && pairs().all(|(a, b)| a.key == b.key && same(&a.value, &b.value))
        }
        _ => false,
    }
}

/// How a scalar is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    /// After `|` or `>`.
    Block,
    /// In quotes.
    Quoted,
    /// Without anything.
    Plain,
}

/// How the scalar at this place is written.
pub(super) fn style(source: &Source, span: Span) -> Style {
    let line = source.line(span.start.line);
    match line.chars().nth(span.start.column.saturating_sub(1)) {
        Some('|' | '>') => Style::Block,
        Some('"' | '\'') => Style::Quoted,
        _ => Style::Plain,
    }
}

/// Every scalar and every key of a tree, with its place.
pub(super) fn spans(node: &Node, found: &mut Vec<Span>) {
    match &node.value {
        Value::Scalar(_) => found.push(node.span),
        Value::Sequence(items) => items.iter().for_each(|item| spans(item, found)),
        Value::Mapping(entries) => {
            for entry in entries {
                found.push(entry.key_span);
                spans(&entry.value, found);
            }
        }
    }
}
