//! Which part of a rendered conversation is the assistant's: by the template's `generation`
//! blocks, or, without them, by rendering the conversation turn by turn.
//!
//! A turn is learned in the context in which it is generated. Some templates write earlier turns
//! differently once later ones follow (Qwen3 drops their thinking, Mistral moves the tools to
//! the last question); such a turn gets a text of its own that ends with it.
//!
//! Knows text; does not know token ids.

use std::ops::Range;

use crate::conversation::Conversation;
use crate::template::{ChatTemplate, TemplateFault};

/// A rendering, and the ranges of it, in bytes, that are the assistant's and to be learned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendered {
    /// The text.
    pub text: String,
    /// Ranges of the text; each ends behind its end-of-turn token, where it has one.
    pub spans: Vec<Range<usize>>,
}

/// Why the assistant's part cannot be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SpanFault {
    /// The template refuses the conversation or fails on it.
    Template(TemplateFault),
    /// A turn does not begin as the prompt for it ends.
    NotIncremental {
        /// The turn's position in the conversation.
        turn: usize,
    },
}

impl From<TemplateFault> for SpanFault {
    fn from(fault: TemplateFault) -> Self {
        Self::Template(fault)
    }
}

/// The texts that may end a turn.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TurnEnds {
    /// Tokens at which generation stops.
    pub stops: Vec<String>,
    /// All special tokens of the tokenizer.
    pub specials: Vec<String>,
}

/// Renders a conversation so that each of its learned turns is in exactly one rendering.
///
/// # Errors
/// The template fails, or does not let the assistant's part be told.
pub fn render_turns(
    template: &ChatTemplate,
    ends: &TurnEnds,
    conversation: &Conversation,
) -> Result<Vec<Rendered>, SpanFault> {
    if template.has_generation_marks(conversation) {
        let (text, spans) = template.render(conversation, false)?;
        if conversation.not_trained.is_empty() {
            return Ok(vec![Rendered { text, spans }]);
        }
        // Marks say which turn is which only where each turn has its own.
        let turns: Vec<usize> = conversation.assistant_turns().collect();
        if spans.len() == turns.len() {
            let learned = turns.iter().zip(spans);
            let spans = learned
                .filter(|(turn, _)| !conversation.not_trained.contains(turn))
                .map(|(_, span)| span)
                .collect();
            return Ok(vec![Rendered { text, spans }]);
        }
    }
    incremental(template, ends, conversation)
}

fn incremental(
    template: &ChatTemplate,
    ends: &TurnEnds,
    conversation: &Conversation,
) -> Result<Vec<Rendered>, SpanFault> {
    let (text, _) = template.render(conversation, false)?;
    let mut whole = Rendered {
        text,
        spans: Vec::new(),
    };
    let mut apart = Vec::new();
    let learned = conversation
        .assistant_turns()
        .filter(|turn| !conversation.not_trained.contains(turn));
    for turn in learned {
        // Nothing comes before a first turn, and templates fail on nothing.
        let before = match turn {
            0 => return Err(SpanFault::NotIncremental { turn }),
            _ => template.render(&conversation.first(turn), true)?.0,
        };
        let (through, _) = template.render(&conversation.first(turn + 1), false)?;
        if !through.starts_with(&before) {
            apart.push(
                ends.graft(&before, &through)
                    .ok_or(SpanFault::NotIncremental { turn })?,
            );
            continue;
        }
        match ends.place(&whole.text, &before, &through) {
            Some(span) => whole.spans.push(span),
            None => {
                let span = before.len()..ends.end_of_turn(&through, before.len());
                apart.push(Rendered {
                    text: through,
                    spans: vec![span],
                });
            }
        }
    }
    if apart.is_empty() || !whole.spans.is_empty() {
        apart.push(whole);
    }
    Ok(apart)
}

impl TurnEnds {
    /// Where a turn lies in the whole conversation, if it is the same there as in the rendering
    /// that ends with it.
    fn place(&self, whole: &str, before: &str, through: &str) -> Option<Range<usize>> {
        if !whole.starts_with(before) {
            return None;
        }
        let start = before.len();
        let end = self.end_of_turn(through, start);
        if whole.get(..end) == Some(&through[..end]) {
            return Some(start..end);
        }
        // The end of a conversation may be written in another way than the end of a turn
        // (Phi-3 closes it with one more token): the turn is the same if its own end is.
        let same = &through[start..common_prefix(whole, through)];
        let last = self.specials.iter().chain(&self.stops);
        let close = last
            .filter_map(|special| same.rfind(special.as_str()).map(|at| at + special.len()))
            .max()?;
        let rest = same[close..].trim();
        let begins_special = self
            .specials
            .iter()
            .any(|special| special.starts_with(rest));
        (rest.is_empty() || begins_special)
            .then(|| start..self.end_of_turn(&through[..start + close], start))
    }

    /// The prompt for a turn with the turn behind it, where the template writes what precedes
    /// the turn differently once it is there (Mistral shows a system message only while the
    /// question is the last message). What opens the turn, from the prompt's last special token
    /// on, must stand before it in both.
    fn graft(&self, before: &str, through: &str) -> Option<Rendered> {
        let special = |token: &String| before.rfind(token.as_str());
        let tokens = self.specials.iter().filter(|token| !token.is_empty());
        let opening = &before[tokens.filter_map(special).max()?..];
        let said = &through[through.rfind(opening)? + opening.len()..];
        let text = format!("{before}{said}");
        let span = before.len()..self.end_of_turn(&text, before.len());
        Some(Rendered {
            text,
            spans: vec![span],
        })
    }

    /// Where a turn that begins at `start` of a text ends: behind the first token that stops
    /// generation among the special tokens that close it, else behind the last of these, else
    /// behind its text.
    fn end_of_turn(&self, text: &str, start: usize) -> usize {
        let (mut rest, mut last, mut first_stop) = (&text[start..], None, None);
        loop {
            rest = rest.trim_end();
            let is_end = |token: &&String| !token.is_empty() && rest.ends_with(token.as_str());
            let mut tokens = self.stops.iter().chain(&self.specials);
            let Some(token) = tokens.find(is_end) else {
                break;
            };
            last = last.or(Some(start + rest.len()));
            if self.stops.contains(token) {
                first_stop = Some(start + rest.len());
            }
            rest = &rest[..rest.len() - token.len()];
        }
        first_stop
            .or(last)
            .unwrap_or_else(|| text.trim_end().len().max(start))
    }
}

/// Length in bytes of what two texts begin with alike.
fn common_prefix(left: &str, right: &str) -> usize {
    let pairs = left.char_indices().zip(right.chars());
    let differs = pairs
        .clone()
        .find(|((_, a), b)| a != b)
        .map(|((at, _), _)| at);
    differs.unwrap_or_else(|| left.len().min(right.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ends() -> TurnEnds {
        TurnEnds {
            stops: vec!["<|end|>".into()],
            specials: vec!["<|end|>".into(), "<|endoftext|>".into(), "<|user|>".into()],
        }
    }

    #[test]
    fn a_turn_ends_behind_the_first_stop_that_closes_it() {
        let end = |text: &'static str| &text[..ends().end_of_turn(text, 2)];
        assert_eq!(
            end("A:said <|end|> no<|end|>\n<|endoftext|>"),
            "A:said <|end|> no<|end|>"
        );
        assert_eq!(end("A:said<|endoftext|>\n"), "A:said<|endoftext|>");
        assert_eq!(end("A:said \n"), "A:said");
        assert_eq!(end("A:"), "A:");
        assert_eq!(end("A:<|end|>"), "A:<|end|>");
    }

    #[test]
    fn a_turn_is_found_where_only_the_end_of_the_conversation_differs() {
        let whole = "<|user|>q A:one<|end|>\n<|user|>r A:two<|end|>\n<|endoftext|>";
        let through = "<|user|>q A:one<|end|>\n<|endoftext|>";
        let span = ends().place(whole, "<|user|>q A:", through).unwrap();
        assert_eq!(&whole[span], "one<|end|>");
        // Here the turn itself is another.
        let through = "<|user|>q A:<think></think>one<|end|>\n";
        assert_eq!(ends().place(whole, "<|user|>q A:", through), None);
    }

    #[test]
    fn common_prefixes_end_between_characters() {
        assert_eq!(common_prefix("aü", "aö"), 1);
        assert_eq!(common_prefix("ab", "abc"), 2);
        assert_eq!(common_prefix("", "x"), 0);
    }
}
