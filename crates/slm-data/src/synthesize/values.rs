//! New values for slots: from a pool, a pattern, or of a kind.
//!
//! Does not know texts; whether a value suits its place is checked by the caller.

use super::calendar::{Date, DateForm, Time, TimeForm};
use super::names::{CITIES, COMPANY_FORMS, COMPANY_STEMS, COMPANY_TRADES, FIRST_NAMES, LAST_NAMES};
use super::surface::{numbers, render_number};
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use serde_json::Value;
use slm_taxonomy::{Slot, SlotKind};

/// Which part of the pools may be drawn from. One value in four of each pool is
/// held out of training, so that test rows show values never trained on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PoolSide {
    /// Training rows: only values that are not held out.
    Training,
    /// Validation and test rows: every other draw is of a held-out value.
    HeldOut,
}

/// What all values of one row have in common.
pub(crate) struct RowDraw {
    /// Dates move together, so that their order and distances stay as they were.
    pub date_shift_days: i64,
    pub side: PoolSide,
}

impl RowDraw {
    pub fn new(side: PoolSide, rng: &mut ChaCha8Rng) -> Self {
        let days = rng.random_range(3..400);
        Self {
            date_shift_days: if rng.random_bool(0.5) { days } else { -days },
            side,
        }
    }
}

/// A value in place of `old` as the hint says; of the same JSON type.
pub(crate) fn from_hint(
    hint: &Slot,
    old: &Value,
    draw: &RowDraw,
    rng: &mut ChaCha8Rng,
) -> Option<Value> {
    let text = match (hint, old) {
        (Slot::Kind(kind), Value::Number(_)) => return number_of_kind(*kind, old, rng),
        (Slot::Kind(kind), _) => text_of_kind(*kind, old.as_str()?, draw, rng)?,
        (Slot::Values(values), _) => pick(values, draw.side, rng)?.clone(),
        (Slot::Pattern(pattern), _) => fill_pattern(pattern, rng),
        // The text does not show the value itself; see `cues`.
        (Slot::Cues(_), _) => return None,
    };
    same_type(old, text)
}

/// A value in place of `old` from those that other seeds have in the same field.
pub(crate) fn from_pool(pool: &[Value], old: &Value, rng: &mut ChaCha8Rng) -> Option<Value> {
    let fitting: Vec<&Value> = pool
        .iter()
        .filter(|v| v.is_string() == old.is_string() && v.is_f64() == old.is_f64() && *v != old)
        .collect();
    Some((*fitting.get(rng.random_range(0..fitting.len().max(1)))?).clone())
}

fn same_type(old: &Value, text: String) -> Option<Value> {
    match old {
        Value::String(_) => Some(Value::String(text)),
        Value::Number(_) => serde_json::from_str::<Value>(&text)
            .ok()
            .filter(Value::is_number),
        _ => None,
    }
}

/// Draws from a pool; every fourth value is held out, in pools of four and more.
fn pick<'a, T>(pool: &'a [T], side: PoolSide, rng: &mut ChaCha8Rng) -> Option<&'a T> {
    let held_out = pool.len() / 4;
    let from_held_out = side == PoolSide::HeldOut && held_out > 0 && rng.random_bool(0.5);
    let index = if from_held_out {
        rng.random_range(0..held_out) * 4 + 3
    } else if held_out == 0 || side == PoolSide::HeldOut {
        rng.random_range(0..pool.len().max(1))
    } else {
        let n = rng.random_range(0..pool.len() - held_out);
        n + n / 3
    };
    pool.get(index)
}

/// Whether [`pick`] keeps the value at this place of a pool out of training.
#[cfg(test)]
fn is_held_out(index: usize, len: usize) -> bool {
    len >= 4 && index % 4 == 3
}

/// Fills a pattern: `#` a digit, `@` an upper-case letter, `?` a lower-case one.
fn fill_pattern(pattern: &str, rng: &mut ChaCha8Rng) -> String {
    let mut filled = String::with_capacity(pattern.len());
    for c in pattern.chars() {
        filled.push(match c {
            // A number must not begin with a zero.
            '#' if filled.is_empty() => char::from(rng.random_range(b'1'..=b'9')),
            '#' => char::from(rng.random_range(b'0'..=b'9')),
            '@' => char::from(rng.random_range(b'A'..=b'Z')),
            '?' => char::from(rng.random_range(b'a'..=b'z')),
            other => other,
        });
    }
    filled
}

fn number_of_kind(kind: SlotKind, old: &Value, rng: &mut ChaCha8Rng) -> Option<Value> {
    let value = old.as_f64()?;
    match kind {
        SlotKind::Integer => Some(Value::from(integer_like(value, rng))),
        SlotKind::Amount if old.is_f64() => {
            let cents = amount_cents(value, rng);
            let decimals = if value.fract() == 0.0 { 0 } else { 2 };
            let text = render_number(round_cents(cents, decimals), decimals, false)?;
            text.parse::<f64>().ok().map(Value::from)
        }
        SlotKind::Amount => Some(Value::from((amount_cents(value, rng) / 100).max(1))),
        SlotKind::Id => same_type(old, scramble(&old.to_string(), rng)),
        _ => None,
    }
}

fn text_of_kind(kind: SlotKind, old: &str, draw: &RowDraw, rng: &mut ChaCha8Rng) -> Option<String> {
    match kind {
        SlotKind::Amount | SlotKind::Integer => renumber(kind, old, rng),
        SlotKind::DateIso => Date::parse(old)?
            .plus(draw.date_shift_days)
            .render(DateForm::Iso),
        SlotKind::Time => time_like(old, rng),
        SlotKind::Person => person_like(old, draw.side, rng),
        SlotKind::Company => company(draw.side, rng),
        SlotKind::City => pick(&CITIES, draw.side, rng).map(|c| (*c).to_owned()),
        SlotKind::Email => email(draw.side, rng),
        SlotKind::Phone => Some(redial(old, rng)),
        SlotKind::Id => Some(scramble(old, rng)),
    }
}

/// Small counts stay small; others stay within a factor of three.
fn integer_like(old: f64, rng: &mut ChaCha8Rng) -> i64 {
    let old = old.abs().min(1e12) as i64;
    if old <= 12 {
        rng.random_range(1..=12)
    } else {
        rng.random_range(old / 3 + 1..=old.saturating_mul(3))
    }
}

/// An amount within a factor of four, with cents as people have them.
fn amount_cents(old: f64, rng: &mut ChaCha8Rng) -> i64 {
    let old = (old.abs().clamp(1.0, 1e10) * 100.0) as i64;
    let cents = rng.random_range(old / 4..=old * 4).max(100);
    match rng.random_range(0..4) {
        0 => cents / 100 * 100,
        1 => cents / 100 * 100 + 50,
        _ => cents,
    }
}

fn round_cents(cents: i64, decimals: usize) -> f64 {
    if decimals == 0 {
        (cents / 100) as f64
    } else {
        format!("{}.{:02}", cents / 100, cents % 100)
            .parse()
            .unwrap_or(1.0)
    }
}

/// Replaces the only number in a string such as `EUR 1,250.00`, in its form.
fn renumber(kind: SlotKind, old: &str, rng: &mut ChaCha8Rng) -> Option<String> {
    let found = numbers(old);
    let [number] = found.as_slice() else {
        return None;
    };
    let value = match kind {
        SlotKind::Integer => integer_like(number.value, rng) as f64,
        _ => round_cents(amount_cents(number.value, rng), number.decimals.min(2)),
    };
    let thousands = number.thousands || (number.decimals == 2 && number.value < 1000.0);
    let written = render_number(value, number.decimals, thousands)?;
    Some(format!(
        "{}{written}{}",
        &old[..number.range.start],
        &old[number.range.end..]
    ))
}

fn time_like(old: &str, rng: &mut ChaCha8Rng) -> Option<String> {
    let old = Time::parse(old)?;
    let minute = if old.minute == 0 {
        0
    } else {
        rng.random_range(1..12) * 5
    };
    Time {
        hour: rng.random_range(6..22),
        minute,
    }
    .render(TimeForm::Clock)
}

fn person_like(old: &str, side: PoolSide, rng: &mut ChaCha8Rng) -> Option<String> {
    let first = pick(&FIRST_NAMES, side, rng)?;
    if !old.trim().contains(' ') {
        return Some((*first).to_owned());
    }
    Some(format!("{first} {}", pick(&LAST_NAMES, side, rng)?))
}

fn company(side: PoolSide, rng: &mut ChaCha8Rng) -> Option<String> {
    let stem = pick(&COMPANY_STEMS, side, rng)?;
    let trade = pick(&COMPANY_TRADES, side, rng)?;
    let form = pick(&COMPANY_FORMS, PoolSide::HeldOut, rng)?;
    Some(match rng.random_range(0..3) {
        0 => format!("{stem} {trade}"),
        1 => format!("{stem} {form}"),
        _ => format!("{stem} {trade} {form}"),
    })
}

fn email(side: PoolSide, rng: &mut ChaCha8Rng) -> Option<String> {
    let first = pick(&FIRST_NAMES, side, rng)?.to_lowercase();
    let last = pick(&LAST_NAMES, side, rng)?.to_lowercase();
    let domain = pick(&COMPANY_STEMS, side, rng)?.to_lowercase();
    let end = ["example", "example.com", "example.org", "example.net"][rng.random_range(0..4)];
    Some(match rng.random_range(0..3) {
        0 => format!("{first}@{domain}.{end}"),
        1 => format!("{first}.{last}@{domain}.{end}"),
        _ => format!("{}{last}@{domain}.{end}", &first[..1]),
    })
}

/// Other digits in the same places; a leading `0`, `00` or `+` code stays.
fn redial(old: &str, rng: &mut ChaCha8Rng) -> String {
    let kept = if old.starts_with('+') {
        3
    } else {
        usize::from(old.starts_with('0'))
    };
    old.chars()
        .enumerate()
        .map(|(n, c)| {
            if n >= kept && c.is_ascii_digit() {
                char::from(rng.random_range(b'0'..=b'9'))
            } else {
                c
            }
        })
        .collect()
}

/// Other digits, and other letters where there are hardly any digits: a prefix
/// such as `INV-` usually says what the id is of.
fn scramble(old: &str, rng: &mut ChaCha8Rng) -> String {
    let letters_too = old.chars().filter(char::is_ascii_digit).count() < 3;
    let mut first = true;
    old.chars()
        .map(|c| {
            let low = if std::mem::take(&mut first) {
                b'1'
            } else {
                b'0'
            };
            match c {
                '0'..='9' => char::from(rng.random_range(low..=b'9')),
                'A'..='Z' if letters_too => char::from(rng.random_range(b'A'..=b'Z')),
                'a'..='z' if letters_too => char::from(rng.random_range(b'a'..=b'z')),
                other => other,
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use serde_json::json;

    fn rng() -> ChaCha8Rng {
        ChaCha8Rng::seed_from_u64(7)
    }

    #[test]
    fn training_never_sees_held_out_values() {
        let mut rng = rng();
        let pool: Vec<usize> = (0..10).collect();
        let mut seen = [[false; 10]; 2];
        for _ in 0..500 {
            seen[0][*pick(&pool, PoolSide::Training, &mut rng).unwrap()] = true;
            seen[1][*pick(&pool, PoolSide::HeldOut, &mut rng).unwrap()] = true;
        }
        for (index, in_training) in seen[0].into_iter().enumerate() {
            assert_eq!(in_training, !is_held_out(index, 10), "{index}");
        }
        assert!(seen[1].iter().all(|seen| *seen));
        assert_eq!(pick::<u8>(&[], PoolSide::HeldOut, &mut rng), None);
        assert_eq!(pick(&[1], PoolSide::Training, &mut rng), Some(&1));
    }

    #[test]
    fn values_keep_type_and_shape() {
        let mut rng = rng();
        let draw = RowDraw {
            date_shift_days: 10,
            side: PoolSide::Training,
        };
        let mut make = |hint: &Slot, old: Value| from_hint(hint, &old, &draw, &mut rng);
        for _ in 0..50 {
            let amount = make(&Slot::Kind(SlotKind::Amount), json!(1250.5)).unwrap();
            assert!(
                amount.is_f64() && amount.as_f64().unwrap() > 300.0,
                "{amount}"
            );
            assert!(
                make(&Slot::Kind(SlotKind::Amount), json!(1250))
                    .unwrap()
                    .is_i64()
            );
            let text = make(&Slot::Kind(SlotKind::Amount), json!("EUR 1,250.00")).unwrap();
            assert!(
                text.as_str().unwrap().starts_with("EUR ") && text.as_str().unwrap().contains('.'),
                "{text}"
            );
            assert!(
                make(&Slot::Kind(SlotKind::Integer), json!(3))
                    .unwrap()
                    .as_i64()
                    .unwrap()
                    <= 12
            );
            let id = make(&Slot::Kind(SlotKind::Id), json!("INV-2041")).unwrap();
            assert!(
                id.as_str().unwrap().starts_with("INV-") && id.as_str().unwrap().len() == 8,
                "{id}"
            );
        }
        assert_eq!(
            make(&Slot::Kind(SlotKind::DateIso), json!("2024-02-25")),
            Some(json!("2024-03-06"))
        );
        assert_eq!(make(&Slot::Kind(SlotKind::DateIso), json!("soon")), None);
        assert_eq!(make(&Slot::Kind(SlotKind::City), json!(3)), None);
        let pattern = make(&Slot::Pattern("A-##@?".into()), json!("x")).unwrap();
        assert_eq!(pattern.as_str().unwrap().len(), 6);
        assert!(
            make(&Slot::Pattern("##".into()), json!(12))
                .unwrap()
                .as_i64()
                .unwrap()
                >= 10
        );
        assert!(
            make(&Slot::Kind(SlotKind::Person), json!("Jo Doe"))
                .unwrap()
                .as_str()
                .unwrap()
                .contains(' ')
        );
    }

    #[test]
    fn pools_of_other_seeds_keep_the_type() {
        let mut rng = rng();
        let pool = [json!("a"), json!(1), json!(1.5), json!("b")];
        for _ in 0..20 {
            assert_eq!(from_pool(&pool, &json!("a"), &mut rng), Some(json!("b")));
            assert_eq!(from_pool(&pool, &json!(2), &mut rng), Some(json!(1)));
        }
        assert_eq!(from_pool(&[json!("a")], &json!("a"), &mut rng), None);
    }
}
