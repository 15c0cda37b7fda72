//! The rows that a flow begins with: a leaf's seed examples, and the chunks of its documents.
//!
//! Does not know blocks.

use super::row::{Row, Trace};
use super::spec::Flow;
use crate::document::Chunk;
use crate::error::{DataError, Result};
use crate::hash::fnv1a;
use crate::synthesize::{Pair, PoolSide, Seed, SeedLeaf};
use serde_json::{Map, Value, json};
use slm_taxonomy::{Leaf, Output};

/// What flows are told of a leaf beside its seed examples.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct LeafFacts {
    /// What the skill is to do.
    pub task_description: String,
    /// The knowledge's domain.
    pub domain: String,
    /// A summary of the knowledge's document.
    pub document_outline: String,
    /// The pieces of its documents.
    pub chunks: Vec<Chunk>,
}

impl LeafFacts {
    /// The facts of a leaf, with the pieces of its documents.
    pub fn new(leaf: &Leaf, chunks: Vec<Chunk>) -> Self {
        Self {
            task_description: leaf.task_description.clone(),
            domain: leaf.domain.clone().unwrap_or_default(),
            document_outline: leaf.document_outline.clone().unwrap_or_default(),
            chunks,
        }
    }
}

/// Whether a piece of a document is held out of training. Whole documents are, where there
/// are at least five of them; otherwise single pieces.
pub(super) fn is_held_out(chunks: &[Chunk], chunk: &Chunk, share: f64) -> bool {
    let mut documents: Vec<&str> = chunks.iter().map(|c| c.sha256.as_str()).collect();
    documents.sort_unstable();
    documents.dedup();
    let by_document = documents.len() >= 5;
    let mut families: Vec<String> = chunks.iter().map(|c| family(c, by_document)).collect();
    families.sort_by_key(|name| (fnv1a(name.as_bytes()), name.clone()));
    families.dedup();
    let wanted = match share > 0.0 && families.len() > 1 {
        true => ((families.len() as f64 * share).round() as usize).clamp(1, families.len() - 1),
        false => 0,
    };
    families[..wanted].contains(&family(chunk, by_document))
}

fn family(chunk: &Chunk, by_document: bool) -> String {
    match by_document {
        true => chunk.sha256.clone(),
        false => format!("{}#{}", chunk.sha256, chunk.index),
    }
}

/// The rows of a leaf, round after round, without end (or none at all).
pub(super) struct Inputs<'a> {
    flow: &'a Flow,
    leaf: &'a SeedLeaf,
    facts: &'a LeafFacts,
    chunks: Vec<&'a Chunk>,
    /// Rows in one round: each chunk once with one seed, or each seed once.
    per_round: usize,
    next: usize,
    side: &'static str,
}

impl<'a> Inputs<'a> {
    /// The rows of one side of a leaf.
    ///
    /// # Errors
    /// The leaf lacks what the flow requires.
    pub fn new(
        flow: &'a Flow,
        leaf: &'a SeedLeaf,
        facts: &'a LeafFacts,
        side: PoolSide,
        held_out_share: f64,
    ) -> Result<Self> {
        let needs = |column: &str| {
            flow.metadata
                .dataset_requirements
                .required_columns
                .iter()
                .any(|c| c == column)
        };
        let held_out = side == PoolSide::HeldOut;
        let on_side =
            |chunk: &&Chunk| is_held_out(&facts.chunks, chunk, held_out_share) == held_out;
        let mut chunks: Vec<&Chunk> = facts.chunks.iter().filter(on_side).collect();
        if !needs("document") {
            chunks.clear();
        } else if chunks.is_empty() {
            return Err(DataError::settings(
                format!(
                    "flow `{}` needs documents, and leaf `{}` has {}",
                    flow.metadata.name,
                    leaf.name,
                    if facts.chunks.is_empty() {
                        "none"
                    } else {
                        "too few to hold some out"
                    }
                ),
                "name them with `--document`, or choose a flow for skills, such as `freeform`",
            ));
        }
        let per_round = if chunks.is_empty() {
            leaf.seeds.len()
        } else {
            chunks.len()
        };
        let mut inputs = Self {
            flow,
            leaf,
            facts,
            chunks,
            per_round,
            next: 0,
            side: if held_out { "held-out" } else { "train" },
        };
        inputs.check()?;
        inputs.next = 0;
        Ok(inputs)
    }

    /// The number of rows in one round.
    pub fn per_round(&self) -> usize {
        self.per_round
    }

    /// All rows of one round have what the flow requires.
    fn check(&mut self) -> Result<()> {
        if self.leaf.seeds.is_empty() {
            return Err(DataError::settings(
                format!("leaf `{}` has no seed examples", self.leaf.name),
                "add some, or leave the leaf out",
            ));
        }
        let count = self.per_round;
        let rows: Vec<Row> = self.by_ref().take(count).collect();
        for column in &self.flow.metadata.dataset_requirements.required_columns {
            let known = rows.iter().find(|row| row.text(column).trim().is_empty());
            if let Some(row) = known {
                return Err(DataError::settings(
                    format!(
                        "flow `{}` needs the column `{column}`, which leaf `{}` does not fill (row `{}`)",
                        self.flow.metadata.name, self.leaf.name, row.id
                    ),
                    hint_for(column, self.flow.metadata.name.as_str()),
                ));
            }
        }
        Ok(())
    }
}

fn hint_for(column: &str, flow: &str) -> String {
    match column {
        "seed_context" | "icl_document" => {
            "the leaf's seed examples have no context: use a flow for freeform skills".into()
        }
        "label" | "near_label" | "labels" => {
            "give the leaf an `output` with labels in its `slm.yaml`".into()
        }
        "output_schema" => "give the leaf an `output` in its `slm.yaml`".into(),
        "domain" | "document_outline" => {
            "only knowledge leaves have it: use a flow for skills".into()
        }
        "task_description" => "only skills have it: use a flow for knowledge".into(),
        _ => format!(
            "leaves fill the columns that docs/flows.md lists; another flow than `{flow}` may fit"
        ),
    }
}

impl Iterator for Inputs<'_> {
    type Item = Row;

    fn next(&mut self) -> Option<Row> {
        if self.per_round == 0 {
            return None;
        }
        let (round, place) = (self.next / self.per_round, self.next % self.per_round);
        self.next += 1;
        let (chunk, seed) = match self.chunks.get(place) {
            Some(chunk) => (
                Some(*chunk),
                &self.leaf.seeds[(place + round) % self.leaf.seeds.len()],
            ),
            None => (None, &self.leaf.seeds[place]),
        };
        // A seed of knowledge has several questions; each round asks about the next.
        let pair = &seed.pairs[round % seed.pairs.len().max(1)..];
        let pair = pair.first()?;
        let chunk_name = chunk.map_or(String::new(), |c| {
            format!("-c{:04}-{}", c.index, &c.sha256[..6.min(c.sha256.len())])
        });
        Some(Row {
            id: format!(
                "{}-{}{chunk_name}-s{:03}-r{round:03}",
                self.leaf.name, self.side, seed.index
            ),
            leaf: self.leaf.name.clone(),
            columns: self.columns(seed, pair, chunk, round),
            seed: Some(seed.index as u64),
            trace: Trace {
                flow: format!("{}@{}", self.flow.metadata.name, &self.flow.hash[..12]),
                chunk: chunk.map(|c| format!("{}#{}-{}", c.source, c.start, c.end)),
                round: round as u32,
                ..Trace::default()
            },
        })
    }
}

impl Inputs<'_> {
    fn columns(
        &self,
        seed: &Seed,
        pair: &Pair,
        chunk: Option<&Chunk>,
        round: usize,
    ) -> Map<String, Value> {
        let label = self.leaf.label_of_pair(pair).unwrap_or_default();
        let labels = self.labels();
        let others: Vec<&String> = labels.iter().filter(|other| **other != label).collect();
        let near = match others.is_empty() {
            true => String::new(),
            false => others[(round + seed.index) % others.len()].clone(),
        };
        let mut columns = Map::new();
        let mut put = |name: &str, value: String| columns.insert(name.to_owned(), value.into());
        put("leaf", self.leaf.name.clone());
        put("task_description", self.facts.task_description.clone());
        put("domain", self.facts.domain.clone());
        put("document_outline", self.facts.document_outline.clone());
        put(
            "document",
            chunk.map(Chunk::with_headings).unwrap_or_default(),
        );
        put(
            "instruction",
            self.leaf.instruction.clone().unwrap_or_default(),
        );
        put("output_schema", output_words(&self.leaf.output));
        put("seed_question", pair.question.clone());
        put("seed_answer", pair.answer.clone());
        // As InstructLab's prompts call it.
        put("seed_response", pair.answer.clone());
        put("seed_context", seed.context.clone().unwrap_or_default());
        put("icl_document", seed.context.clone().unwrap_or_default());
        for n in 0..3 {
            let pair = seed.pairs.get(n);
            put(
                &format!("icl_query_{}", n + 1),
                pair.map_or(String::new(), |p| p.question.clone()),
            );
            put(
                &format!("icl_response_{}", n + 1),
                pair.map_or(String::new(), |p| p.answer.clone()),
            );
        }
        put("label", label);
        put("near_label", near);
        put("labels", labels.join(", "));
        columns
    }

    /// The leaf's labels: those of its output, or those that its seeds show.
    fn labels(&self) -> Vec<String> {
        if let Output::Label { labels } = &self.leaf.output {
            return labels.clone();
        }
        let mut labels: Vec<String> = self
            .leaf
            .seeds
            .iter()
            .flat_map(|s| &s.pairs)
            .filter_map(|p| self.leaf.label_of_pair(p))
            .collect();
        labels.sort();
        labels.dedup();
        labels
    }
}

/// A leaf's output in words that a prompt can show.
fn output_words(output: &Output) -> String {
    match output {
        Output::Json { schema } => format!("JSON that fits this schema: {schema}"),
        Output::Label { labels } => format!("one of these labels: {}", labels.join(", ")),
        Output::Calls { tools } => format!(
            "a JSON list of calls {{\"name\": ..., \"arguments\": {{...}}}} of these tools: {}",
            Value::from(tools.clone())
        ),
        Output::Text => String::new(),
    }
}

/// The schema of `{question, answer}` with the leaf's answer.
pub(super) fn leaf_schema(output: &Output) -> Value {
    let answer = match output {
        Output::Json { schema } => schema.clone(),
        Output::Label { labels } => json!({"type": "string", "enum": labels}),
        Output::Text => json!({"type": "string"}),
        Output::Calls { tools } => {
            let name = |tool: &Value| {
                tool.pointer("/function/name")
                    .or_else(|| tool.get("name"))
                    .cloned()
            };
            let names: Vec<Value> = tools.iter().filter_map(name).collect();
            json!({"type": "array", "items": {
                "type": "object", "required": ["name", "arguments"], "additionalProperties": false,
                "properties": {"name": {"enum": names}, "arguments": {"type": "object"}}
            }})
        }
    };
    json!({
        "type": "object", "required": ["question", "answer"], "additionalProperties": false,
        "properties": {"question": {"type": "string"}, "answer": answer}
    })
}
