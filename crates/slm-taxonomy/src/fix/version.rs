//! Version 2 skills as version 3: nothing but the number differs.
//!
//! Version 2 knowledge has another shape, and is left to its author.

use super::edit::{Edit, apply};
use super::tree;
use crate::source::Source;
use crate::yaml::{Flavor, Node, ScalarKind};

/// Keys that only knowledge has.
const KNOWLEDGE_KEYS: [&str; 3] = ["document", "document_outline", "domain"];

/// The text with its version raised.
pub(super) fn mended(text: &str, branch: Option<&str>) -> String {
    let source = Source::new("", text.to_string());
    let edit = tree::read(&source, Flavor::Yaml11).and_then(|root| edit(&root, branch));
    match edit {
        Some(edit) => apply(&source, vec![edit]),
        None => source.text,
    }
}

fn edit(root: &Node, branch: Option<&str>) -> Option<Edit> {
    let is_knowledge = KNOWLEDGE_KEYS.iter().any(|key| root.get(key).is_some());
    if is_knowledge || branch == Some("knowledge") {
        return None;
    }
    let node = root.get("version")?;
    let scalar = node.as_scalar()?;
    let (start, end) = (node.span.start, node.span.end);
    let is_2 = scalar.kind == ScalarKind::Integer && scalar.text == "2";
    // An alias is wider than the number that it stands for.
    let is_written = start.line == end.line && end.column == start.column + 1;
    (is_2 && is_written).then(|| Edit {
        start,
        end,
        with: "3".into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn skills_are_raised_and_knowledge_is_not() {
        let skill = "version: 2 # old\ntask_description: a\n";
        assert_eq!(
            mended(skill, Some("compositional_skills")),
            skill.replace('2', "3")
        );
        assert_eq!(mended(skill, Some("knowledge")), skill);
        let knowledge = "version: 2\ndomain: a\n";
        assert_eq!(mended(knowledge, None), knowledge);
        assert_eq!(mended("version: 1\n", None), "version: 1\n");
    }
}
