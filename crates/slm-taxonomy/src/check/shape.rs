//! The schema of `qna.yaml`: version 3 for knowledge, versions 3 and 2 for skills.
//!
//! It reads one file's tree into seed examples and reports what does not fit. It does not
//! compare seed examples with each other, with files or with an output schema.

use super::fields::{Fields, Page, Text, child, excerpt};
use crate::codes::Code;
use crate::leaf::Kind;
use crate::source::Span;
use crate::yaml::{Node, ScalarKind};

const SKILL_KEYS: &[&str] = &["version", "created_by", "task_description", "seed_examples"];
const SKILL_SEED_KEYS: &[&str] = &["context", "question", "answer"];
const KNOWLEDGE_KEYS: &[&str] = &[
    "version",
    "created_by",
    "domain",
    "document_outline",
    "seed_examples",
    "document",
];
const KNOWLEDGE_SEED_KEYS: &[&str] = &["context", "questions_and_answers"];
const PAIR_KEYS: &[&str] = &["question", "answer"];
const MIN_SEED_EXAMPLES: usize = 5;
const MIN_QUESTIONS: usize = 3;

/// A leaf's file as far as it could be read, with places.
pub(super) struct Shape<'n> {
    pub knowledge: bool,
    pub version: u32,
    pub created_by: Option<Text<'n>>,
    pub task_description: Option<Text<'n>>,
    pub domain: Option<Text<'n>>,
    pub document_outline: Option<Text<'n>>,
    pub document: Option<&'n Node>,
    pub seeds_span: Option<Span>,
    pub seeds: Vec<Seed<'n>>,
}

/// A seed example with places.
pub(super) struct Seed<'n> {
    pub span: Span,
    pub path: String,
    pub context: Option<Text<'n>>,
    pub has_context_key: bool,
    pub pairs: Vec<Pair<'n>>,
}

/// A question and its answer; either may be missing or of the wrong type.
pub(super) struct Pair<'n> {
    pub span: Span,
    pub path: String,
    pub question: Option<Text<'n>>,
    pub answer: Option<Text<'n>>,
}

impl Shape<'_> {
    /// Knowledge or skill, and whether the skill is grounded.
    pub fn kind(&self) -> Kind {
        if self.knowledge {
            return Kind::Knowledge;
        }
        let grounded = self.seeds.iter().any(|seed| seed.has_context_key);
        Kind::Skill { grounded }
    }
}

/// Reads the root of a `qna.yaml` in the given branch of the taxonomy.
pub(super) fn read<'n>(page: &mut Page, root: &'n Node, branch: Option<&str>) -> Option<Shape<'n>> {
    let mut fields = page.mapping(root, ".", "a leaf")?;
    let knowledge = is_knowledge(page, &fields, branch);
    let (keys, what) = if knowledge {
        (KNOWLEDGE_KEYS, "a knowledge leaf")
    } else {
        (SKILL_KEYS, "a skill")
    };
    fields.only(page, Code::UnknownKey, keys, what);
    let version = version(page, &fields, knowledge, what);
    let created_by = fields.text(page, "created_by");
    let mut only_for = |wanted: bool, key: &str| {
        if wanted { fields.text(page, key) } else { None }
    };
    let task_description = only_for(!knowledge, "task_description");
    let domain = only_for(knowledge, "domain");
    let document_outline = only_for(knowledge, "document_outline");
    let document = match knowledge {
        true => fields.required(page, Code::MissingKey, "document"),
        false => None,
    };
    let seeds_node = fields.required(page, Code::MissingKey, "seed_examples");
    let seeds = seeds_node.map_or_else(Vec::new, |node| {
        seeds(page, node, key_span(&fields, "seed_examples"), knowledge)
    });
    let shape = Shape {
        knowledge,
        version,
        created_by,
        task_description,
        domain,
        document_outline,
        document,
        seeds_span: seeds_node.map(|_| key_span(&fields, "seed_examples")),
        seeds,
    };
    mixed_grounding(page, &shape);
    Some(shape)
}

/// The branch decides; a leaf that plainly reads as the other kind is told so, and checked
/// as what it reads as.
fn is_knowledge(page: &mut Page, fields: &Fields, branch: Option<&str>) -> bool {
    let has = |key| fields.get(key).is_some();
    let reads_as_knowledge =
        has("document") || (has("document_outline") && !has("task_description"));
    let reads_as_skill = has("task_description") && !has("document") && !has("document_outline");
    let wrong = match branch {
        None => return reads_as_knowledge,
        Some("knowledge") if reads_as_skill => ("knowledge", "a skill", "compositional_skills"),
        Some("knowledge") => return true,
        Some(branch) if reads_as_knowledge && !has("task_description") => {
            (branch, "knowledge", "knowledge")
        }
        Some(_) => return false,
    };
    let (branch, reads_as, right) = wrong;
    let message = format!("this reads as {reads_as}, but lies below `{branch}`");
    let hint = format!("move the leaf below `{right}`, or mend its keys");
    page.fault(fields.head(), Code::WrongBranch, ".", message, hint);
    reads_as_knowledge
}

fn version(page: &mut Page, fields: &Fields, knowledge: bool, what: &str) -> u32 {
    let Some(node) = fields.required(page, Code::MissingKey, "version") else {
        return 0;
    };
    let path = fields.path_of("version");
    let integer = node.as_scalar().filter(|s| s.kind == ScalarKind::Integer);
    let Some(integer) = integer else {
        let message = format!(
            "`version` must be an integer, but this is {}",
            node.type_name()
        );
        page.fault(
            node.span,
            Code::WrongType,
            &path,
            message,
            "write `version: 3`, without quotes",
        );
        return 0;
    };
    let version = integer.text.parse().unwrap_or(0);
    let supported = version == 3 || (version == 2 && !knowledge);
    if !supported {
        let message = format!(
            "version {} of {what} is not supported",
            excerpt(&integer.text)
        );
        let hint = match knowledge && version == 2 {
            true => {
                "group the questions by context, add `domain` and `document_outline`, then write `version: 3`"
            }
            false => "write `version: 3`",
        };
        page.fault(node.span, Code::Version, &path, message, hint);
    }
    version
}

fn seeds<'n>(page: &mut Page, node: &'n Node, key: Span, knowledge: bool) -> Vec<Seed<'n>> {
    let path = ".seed_examples";
    let Some(items) = page.list(node, path, "`seed_examples`") else {
        return Vec::new();
    };
    if items.len() < MIN_SEED_EXAMPLES {
        let message = format!(
            "{} where at least {MIN_SEED_EXAMPLES} are needed",
            crate::render::counted(items.len(), "seed example", "seed examples")
        );
        let hint = format!(
            "add {} more, as varied as possible",
            MIN_SEED_EXAMPLES - items.len()
        );
        page.fault(key, Code::FewSeedExamples, path, message, hint);
    }
    let mut seeds = Vec::with_capacity(items.len());
    for (index, item) in items.iter().enumerate() {
        let path = format!("{path}[{index}]");
        let read = if knowledge {
            knowledge_seed
        } else {
            skill_seed
        };
        seeds.extend(read(page, item, path));
    }
    seeds
}

fn skill_seed<'n>(page: &mut Page, node: &'n Node, path: String) -> Option<Seed<'n>> {
    let what = "a skill's seed example";
    let mut fields = page.mapping(node, &path, what)?;
    fields.only(page, Code::UnknownKey, SKILL_SEED_KEYS, what);
    let context_node = fields.get("context");
    let context =
        context_node.and_then(|node| page.text(node, &fields.path_of("context"), "`context`"));
    let question = fields.text(page, "question");
    let answer = fields.text(page, "answer");
    let pair = Pair {
        span: fields.head(),
        path: path.clone(),
        question,
        answer,
    };
    Some(Seed {
        span: fields.head(),
        path,
        context,
        has_context_key: context_node.is_some(),
        pairs: vec![pair],
    })
}

fn knowledge_seed<'n>(page: &mut Page, node: &'n Node, path: String) -> Option<Seed<'n>> {
    let what = "a knowledge seed example";
    let mut fields = page.mapping(node, &path, what)?;
    fields.only(page, Code::UnknownKey, KNOWLEDGE_SEED_KEYS, what);
    let context = fields.text(page, "context");
    let key = "questions_and_answers";
    let pairs_node = fields.required(page, Code::MissingKey, key);
    let pairs = pairs_node.map_or_else(Vec::new, |node| {
        pairs(page, node, key_span(&fields, key), &child(&path, key))
    });
    Some(Seed {
        span: fields.head(),
        path,
        has_context_key: fields.get("context").is_some(),
        context,
        pairs,
    })
}

fn pairs<'n>(page: &mut Page, node: &'n Node, key: Span, path: &str) -> Vec<Pair<'n>> {
    let Some(items) = page.list(node, path, "`questions_and_answers`") else {
        return Vec::new();
    };
    if items.len() < MIN_QUESTIONS {
        let message = format!(
            "{} where at least {MIN_QUESTIONS} are needed",
            crate::render::counted(items.len(), "question", "questions")
        );
        let hint = format!("add {} more on this context", MIN_QUESTIONS - items.len());
        page.fault(key, Code::FewQuestions, path, message, hint);
    }
    let what = "a question with its answer";
    let mut pairs = Vec::with_capacity(items.len());
    for (index, item) in items.iter().enumerate() {
        let path = format!("{path}[{index}]");
        let Some(mut fields) = page.mapping(item, &path, what) else {
            continue;
        };
        fields.only(page, Code::UnknownKey, PAIR_KEYS, what);
        pairs.push(Pair {
            span: fields.head(),
            question: fields.text(page, "question"),
            answer: fields.text(page, "answer"),
            path,
        });
    }
    pairs
}

/// The smaller group of seed examples is reported: most likely they are the odd ones.
fn mixed_grounding(page: &mut Page, shape: &Shape) {
    if shape.knowledge {
        return;
    }
    let grounded = shape.seeds.iter().filter(|s| s.has_context_key).count();
    let freeform = shape.seeds.len() - grounded;
    if grounded == 0 || freeform == 0 {
        return;
    }
    let odd_is_grounded = grounded < freeform;
    let (message, hint) = if odd_is_grounded {
        (
            format!("this seed example has a `context`, but {freeform} others have none"),
            "remove the context, or move the seed example to a grounded skill",
        )
    } else {
        (
            format!("this seed example has no `context`, but {grounded} others have one"),
            "add the `context`, or move the seed example to a freeform skill",
        )
    };
    for seed in shape
        .seeds
        .iter()
        .filter(|s| s.has_context_key == odd_is_grounded)
    {
        page.fault(
            seed.span,
            Code::MixedGrounding,
            &seed.path,
            message.as_str(),
            hint,
        );
    }
}

fn key_span(fields: &Fields, key: &str) -> Span {
    let entry = fields.entries.iter().find(|entry| entry.key == key);
    entry.map_or(fields.span, |entry| entry.key_span)
}
