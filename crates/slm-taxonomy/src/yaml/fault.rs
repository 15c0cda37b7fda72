//! What may be wrong with a YAML text itself, in plain words.
//!
//! It knows nothing of how faults are noticed.

use super::parse::Limits;
use super::syntax_hint;
use crate::source::Span;

/// A fault of the YAML itself.
#[derive(Debug, Clone, PartialEq)]
pub struct Fault {
    /// What sort of fault it is.
    pub kind: FaultKind,
    /// Where it is.
    pub span: Span,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub hint: String,
}

/// The sorts of faults a YAML text may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultKind {
    /// The text is not YAML.
    Syntax,
    /// A limit is exceeded.
    Limit,
    /// More than one document.
    SeveralDocuments,
    /// A key stands twice in one mapping.
    DuplicateKey,
    /// A `<<` that takes over no mapping.
    Merge,
    /// A tag, or a key, of a kind that is not supported.
    Unsupported,
}

pub(super) fn syntax(said: &str, span: Span) -> Fault {
    let (message, hint) = syntax_hint::for_message(said);
    Fault {
        kind: FaultKind::Syntax,
        span,
        message,
        hint: hint.into(),
    }
}

pub(super) fn too_deep(limits: &Limits, span: Span) -> Fault {
    Fault {
        kind: FaultKind::Limit,
        span,
        message: format!("values are nested more than {} deep", limits.depth),
        hint: "a leaf needs five levels; quote a text that begins with `[` or `{`".into(),
    }
}

pub(super) fn too_large(limits: &Limits, span: Span) -> Fault {
    let mebibytes = limits.text_bytes / 1024 / 1024;
    Fault {
        kind: FaultKind::Limit,
        span,
        message: format!(
            "the file holds more than {} values or {mebibytes} MiB of text, aliases expanded",
            limits.nodes
        ),
        hint: "split the leaf, and write values out instead of repeating them by aliases".into(),
    }
}

pub(super) fn own_anchor(span: Span) -> Fault {
    Fault {
        kind: FaultKind::Limit,
        span,
        message: "this alias stands within its own anchor".into(),
        hint: "write the value out; a taxonomy needs no anchors".into(),
    }
}

pub(super) fn several_documents(span: Span) -> Fault {
    Fault {
        kind: FaultKind::SeveralDocuments,
        span,
        message: "a second YAML document begins here".into(),
        hint: "keep one document per file, and remove this `---`".into(),
    }
}

pub(super) fn duplicate_key(key: &str, span: Span) -> Fault {
    Fault {
        kind: FaultKind::DuplicateKey,
        span,
        message: format!("the key `{key}` stands twice in the same mapping"),
        hint: "remove one; readers silently keep only the last".into(),
    }
}

pub(super) fn unsupported_tag(tag: &str, span: Span) -> Fault {
    Fault {
        kind: FaultKind::Unsupported,
        span,
        message: format!("the tag `{tag}` is not supported"),
        hint: "remove the tag, or quote a text that begins with `!`".into(),
    }
}

pub(super) fn merge_of_no_mapping(span: Span) -> Fault {
    Fault {
        kind: FaultKind::Merge,
        span,
        message: "`<<` takes over a mapping, or each mapping of a list, and this is neither".into(),
        hint: "give it an alias of a mapping, such as `<<: *base`, or quote it as a plain key"
            .into(),
    }
}

pub(super) fn unsupported_key(span: Span) -> Fault {
    Fault {
        kind: FaultKind::Unsupported,
        span,
        message: "a list or mapping cannot be a key".into(),
        hint: "use a plain word as key".into(),
    }
}
