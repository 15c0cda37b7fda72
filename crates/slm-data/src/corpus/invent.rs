//! Invented strings: pseudo-words from syllables, ids, numbers, amounts,
//! dates, e-mail addresses.
//!
//! Knows nothing of lexicons. The two families use different syllables, so
//! that hardly any invented word of one occurs in the other.

use super::source::Source;

/// Parts of syllables: onset, vowel, coda.
const ONSETS: [&str; 40] = [
    "b", "bl", "br", "c", "ch", "cl", "cr", "d", "dr", "f", "fl", "fr", "g", "gl", "gr", "h", "j",
    "k", "kr", "l", "m", "n", "p", "pl", "pr", "qu", "r", "s", "sh", "sk", "sl", "sp", "st", "t",
    "th", "tr", "v", "w", "y", "z",
];
const VOWELS: [&str; 14] = [
    "a", "e", "i", "o", "u", "ai", "ea", "ee", "ia", "oo", "ou", "a", "e", "o",
];
const CODAS: [&str; 24] = [
    "", "", "", "", "", "", "n", "r", "l", "s", "t", "k", "m", "x", "nd", "rt", "sk", "ng", "ll",
    "ck", "th", "p", "sh", "v",
];
/// Endings that make a pseudo-word look like one of a kind.
const ENDINGS: [&str; 20] = [
    "", "", "", "", "", "", "", "", "o", "a", "us", "ia", "ix", "er", "ing", "y", "on", "el", "ly",
    "ed",
];

/// Kinds of string made by rule rather than taken from a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Invention {
    /// A lower-case pseudo-word.
    Pseudo,
    /// An id or code: letters, digits and dashes.
    Id,
    /// An integer from 2 to 12, in digits.
    Small,
    /// An integer of one to four digits.
    Integer,
    /// An integer of two digits.
    TwoDigits,
    /// A decimal number with one or two places.
    Decimal,
    /// An amount such as `1,240.50`, `45` or `7.99`.
    Amount,
    /// A year from 1900 to 2035.
    Year,
    /// A clock time such as `7:45`.
    Clock,
    /// An hour from 1 to 12.
    Hour,
    /// A day of the month.
    Day,
    /// A date in one of the numeric notations.
    NumericDate,
    /// A date as `2024-05-31`.
    IsoDate,
    /// A telephone number.
    Phone,
    /// A postal code.
    PostalCode,
    /// The local part of an e-mail address.
    Handle,
    /// A version such as `3.1.4`.
    Version,
}

/// The names by which grammar files call inventions.
pub(crate) const INVENTIONS: [(&str, Invention); 17] = [
    ("pseudo", Invention::Pseudo),
    ("id", Invention::Id),
    ("small", Invention::Small),
    ("integer", Invention::Integer),
    ("two_digits", Invention::TwoDigits),
    ("decimal", Invention::Decimal),
    ("amount_number", Invention::Amount),
    ("year", Invention::Year),
    ("clock", Invention::Clock),
    ("hour", Invention::Hour),
    ("day", Invention::Day),
    ("numeric_date", Invention::NumericDate),
    ("iso_date", Invention::IsoDate),
    ("phone", Invention::Phone),
    ("postal_code", Invention::PostalCode),
    ("handle", Invention::Handle),
    ("version", Invention::Version),
];

/// One string of the kind.
pub(crate) fn invent(source: &mut Source, kind: Invention) -> String {
    match kind {
        Invention::Pseudo => pseudo_word(source),
        Invention::Id => id(source),
        Invention::Small => source.between(2, 12).to_string(),
        Invention::Integer => integer(source).to_string(),
        Invention::TwoDigits => source.between(10, 99).to_string(),
        Invention::Decimal => decimal(source),
        Invention::Amount => amount(source),
        Invention::Year => source.between(1900, 2035).to_string(),
        Invention::Clock => format!("{}:{:02}", source.between(1, 12), source.between(0, 11) * 5),
        Invention::Hour => source.between(1, 12).to_string(),
        Invention::Day => source.between(1, 31).to_string(),
        Invention::NumericDate => numeric_date(source),
        Invention::IsoDate => iso_date(source),
        Invention::Phone => fill(
            source,
            &[
                "555-####",
                "(###) 555-####",
                "+1 ### 555 ####",
                "+49 30 ######",
                "### ### ####",
                "+44 20 #### ####",
                "0### ######",
            ],
        ),
        Invention::PostalCode => fill(
            source,
            &["#####", "@@# #@@", "#### @@", "##-###", "@#@ #@#"],
        ),
        Invention::Handle => handle(source),
        Invention::Version => fill(source, &["#.#", "#.#.#", "v#.#", "#.##.#", "v#"]),
    }
}

/// A pronounceable word that is in no lexicon; syllables differ by family.
pub(crate) fn pseudo_word(source: &mut Source) -> String {
    let mut word = String::new();
    let syllables = 1 + source.below(3);
    for _ in 0..syllables.max(1 + source.below(2)) {
        word.push_str(&syllable(source));
    }
    if word.len() < 3 {
        word.push_str(&syllable(source));
    }
    word.push_str(source.pick(&ENDINGS));
    word
}

/// A syllable of the family's side: the parts' positions tell the side.
fn syllable(source: &mut Source) -> String {
    let onset = source.below(ONSETS.len());
    let mut vowel = source.below(VOWELS.len());
    // A fifth of all onset-vowel pairs belongs to the held-out family.
    while (onset * 7 + vowel_class(vowel) * 3).is_multiple_of(5) != source.held_out() {
        vowel = (vowel + 1) % VOWELS.len();
    }
    let coda = source.below(CODAS.len());
    format!("{}{}{}", ONSETS[onset], VOWELS[vowel], CODAS[coda])
}

/// Equal vowels have one class wherever they stand in the table.
fn vowel_class(vowel: usize) -> usize {
    VOWELS
        .iter()
        .position(|other| *other == VOWELS[vowel])
        .unwrap_or(vowel)
}

fn integer(source: &mut Source) -> i64 {
    match source.below(4) {
        0 => source.between(1, 9),
        1 => source.between(10, 99),
        2 => source.between(100, 999),
        _ => source.between(1, 9999),
    }
}

fn decimal(source: &mut Source) -> String {
    let whole = source.between(0, 120);
    if source.chance(50) {
        format!("{whole}.{}", source.between(1, 9))
    } else {
        format!("{whole}.{:02}", source.between(1, 99))
    }
}

fn amount(source: &mut Source) -> String {
    match source.below(6) {
        0 => format!(
            "{},{:03}.{:02}",
            source.between(1, 48),
            source.between(0, 999),
            source.between(0, 99)
        ),
        1 => format!("{},{:03}", source.between(1, 99), source.between(0, 999)),
        2 => source.between(5, 999).to_string(),
        3 => (source.between(1, 60) * 50).to_string(),
        _ => format!("{}.{:02}", source.between(1, 899), source.between(0, 99)),
    }
}

fn numeric_date(source: &mut Source) -> String {
    let (day, month, year) = (
        source.between(1, 28),
        source.between(1, 12),
        source.between(2014, 2032),
    );
    match source.below(6) {
        0 => format!("{month}/{day}/{year}"),
        1 => format!("{day}/{month}/{year}"),
        2 => format!("{day:02}.{month:02}.{year}"),
        3 => format!("{month}-{day}-{year}"),
        4 => format!("{month}/{day}"),
        _ => format!("{year}-{month:02}-{day:02}"),
    }
}

fn iso_date(source: &mut Source) -> String {
    format!(
        "{}-{:02}-{:02}",
        source.between(2014, 2032),
        source.between(1, 12),
        source.between(1, 28)
    )
}

/// An id in one of many shapes.
pub(crate) fn id(source: &mut Source) -> String {
    fill(
        source,
        &[
            "@@-####",
            "@@@-#####",
            "####",
            "#####",
            "######",
            "@##@",
            "@@##",
            "?##?#",
            "@@@##",
            "@#@-@#",
            "##-@@-##",
            "@@@@-###",
            "???-###",
            "@-###",
            "#@#@",
            "@@/####/##",
            "20##-###",
            "@@@_##",
            "0x#?#?",
            "?#?#?#",
        ],
    )
}

/// Fills a pattern: `#` digit, `@` capital letter, `?` small letter.
pub(crate) fn fill(source: &mut Source, patterns: &[&str]) -> String {
    let pattern = source.pick(patterns);
    let mut out = String::with_capacity(pattern.len());
    for mark in pattern.chars() {
        out.push(match mark {
            '#' => char::from(b'0' + source.below(10) as u8),
            '@' => char::from(b'A' + source.below(26) as u8),
            '?' => char::from(b'a' + source.below(26) as u8),
            other => other,
        });
    }
    out
}

fn handle(source: &mut Source) -> String {
    let first = pseudo_word(source);
    match source.below(4) {
        0 => first,
        1 => format!("{first}.{}", pseudo_word(source)),
        2 => format!("{first}{}", source.between(1, 99)),
        _ => format!("{first}_{}", pseudo_word(source)),
    }
}
