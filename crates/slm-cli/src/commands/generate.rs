//! `slm generate` and `slm chat`: ask a local model.
//!
//! Does not know how tokens are made.

use std::io::{BufRead, Read, Write};
use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use slm_infer::{Engine, EngineSettings, Model, Request};
use slm_model::{ChatMessage, Tokenizer};

use super::Context;
use crate::adapter::check_base;
use crate::constraint::{Held, HeldTo};
use crate::failure::Failure;
use crate::local::{
    confidence, cut_at, ends_at, finish_reason, grammars, stop_tokens, text_of, tokens,
};

/// How a model answers.
#[derive(Debug, Args)]
pub struct Answering {
    /// The model: a name in the workspace, or a folder in Hugging Face layout
    #[arg(long, value_name = "MODEL", default_value = "slm-nano")]
    model: String,
    /// An adapter's folder, as PEFT writes it
    #[arg(long, value_name = "DIR")]
    adapter: Option<PathBuf>,
    /// Use even an adapter that was trained on another base
    #[arg(long)]
    force: bool,
    /// What the model is told before the conversation
    #[arg(long, value_name = "TEXT")]
    system: Option<String>,
    /// Longest answer, in tokens
    #[arg(long, value_name = "TOKENS", default_value_t = 256)]
    max_tokens: usize,
    /// 0 takes the likeliest token; above, more is left to chance
    #[arg(long, value_name = "NUMBER", default_value_t = 0.0)]
    temperature: f32,
    /// Draw among this many likeliest tokens; 0 means all
    #[arg(long, value_name = "COUNT", default_value_t = 0)]
    top_k: usize,
    /// Draw among the likeliest tokens that together have this probability
    #[arg(long, value_name = "NUMBER", default_value_t = 1.0)]
    top_p: f32,
    /// Draw among the tokens that are at least this part as likely as the likeliest
    #[arg(long, value_name = "NUMBER", default_value_t = 0.0)]
    min_p: f32,
    /// Above 1, tokens that were there become less likely
    #[arg(long, value_name = "NUMBER", default_value_t = 1.0)]
    repetition_penalty: f32,
    /// End the answer before this text; may be given several times
    #[arg(long, value_name = "TEXT", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    stop: Vec<String>,
    /// Seeds what is left to chance
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    seed: u64,
    #[command(flatten)]
    held: HeldTo,
}

/// Arguments of `slm generate`.
#[derive(Debug, Args)]
pub struct Generate {
    #[command(flatten)]
    answering: Answering,
    /// The question; `-` reads it from stdin
    prompt: String,
}

/// Arguments of `slm chat`.
#[derive(Debug, Args)]
pub struct Chat {
    #[command(flatten)]
    answering: Answering,
}

impl Generate {
    /// Answers one question.
    pub fn run(self, context: &Context) -> Result<()> {
        let prompt = match self.prompt.as_str() {
            "-" => {
                let mut text = String::new();
                std::io::stdin()
                    .read_to_string(&mut text)
                    .map_err(|error| Failure::new(format!("cannot read stdin: {error}")))?;
                text
            }
            prompt => prompt.to_owned(),
        };
        let speaker = Speaker::load(context, self.answering)?;
        let mut messages = speaker.opening();
        messages.push(message("user", prompt));
        let (text, answer) = speaker.answer(context, &messages)?;
        if context.terminal.is_json() {
            return context.terminal.json(&serde_json::json!({
                "output": text,
                "finish_reason": finish_reason(answer.finish),
                "input_tokens": answer.prefill_tokens,
                "output_tokens": answer.tokens.len(),
                "forced_tokens": answer.forced_tokens,
                "confidence": confidence(&answer.log_probabilities),
                "logprobs": speaker.tokens(&answer, text.len()),
                "latency_ms": answer.latency_ms,
            }));
        }
        context.terminal.data(&text)
    }
}

impl Chat {
    /// Answers line after line of stdin, each in the light of those before.
    pub fn run(self, context: &Context) -> Result<()> {
        let speaker = Speaker::load(context, self.answering)?;
        let mut messages = speaker.opening();
        context
            .terminal
            .note("one line is one message; an empty line begins anew; Ctrl-D ends");
        for line in std::io::stdin().lock().lines() {
            let line = line.map_err(|error| Failure::new(format!("cannot read stdin: {error}")))?;
            if line.trim().is_empty() {
                messages = speaker.opening();
                continue;
            }
            messages.push(message("user", line));
            let (text, _) = speaker.answer(context, &messages)?;
            context.terminal.data(&text)?;
            std::io::stdout().flush().ok();
            messages.push(message("assistant", text));
        }
        Ok(())
    }
}

/// A loaded model with the settings of the command line.
struct Speaker {
    tokenizer: Tokenizer,
    engine: Engine,
    answering: Answering,
    held: Option<Held>,
}

impl Speaker {
    /// The tokens of an answer's first `length` bytes, with their log-probabilities.
    fn tokens(&self, answer: &slm_infer::Answer, length: usize) -> Vec<serde_json::Value> {
        let vocabulary = grammars(&self.tokenizer, self.engine.model()).ok();
        tokens(&self.tokenizer, vocabulary.as_ref(), answer, length)
    }

    fn load(context: &Context, answering: Answering) -> Result<Self> {
        let folder = context.workspace.model(&answering.model)?;
        let tokenizer = Tokenizer::load(&folder)?;
        if let Some(adapter) = &answering.adapter {
            check_base(context, adapter, &folder, answering.force)?;
        }
        let model = Model::load_at(
            &folder,
            answering.adapter.as_deref(),
            context.place().as_deref(),
        )?;
        tokenizer.check_fits(model.config().vocab_size)?;
        let held = answering.held.compile(context, &tokenizer, &model)?;
        Ok(Self {
            held,
            tokenizer,
            engine: Engine::with_settings(model, EngineSettings { batch: 1 }),
            answering,
        })
    }

    fn opening(&self) -> Vec<ChatMessage> {
        let system = self.answering.system.iter();
        system.map(|text| message("system", text.clone())).collect()
    }

    fn answer(
        &self,
        context: &Context,
        messages: &[ChatMessage],
    ) -> Result<(String, slm_infer::Answer)> {
        let request = Request {
            mask: self.held.as_ref().map(Held::mask),
            close: self.answering.held.close,
            temperature: self.answering.temperature,
            top_k: self.answering.top_k,
            top_p: self.answering.top_p,
            min_p: self.answering.min_p,
            repetition_penalty: self.answering.repetition_penalty,
            seed: self.answering.seed,
            ends: ends_at(&self.tokenizer, &self.answering.stop),
            ..Request::greedy(
                self.tokenizer.encode_prompt(messages)?,
                self.answering.max_tokens,
                stop_tokens(&self.tokenizer, self.engine.model()),
            )
        };
        let mut answers = self.engine.generate(&[request], &mut |_| ());
        let answer = answers
            .pop()
            .ok_or_else(|| Failure::new("the model gave no answer"))??;
        let text = cut_at(text_of(&self.tokenizer, &answer)?, &self.answering.stop);
        if let Some(held) = &self.held {
            held.review(context, &text, answer.finish);
        }
        Ok((text, answer))
    }
}

fn message(role: &str, content: String) -> ChatMessage {
    ChatMessage {
        role: role.to_owned(),
        content,
    }
}
