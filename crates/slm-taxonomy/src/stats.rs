//! What a taxonomy covers: how much there is of each kind, domain, output and label, and
//! where it is thin.
//!
//! It knows nothing of files.

use crate::diagnostic::Report;
use crate::extension::Output;
use crate::leaf::{Kind, Leaf};
use crate::render::counted;
use serde::Serialize;
use std::collections::BTreeMap;

/// The figures of a taxonomy.
#[derive(Debug, Default, PartialEq, Serialize)]
pub struct Stats {
    /// All leaves.
    pub leaves: usize,
    /// The leaves with at least one error.
    pub leaves_with_errors: usize,
    /// All seed examples.
    pub seed_examples: usize,
    /// All questions; a skill's seed example has one.
    pub questions: usize,
    /// Leaves by kind.
    pub kinds: BTreeMap<&'static str, usize>,
    /// Leaves by the form of their answers.
    pub outputs: BTreeMap<&'static str, usize>,
    /// Knowledge leaves by domain.
    pub domains: BTreeMap<String, usize>,
    /// The folders two levels down, such as `knowledge/arts`.
    pub areas: BTreeMap<String, Area>,
    /// Words of contexts, questions and answers.
    pub words: BTreeMap<&'static str, Lengths>,
    /// Seed examples per label, field value or function, for leaves whose answers are chosen
    /// from a list.
    pub choices: Vec<Choices>,
}

/// What lies below one folder.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub struct Area {
    /// Leaves.
    pub leaves: usize,
    /// Seed examples.
    pub seed_examples: usize,
    /// Questions.
    pub questions: usize,
}

/// Lengths in words.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub struct Lengths {
    /// How many texts.
    pub texts: usize,
    /// Half of them are at most this long.
    pub median: usize,
    /// The longest.
    pub max: usize,
}

/// How often a leaf's seed examples answer each of the answers it may give.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Choices {
    /// The leaf's name.
    pub leaf: String,
    /// Seed examples by answer, in the order in which the answers are declared.
    pub counts: Vec<(String, usize)>,
}

/// The figures of a report's leaves.
pub fn stats(report: &Report) -> Stats {
    let mut stats = Stats::default();
    let mut words: BTreeMap<&'static str, Vec<usize>> = BTreeMap::new();
    for leaf in &report.leaves {
        stats.add(leaf);
        for seed in &leaf.seed_examples {
            let pairs = &seed.questions_and_answers;
            let questions = pairs
                .iter()
                .map(|pair| ("question", pair.question.as_str()));
            let answers = pairs.iter().map(|pair| ("answer", pair.answer.as_str()));
            let context = seed
                .context
                .iter()
                .map(|context| ("context", context.as_str()));
            for (what, text) in context.chain(questions).chain(answers) {
                let count = text.split_whitespace().count();
                words.entry(what).or_default().push(count);
            }
        }
    }
    stats.words = words.into_iter().map(|(k, v)| (k, lengths(v))).collect();
    stats
}

impl Stats {
    fn add(&mut self, leaf: &Leaf) {
        let seeds = leaf.seed_examples.len();
        let pairs = leaf
            .seed_examples
            .iter()
            .map(|s| s.questions_and_answers.len());
        let questions: usize = pairs.sum();
        self.leaves += 1;
        self.leaves_with_errors += usize::from(leaf.errors > 0);
        self.seed_examples += seeds;
        self.questions += questions;
        *self.kinds.entry(leaf.kind.label()).or_default() += 1;
        let output = leaf.extension.as_ref().and_then(|e| e.output.as_ref());
        *self.outputs.entry(output_name(output)).or_default() += 1;
        if leaf.kind == Kind::Knowledge {
            let domain = leaf.domain.clone().unwrap_or_else(|| "(none)".into());
            *self.domains.entry(domain).or_default() += 1;
        }
        let name: Vec<&str> = leaf.name.split('/').take(2).collect();
        let area = self.areas.entry(name.join("/")).or_default();
        area.leaves += 1;
        area.seed_examples += seeds;
        area.questions += questions;
        self.choices.extend(choices(leaf));
    }

    /// The figures as text.
    pub fn text(&self) -> String {
        let leaves = counted(self.leaves, "leaf", "leaves");
        let seeds = counted(self.seed_examples, "seed example", "seed examples");
        let questions = counted(self.questions, "question", "questions");
        let mut out = format!("{leaves}, {seeds}, {questions}");
        if self.leaves_with_errors > 0 {
            out += &format!("; {} with errors", self.leaves_with_errors);
        }
        out.push('\n');
        out += &table("kind", &self.kinds);
        out += &table("answers", &self.outputs);
        out += &table("domain", &self.domains);
        out += &self.areas_text();
        out += "\nwords     texts   median      max\n";
        for (what, lengths) in &self.words {
            let (texts, median, max) = (lengths.texts, lengths.median, lengths.max);
            out += &format!("  {what:<8}{texts:>5} {median:>8} {max:>8}\n");
        }
        for choices in &self.choices {
            out += &choices.text();
        }
        out
    }

    fn areas_text(&self) -> String {
        let width = self.areas.keys().map(|name| name.chars().count()).max();
        let width = width.unwrap_or(0).max(4);
        let mut out = format!("\n{:<width$}    leaves    seeds  questions\n", "area");
        for (name, area) in &self.areas {
            let (leaves, seeds, questions) = (area.leaves, area.seed_examples, area.questions);
            out += &format!("  {name:<width$}{leaves:>8} {seeds:>8} {questions:>10}\n");
        }
        out
    }
}

impl Choices {
    fn text(&self) -> String {
        let mut out = format!("\nseed examples by answer of {}\n", self.leaf);
        for (answer, count) in &self.counts {
            let note = if *count == 0 {
                "  none: the model will not learn it"
            } else {
                ""
            };
            out += &format!("  {count:>5}  {answer}{note}\n");
        }
        out
    }
}

fn table(title: &str, counts: &BTreeMap<impl AsRef<str>, usize>) -> String {
    if counts.is_empty() {
        return String::new();
    }
    let rows = counts
        .iter()
        .map(|(name, count)| format!("  {count:>5}  {}\n", name.as_ref()));
    format!("\nleaves by {title}\n{}", rows.collect::<String>())
}

fn lengths(mut counts: Vec<usize>) -> Lengths {
    counts.sort_unstable();
    Lengths {
        texts: counts.len(),
        median: counts.get(counts.len() / 2).copied().unwrap_or(0),
        max: counts.last().copied().unwrap_or(0),
    }
}

fn output_name(output: Option<&Output>) -> &'static str {
    match output {
        None | Some(Output::Text) => "text",
        Some(Output::Json { .. }) => "json",
        Some(Output::Label { .. }) => "label",
        Some(Output::Calls { .. }) => "calls",
    }
}

/// The answers that a leaf may give, with how often its seed examples give them.
fn choices(leaf: &Leaf) -> Option<Choices> {
    let extension = leaf.extension.as_ref()?;
    let mut counts: Vec<(String, usize)> = match extension.output.as_ref()? {
        Output::Label { labels } => labels.iter().map(|label| (label.clone(), 0)).collect(),
        Output::Calls { tools } => {
            let names = tools
                .iter()
                .filter_map(|tool| tool.pointer("/function/name")?.as_str());
            names.map(|name| (name.to_string(), 0)).collect()
        }
        Output::Json { schema } => {
            let field = crate::check::schema_field(schema, extension.label_field.as_ref()?)?;
            let values = field.get("enum")?.as_array()?;
            values.iter().map(|value| (plain(value), 0)).collect()
        }
        Output::Text => return None,
    };
    for seed in &leaf.seed_examples {
        for pair in &seed.questions_and_answers {
            let mut said = answers(&pair.answer, extension);
            said.dedup();
            for (answer, count) in &mut counts {
                *count += usize::from(said.contains(answer));
            }
        }
    }
    Some(Choices {
        leaf: leaf.name.clone(),
        counts,
    })
}

/// What an answer chooses from the list.
fn answers(answer: &str, extension: &crate::Extension) -> Vec<String> {
    let json: Option<serde_json::Value> = serde_json::from_str(answer).ok();
    match (&extension.output, json) {
        (Some(Output::Label { .. }), _) => vec![answer.trim().to_string()],
        (Some(Output::Json { .. }), Some(value)) => {
            let pointer = extension.label_field.as_deref().unwrap_or_default();
            value.pointer(pointer).map(plain).into_iter().collect()
        }
        (Some(Output::Calls { .. }), Some(value)) => {
            let calls = match &value {
                serde_json::Value::Array(calls) => calls.as_slice(),
                call => std::slice::from_ref(call),
            };
            calls
                .iter()
                .filter_map(|call| Some(plain(call.get("name")?)))
                .collect()
        }
        _ => Vec::new(),
    }
}

fn plain(value: &serde_json::Value) -> String {
    match value.as_str() {
        Some(text) => text.to_string(),
        None => value.to_string(),
    }
}
