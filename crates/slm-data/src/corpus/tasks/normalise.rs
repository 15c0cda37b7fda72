//! Light normalisation, only where the prompt says so: number words to
//! digits, amounts to numbers, dates to ISO, letter case.

use serde_json::{Value, json};

use crate::corpus::draft::Draft;
use crate::corpus::source::Source;
use crate::corpus::typing::NUMBERS;

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

/// One of the kinds, embedded in a sentence or alone.
pub(crate) fn write(draft: &mut Draft, source: &mut Source) {
    let (raw, value, rule, key) = match source.below(5) {
        0 => date(source),
        1 => number_word(source),
        2 => amount(draft, source),
        3 => letter_case(draft, source),
        _ => boolean(draft, source),
    };
    let sentence = match source.below(3) {
        0 => raw,
        1 => format!("{} {raw}", draft.say(source, "filler")),
        _ => format!(
            "the {} {}: {raw}",
            draft.say(source, "adj"),
            draft.say(source, "noun")
        ),
    };
    let whole = value;
    if source.chance(60) {
        let question = draft.word(
            source,
            "ask_fields",
            &[("@F", &format!("{key} ({rule})")), ("@T", &sentence)],
        );
        draft.json_turn(question, &json!({ key: whole }));
    } else {
        let answer = whole
            .as_str()
            .map_or_else(|| whole.to_string(), str::to_string);
        draft.turn(format!("{sentence}\n{rule}:"), answer);
    }
}

type Case = (String, Value, &'static str, &'static str);

fn date(source: &mut Source) -> Case {
    let (day, month, year) = (
        source.between(1, 28),
        source.between(1, 12),
        source.between(2015, 2031),
    );
    let name = MONTHS[(month - 1) as usize];
    let raw = match source.below(5) {
        0 => format!("{name} {day}, {year}"),
        1 => format!("{day} {name} {year}"),
        2 => format!("{day} {} {year}", &name[..3]),
        3 => format!("{name} {day} {year}").to_lowercase(),
        _ => format!("{day:02}.{month:02}.{year}"),
    };
    let rule = source.pick(&["as YYYY-MM-DD", "ISO date", "iso 8601 date"]);
    (
        raw,
        Value::from(format!("{year}-{month:02}-{day:02}")),
        rule,
        source.pick(&["date", "day", "due_date", "on"]),
    )
}

fn number_word(source: &mut Source) -> Case {
    let at = source.below(NUMBERS.len());
    let noun = source.pick(&[
        "boxes", "people", "guests", "tickets", "nights", "units", "chairs", "copies",
    ]);
    let rule = source.pick(&["integer", "as a number", "number in digits"]);
    (
        format!("{} {noun}", NUMBERS[at]),
        Value::from(at),
        rule,
        source.pick(&["count", "quantity", "number", "n"]),
    )
}

fn amount(draft: &Draft, source: &mut Source) -> Case {
    let (whole, cents) = (source.between(1, 9999), source.between(1, 99));
    let grouped = if whole > 999 {
        format!("{},{:03}", whole / 1000, whole % 1000)
    } else {
        whole.to_string()
    };
    let currency = draft.say(source, "currency_code");
    let (raw, value) = if source.chance(50) {
        (
            format!("{grouped}.{cents:02}"),
            json!((whole * 100 + cents) as f64 / 100.0),
        )
    } else {
        (grouped, json!(whole))
    };
    let raw = match source.below(3) {
        0 => format!("${raw}"),
        1 => format!("{raw} {currency}"),
        _ => format!("{currency} {raw}"),
    };
    let rule = source.pick(&["as a number", "number", "number without currency"]);
    (
        raw,
        value,
        rule,
        source.pick(&["amount", "total", "price", "sum"]),
    )
}

fn letter_case(draft: &Draft, source: &mut Source) -> Case {
    let text = draft.say(source, "open_text");
    let key = source.pick(&["text", "name", "title", "value"]);
    match source.below(2) {
        0 => (
            text.to_lowercase(),
            Value::from(text.to_uppercase()),
            "upper case",
            key,
        ),
        _ => (
            text.to_uppercase(),
            Value::from(text.to_lowercase()),
            "lower case",
            key,
        ),
    }
}

fn boolean(draft: &Draft, source: &mut Source) -> Case {
    let yes = source.chance(50);
    let word = if yes {
        source.pick(&["yes", "on", "enabled", "confirmed", "agreed"])
    } else {
        source.pick(&["no", "off", "disabled", "denied", "refused"])
    };
    let raw = format!("{}: {word}", draft.say(source, "noun"));
    (
        raw,
        Value::from(yes),
        "true or false",
        source.pick(&["enabled", "ok", "flag", "active"]),
    )
}
