//! `slm data chunk`: a document as flows see it.
//!
//! Does not know how documents are cut; that is slm-data's.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use slm_data::document::{ChunkSettings, chunks, read};

use super::generate::counter;
use crate::commands::Context;

/// Arguments of `slm data chunk`.
#[derive(Debug, Args)]
pub struct ChunkDocument {
    /// A document (.md, .txt, .html, .pdf)
    document: PathBuf,
    /// The longest chunk, in tokens
    #[arg(long, value_name = "TOKENS", default_value_t = 500)]
    chunk_tokens: usize,
    /// The model whose tokens are counted [default: four bytes count as one token]
    #[arg(long, value_name = "MODEL")]
    tokenizer: Option<String>,
}

impl ChunkDocument {
    /// Prints the chunks.
    pub fn run(self, context: &Context) -> Result<()> {
        let count = counter(context, self.tokenizer.as_deref())?;
        let settings = ChunkSettings {
            max_tokens: self.chunk_tokens,
            min_tokens: self.chunk_tokens / 5,
        };
        let chunks = chunks(&read(&self.document)?, &settings, &*count)?;
        if context.terminal.is_json() {
            return context.terminal.json(&chunks);
        }
        for chunk in &chunks {
            let page = chunk
                .page
                .map_or(String::new(), |page| format!(", page {page}"));
            let above = if chunk.headings.is_empty() {
                String::new()
            } else {
                format!(" ({})", chunk.headings.join(" > "))
            };
            context.terminal.data(&format!(
                "--- {} {}:{}-{}{page}, {} tokens{above}\n{}",
                chunk.index,
                chunk.source,
                chunk.first_line,
                chunk.last_line,
                chunk.tokens,
                chunk.text
            ))?;
        }
        Ok(())
    }
}
