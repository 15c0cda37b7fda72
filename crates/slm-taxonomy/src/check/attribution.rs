//! `attribution.txt`: for each work, its title, link, revision, license and creators.
//!
//! It does not judge what the fields say.

use super::fields::Page;
use crate::codes::Code;
use crate::diagnostic::Sink;
use crate::source::{Source, Span, shown};
use crate::walk::LeafFile;

/// The name of the file.
const FILE: &str = "attribution.txt";
const TITLE: &str = "Title of work";
const REVISION: &str = "Revision";
const FIELDS: [&str; 5] = [
    TITLE,
    "Link to work",
    REVISION,
    "License of the work",
    "Creator names",
];

/// One work: the line it begins at and which fields it has.
struct Work {
    line: usize,
    has: [bool; FIELDS.len()],
}

/// Checks the attribution of a leaf.
pub(super) fn check(leaf: &LeafFile, knowledge: bool, sink: &mut Sink) {
    let path = leaf.beside(FILE);
    if !leaf.siblings.iter().any(|name| name == FILE) {
        let hint = match leaf.misnamed(FILE) {
            Some(other) => format!("rename `{other}` to `{FILE}`"),
            None => format!(
                "add `{FILE}` beside the `qna.yaml` with the lines {}",
                super::fields::ticked(&FIELDS.map(|field| field))
            ),
        };
        let message = format!("`{FILE}` is missing");
        sink.file(shown(&path), Code::AttributionMissing, message, hint);
        return;
    }
    match Source::read(&path) {
        Ok(source) => check_text(
            &mut Page {
                source: &source,
                sink,
            },
            knowledge,
        ),
        Err(fault) => super::unreadable(&path, &fault, sink),
    }
}

fn check_text(page: &mut Page, knowledge: bool) {
    let source = page.source;
    if source.text.trim().is_empty() {
        let hint = "write where the content comes from; `SLM-T030` shows the form";
        page.sink.file(
            source.path.clone(),
            Code::AttributionEmpty,
            format!("`{FILE}` is empty"),
            hint,
        );
        return;
    }
    for work in works(page) {
        missing(page, &work, knowledge);
    }
}

/// Reads the works, reporting fields without a value.
fn works(page: &mut Page) -> Vec<Work> {
    let source = page.source;
    let mut works: Vec<Work> = Vec::new();
    for number in 1..=source.line_count() {
        let line = source.line(number);
        let Some((index, value)) = field(line) else {
            continue;
        };
        let begins = works.last().is_none_or(|work| index == 0 && work.has[0]);
        if begins {
            works.push(Work {
                line: number,
                has: [false; FIELDS.len()],
            });
        }
        if let Some(work) = works.last_mut() {
            work.has[index] = true;
        }
        if value.is_empty() {
            let span = Span::on_line(number, 1, line.trim_end().chars().count());
            let message = format!("`{}` has no value", FIELDS[index]);
            let hint = "write the value, or `-` if there is none";
            page.fault(span, Code::AttributionIncomplete, "", message, hint);
        }
    }
    if works.is_empty() {
        works.push(Work {
            line: 1,
            has: [false; FIELDS.len()],
        });
    }
    works
}

/// The field that a line gives, and its value.
fn field(line: &str) -> Option<(usize, &str)> {
    let (name, value) = line.split_once(':')?;
    let name = name.trim().to_lowercase();
    let same = |field: &&str| {
        let field = field.to_lowercase();
        name == field || format!("{name}s") == field || name.replace("licence", "license") == field
    };
    let index = FIELDS.iter().position(same)?;
    Some((index, value.trim()))
}

fn missing(page: &mut Page, work: &Work, knowledge: bool) {
    let width = page.source.line(work.line).trim_end().chars().count();
    let span = Span::on_line(work.line, 1, width);
    for (name, has) in FIELDS.iter().zip(work.has) {
        if has {
            continue;
        }
        let code = if *name == REVISION && !knowledge {
            Code::AttributionRevision
        } else {
            Code::AttributionIncomplete
        };
        let message = format!("the work that begins here lacks `{name}`");
        let hint = match *name {
            REVISION => "add `Revision: ...`: the version, commit or date of the source",
            "Link to work" => "add `Link to work: ...`, or `Link to work: -` for your own work",
            "License of the work" => "add `License of the work: ...`, such as `CC-BY-SA-4.0`",
            TITLE => "add `Title of work: ...` as the work's first line",
            _ => "add `Creator names: ...`",
        };
        page.fault(span, code, "", message, hint);
    }
}
