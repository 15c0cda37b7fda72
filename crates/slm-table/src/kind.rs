//! The type of a column, found from the values that it is to hold.

use serde_json::{Number, Value};

/// A struct of more members than this is written as JSON in a text: its keys are data.
const MOST_MEMBERS: usize = 64;

/// What the values seen so far have in common. It only ever widens.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum Kind {
    /// Nothing but nulls.
    #[default]
    Null,
    Bool,
    /// Whole numbers that an `f64` holds.
    Int,
    /// Whole numbers that only an `i64` holds.
    Long,
    Float,
    Text,
    List(Box<Kind>),
    /// Members in the order in which they were first seen.
    Struct(Vec<(String, Kind)>),
    /// Values of different types: JSON in a text.
    Json,
}

impl Kind {
    /// Widens the kind so that it holds `value` too.
    pub fn widen(&mut self, value: &Value) {
        *self = match (std::mem::take(self), value) {
            (kind, Value::Null) => kind,
            (Self::Null | Self::Bool, Value::Bool(_)) => Self::Bool,
            (kind @ (Self::Null | Self::Int | Self::Long | Self::Float), Value::Number(number)) => {
                kind.number(number)
            }
            (Self::Null | Self::Text, Value::String(_)) => Self::Text,
            (Self::Null, Value::Array(items)) => list(Self::Null, items),
            (Self::List(kind), Value::Array(items)) => list(*kind, items),
            (Self::Null, Value::Object(members)) => object(Vec::new(), members),
            (Self::Struct(kinds), Value::Object(members)) => object(kinds, members),
            _ => Self::Json,
        };
    }

    fn number(self, number: &Number) -> Self {
        let whole = number.as_i64();
        let small = whole.is_some_and(|whole| whole.unsigned_abs() < 1 << f64::MANTISSA_DIGITS);
        match self {
            Self::Null | Self::Int if small => Self::Int,
            Self::Null | Self::Int | Self::Long if whole.is_some() => Self::Long,
            Self::Null | Self::Int | Self::Float if small || number.is_f64() => Self::Float,
            _ => Self::Json,
        }
    }

    /// The kind that is written: what holds no value is a text that is always null.
    pub fn settled(self) -> Self {
        match self {
            Self::Null => Self::Text,
            Self::List(kind) => Self::List(Box::new(kind.settled())),
            // Parquet has no struct without members.
            Self::Struct(members) if members.is_empty() => Self::Json,
            Self::Struct(members) => Self::Struct(
                members
                    .into_iter()
                    .map(|(name, kind)| (name, kind.settled()))
                    .collect(),
            ),
            other => other,
        }
    }
}

fn list(mut kind: Kind, items: &[Value]) -> Kind {
    for item in items {
        kind.widen(item);
    }
    Kind::List(Box::new(kind))
}

fn object(mut kinds: Vec<(String, Kind)>, members: &crate::Row) -> Kind {
    for (name, value) in members {
        let full = kinds.len() == MOST_MEMBERS;
        match kinds.iter_mut().find(|(known, _)| known == name) {
            Some((_, kind)) => kind.widen(value),
            None if full => return Kind::Json,
            None => {
                let mut kind = Kind::Null;
                kind.widen(value);
                kinds.push((name.clone(), kind));
            }
        }
    }
    Kind::Struct(kinds)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn kind(values: &[Value]) -> Kind {
        let mut kind = Kind::Null;
        for value in values {
            kind.widen(value);
        }
        kind.settled()
    }

    #[test]
    fn kinds_widen_and_never_lose_a_value() {
        let text = || Kind::Text;
        let cases = [
            (vec![json!(1), json!(null), json!(-2)], Kind::Int),
            (vec![json!(1), json!(0.5), json!(2)], Kind::Float),
            (
                vec![json!(0.5), json!(9_007_199_254_740_993_i64)],
                Kind::Json,
            ),
            (vec![json!(9_007_199_254_740_993_i64), json!(2)], Kind::Long),
            (
                vec![json!(9_007_199_254_740_993_i64), json!(0.5)],
                Kind::Json,
            ),
            (vec![json!(u64::MAX)], Kind::Json),
            (vec![json!(1), json!("a")], Kind::Json),
            (vec![json!(null)], text()),
            (vec![json!([])], Kind::List(Box::new(text()))),
            (
                vec![json!([1]), json!([true])],
                Kind::List(Box::new(Kind::Json)),
            ),
            (vec![json!({})], Kind::Json),
            (vec![json!([1]), json!({"a": 1})], Kind::Json),
            (
                vec![json!({"b": 1}), json!({"a": "x", "b": null})],
                Kind::Struct(vec![("b".into(), Kind::Int), ("a".into(), text())]),
            ),
        ];
        for (values, expected) in cases {
            assert_eq!(kind(&values), expected, "{values:?}");
        }
    }

    #[test]
    fn keys_that_are_data_do_not_become_columns() {
        let many: crate::Row = (0..=MOST_MEMBERS)
            .map(|n| (n.to_string(), n.into()))
            .collect();
        assert_eq!(kind(&[many.into()]), Kind::Json);
    }
}
