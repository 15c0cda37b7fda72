//! A model on this machine as teacher.
//!
//! Answers one request at a time; does not enforce schemas, so that flows check the answers.

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use anyhow::Result;
use slm_data::teacher::{AskFault, ChatAnswer, ChatRequest, ChatTeacher};
use slm_infer::{Engine, EngineSettings, Model, Request};
use slm_model::{ChatMessage, Tokenizer};

use crate::local::{finish_reason, stop_tokens};
use crate::workspace::hash_path;

/// A loaded model.
pub struct LocalTeacher {
    name: String,
    /// Hash of the model's files.
    hash: String,
    tokenizer: Tokenizer,
    engine: Mutex<Engine>,
}

impl LocalTeacher {
    /// Loads the model in `folder`.
    ///
    /// # Errors
    /// Files are missing or damaged, or do not belong together.
    pub fn load(name: &str, folder: &Path) -> Result<Self> {
        let tokenizer = Tokenizer::load(folder)?;
        let model = Model::load_adapted(folder, None)?;
        tokenizer.check_fits(model.config().vocab_size)?;
        Ok(Self {
            name: name.to_owned(),
            hash: hash_path(folder)?,
            tokenizer,
            engine: Mutex::new(Engine::with_settings(model, EngineSettings { batch: 1 })),
        })
    }

    fn answer(&self, request: &ChatRequest) -> Result<ChatAnswer> {
        let message = |message: &slm_data::flow::PromptMessage| ChatMessage {
            role: message.role.clone(),
            content: message.content.clone(),
        };
        let messages: Vec<ChatMessage> = request.messages.iter().map(message).collect();
        let engine = self.engine.lock().unwrap_or_else(PoisonError::into_inner);
        let request = Request {
            temperature: request.temperature as f32,
            seed: request.seed,
            ..Request::greedy(
                self.tokenizer.encode_prompt(&messages)?,
                request.max_tokens as usize,
                stop_tokens(&self.tokenizer, engine.model()),
            )
        };
        let mut answers = engine.generate(&[request], &mut |_| ());
        let answer = answers
            .pop()
            .ok_or_else(|| anyhow::anyhow!("the model gave no answer"))??;
        Ok(ChatAnswer {
            text: self.tokenizer.decode(&answer.tokens)?,
            finish_reason: Some(finish_reason(answer.finish).to_owned()),
            input_tokens: Some(answer.prefill_tokens as u64),
            output_tokens: Some(answer.tokens.len() as u64),
            ..ChatAnswer::default()
        })
    }
}

impl ChatTeacher for LocalTeacher {
    fn name(&self) -> &str {
        &self.name
    }

    fn identity(&self) -> String {
        format!("local {}", self.hash)
    }

    fn concurrency(&self) -> usize {
        1
    }

    /// A prompt that does not fit the model is refused, so that others may still be answered.
    fn ask(&self, request: &ChatRequest) -> Result<ChatAnswer, AskFault> {
        self.answer(request)
            .map_err(|error| AskFault::Refused(error.to_string()))
    }
}
