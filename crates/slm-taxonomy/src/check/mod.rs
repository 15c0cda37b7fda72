//! The check of a taxonomy: every fault of every file, in one run.
//!
//! This module orders the checks; each rule lives in its own file below. It writes nothing.

mod answers;
mod attribution;
mod contradictions;
mod document;
mod duplicates;
mod extension;
mod fields;
mod limits;
mod lint;
mod parts;
mod schema;
mod shape;

pub(crate) use document::hash_file;
pub(crate) use schema::field as schema_field;

use crate::Severity;
use crate::codes::Code;
use crate::diagnostic::{Diagnostic, Report, Sink};
use crate::extension::Extension;
use crate::leaf::{Document, Kind, Leaf, QuestionAnswer, SeedExample};
use crate::repositories::Repositories;
use crate::source::{ReadFault, Source, Span, shown};
use crate::walk::{self, BRANCHES, LEAF_FILE, LeafFile};
use crate::yaml::{self, FaultKind, Flavor, Limits, Node};
use fields::{Page, Text};
use shape::Shape;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

const EXTENSION_FILE: &str = "slm.yaml";

/// How to check.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options<'r> {
    /// Makes the documented word limits errors.
    pub strict: bool,
    /// Where to ask which files the leaves' repositories hold; without it none is asked.
    pub repositories: Option<&'r dyn Repositories>,
}

/// Checks the leaves below `paths`: files, or folders to walk.
///
/// The order of leaves and faults depends only on the files' names and contents.
pub fn check(paths: &[PathBuf], options: Options) -> Report {
    let mut sink = Sink::new(options.strict);
    let files = walk::find(paths, &mut sink);
    report_on(&files, options, sink)
}

fn report_on(files: &[LeafFile], options: Options, sink: Sink) -> Report {
    let mut report = Report {
        checked: files.len(),
        diagnostics: sink.finish(),
        ..Report::default()
    };
    let mut seen = duplicates::Seen::default();
    for (file, checked) in files.iter().zip(check_all(files, options)) {
        let Checked {
            mut leaf,
            mut sink,
            said,
        } = checked;
        seen.across(&file.path, &file.name, said, &mut sink);
        let found = sink.finish();
        leaf.errors = count(&found, Severity::Error);
        leaf.warnings = count(&found, Severity::Warning);
        report.leaves.push(leaf);
        report.diagnostics.extend(found);
    }
    report
}

/// Checks one leaf whose place in the taxonomy is known already.
pub(crate) fn check_file(file: LeafFile) -> Report {
    report_on(&[file], Options::default(), Sink::new(false))
}

/// A leaf that was checked by itself.
struct Checked {
    leaf: Leaf,
    sink: Sink,
    /// What is to be compared with the other leaves.
    said: Vec<duplicates::Said>,
}

/// Checks each leaf by itself, on all processors; the results are in the order of the files.
fn check_all(files: &[LeafFile], options: Options) -> Vec<Checked> {
    /// Below this many leaves a thread more costs more than it saves.
    const LEAVES_PER_THREAD: usize = 16;
    let processors = thread::available_parallelism().map_or(1, usize::from);
    let threads = processors.min(files.len() / LEAVES_PER_THREAD).max(1);
    let next = AtomicUsize::new(0);
    let work = || {
        let mut done = Vec::new();
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            match files.get(index) {
                Some(file) => done.push((index, check_leaf(file, options))),
                None => return done,
            }
        }
    };
    let mut done = thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
        let mut done = work();
        for other in others {
            match other.join() {
                Ok(more) => done.extend(more),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        done
    });
    done.sort_by_key(|(index, _)| *index);
    done.into_iter().map(|(_, checked)| checked).collect()
}

fn count(found: &[Diagnostic], severity: Severity) -> usize {
    found.iter().filter(|d| d.severity == severity).count()
}

fn check_leaf(file: &LeafFile, options: Options) -> Checked {
    let mut leaf = empty_leaf(file);
    let mut said = Vec::new();
    let mut collector = Sink::new(options.strict);
    let sink = &mut collector;
    names(file, sink);
    let qna = read_yaml(&file.path, Flavor::Yaml11, sink);
    let shape = qna.as_ref().and_then(|(source, root)| {
        let page = &mut Page { source, sink };
        let shape = shape::read(page, root.as_ref()?, file.branch())?;
        let document = shape
            .document
            .and_then(|node| document::read(page, node, file, options.repositories));
        limits::check(page, &shape);
        said = duplicates::check(page, &shape);
        fill(&mut leaf, &shape, document);
        Some(shape)
    });
    let knowledge = leaf.kind == Kind::Knowledge;
    if let Some((extension, document)) = read_extension(file, knowledge, sink) {
        if let (Some((source, _)), Some(shape)) = (&qna, &shape) {
            answers::check(&mut Page { source, sink }, shape, &extension);
        }
        leaf.extension = Some(extension);
        leaf.document = document.or(leaf.document);
    }
    attribution::check(file, knowledge, sink);
    Checked {
        leaf,
        sink: collector,
        said,
    }
}

/// Reads a YAML file and reports what is wrong with it as text and as YAML. The root is
/// none when the YAML is broken or empty.
fn read_yaml(path: &Path, flavor: Flavor, sink: &mut Sink) -> Option<(Source, Option<Node>)> {
    let source = match Source::read(path) {
        Ok(source) => source,
        Err(fault) => {
            unreadable(path, &fault, sink);
            return None;
        }
    };
    let parsed = yaml::parse(&source, flavor, Limits::default());
    let page = &mut Page {
        source: &source,
        sink,
    };
    let broken: Vec<usize> = parsed.faults.iter().map(|f| f.span.start.line).collect();
    if parsed.root.is_none() && parsed.faults.is_empty() {
        let name = source.path.clone();
        let hint = "write the content, or remove the file";
        page.sink.file(name, Code::Empty, "the file is empty", hint);
    }
    for fault in parsed.faults {
        page.fault(
            fault.span,
            yaml_code(fault.kind),
            "",
            fault.message,
            fault.hint,
        );
    }
    lint::check(page, &broken);
    Some((source, parsed.root))
}

fn yaml_code(kind: FaultKind) -> Code {
    match kind {
        FaultKind::Syntax => Code::Syntax,
        FaultKind::Limit => Code::Limit,
        FaultKind::SeveralDocuments => Code::SeveralDocuments,
        FaultKind::DuplicateKey => Code::DuplicateKey,
        FaultKind::Unsupported | FaultKind::Merge => Code::UnsupportedYaml,
    }
}

pub(crate) fn unreadable(path: &Path, fault: &ReadFault, sink: &mut Sink) {
    match fault {
        ReadFault::NotUtf8 { before, place, .. } => {
            let span = Span::on_line(place.line, place.column, 1);
            let hint = "save the file as UTF-8 in your editor";
            sink.at(before, span, Code::NotUtf8, "", fault.to_string(), hint);
        }
        ReadFault::Io(_) => {
            let hint = "check that the file is there, is text, and may be read";
            sink.file(shown(path), Code::Unreadable, fault.to_string(), hint);
        }
        ReadFault::TooLarge => {
            let hint =
                "a leaf has a few thousand words: divide it, and keep long texts in documents";
            sink.file(shown(path), Code::Unreadable, fault.to_string(), hint);
        }
    }
}

fn read_extension(
    file: &LeafFile,
    knowledge: bool,
    sink: &mut Sink,
) -> Option<(Extension, Option<Document>)> {
    if !file.siblings.iter().any(|name| name == EXTENSION_FILE) {
        if let Some(other) = file.misnamed(EXTENSION_FILE) {
            misnamed(file, other, EXTENSION_FILE, sink);
        }
        return None;
    }
    let (source, root) = read_yaml(&file.beside(EXTENSION_FILE), Flavor::Core, sink)?;
    let page = &mut Page {
        source: &source,
        sink,
    };
    root.map(|root| extension::read(page, &root, file, knowledge))
}

fn misnamed(file: &LeafFile, name: &str, right: &str, sink: &mut Sink) {
    let message = format!("`{name}` is ignored: the name must be exactly `{right}`");
    let path = shown(&file.beside(name));
    sink.file(
        path,
        Code::FileName,
        message,
        format!("rename it to `{right}`"),
    );
}

/// The names of the leaf's file and folders.
fn names(file: &LeafFile, sink: &mut Sink) {
    let name = file
        .path
        .file_name()
        .map(|n| n.to_string_lossy().into_owned());
    match name {
        Some(name) if name != LEAF_FILE => misnamed(file, &name, LEAF_FILE, sink),
        _ => {
            if let Some(other) = file.misnamed(LEAF_FILE) {
                misnamed(file, other, LEAF_FILE, sink);
            }
        }
    }
    let path = shown(&file.path);
    if file.branch().is_none() {
        let message = format!(
            "the leaf `{}` is outside of the taxonomy's folders",
            file.name
        );
        let hint = format!("put it below {}", fields::ticked(&BRANCHES));
        sink.file(path, Code::OutsideTaxonomy, message, hint);
        return;
    }
    let odd = file.name.split('/').find(|folder| !is_folder_name(folder));
    if let Some(odd) = odd {
        let message =
            format!("the folder name `{odd}` is not in lower-case letters, digits and underscores");
        let better = odd.to_lowercase().replace([' ', '-', '.'], "_");
        sink.file(
            path,
            Code::FolderName,
            message,
            format!("rename it, such as to `{better}`"),
        );
    }
}

fn is_folder_name(name: &str) -> bool {
    name.chars()
        .all(|c| c == '_' || c.is_numeric() || (c.is_alphabetic() && !c.is_uppercase()))
}

fn empty_leaf(file: &LeafFile) -> Leaf {
    let kind = match file.branch() {
        Some("knowledge") => Kind::Knowledge,
        _ => Kind::Skill { grounded: false },
    };
    Leaf {
        name: file.name.clone(),
        file: file.path.clone(),
        kind,
        version: 0,
        task_description: String::new(),
        document_outline: None,
        domain: None,
        created_by: String::new(),
        seed_examples: Vec::new(),
        document: None,
        extension: None,
        errors: 0,
        warnings: 0,
    }
}

fn fill(leaf: &mut Leaf, shape: &Shape, document: Option<Document>) {
    let text = |text: &Option<Text>| text.as_ref().map(|text| text.text.to_string());
    leaf.kind = shape.kind();
    leaf.version = shape.version;
    leaf.created_by = text(&shape.created_by).unwrap_or_default();
    leaf.task_description = text(&shape.task_description).unwrap_or_default();
    leaf.document_outline = text(&shape.document_outline);
    leaf.domain = text(&shape.domain);
    leaf.document = document;
    for seed in &shape.seeds {
        let pairs = seed.pairs.iter().filter_map(|pair| {
            Some(QuestionAnswer {
                question: text(&pair.question)?,
                answer: text(&pair.answer)?,
            })
        });
        let pairs: Vec<QuestionAnswer> = pairs.collect();
        if !pairs.is_empty() {
            leaf.seed_examples.push(SeedExample {
                context: text(&seed.context),
                questions_and_answers: pairs,
            });
        }
    }
}
