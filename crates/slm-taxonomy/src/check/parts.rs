//! Reads and checks `parts` of `slm.yaml`: the parts of a seed's text that the teacher may move,
//! exchange or leave out.
//!
//! It does not compare them with the seeds.

use super::extension::{has_field, pointer_hint, texts};
use super::fields::{Fields, Page, excerpt};
use crate::codes::Code;
use crate::extension::{Output, PartKind, Parts};
use crate::suggest::nearest;
use crate::yaml::Node;

const KEYS: &[&str] = &["of", "movable", "exchangeable", "optional"];
const KINDS: &[(&str, PartKind)] = &[
    ("lines", PartKind::Lines),
    ("sentences", PartKind::Sentences),
];

pub(super) fn read(page: &mut Page, node: &Node, output: Option<&Output>) -> Option<Parts> {
    let mut fields = page.mapping(node, ".parts", "`parts`")?;
    fields.only(page, Code::ExtensionUnknownKey, KEYS, "`parts`");
    let movable = flag(page, &fields, "movable");
    let exchangeable = flag(page, &fields, "exchangeable");
    let optional = match fields.get("optional") {
        Some(node) => optional(page, node, output),
        None => Vec::new(),
    };
    let of = fields.required(page, Code::ExtensionValue, "of")?;
    Some(Parts {
        of: kind(page, of)?,
        movable,
        exchangeable,
        optional,
    })
}

fn flag(page: &mut Page, fields: &Fields, key: &str) -> bool {
    let Some(node) = fields.get(key) else {
        return false;
    };
    match node.as_scalar().map(|scalar| scalar.text.as_str()) {
        Some("true") => true,
        Some("false") => false,
        _ => {
            let message = format!("`{key}` must be `true` or `false`");
            let hint = "write `true` only if that never changes the answer";
            let path = fields.path_of(key);
            page.fault(node.span, Code::ExtensionValue, &path, message, hint);
            false
        }
    }
}

fn kind(page: &mut Page, node: &Node) -> Option<PartKind> {
    let text = node.as_text().unwrap_or_default();
    let found = KINDS.iter().find(|(name, _)| *name == text);
    if found.is_none() {
        let hint = match nearest(text, KINDS.iter().map(|(name, _)| *name)) {
            Some(near) => format!("did you mean `{near}`?"),
            None => "parts are `lines` or `sentences`".to_string(),
        };
        let message = format!("unknown kind of part `{}`", excerpt(text));
        page.fault(node.span, Code::ExtensionValue, ".parts.of", message, hint);
    }
    found.map(|(_, kind)| *kind)
}

fn optional(page: &mut Page, node: &Node, output: Option<&Output>) -> Vec<String> {
    let path = ".parts.optional";
    let pointers = texts(page, node, path, "`optional`", Code::ExtensionValue).unwrap_or_default();
    for (index, pointer) in pointers.iter().enumerate() {
        if has_field(output, pointer) {
            continue;
        }
        let span = node
            .as_sequence()
            .and_then(|items| items.get(index))
            .unwrap_or(node)
            .span;
        let message = format!("the answer has no field `{}`", excerpt(pointer));
        let hint = match output {
            Some(Output::Json { schema }) => pointer_hint(schema, pointer),
            _ => "only answers with fields have optional ones".to_string(),
        };
        let path = format!("{path}[{index}]");
        page.fault(span, Code::Pointer, &path, message, hint);
    }
    pointers
}
