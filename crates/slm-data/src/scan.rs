//! Personal data and secrets in texts, found by their shape.
//!
//! Knows addresses, numbers with check digits, and the forms of common keys. Does not know
//! names of people: nothing without a shape is found, and a text that passes may still tell.

use regex::Regex;
use serde::{Deserialize, Serialize};
use std::ops::Range;
use std::sync::LazyLock;

/// What was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Finding {
    /// An e-mail address, but not of the domains reserved for examples.
    Email,
    /// A telephone number in international form.
    Phone,
    /// A payment card number (Luhn's check digit).
    Card,
    /// An international bank account number (ISO 13616 check digits).
    Iban,
    /// A United States social security number.
    SocialSecurity,
    /// An IPv4 address that is not private or reserved for documentation.
    IpAddress,
    /// A private key in PEM form.
    PrivateKey,
    /// A key or token of a known service.
    Token,
    /// A value assigned to something named password, secret or key.
    Password,
}

impl Finding {
    /// What it is, in words.
    pub fn label(self) -> &'static str {
        match self {
            Self::Email => "an e-mail address",
            Self::Phone => "a telephone number",
            Self::Card => "a payment card number",
            Self::Iban => "a bank account number",
            Self::SocialSecurity => "a social security number",
            Self::IpAddress => "an IP address",
            Self::PrivateKey => "a private key",
            Self::Token => "an access token",
            Self::Password => "a password",
        }
    }
}

struct Rule {
    finding: Finding,
    /// Characters of which a hit has one; any where there are none.
    marks: &'static [u8],
    /// Digits that a hit has at least.
    digits: usize,
    pattern: Regex,
    holds: fn(&str) -> bool,
}

static RULES: LazyLock<Vec<Rule>> = LazyLock::new(|| {
    let rules: [(Finding, &'static [u8], usize, &str, fn(&str) -> bool); 9] = [
        (
            Finding::PrivateKey,
            b"-",
            0,
            r"-----BEGIN (?:[A-Z]+ )?PRIVATE KEY-----",
            always,
        ),
        (
            Finding::Token,
            b"",
            0,
            r"\b(?:sk-(?:proj-)?[A-Za-z0-9_-]{20,}|gh[pousr]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{40,}|xox[abprs]-[A-Za-z0-9-]{10,}|AKIA[0-9A-Z]{16}|AIza[0-9A-Za-z_-]{35}|hf_[A-Za-z0-9]{30,}|eyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,})",
            always,
        ),
        (
            Finding::Password,
            b":=",
            1,
            r#"(?i)\b(?:password|passwd|secret|api[_-]?key|access[_-]?token)\b["']?\s*[:=]\s*["']?[^\s"',;]{8,}"#,
            has_digit_and_letter,
        ),
        (
            Finding::Email,
            b"@",
            0,
            r"\b[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*\.[A-Za-z]{2,}\b",
            is_real_domain,
        ),
        (
            Finding::Iban,
            b"",
            2,
            r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b",
            iban_holds,
        ),
        (Finding::Card, b"", 13, r"\b(?:\d[ -]?){12,18}\d\b", is_card),
        (
            Finding::SocialSecurity,
            b"-",
            9,
            r"\b\d{3}-\d{2}-\d{4}\b",
            social_security_holds,
        ),
        (
            Finding::Phone,
            b"+",
            6,
            r"\+\d{1,3}[ .-]?(?:\(\d{1,4}\)[ .-]?)?\d{1,4}(?:[ .-]?\d{2,4}){2,4}\b",
            always,
        ),
        (
            Finding::IpAddress,
            b".",
            4,
            r"\b(?:\d{1,3}\.){3}\d{1,3}\b",
            is_public_address,
        ),
    ];
    let compile = |(finding, marks, digits, pattern, holds): (
        Finding,
        &'static [u8],
        usize,
        &str,
        fn(&str) -> bool,
    )| {
        // The patterns are constants; a test compiles them all.
        Regex::new(pattern).ok().map(|pattern| Rule {
            finding,
            marks,
            digits,
            pattern,
            holds,
        })
    };
    rules.into_iter().filter_map(compile).collect()
});

/// What a text holds that it should not, in the order of the rules; places do not overlap.
pub fn scan(text: &str) -> Vec<(Finding, Range<usize>)> {
    let mut found: Vec<(Finding, Range<usize>)> = Vec::new();
    // Most texts lack what most rules need, and counting is quicker than matching.
    let digits = text.chars().filter(|c| c.is_numeric()).count();
    for rule in RULES.iter() {
        let bytes = text.as_bytes();
        let marked = rule.marks.is_empty() || bytes.iter().any(|b| rule.marks.contains(b));
        if !marked || digits < rule.digits {
            continue;
        }
        for hit in rule.pattern.find_iter(text) {
            let free = found
                .iter()
                .all(|(_, range)| hit.end() <= range.start || range.end <= hit.start());
            if free && (rule.holds)(hit.as_str()) {
                found.push((rule.finding, hit.range()));
            }
        }
    }
    found
}

fn always(_: &str) -> bool {
    true
}

fn has_digit_and_letter(text: &str) -> bool {
    let value = text.rsplit([':', '=']).next().unwrap_or_default();
    value.chars().any(|c| c.is_ascii_digit()) && value.chars().any(char::is_alphabetic)
}

/// Not of a domain that RFC 2606 reserves.
fn is_real_domain(address: &str) -> bool {
    let domain = address
        .rsplit('@')
        .next()
        .unwrap_or_default()
        .to_ascii_lowercase();
    let ends = |reserved: &str| domain == reserved || domain.ends_with(&format!(".{reserved}"));
    ![
        "example",
        "example.com",
        "example.org",
        "example.net",
        "test",
        "invalid",
        "localhost",
    ]
    .iter()
    .any(|r| ends(r))
}

/// A number as the card networks give them out: its beginning, its length, and Luhn's check
/// digit (ISO/IEC 7812-1).
fn is_card(text: &str) -> bool {
    let digits: Vec<u32> = text.chars().filter_map(|c| c.to_digit(10)).collect();
    let first_two = digits[0] * 10 + digits[1];
    let known = matches!(
        (first_two, digits.len()),
        (40..=49, 13 | 16 | 19)
            | (22..=27 | 35 | 51..=55, 16)
            | (34 | 37, 15)
            | (30 | 36 | 38, 14)
            | (60..=65, 16..=19)
    );
    let doubled = |(n, digit): (usize, &u32)| match n % 2 {
        0 => *digit,
        _ if *digit > 4 => digit * 2 - 9,
        _ => digit * 2,
    };
    let sum: u32 = digits.iter().rev().enumerate().map(doubled).sum();
    known && sum.is_multiple_of(10)
}

/// ISO 13616: moved by four and read as a number, the remainder by 97 is 1.
fn iban_holds(text: &str) -> bool {
    let letters: Vec<char> = text.chars().filter(|c| *c != ' ').collect();
    if !(15..=34).contains(&letters.len()) {
        return false;
    }
    let moved = letters[4..].iter().chain(&letters[..4]);
    let remainder = moved
        .filter_map(|c| c.to_digit(36))
        .fold(0u32, |sum, digit| {
            let shift = if digit > 9 { 100 } else { 10 };
            (sum * shift + digit) % 97
        });
    remainder == 1
}

/// Numbers that were never given out hold no person.
fn social_security_holds(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let area = parts
        .first()
        .and_then(|p| p.parse::<u32>().ok())
        .unwrap_or(0);
    area != 0
        && area != 666
        && area < 900
        && parts.get(1) != Some(&"00")
        && parts.get(2) != Some(&"0000")
}

fn is_public_address(text: &str) -> bool {
    text.parse::<std::net::Ipv4Addr>().is_ok_and(|a| {
        let version_like = a.octets()[0] < 4;
        !(a.is_private()
            || a.is_loopback()
            || a.is_documentation()
            || a.is_link_local()
            || a.is_unspecified()
            || a.is_broadcast()
            || version_like)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<Finding> {
        scan(text).into_iter().map(|(finding, _)| finding).collect()
    }

    #[test]
    fn all_rules_compile_and_find_theirs() {
        assert_eq!(RULES.len(), 9);
        let cases = [
            ("write to ada@lovelace.org.", Finding::Email),
            ("call +44 20 7946 0958 now", Finding::Phone),
            ("card 4111 1111 1111 1111.", Finding::Card),
            ("pay to DE89 3704 0044 0532 0130 00 today", Finding::Iban),
            ("ssn 123-45-6789", Finding::SocialSecurity),
            ("host 8.8.4.4 is up", Finding::IpAddress),
            ("-----BEGIN RSA PRIVATE KEY-----\nx", Finding::PrivateKey),
            ("key AKIAIOSFODNN7EXAMPLE", Finding::Token),
            ("password: hunter2hunter", Finding::Password),
        ];
        for (text, finding) in cases {
            assert_eq!(found(text), [finding], "{text}");
        }
    }

    #[test]
    fn what_only_looks_alike_passes() {
        for text in [
            "a@example.com and b@mail.example.org",
            "order 4111 1111 1111 1112",
            "DE89 3704 0044 0532 0130 01",
            "000-45-6789 and 900-12-3456",
            "192.168.0.1, 127.0.0.1, version 1.2.3.4, 999.1.1.1",
            "password: (hidden)  the secret of success",
            "call 555-0123",
            "0000 0000 0000 0000",
        ] {
            assert_eq!(found(text), [], "{text}");
        }
    }
}
