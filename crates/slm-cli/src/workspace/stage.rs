//! One stage of a pipeline: done once, skipped while nothing that shapes it changed.
//!
//! A stage works in `NAME.partial` beside its artefact and is renamed into place when
//! it is complete, so that a kill at any moment leaves the artefact of before, whole.
//! A resumable stage finds its own partial work again; any other begins anew. Does not
//! know what the stages do.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::Result;
use serde_json::{Value, json};

use super::manifest::{InputRecord, outputs_of};
use super::{Manifest, create_folder, hash_bytes, hash_path, remove_folder, write_atomically};
use crate::failure::Failure;
use crate::terminal::{Terminal, clock};

/// Holds the key of the work begun in a partial folder.
const KEY_FILE: &str = ".stage-key";

/// A stage, as far as the runner needs to know it.
#[derive(Clone, Debug)]
pub struct Stage {
    /// Its name, as the user sees it.
    pub name: &'static str,
    /// Raised whenever the same inputs and settings would give another result.
    pub version: u32,
    /// The folder that it makes.
    pub artefact: PathBuf,
    /// What it reads.
    pub inputs: Vec<Input>,
    /// What shapes its result, the seed among it.
    pub settings: Value,
    /// Whether it can go on from what an earlier, killed attempt left.
    pub resumable: bool,
}

/// Something that a stage reads.
#[derive(Clone, Debug)]
pub struct Input {
    /// What it is to the stage.
    pub name: String,
    /// A file or a folder.
    pub path: PathBuf,
}

impl Input {
    /// An input at `path`.
    pub fn new(name: impl Into<String>, path: impl Into<PathBuf>) -> Self {
        Self {
            name: name.into(),
            path: path.into(),
        }
    }
}

/// What running a stage came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The artefact was there already, from the same inputs, code and settings.
    UpToDate,
    /// The artefact was made now.
    Made,
}

/// Runs `work` in a partial folder unless the artefact is up to date.
///
/// `work` gets the folder to write into. It must give the same files for the same key.
///
/// # Errors
/// Those of `work`, and of reading inputs and writing the artefact.
pub fn run_stage(
    terminal: &Terminal,
    stage: &Stage,
    work: impl FnOnce(&Path) -> Result<()>,
) -> Result<Outcome> {
    let inputs = read_inputs(&stage.inputs)?;
    let key = stage_key(stage, &inputs);
    let partial = partial_folder(&stage.artefact);
    if is_complete(&stage.artefact, &key) {
        terminal.note(format!("{}: up to date", stage.name));
        return Ok(Outcome::UpToDate);
    }
    // A kill between the manifest and the rename leaves a complete partial folder.
    if is_complete(&partial, &key) {
        promote(&partial, &stage.artefact)?;
        terminal.note(format!("{}: up to date", stage.name));
        return Ok(Outcome::UpToDate);
    }
    prepare(&partial, &key, stage.resumable)?;
    let started = Instant::now();
    work(&partial)?;
    let manifest = Manifest {
        stage: stage.name.to_owned(),
        key,
        code_version: code_version(stage),
        inputs,
        settings: stage.settings.clone(),
        command: std::env::args().collect(),
        outputs: outputs_of(&partial)?
            .into_iter()
            .filter(|output| output.path != KEY_FILE)
            .collect(),
        seconds: started.elapsed().as_secs_f64(),
    };
    manifest.write(&partial)?;
    promote(&partial, &stage.artefact)?;
    let place = stage.artefact.display();
    let took = clock(manifest.seconds);
    terminal.note(format!("{}: done in {took}, in `{place}`", stage.name));
    Ok(Outcome::Made)
}

/// Where the work on an artefact goes on until it is complete.
pub fn partial_folder(artefact: &Path) -> PathBuf {
    let mut name = artefact.file_name().unwrap_or_default().to_owned();
    name.push(".partial");
    artefact.with_file_name(name)
}

fn read_inputs(inputs: &[Input]) -> Result<Vec<InputRecord>> {
    let record = |input: &Input| -> Result<InputRecord> {
        Ok(InputRecord {
            name: input.name.clone(),
            path: input.path.display().to_string(),
            sha256: hash_path(&input.path)?,
        })
    };
    inputs.iter().map(record).collect()
}

/// Paths do not count, contents do: a workspace that was moved is still up to date.
fn stage_key(stage: &Stage, inputs: &[InputRecord]) -> String {
    let inputs: Vec<Value> = inputs
        .iter()
        .map(|input| json!([input.name, input.sha256]))
        .collect();
    let shape = json!({
        "stage": stage.name,
        "code": code_version(stage),
        "inputs": inputs,
        "settings": stage.settings,
    });
    hash_bytes(shape.to_string().as_bytes())
}

fn code_version(stage: &Stage) -> String {
    format!(
        "{}/{}.{}",
        env!("CARGO_PKG_VERSION"),
        stage.name,
        stage.version
    )
}

fn is_complete(folder: &Path, key: &str) -> bool {
    Manifest::read(folder).is_some_and(|manifest| manifest.key == key && manifest.is_whole(folder))
}

/// Makes the partial folder ready: kept where the same work was begun and can go on.
fn prepare(partial: &Path, key: &str, resumable: bool) -> Result<()> {
    let key_file = partial.join(KEY_FILE);
    let begun = fs::read_to_string(&key_file).is_ok_and(|found| found == key);
    if begun && resumable {
        return Ok(());
    }
    remove_folder(partial)?;
    create_folder(partial)?;
    write_atomically(&key_file, key.as_bytes())
}

/// Puts a complete partial folder in the artefact's place.
fn promote(partial: &Path, artefact: &Path) -> Result<()> {
    let mut name = artefact.file_name().unwrap_or_default().to_owned();
    name.push(".before");
    let before = artefact.with_file_name(name);
    remove_folder(&before)?;
    fs::remove_file(partial.join(KEY_FILE)).ok();
    if artefact.exists() {
        fs::rename(artefact, &before)
            .map_err(|error| Failure::io("move away", artefact, &error))?;
    }
    fs::rename(partial, artefact)
        .map_err(|error| Failure::io("move into place", artefact, &error))?;
    remove_folder(&before)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::terminal::Format;
    use anyhow::bail;
    use std::cell::Cell;

    struct Bench {
        folder: tempfile::TempDir,
        runs: Cell<u32>,
    }

    impl Bench {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            fs::write(folder.path().join("input"), "one").unwrap();
            Self {
                folder,
                runs: Cell::new(0),
            }
        }

        fn stage(&self) -> Stage {
            Stage {
                name: "test",
                version: 1,
                artefact: self.folder.path().join("out/made"),
                inputs: vec![Input::new("input", self.folder.path().join("input"))],
                settings: json!({"seed": 1}),
                resumable: false,
            }
        }

        fn run(&self, stage: &Stage) -> Outcome {
            let terminal = Terminal::new(Format::Text, true);
            run_stage(&terminal, stage, |folder| {
                self.runs.set(self.runs.get() + 1);
                write_atomically(&folder.join("result"), b"42")
            })
            .unwrap()
        }
    }

    #[test]
    fn runs_once_and_again_only_when_something_that_shapes_it_changed() {
        let bench = Bench::new();
        let mut stage = bench.stage();
        assert_eq!(bench.run(&stage), Outcome::Made);
        assert_eq!(bench.run(&stage), Outcome::UpToDate);
        stage.settings = json!({"seed": 2});
        assert_eq!(bench.run(&stage), Outcome::Made);
        stage.version = 2;
        assert_eq!(bench.run(&stage), Outcome::Made);
        fs::write(&stage.inputs[0].path, "two").unwrap();
        assert_eq!(bench.run(&stage), Outcome::Made);
        fs::write(stage.artefact.join("result"), "4").unwrap();
        assert_eq!(bench.run(&stage), Outcome::Made, "a cut output is remade");
        assert_eq!(bench.run(&stage), Outcome::UpToDate);
        assert_eq!(bench.runs.get(), 5);
    }

    #[test]
    fn a_failure_leaves_the_artefact_of_before_whole() {
        let bench = Bench::new();
        let mut stage = bench.stage();
        bench.run(&stage);
        stage.settings = json!({"seed": 2});
        let terminal = Terminal::new(Format::Text, true);
        let result = run_stage(&terminal, &stage, |folder| {
            write_atomically(&folder.join("result"), b"half")?;
            bail!("killed")
        });
        assert!(result.is_err());
        assert_eq!(fs::read(stage.artefact.join("result")).unwrap(), b"42");
        stage.settings = json!({"seed": 1});
        assert_eq!(bench.run(&stage), Outcome::UpToDate);
    }

    #[test]
    fn a_resumable_stage_finds_its_own_work_and_no_other() {
        let bench = Bench::new();
        let mut stage = bench.stage();
        stage.resumable = true;
        let terminal = Terminal::new(Format::Text, true);
        let first = run_stage(&terminal, &stage, |folder| {
            write_atomically(&folder.join("checkpoint"), b"step 3")?;
            bail!("killed")
        });
        assert!(first.is_err());
        let found = Cell::new(false);
        let look = |folder: &Path| {
            found.set(folder.join("checkpoint").exists());
            bail!("killed again")
        };
        run_stage(&terminal, &stage, look).unwrap_err();
        assert!(found.get());
        stage.settings = json!({"seed": 2});
        run_stage(&terminal, &stage, look).unwrap_err();
        assert!(!found.get(), "other settings begin anew");
    }

    #[test]
    fn a_kill_just_before_the_rename_costs_nothing() {
        let bench = Bench::new();
        let stage = bench.stage();
        bench.run(&stage);
        fs::rename(&stage.artefact, partial_folder(&stage.artefact)).unwrap();
        assert_eq!(bench.run(&stage), Outcome::UpToDate);
        assert!(stage.artefact.join("result").exists());
        assert_eq!(bench.runs.get(), 1);
    }
}
