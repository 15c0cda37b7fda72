//! Chat templates as Hugging Face transformers renders them: Jinja with its settings, its
//! functions and Python's way of writing values.
//!
//! Knows conversations as JSON; does not know tokens, files or which turns are trained.

mod clock;
mod generation;
mod json;
mod python;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use minijinja::value::Kwargs;
use minijinja::{Environment, Error, ErrorKind, State, Value};

pub use clock::Clock;

use crate::conversation::Conversation;
use generation::Marks;

/// Instructions that a rendering may take before it is stopped.
const FUEL: u64 = 5_000_000;

/// The template for conversations without tools, and for all where it is the only one.
const DEFAULT: &str = "default";

/// The template for conversations with tools, where a model has one of its own.
const TOOL_USE: &str = "tool_use";

/// What `raise_exception` was told: the template's own refusal of a conversation.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Refusal(String);

/// Why a conversation could not be rendered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TemplateFault {
    /// The template refuses it, in its own words (`raise_exception`).
    Refused(String),
    /// The template failed.
    Failed(String),
}

/// A rendered conversation with the ranges, in bytes, that `{% generation %}` enclosed.
pub type Marked = (String, Vec<std::ops::Range<usize>>);

/// The chat templates of a model, compiled.
pub struct ChatTemplate {
    environment: Environment<'static>,
    /// Which of the templates, by name, say by `{% generation %}` what the assistant's part is.
    marked: BTreeMap<String, bool>,
    /// What every rendering is given: `bos_token` and the like.
    tokens: Vec<(String, String)>,
    clock: Clock,
}

impl ChatTemplate {
    /// Compiles templates by name; `default` serves where no other is asked for.
    ///
    /// # Errors
    /// A template that is no Jinja, in words, or none at all.
    pub fn compile(
        templates: BTreeMap<String, String>,
        tokens: Vec<(String, String)>,
    ) -> Result<Self, String> {
        let mut environment = environment();
        let mut marked = BTreeMap::new();
        for (name, source) in templates {
            // Jinja2 reads every kind of line break as a line feed.
            let source = source.replace("\r\n", "\n").replace('\r', "\n");
            let (source, has_marks) = generation::to_marks(&source);
            environment
                .add_template_owned(name.clone(), source)
                .map_err(|error| said(&error))?;
            marked.insert(name, has_marks);
        }
        let mut template = Self {
            environment,
            marked,
            tokens,
            clock: Clock::now(),
        };
        if template.marked.is_empty() {
            return Err("there is no template".to_owned());
        }
        template.set_clock(Clock::now());
        Ok(template)
    }

    /// What `strftime_now` takes for now.
    pub fn set_clock(&mut self, clock: Clock) {
        self.clock = clock;
        self.environment
            .add_function("strftime_now", move |format: String| clock.format(&format));
    }

    /// Whether the template for this conversation marks the assistant's part itself.
    pub fn has_generation_marks(&self, conversation: &Conversation) -> bool {
        self.marked
            .get(self.name(conversation))
            .copied()
            .unwrap_or(false)
    }

    /// Renders a conversation; with `add_generation_prompt` it ends where the assistant begins.
    ///
    /// # Errors
    /// The template refuses the conversation, or fails on it.
    pub fn render(
        &self,
        conversation: &Conversation,
        add_generation_prompt: bool,
    ) -> Result<Marked, TemplateFault> {
        let marks = Marks::absent_from(conversation);
        let fault = |error: Error| match refusal(&error) {
            Some(words) => TemplateFault::Refused(words),
            None => TemplateFault::Failed(said(&error)),
        };
        let template = self
            .environment
            .get_template(self.name(conversation))
            .map_err(fault)?;
        // Transformers passes `tools` and `documents` always; without any they are none.
        let tools = match conversation.tools.is_empty() {
            true => Value::from(()),
            false => Value::from_serialize(&conversation.tools),
        };
        let mut values = vec![
            (
                "messages".to_owned(),
                Value::from_serialize(&conversation.messages),
            ),
            ("tools".to_owned(), tools),
            ("documents".to_owned(), Value::from(())),
            (
                "add_generation_prompt".to_owned(),
                Value::from(add_generation_prompt),
            ),
        ];
        values.extend(marks.values());
        let tokens = self.tokens.iter();
        values.extend(tokens.map(|(name, text)| (name.clone(), Value::from(text.as_str()))));
        let text = template
            .render(values.into_iter().collect::<Value>())
            .map_err(fault)?;
        Ok(marks.take_out(&text))
    }

    /// The template that is meant for this conversation.
    fn name(&self, conversation: &Conversation) -> &str {
        let with_tools = !conversation.tools.is_empty() && self.marked.contains_key(TOOL_USE);
        match with_tools {
            true => TOOL_USE,
            false if self.marked.contains_key(DEFAULT) => DEFAULT,
            // A model whose only template has another name.
            false => self.marked.keys().next().map_or(DEFAULT, String::as_str),
        }
    }
}

/// Jinja as transformers sets it up for chat templates.
fn environment() -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_trim_blocks(true);
    environment.set_lstrip_blocks(true);
    environment.set_fuel(Some(FUEL));
    environment.set_unknown_method_callback(method);
    environment.set_formatter(|out, _, value| {
        let written = match value.as_str() {
            Some(text) => out.write_str(text),
            None => out.write_str(&python::text(value)),
        };
        written.map_err(Error::from)
    });
    environment.add_function("raise_exception", raise_exception);
    environment.add_filter("tojson", tojson);
    environment.add_filter("string", |value: &Value| python::text(value));
    environment.add_filter("join", join);
    environment
}

fn raise_exception(message: String) -> Result<Value, Error> {
    Err(Error::new(ErrorKind::InvalidOperation, message.clone()).with_source(Refusal(message)))
}

/// `json.dumps` as transformers' filter calls it: `ensure_ascii=False, indent=None,
/// separators=None, sort_keys=False`, each of which the template may set.
fn tojson(
    value: &Value,
    ensure_ascii: Option<bool>,
    indent: Option<usize>,
    settings: Kwargs,
) -> Result<String, Error> {
    let ensure_ascii = ensure_ascii.or(settings.get("ensure_ascii")?);
    let indent = indent.or(settings.get("indent")?);
    let separators: Option<Vec<String>> = settings.get("separators")?;
    let sort_keys: Option<bool> = settings.get("sort_keys")?;
    settings.assert_all_used()?;
    let separators = match separators.as_deref() {
        None => None,
        Some([items, keys]) => Some((items.clone(), keys.clone())),
        Some(_) => {
            return Err(Error::new(
                ErrorKind::InvalidOperation,
                "`separators` of `tojson` are two texts",
            ));
        }
    };
    let style = json::Style {
        ensure_ascii: ensure_ascii.unwrap_or(false),
        indent,
        separators,
        sort_keys: sort_keys.unwrap_or(false),
    };
    json::dumps(value, &style)
}

fn join(value: &Value, separator: Option<String>, settings: Kwargs) -> Result<String, Error> {
    let attribute: Option<String> = settings.get("attribute")?;
    let separator = separator.or(settings.get("d")?).unwrap_or_default();
    settings.assert_all_used()?;
    let texts = value
        .try_iter()?
        .map(|item| match &attribute {
            Some(name) => Ok(python::text(&item.get_attr(name)?)),
            None => Ok(python::text(&item)),
        })
        .collect::<Result<Vec<String>, Error>>()?;
    Ok(texts.join(&separator))
}

/// Python's methods: those of minijinja-contrib, and the ones it lacks.
fn method(state: &State, value: &Value, name: &str, arguments: &[Value]) -> Result<Value, Error> {
    match value
        .as_str()
        .map(|text| python::string_method(text, name, arguments))
    {
        Some(Some(found)) => found,
        _ => minijinja_contrib::pycompat::unknown_method_callback(state, value, name, arguments),
    }
}

/// The words of `raise_exception`, where an error comes from it.
fn refusal(error: &Error) -> Option<String> {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(current) = cause {
        if let Some(Refusal(words)) = current.downcast_ref() {
            return Some(words.clone());
        }
        cause = current.source();
    }
    None
}

/// An error in words, with its line and without the template's text.
fn said(error: &Error) -> String {
    let what = error.detail().map_or_else(
        || error.kind().to_string(),
        |detail| format!("{}: {detail}", error.kind()),
    );
    match error.line() {
        Some(line) => format!("{what} (line {line} of the template)"),
        None => what,
    }
}
