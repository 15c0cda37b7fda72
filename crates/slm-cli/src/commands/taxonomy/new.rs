//! `slm taxonomy new`: a leaf from options and answers.
//!
//! What an option gives is not asked for, so that with all of them nobody need be there.
//! Does not know how a leaf is written.

use std::io::{self, BufRead};
use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::{Args, ValueEnum};
use slm_taxonomy::{Attribution, Draft, DraftDocument, DraftError, Kind, render};

use super::answers::Answers;
use super::seeds;
use crate::commands::Context;
use crate::failure::Failure;

/// Arguments of `slm taxonomy new`.
#[derive(Debug, Args)]
pub struct New {
    /// The leaf's folder, such as `taxonomy/compositional_skills/support/refunds`
    #[arg(value_name = "FOLDER")]
    folder: Option<PathBuf>,
    /// What the leaf teaches
    #[arg(long, value_name = "KIND")]
    kind: Option<LeafKind>,
    /// Who contributes it
    #[arg(long, value_name = "NAME")]
    created_by: Option<String>,
    /// What the skill is to do
    #[arg(long, value_name = "TEXT")]
    task_description: Option<String>,
    /// The labels that the skill's answers are chosen from
    #[arg(long, value_name = "LABEL", value_delimiter = ',')]
    labels: Vec<String>,
    /// The knowledge's domain
    #[arg(long, value_name = "TEXT")]
    domain: Option<String>,
    /// What the knowledge's document is about
    #[arg(long, value_name = "TEXT")]
    document_outline: Option<String>,
    /// The knowledge's document: a file, which is copied beside the leaf
    #[arg(long, value_name = "FILE", conflicts_with = "repo")]
    document: Option<PathBuf>,
    /// The git repository that holds the knowledge's documents
    #[arg(
        long,
        value_name = "ADDRESS",
        requires = "commit",
        requires = "patterns"
    )]
    repo: Option<String>,
    /// The commit of the documents
    #[arg(long, value_name = "HASH", requires = "repo")]
    commit: Option<String>,
    /// A glob that selects documents of the repository; may be given again
    #[arg(long = "pattern", value_name = "GLOB", requires = "repo")]
    patterns: Vec<String>,
    /// The seed examples: JSON lines with `question`, `answer` and perhaps `context`
    #[arg(long, value_name = "FILE")]
    seeds: Option<PathBuf>,
    /// Title of the work that the leaf was written from
    #[arg(long, value_name = "TEXT")]
    title: Option<String>,
    /// Link to that work; `-` for your own
    #[arg(long, value_name = "TEXT")]
    link: Option<String>,
    /// Its version, commit or date
    #[arg(long, value_name = "TEXT")]
    revision: Option<String>,
    /// Its licence
    #[arg(long, value_name = "TEXT")]
    license: Option<String>,
    /// Who made it
    #[arg(long, value_name = "TEXT")]
    creators: Option<String>,
}

/// What a leaf teaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum LeafKind {
    /// Facts from a document
    Knowledge,
    /// A way of answering
    Skill,
    /// A way of answering from a context
    GroundedSkill,
}

impl LeafKind {
    fn kind(self) -> Kind {
        match self {
            LeafKind::Knowledge => Kind::Knowledge,
            LeafKind::Skill => Kind::Skill { grounded: false },
            LeafKind::GroundedSkill => Kind::Skill { grounded: true },
        }
    }
}

impl New {
    /// Asks for what is missing, and writes the leaf.
    pub fn run(self, context: &Context) -> Result<()> {
        let mut answers = Answers::new(io::stdin().lock());
        let kind = self.kind(&mut answers)?;
        self.fits(kind)?;
        let folder = match &self.folder {
            Some(folder) => folder.clone(),
            None => {
                let branch = match kind {
                    Kind::Knowledge => "knowledge",
                    Kind::Skill { .. } => "compositional_skills",
                };
                let question = format!("Folder, such as taxonomy/{branch}/my_area/my_leaf");
                PathBuf::from(answers.line(&question, "FOLDER", None)?)
            }
        };
        let draft = self.draft(kind, &mut answers)?;
        match draft.write(&folder) {
            Ok(report) => {
                if report.warnings() > 0 {
                    context.terminal.note(render(&report));
                }
                let path = folder.join("qna.yaml");
                if context.terminal.is_json() {
                    return context.terminal.json(&serde_json::json!({
                        "path": path, "diagnostics": report.diagnostics,
                    }));
                }
                context.terminal.data(&path.display().to_string())
            }
            Err(DraftError::Faulty(report)) => {
                context.terminal.note(render(&report));
                Err(
                    Failure::new("the leaf would have faults, so nothing was written")
                        .hint(
                            "mend what is named above; lines are those of the leaf as it would be",
                        )
                        .into(),
                )
            }
            Err(error) => Err(error.into()),
        }
    }

    fn kind(&self, answers: &mut Answers<impl BufRead>) -> Result<Kind> {
        if let Some(kind) = self.kind {
            return Ok(kind.kind());
        }
        loop {
            let question = "Kind: knowledge, skill or grounded-skill";
            let name = answers.line(question, "--kind KIND", Some("skill"))?;
            match LeafKind::from_str(&name, true) {
                Ok(kind) => return Ok(kind.kind()),
                Err(_) => eprintln!("  (`{name}` is none of them)"),
            }
        }
    }

    /// Refuses options of the other kind, which would be lost.
    fn fits(&self, kind: Kind) -> Result<()> {
        let of_skills = [
            ("--task-description", self.task_description.is_some()),
            ("--labels", !self.labels.is_empty()),
        ];
        let of_knowledge = [
            ("--domain", self.domain.is_some()),
            ("--document-outline", self.document_outline.is_some()),
            ("--document", self.document.is_some()),
            ("--repo", self.repo.is_some()),
        ];
        let wrong: &[(&str, bool)] = match kind {
            Kind::Knowledge => &of_skills,
            Kind::Skill { .. } => &of_knowledge,
        };
        match wrong.iter().find(|(_, is_given)| *is_given) {
            Some((option, _)) => Err(Failure::usage(format!(
                "a {} has no `{option}`",
                kind.label()
            ))
            .hint("leave it out, or choose another `--kind`")
            .into()),
            None => Ok(()),
        }
    }

    fn draft(&self, kind: Kind, answers: &mut Answers<impl BufRead>) -> Result<Draft> {
        let is_knowledge = kind == Kind::Knowledge;
        let mut line = |given: &Option<String>, question: &str, option: &str, default| match given {
            Some(given) => Ok(given.clone()),
            None => answers.line(question, option, default),
        };
        let created_by = line(&self.created_by, "Your name", "--created-by NAME", None)?;
        let mut task_description = String::new();
        let (mut domain, mut document_outline) = (String::new(), String::new());
        if is_knowledge {
            domain = line(&self.domain, "Domain", "--domain TEXT", None)?;
            let question = "What the document is about";
            document_outline = line(
                &self.document_outline,
                question,
                "--document-outline TEXT",
                None,
            )?;
        } else {
            let question = "What the skill is to do";
            task_description = line(
                &self.task_description,
                question,
                "--task-description TEXT",
                None,
            )?;
        }
        let attribution = Attribution {
            title: line(&self.title, "Title of the work", "--title TEXT", None)?,
            link: line(&self.link, "Link to it", "--link TEXT", Some("-"))?,
            revision: line(
                &self.revision,
                "Its version or date",
                "--revision TEXT",
                None,
            )?,
            license: line(
                &self.license,
                "Its licence",
                "--license TEXT",
                Some("CC-BY-SA-4.0"),
            )?,
            creators: line(
                &self.creators,
                "Who made it",
                "--creators TEXT",
                Some(&created_by),
            )?,
        };
        let document = match is_knowledge {
            true => Some(self.document(answers)?),
            false => None,
        };
        let seed_examples = match &self.seeds {
            Some(path) => seeds::read(path, kind)?,
            None => seeds::ask(answers, kind)?,
        };
        Ok(Draft {
            kind,
            created_by,
            task_description,
            domain,
            document_outline,
            document,
            seed_examples,
            labels: self.labels.clone(),
            attribution,
        })
    }

    fn document(&self, answers: &mut Answers<impl BufRead>) -> Result<DraftDocument> {
        if let (Some(repo), Some(commit)) = (&self.repo, &self.commit) {
            return Ok(DraftDocument::Repository {
                repo: repo.clone(),
                commit: commit.clone(),
                patterns: self.patterns.clone(),
            });
        }
        let path = match &self.document {
            Some(path) => path.clone(),
            None => loop {
                let question = "The document, a Markdown or PDF file";
                let path = PathBuf::from(answers.line(question, "--document FILE", None)?);
                if path.is_file() {
                    break path;
                }
                eprintln!("  (`{}` is not a file)", path.display());
            },
        };
        readable(&path)?;
        Ok(DraftDocument::Local(path))
    }
}

fn readable(path: &Path) -> Result<()> {
    std::fs::File::open(path)
        .map(drop)
        .map_err(|error| Failure::io("read", path, &error).into())
}
