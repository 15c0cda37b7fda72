//! A quantized model beside its original: on texts, and on the rows of tasks.
//!
//! Does not know how answers are judged.

use std::path::{Path, PathBuf};

use anyhow::Result;
use serde::{Deserialize, Serialize};
use slm_data::SampleReader;
use slm_eval::predictions::Predictions;
use slm_eval::{Options, Subject, Task};
use slm_infer::{Fidelity, Model, fidelity};
use slm_model::{ModelConfig, Tokenizer};

use crate::commands::Context;
use crate::failure::Failure;
use crate::local::LocalModel;
use crate::stages::train::encode;

/// Longest text that is used, in tokens; what follows is left out.
const LONGEST: usize = 512;

/// Some rows of a dataset.
#[derive(Debug, Clone)]
pub struct Texts {
    /// The dataset.
    pub path: PathBuf,
    /// Rows to leave out at its beginning.
    pub skip: usize,
    /// Most rows to use.
    pub rows: usize,
}

impl Texts {
    /// The rows in the tokens of the model in `folder`; those that cannot be encoded are left out.
    ///
    /// # Errors
    /// The dataset cannot be read, or no row can be used.
    pub fn read(&self, folder: &Path) -> Result<Vec<Vec<u32>>> {
        let tokenizer = Tokenizer::load(folder)?.at(encode::DAY);
        let longest = LONGEST.min(ModelConfig::load(folder)?.max_position_embeddings);
        let mut texts = Vec::new();
        for sample in SampleReader::open(&self.path)?.skip(self.skip) {
            if texts.len() >= self.rows {
                break;
            }
            let Ok(encoded) = encode::encode(&tokenizer, &sample?) else {
                continue;
            };
            texts.extend(encoded.into_iter().map(|mut text| {
                text.tokens.truncate(longest);
                text.tokens
            }));
        }
        texts.retain(|text| text.len() > 1);
        if texts.is_empty() {
            let file = self.path.display();
            return Err(Failure::new(format!(
                "`{file}` has no row after the first {} that could be used",
                self.skip
            ))
            .hint("give a dataset with more rows; `slm data inspect FILE --model MODEL` says what is wrong with them")
            .into());
        }
        Ok(texts)
    }
}

/// Compares the predictions of two models.
///
/// # Errors
/// A model or the texts cannot be read.
pub fn fidelity_of(
    context: &Context,
    original: &Path,
    changed: &Path,
    texts: &Texts,
) -> Result<Fidelity> {
    let sequences = texts.read(original)?;
    let found = fidelity(&Model::load(original)?, &Model::load(changed)?, &sequences)?;
    context.terminal.note(format!(
        "quantize: over {} tokens KL divergence {:.5}, same top token {:.2}%, perplexity {:.4}, before {:.4}",
        found.tokens,
        found.kl_divergence,
        100.0 * found.top_token_agreement,
        found.perplexity_after,
        found.perplexity_before,
    ));
    Ok(found)
}

/// A task's first F1, or its first metric where it has none, before and after.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TaskChange {
    /// The task's name.
    pub task: String,
    /// The metric.
    pub metric: String,
    /// The original's.
    pub before: f64,
    /// The quantized model's.
    pub after: f64,
    /// Rows.
    pub rows: usize,
}

/// Has both models answer a task's rows.
///
/// # Errors
/// The task or a model cannot be read.
pub fn task(
    context: &Context,
    path: &Path,
    original: &Path,
    changed: &Path,
    max_tokens: usize,
) -> Result<TaskChange> {
    let task = Task::load(path)?;
    let rows = slm_eval::rows::load(&task.data, &task)?;
    let mut systems = Vec::new();
    for (name, folder) in [("before", original), ("after", changed)] {
        let mut model = LocalModel::load(folder, None, None, task.clone(), max_tokens)?;
        model.begin(name, false)?;
        let answers = model
            .answer(&rows, &mut |_| ())
            .map_err(|error| Failure::new(format!("{}: {error}", task.name)))?;
        systems.push(slm_eval::System {
            name: name.to_owned(),
            predictions: Predictions::new(answers, &rows),
            ..slm_eval::System::default()
        });
    }
    let results = slm_eval::score(&task, &rows, &systems, &Options::default());
    let f1 = results.metrics.iter().find(|name| name.contains("f1"));
    let metric = f1.or(results.metrics.first()).cloned().unwrap_or_default();
    let value = |name: &str| {
        let system = results.system(name);
        let found = system.and_then(|system| system.metrics.get(&metric));
        found.map_or(0.0, |found| found.value)
    };
    let change = TaskChange {
        before: value("before"),
        after: value("after"),
        rows: rows.len(),
        task: task.name,
        metric,
    };
    context.terminal.note(format!(
        "quantize: {}: {} {:.4}, before {:.4}",
        change.task, change.metric, change.after, change.before
    ));
    Ok(change)
}
