//! `slm batch`: a file of requests in OpenAI's batch format, answered by a local model.
//!
//! The output grows in `OUT.partial`, so that a killed batch goes on where it was, and takes
//! its name when it is complete. Does not know how tokens are made.

mod body;
mod line;

use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Args;
use serde_json::Value;
use slm_infer::{Engine, Model};
use slm_model::Tokenizer;

use super::Context;
use crate::adapter::check_base;
use crate::failure::Failure;
use line::{Line, Responder};

/// Lines that are answered together.
const CHUNK: usize = 64;

/// Arguments of `slm batch`.
#[derive(Debug, Args)]
pub struct Batch {
    /// The model: a name in the workspace, or a folder in Hugging Face layout
    #[arg(long, value_name = "MODEL")]
    model: String,
    /// An adapter's folder, as PEFT writes it
    #[arg(long, value_name = "DIR")]
    adapter: Option<PathBuf>,
    /// Use even an adapter that was trained on another base
    #[arg(long)]
    force: bool,
    /// Leave out what of a schema cannot be enforced, and say whether the answer keeps it
    #[arg(long)]
    lenient: bool,
    /// Bring answers that are held to a form to their end before the budget cuts them
    #[arg(long)]
    close: bool,
    /// Requests: one JSON object per line, `custom_id` and `body`
    #[arg(long, value_name = "FILE")]
    input: PathBuf,
    /// Answers, in the order of the requests
    #[arg(long, value_name = "FILE")]
    output: PathBuf,
}

impl Batch {
    /// Answers all lines.
    pub fn run(self, context: &Context) -> Result<()> {
        let total = count_lines(&self.input)?;
        let folder = context.workspace.model(&self.model)?;
        let tokenizer = Tokenizer::load(&folder)?;
        if let Some(adapter) = &self.adapter {
            check_base(context, adapter, &folder, self.force)?;
        }
        let model = Model::load_at(&folder, self.adapter.as_deref(), context.place().as_deref())?;
        tokenizer.check_fits(model.config().vocab_size)?;
        let responder = Responder::new(
            &self.model,
            tokenizer,
            Engine::new(model),
            (self.lenient, self.close),
        );
        let partial = partial_of(&self.output);
        let done = answered(&partial, &self.input)?;
        let mut out = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&partial)
            .map_err(|error| Failure::io("write", &partial, &error))?;
        let mut progress = context.terminal.progress("batch", total as u64, "requests");
        progress.resume_at(done as u64);
        let mut lines = open_lines(&self.input)?.skip(done);
        let mut ready = done;
        loop {
            let chunk = lines
                .by_ref()
                .take(CHUNK)
                .collect::<std::io::Result<Vec<String>>>()
                .map_err(|error| Failure::io("read", &self.input, &error))?;
            if chunk.is_empty() {
                break;
            }
            let lines: Vec<Line> = chunk.iter().map(|text| Line::read(text)).collect();
            let answers = responder.answer(&lines, &mut |count| {
                progress.set((ready + count) as u64, "");
            });
            write_lines(&mut out, &answers).map_err(|e| Failure::io("write", &partial, &e))?;
            ready += lines.len();
        }
        progress.finish();
        out.sync_all()
            .and_then(|()| fs::rename(&partial, &self.output))
            .map_err(|error| Failure::io("write", &self.output, &error))?;
        let place = self.output.display();
        context
            .terminal
            .note(format!("batch: {ready} answers in `{place}`"));
        Ok(())
    }
}

fn partial_of(output: &Path) -> PathBuf {
    let mut name = output.file_name().unwrap_or_default().to_owned();
    name.push(".partial");
    output.with_file_name(name)
}

/// The lines of a file that are not blank.
fn open_lines(path: &Path) -> Result<impl Iterator<Item = std::io::Result<String>>> {
    let file = File::open(path).map_err(|error| Failure::io("read the requests", path, &error))?;
    // Invalid UTF-8 becomes a line that is not JSON, and gets its own error.
    let lines = BufReader::new(file)
        .split(b'\n')
        .map(|line| line.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()));
    Ok(lines.filter(|line| !matches!(line, Ok(text) if text.trim().is_empty())))
}

fn count_lines(path: &Path) -> Result<usize> {
    Ok(open_lines(path)?.count())
}

fn write_lines(out: &mut File, answers: &[Value]) -> std::io::Result<()> {
    let mut text = String::new();
    for answer in answers {
        text.push_str(&answer.to_string());
        text.push('\n');
    }
    out.write_all(text.as_bytes())
}

/// How many requests an earlier attempt answered: its whole lines, as long as they answer
/// these requests. Anything else in the partial file is cut off.
fn answered(partial: &Path, input: &Path) -> Result<usize> {
    let Ok(text) = fs::read_to_string(partial) else {
        fs::remove_file(partial).ok();
        return Ok(0);
    };
    let mut requests = open_lines(input)?;
    let (mut count, mut bytes) = (0, 0);
    for line in text.split_inclusive('\n') {
        let Some(Ok(request)) = requests.next() else {
            break;
        };
        let Ok(answer) = serde_json::from_str::<Value>(line) else {
            break;
        };
        if !line.ends_with('\n') || answer["custom_id"] != Line::read(&request).custom_id() {
            break;
        }
        count += 1;
        bytes += line.len();
    }
    let file = OpenOptions::new().write(true).open(partial);
    file.and_then(|file| file.set_len(bytes as u64))
        .map_err(|error| Failure::io("write", partial, &error))?;
    Ok(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_torn_or_foreign_partial_file_is_cut_to_what_answers_these_requests() {
        let folder = tempfile::tempdir().unwrap();
        let (input, partial) = (folder.path().join("in"), folder.path().join("out.partial"));
        fs::write(&input, "{\"custom_id\":\"a\"}\n\n{\"custom_id\":\"b\"}\n").unwrap();
        assert_eq!(answered(&partial, &input).unwrap(), 0);
        fs::write(&partial, "{\"custom_id\":\"a\"}\n{\"custom_id\":\"b\"").unwrap();
        assert_eq!(answered(&partial, &input).unwrap(), 1);
        assert_eq!(
            fs::read_to_string(&partial).unwrap(),
            "{\"custom_id\":\"a\"}\n"
        );
        fs::write(&partial, "{\"custom_id\":\"z\"}\n").unwrap();
        assert_eq!(answered(&partial, &input).unwrap(), 0);
        assert_eq!(fs::read_to_string(&partial).unwrap(), "");
    }
}
