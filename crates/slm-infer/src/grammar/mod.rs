//! Constrained decoding: what an answer may say, enforced token by token.
//!
//! A [`Constraint`] is compiled once into a [`Grammar`] and kept by what it says; each answer
//! follows its own copy, so that no answer depends on those beside it. The parsing is
//! llguidance's; here it is told which bytes tokens stand for, what of JSON Schema can be
//! promised, and where the bounds of time and memory lie. Does not know requests.

mod any_order;
mod calendar;
mod closing;
mod confidence;
mod error;
mod guide;
mod locate;
mod reference;
mod schema;
mod tools;
mod vocabulary;
mod watch;
mod yaml;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use llguidance::api::TopLevelGrammar;
use llguidance::earley::SlicedBiasComputer;
use llguidance::toktrie::InferenceCapabilities;
use llguidance::{Matcher, ParserFactory};
use serde_json::{Value, json};
use slm_model::Tokenizer;

use crate::request::{MaskSource, TokenMask};
use any_order::in_any_order;
use guide::Guide;
use watch::Watch;

pub use confidence::field_confidences;
pub use error::GrammarError;
pub use tools::{CallForm, calls_schema};

/// Most grammars that are kept.
const KEPT: usize = 256;
/// Largest constraint, as text.
const TEXT_BYTES: usize = 1 << 20;
/// Stack for compiling: schemas nest, and references lead on to references.
const STACK_BYTES: usize = 256 << 20;
/// Most states of a lexer, at one to two kilobytes each.
const LEXER_STATES: usize = 50_000;
/// Most keywords that are left out of one schema where that is allowed.
const LEFT_OUT: usize = 20;

/// What answers may say.
#[derive(Debug, Clone, PartialEq)]
pub enum Constraint {
    /// JSON under a schema (Draft 2020-12), on one line.
    Schema(Value),
    /// YAML of what a schema describes, as blocks.
    Yaml(Value),
    /// Any JSON object, on one line.
    JsonObject,
    /// One of these texts.
    Labels(Vec<String>),
    /// A text that matches as a whole.
    Regex(String),
    /// A text of a grammar in llguidance's variant of Lark.
    Lark(String),
}

impl Constraint {
    /// What the grammar is kept under.
    fn key(&self, lenient: bool) -> String {
        let (kind, text) = match self {
            Self::Schema(schema) => ("schema", schema.to_string()),
            Self::Yaml(schema) => ("yaml", schema.to_string()),
            Self::JsonObject => ("object", String::new()),
            Self::Labels(labels) => ("labels", json!(labels).to_string()),
            Self::Regex(text) => ("regex", text.clone()),
            Self::Lark(text) => ("lark", text.clone()),
        };
        format!("{kind} {lenient} {text}")
    }
}

/// Compiles constraints for one vocabulary.
pub struct Grammars {
    factory: ParserFactory,
    kept: Mutex<HashMap<String, Arc<Grammar>>>,
}

impl Grammars {
    /// A compiler for a model of `vocab_size` rows whose answers end with one of `stop_tokens`.
    ///
    /// # Errors
    /// When the tokenizer's tokens have no known bytes.
    pub fn new(
        tokenizer: &Tokenizer,
        vocab_size: usize,
        stop_tokens: &[u32],
    ) -> Result<Self, GrammarError> {
        let environment = vocabulary::vocabulary(tokenizer, vocab_size, stop_tokens)?;
        let abilities = InferenceCapabilities {
            ff_tokens: true,
            ..InferenceCapabilities::default()
        };
        let slices = SlicedBiasComputer::json_slices();
        let mut factory = ParserFactory::new(&environment, abilities, &slices)
            .map_err(|_| GrammarError::Tokenizer)?;
        factory.quiet();
        let limits = factory.limits_mut();
        limits.max_lexer_states = LEXER_STATES;
        limits.verbose_errors = false;
        Ok(Self {
            factory,
            kept: Mutex::default(),
        })
    }

    /// The grammar of a constraint. With `lenient`, keywords of a schema that cannot be enforced
    /// are left out and listed; answers are then to be validated.
    ///
    /// # Errors
    /// The keyword that cannot be enforced with its place; what is wrong with an expression.
    pub fn compile(
        &self,
        constraint: &Constraint,
        lenient: bool,
    ) -> Result<Arc<Grammar>, GrammarError> {
        let key = constraint.key(lenient);
        if key.len() > TEXT_BYTES {
            return Err(GrammarError::Constraint {
                kind: "constraint",
                problem: format!("it has {} bytes", key.len()),
                hint: "give one of at most a mebibyte",
            });
        }
        let kept = || self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(grammar) = kept().get(&key) {
            return Ok(Arc::clone(grammar));
        }
        let grammar = Arc::new(on_deep_stack(|| self.grammar(constraint, lenient))?);
        let mut kept = kept();
        if kept.len() >= KEPT {
            kept.clear();
        }
        kept.insert(key, Arc::clone(&grammar));
        Ok(grammar)
    }

    /// The bytes that a token stands for; none for those that stand for no text.
    pub fn bytes(&self, token: u32) -> &[u8] {
        let trie = self.factory.tok_env().tok_trie();
        match trie.is_special_token(token) {
            true => &[],
            false => trie.token(token),
        }
    }

    fn grammar(&self, constraint: &Constraint, lenient: bool) -> Result<Grammar, GrammarError> {
        let (kind, hint, source) = match constraint {
            Constraint::Schema(schema) => return self.schema(schema, lenient),
            Constraint::Yaml(schema) => return self.yaml(schema, lenient),
            Constraint::JsonObject => return self.schema(&json!({"type": "object"}), false),
            Constraint::Labels(labels) => (
                "list of labels",
                "give at least one label, and none that is empty",
                labels_grammar(labels)?,
            ),
            Constraint::Regex(text) => (
                "regular expression",
                "see the `regex` crate for the syntax; look-around and back-references are none",
                TopLevelGrammar::from_regex(text),
            ),
            Constraint::Lark(text) => (
                "grammar",
                "see llguidance's documentation for its variant of Lark",
                TopLevelGrammar::from_lark(text.clone()),
            ),
        };
        let built = self.build(source, None, Vec::new());
        built.map_err(|problem| GrammarError::Constraint {
            kind,
            problem,
            hint,
        })
    }

    fn schema(&self, schema: &Value, lenient: bool) -> Result<Grammar, GrammarError> {
        let mut lowered = schema::lower(schema, lenient)?;
        let mut left = if lenient { LEFT_OUT } else { 0 };
        loop {
            let source = TopLevelGrammar::from_json_schema(styled(&in_any_order(&lowered.schema)));
            let unenforced = lowered.unenforced.clone();
            let problem = match self.build(source, Some(Watch::default()), unenforced) {
                Ok(grammar) => return Ok(grammar),
                Err(problem) => problem,
            };
            let culprit = locate::culprit(&lowered.schema, &|schema| self.compiles(schema));
            let fault = located(&culprit, &lowered.origins, problem);
            if left == 0 {
                return Err(fault);
            }
            left -= 1;
            lowered.schema = locate::without(&lowered.schema, &culprit);
            lowered.unenforced.push(fault);
        }
    }

    /// The schema must be one that can be enforced as JSON; then its YAML is built.
    fn yaml(&self, schema: &Value, lenient: bool) -> Result<Grammar, GrammarError> {
        let lowered = schema::lower(schema, lenient)?;
        let text = yaml::grammar(&lowered.schema, &lowered.origins)?;
        let built = self.build(
            TopLevelGrammar::from_lark(text),
            Some(Watch::default()),
            lowered.unenforced,
        );
        built.map_err(|problem| match self.schema(schema, false) {
            Err(fault) => fault,
            Ok(_) => schema::fault("schema", "", problem),
        })
    }

    fn compiles(&self, schema: &Value) -> bool {
        let source = TopLevelGrammar::from_json_schema(styled(&in_any_order(schema)));
        self.matcher(source).is_ok()
    }

    fn matcher(&self, source: TopLevelGrammar) -> Result<Matcher, String> {
        let mut matcher = Matcher::new(self.factory.create_parser(source));
        // A grammar that allows nothing shows only now.
        match matcher.get_error() {
            None => matcher.compute_mask_or_eos().map(|_| ()),
            Some(error) => return Err(one_line(&error)),
        }
        .map_err(|error| one_line(&error.to_string()))?;
        Ok(matcher)
    }

    fn build(
        &self,
        source: TopLevelGrammar,
        watch: Option<Watch>,
        unenforced: Vec<GrammarError>,
    ) -> Result<Grammar, String> {
        let mut matcher = self.matcher(source)?;
        let opening = matcher.consume_ff_tokens();
        if !matcher.is_stopped() {
            // What the first mask costs is paid once, not by every answer.
            let first = matcher.compute_mask_or_eos();
            first.map_err(|error| one_line(&error.to_string()))?;
        }
        Ok(Grammar {
            start: Mutex::new(matcher),
            opening,
            watch,
            unenforced,
        })
    }
}

/// A compiled constraint.
pub struct Grammar {
    /// Stands behind the opening.
    start: Mutex<Matcher>,
    /// Tokens that every answer begins with.
    opening: Vec<u32>,
    watch: Option<Watch>,
    unenforced: Vec<GrammarError>,
}

impl Grammar {
    /// What of the schema is not enforced; answers must be validated if there is any.
    pub fn unenforced(&self) -> &[GrammarError] {
        &self.unenforced
    }
}

impl MaskSource for Grammar {
    fn start(&self) -> Box<dyn TokenMask> {
        // A copy of its own caches too: what one answer makes the lexer learn costs others
        // nothing of their bounds.
        let start = self.start.lock().unwrap_or_else(PoisonError::into_inner);
        let (opening, watch) = (self.opening.clone(), self.watch.clone());
        Box::new(Guide::new(start.deep_clone(), opening, watch))
    }
}

/// The compiler's dialect: one line, at most one space behind a comma or colon, and no `\u`
/// escapes, so that a text has one spelling.
fn styled(schema: &Value) -> Value {
    let mut schema = schema.clone();
    if let Some(fields) = schema.as_object_mut() {
        let style = json!({
            "whitespace_flexible": false,
            "item_separator": ", ?",
            "key_separator": ": ?",
            "json_allowed_escapes": "nrbtf\\\"",
        });
        fields.insert("x-guidance".into(), style);
    }
    schema
}

/// The labels as one expression.
fn labels_grammar(labels: &[String]) -> Result<TopLevelGrammar, GrammarError> {
    let problem = match labels.len() {
        0 => Some("it is empty".to_owned()),
        count if count > schema::VALUES => Some(format!("it has {count} labels")),
        _ if labels.iter().any(String::is_empty) => Some("a label is empty".to_owned()),
        _ => None,
    };
    if let Some(problem) = problem {
        return Err(GrammarError::Constraint {
            kind: "list of labels",
            problem,
            hint: "give at least one label, at most 20,000, and none that is empty",
        });
    }
    let escaped: Vec<String> = labels.iter().map(|label| escaped(label)).collect();
    Ok(TopLevelGrammar::from_regex(&escaped.join("|")))
}

/// An expression that matches this text only.
fn escaped(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c.is_ascii_control() => out.push_str(&format!("\\x{:02X}", c as u32)),
            c if r"\.+*?()|[]{}^$#&-~".contains(c) => out.extend(['\\', c]),
            c => out.push(c),
        }
    }
    out
}

/// The culprit in terms of the schema that was given.
fn located(culprit: &locate::Culprit, origins: &[String], problem: String) -> GrammarError {
    let definition = culprit.pointer.strip_prefix("/$defs/r").and_then(|rest| {
        let (number, rest) = rest.split_once('/').unwrap_or((rest, ""));
        let origin = origins.get(number.parse::<usize>().ok()?)?;
        Some(match rest.is_empty() {
            true => origin.clone(),
            false => format!("{origin}/{rest}"),
        })
    });
    let place = definition.unwrap_or_else(|| culprit.pointer.clone());
    let keyword = culprit.keyword.as_deref().unwrap_or("schema");
    schema::fault(keyword, &place, problem)
}

/// What the compiler says in one line: the first, or the last where that explains the first.
fn one_line(text: &str) -> String {
    let text = text.split("<state>").next().unwrap_or(text);
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let lines: Vec<&str> = lines.filter(|line| *line != "<non-verbose/>").collect();
    match lines[..] {
        [first, .., last] if first.ends_with(':') => format!("{first} {last}"),
        [first, ..] => first.to_owned(),
        [] => "it is not understood".to_owned(),
    }
}

fn on_deep_stack<T: Send>(
    work: impl FnOnce() -> Result<T, GrammarError> + Send,
) -> Result<T, GrammarError> {
    let failed = |problem: String| GrammarError::Constraint {
        kind: "constraint",
        problem,
        hint: "make it simpler, or try again with more memory",
    };
    std::thread::scope(|scope| {
        let builder = std::thread::Builder::new().stack_size(STACK_BYTES);
        let thread = builder
            .spawn_scoped(scope, work)
            .map_err(|error| failed(format!("no thread to compile it on: {error}")))?;
        let compiled = thread.join();
        compiled.unwrap_or_else(|_| Err(failed("the compiler failed".to_owned())))
    })
}
