//! The card of a dataset: a README.md that says what the rows are, where they come from and what
//! is known of them. Its head is what hubs read (huggingface.co/docs/hub/datasets-cards).
//!
//! Only repeats what it is given. Does not know files.

use crate::figures::Figures;
use crate::split::Part;
use crate::synthesize::Shortfall;
use std::fmt::Write;

/// What a card tells beside the figures.
#[derive(Debug, Clone, Default)]
pub struct Card<'a> {
    /// The dataset's name.
    pub name: String,
    /// Who made the rows.
    pub teacher: String,
    /// The flow and its hash, where there is one.
    pub flow: Option<(String, String)>,
    /// Settings, in the order in which they are shown.
    pub settings: Vec<(String, String)>,
    /// The leaves.
    pub leaves: Vec<CardLeaf>,
    /// What must be known before the rows are used.
    pub warnings: Vec<String>,
    /// Where there are fewer rows than asked for.
    pub shortfalls: &'a [Shortfall],
}

/// Where a leaf comes from.
#[derive(Debug, Clone, Default)]
pub struct CardLeaf {
    /// Its name.
    pub name: String,
    /// Such as `knowledge`.
    pub kind: String,
    /// Who contributed it.
    pub created_by: String,
    /// The title of the work that it is taken from.
    pub title: String,
    /// That work's licence.
    pub license: String,
}

/// Writes the card.
pub fn card(card: &Card<'_>, figures: &Figures) -> String {
    let mut text = head(card, figures);
    let all: usize = figures.rows.values().sum();
    // Writing into a string cannot fail.
    let _ = write!(
        text,
        "# {}\n\n{all} rows in the messages format, made by `{}` from {} leaves of a taxonomy.\n",
        card.name,
        card.teacher,
        card.leaves.len()
    );
    if let Some((name, hash)) = &card.flow {
        let _ = writeln!(
            text,
            "The flow is `{name}` ({}).",
            &hash[..12.min(hash.len())]
        );
    }
    for warning in &card.warnings {
        let _ = write!(text, "\n> **Beware:** {warning}\n");
    }
    rows(&mut text, card, figures);
    quality(&mut text, figures);
    if !card.shortfalls.is_empty() {
        text.push_str("\n## Fewer rows than asked for\n\n");
        for shortfall in card.shortfalls {
            let _ = writeln!(text, "- {shortfall}");
        }
    }
    text.push_str("\n## Made with\n\n");
    for (key, value) in &card.settings {
        let _ = writeln!(text, "- {key}: `{value}`");
    }
    text.push_str(
        "\n`manifest.json` has the hashes of all inputs and outputs, `ledger.jsonl` the fate of every row.\n",
    );
    text
}

fn head(card: &Card<'_>, figures: &Figures) -> String {
    let all: usize = figures.rows.values().sum();
    let size = match all {
        0..1_000 => "n<1K",
        1_000..10_000 => "1K<n<10K",
        10_000..100_000 => "10K<n<100K",
        100_000..1_000_000 => "100K<n<1M",
        _ => "1M<n<10M",
    };
    let mut licenses: Vec<&str> = card.leaves.iter().map(|l| l.license.as_str()).collect();
    licenses.sort_unstable();
    licenses.dedup();
    let license = match licenses.as_slice() {
        [one] if !one.is_empty() => one.to_lowercase(),
        _ => "other".to_owned(),
    };
    let mut text = format!("---\nlicense: {}\n", quoted(&license));
    let _ = write!(
        text,
        "size_categories: [{}]\ntags: [synthetic]\nconfigs:\n  - config_name: default\n    data_files:\n",
        quoted(size)
    );
    for part in [Part::Train, Part::Validation, Part::Test] {
        if figures.rows_of(part) > 0 {
            let name = part.name();
            let _ = writeln!(text, "      - {{split: {name}, path: {name}.jsonl}}");
        }
    }
    text.push_str("---\n\n");
    text
}

/// A text as YAML and JSON both write it.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn rows(text: &mut String, card: &Card<'_>, figures: &Figures) {
    text.push_str("\n## Rows\n\n| leaf | kind | from | licence | train | validation | test |\n| --- | --- | --- | --- | --- | --- | --- |\n");
    for leaf in &card.leaves {
        let counts = figures.leaves.get(&leaf.name);
        let count = |part: Part| {
            counts
                .and_then(|leaf| leaf.rows.get(part.name()))
                .copied()
                .unwrap_or(0)
        };
        let _ = writeln!(
            text,
            "| {} | {} | {}, by {} | {} | {} | {} | {} |",
            cell(&leaf.name),
            leaf.kind,
            cell(&leaf.title),
            cell(&leaf.created_by),
            cell(&leaf.license),
            count(Part::Train),
            count(Part::Validation),
            count(Part::Test)
        );
    }
    for (name, leaf) in &figures.leaves {
        if leaf.labels.is_empty() {
            continue;
        }
        let labels: Vec<String> = leaf
            .labels
            .iter()
            .map(|(label, count)| format!("{} {count}", cell(label)))
            .collect();
        let _ = write!(text, "\nLabels of `{name}`: {}.\n", labels.join(", "));
    }
    if !figures.dropped.is_empty() {
        text.push_str("\nMade and dropped:\n\n");
        for (reason, count) in &figures.dropped {
            let _ = writeln!(text, "- {count}: {reason}");
        }
    }
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace(['\n', '\r'], " ")
}

fn quality(text: &mut String, figures: &Figures) {
    text.push_str("\n## What is known of them\n\n");
    if let Some(found) = &figures.diversity {
        let _ = writeln!(
            text,
            "- Diversity of the users' texts ({} of them, drawn evenly): distinct words {:.3}, pairs {:.3}, triples {:.3}; similarity to the text most like it, on average, {:.3}; {:.1}% are at least half like another.",
            found.texts,
            found.distinct_1,
            found.distinct_2,
            found.distinct_3,
            found.self_similarity,
            100.0 * found.alike_share
        );
    }
    let _ = writeln!(
        text,
        "- Seed examples with rows both in training and in the test: {}. Test rows with a word 3-gram similarity of 0.8 or more to a training row are dropped.",
        figures.shared_families
    );
    if figures.personal_data.is_empty() {
        text.push_str("- The scan for personal data and secrets found nothing. It knows shapes (addresses, numbers, keys), not names.\n");
    }
    for (finding, count) in &figures.personal_data {
        let _ = writeln!(
            text,
            "- {count} rows hold {}, real or made up.",
            finding.label()
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figures::Tally;
    use crate::sample::Sample;

    #[test]
    fn a_card_says_what_the_rows_are() {
        let mut tally = Tally::default();
        let row = Sample::pair("r", "write to ada@lovelace.org", "yes");
        tally.keep(
            Part::Train,
            &row.with("leaf", "skills/a").with("label", "x"),
        );
        let shortfalls = [Shortfall {
            leaf: "skills/a".into(),
            split: "train".into(),
            wanted: 9,
            got: 1,
            reason: "no more".into(),
        }];
        let facts = Card {
            name: "mine".into(),
            teacher: "grammar".into(),
            settings: vec![("seed".into(), "7".into())],
            leaves: vec![CardLeaf {
                name: "skills/a".into(),
                kind: "freeform skill".into(),
                created_by: "ada".into(),
                title: "A | B".into(),
                license: "CC0-1.0".into(),
            }],
            warnings: vec!["nobody checked".into()],
            shortfalls: &shortfalls,
            ..Card::default()
        };
        let text = card(&facts, &tally.figures());
        for part in [
            "license: \"cc0-1.0\"\nsize_categories: [\"n<1K\"]",
            "- {split: train, path: train.jsonl}\n---",
            "1 rows in the messages format, made by `grammar` from 1 leaves",
            "> **Beware:** nobody checked",
            "| skills/a | freeform skill | A \\| B, by ada | CC0-1.0 | 1 | 0 | 0 |",
            "Labels of `skills/a`: x 1.",
            "- 1 rows hold an e-mail address",
            "leaf `skills/a`: 1 of 9 train rows: no more",
            "- seed: `7`",
        ] {
            assert!(text.contains(part), "no `{part}` in\n{text}");
        }
    }
}
