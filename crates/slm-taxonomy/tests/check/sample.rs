//! Leaves with the faults that the public InstructLab taxonomy has; what that taxonomy
//! itself is told is in `docs/taxonomy-public.md`.

use crate::fixture::{ATTRIBUTION, Taxonomy, knowledge_text, skill_text};

/// Three works, with a blank line or two between them, and no revision.
const THREE_WORKS: &str = "Title of work: A\nLink to work: https://example.invalid/a\nLicense of the work: CC-BY-SA-4.0\nCreator names: Some\n\nTitle of work: B\nLink to work: -\nLicense of the work: CC-BY-SA-4.0\nCreator names: Some\n\n\nTitle of work: C\nLink to work: -\nLicense of the work: CC-BY-SA-4.0\nCreator names: Some";

/// Keys in the old order, texts in folded quotes, entries level with their key.
const OLD: &str = "created_by: IBM\nseed_examples:\n- answer: 'The list contains two colors.\n\n    '\n  question: 'How many colors are there: four, blue, five,\n    pink.\n\n    '\n- answer: \"There are 3.\\n\"\n  question: \"It\\u2019s late:\\\n    \\ how many?\"\n- answer: c\n  question: d\ntask_description: 'To teach a language model about colors\n\n  '\n";

#[test]
fn old_foundational_skills_are_told_what_they_lack() {
    let taxonomy = Taxonomy::new(&[
        ("foundational_skills/reasoning/colors/qna.yaml", OLD),
        ("foundational_skills/.gitignore", "*\n"),
        (
            "compositional_skills/a/qna.yaml",
            &skill_text(5, |i| i.to_string()),
        ),
        ("compositional_skills/a/attribution.txt", THREE_WORKS),
        (
            "knowledge/k/qna.yaml",
            &knowledge_text(
                "  repo: https://example.invalid/r.git\n  commit: 5f7158a5ce83c4ff493bfe341fe31ecad64ff697\n  patterns:\n    - a.md\n",
            ),
        ),
        ("knowledge/k/attribution.txt", ATTRIBUTION.trim_end()),
    ]);
    let report = taxonomy.check();
    let found: Vec<(&str, usize, bool)> = report
        .diagnostics
        .iter()
        .map(|d| (d.code, d.line, d.path.contains("foundational")))
        .collect();
    let expected = [
        ("SLM-T033", 1, false),
        ("SLM-T033", 6, false),
        ("SLM-T033", 12, false),
        ("SLM-T011", 1, true),
        ("SLM-T015", 2, true),
        ("SLM-T030", 1, true),
    ];
    assert_eq!(found, expected, "{}", taxonomy.rendered());
}
