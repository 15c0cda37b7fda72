//! Token ids, rendered conversations and the assistant's tokens.
//!
//! Does not know weights.

use std::path::Path;

use anyhow::Result;
use serde::{Deserialize, Serialize};
use slm_model::{ChatMessage, Tokenizer};

use crate::failure::Failure;

/// How many cases were compared, and how many differ.
#[derive(Debug, Default, Serialize)]
pub struct Cases {
    /// Compared.
    pub cases: usize,
    /// Different, or refused.
    pub mismatches: usize,
}

impl Cases {
    fn count(&mut self, same: bool) {
        self.cases += 1;
        self.mismatches += usize::from(!same);
    }

    fn unless_none(self) -> Option<Self> {
        (self.cases > 0).then_some(self)
    }
}

#[derive(Deserialize)]
struct Expected {
    #[serde(default)]
    texts: Vec<Text>,
    #[serde(default)]
    chats: Vec<Chat>,
}

#[derive(Deserialize)]
struct Text {
    text: String,
    ids: Vec<u32>,
}

#[derive(Deserialize)]
struct Chat {
    messages: Vec<ChatMessage>,
    rendered: Option<String>,
    rendered_generation_prompt: Option<String>,
    ids: Option<Vec<u32>>,
    assistant_mask: Option<Vec<u8>>,
}

/// Compares texts, templates and masks.
///
/// # Errors
/// The recorded outputs or the tokenizer cannot be read.
pub fn compare(
    folder: &Path,
    expected: &Path,
) -> Result<(Option<Cases>, Option<Cases>, Option<Cases>)> {
    let text = std::fs::read_to_string(expected)
        .map_err(|error| Failure::io("read the reference", expected, &error))?;
    let expected: Expected = serde_json::from_str(&text)
        .map_err(|error| Failure::new(format!("{}: {error}", expected.display())))?;
    let tokenizer = Tokenizer::load(folder)?;
    let (mut ids, mut templates, mut masks) =
        (Cases::default(), Cases::default(), Cases::default());
    for case in &expected.texts {
        ids.count(
            tokenizer
                .encode(&case.text)
                .is_ok_and(|found| found == case.ids),
        );
    }
    for chat in &expected.chats {
        compare_chat(&tokenizer, chat, &mut ids, &mut templates, &mut masks);
    }
    Ok((
        ids.unless_none(),
        templates.unless_none(),
        masks.unless_none(),
    ))
}

fn compare_chat(
    tokenizer: &Tokenizer,
    chat: &Chat,
    ids: &mut Cases,
    templates: &mut Cases,
    masks: &mut Cases,
) {
    // The generation prompt stands where the last message, the answer, would.
    let question = &chat.messages[..chat.messages.len().saturating_sub(1)];
    let rendered = [
        (&chat.rendered, chat.messages.as_slice(), false),
        (&chat.rendered_generation_prompt, question, true),
    ];
    for (expected, messages, prompt) in rendered {
        if let Some(expected) = expected {
            let found = tokenizer.render(messages, prompt);
            templates.count(found.is_ok_and(|found| found == *expected));
        }
    }
    let Ok(encoded) = tokenizer.encode_chat(&chat.messages) else {
        chat.ids.iter().for_each(|_| ids.count(false));
        chat.assistant_mask.iter().for_each(|_| masks.count(false));
        return;
    };
    if let Some(expected) = &chat.ids {
        ids.count(encoded.tokens == *expected);
    }
    if let Some(expected) = &chat.assistant_mask {
        let found = encoded.assistant.iter().map(|&own| u8::from(own));
        masks.count(found.eq(expected.iter().copied()));
    }
}
