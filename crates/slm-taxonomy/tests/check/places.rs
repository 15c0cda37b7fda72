//! Line and column are those of the author's editor, whatever bytes the file has.

use crate::fixture::Taxonomy;

const HEAD: &str = "version: 3\ncreated_by: me\ntask_description: t\nseed_examples:\n";

/// A leaf with so many sound seed examples, and text behind them.
fn leaf(seeds: usize, rest: &str) -> String {
    let seed = |n| format!("  - question: q{n}\n    answer: a{n}\n");
    format!("{HEAD}{}{rest}", (0..seeds).map(seed).collect::<String>())
}

/// Line and column of the faults with a code.
fn places(text: &str, code: &str) -> Vec<(usize, usize)> {
    let report = Taxonomy::skill(text).check();
    let found = report.diagnostics.iter().filter(|d| d.code == code);
    found.map(|d| (d.line, d.column)).collect()
}

#[test]
fn line_endings_and_byte_order_marks_move_nothing() {
    let text = leaf(5, "bogus: 1\n");
    let expected = vec![(15, 1)];
    for written in [
        text.clone(),
        text.replace('\n', "\r\n"),
        text.replace('\n', "\r"),
        format!("\u{feff}{text}"),
    ] {
        assert_eq!(places(&written, "SLM-T010"), expected, "{written:?}");
    }
    let first = format!("\u{feff}bogus: 1\n{}", leaf(5, ""));
    assert_eq!(places(&first, "SLM-T010"), [(1, 1)]);
}

#[test]
fn columns_count_characters() {
    let seed = "  - {question: \"üöä 日本 🎉\", anser: x}\n";
    assert_eq!(places(&leaf(4, seed), "SLM-T010"), [(13, 28)]);
    // A letter and its combining accent are two characters.
    let seed = "  - {question: \"e\u{301}e\u{301}x\", anser: x}\n";
    assert_eq!(places(&leaf(4, seed), "SLM-T010"), [(13, 25)]);
    let space = "  - question:\u{a0}q\n    answer: a\n";
    assert_eq!(places(&leaf(4, space), "SLM-T042"), [(13, 14)]);
}

#[test]
fn a_fault_of_an_alias_is_told_at_the_alias() {
    let text = leaf(4, "  - *first\n").replacen("  - question", "  - &first\n    question", 1);
    assert_eq!(places(&text, "SLM-T018"), [(14, 5)]);
}

#[test]
fn a_tab_is_told_where_it_stands() {
    let below = leaf(4, "  - question: q\n\t    answer: a\n");
    assert_eq!(places(&below, "SLM-T003"), [(14, 1)]);
    let before = leaf(0, "\t- question: q\n");
    assert_eq!(places(&before, "SLM-T003"), [(5, 1)]);
}
