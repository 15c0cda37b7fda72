//! From YAML text to the tree, within limits.
//!
//! The parser's events are gathered on a stack of our own, so that neither nesting nor
//! aliases can exhaust the machine. It does not know which keys a file may have.

use super::{Entry, Flavor, Node, Scalar, ScalarKind, Value, syntax_hint};
use crate::source::{Position, Span};
use saphyr_parser::{Event, Marker, Parser, ScalarStyle, Tag};
use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

/// What a file may cost at most.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Levels of nesting, aliases expanded.
    pub depth: usize,
    /// Values, aliases expanded.
    pub nodes: usize,
    /// Bytes of text, aliases expanded.
    pub text_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            depth: 64,
            nodes: 500_000,
            text_bytes: 16 * 1024 * 1024,
        }
    }
}

/// What was read: the tree as far as it could be built, and the faults.
#[derive(Debug, Default)]
pub struct Parsed {
    /// The document; none when it is empty or broken.
    pub root: Option<Node>,
    /// What is wrong with the YAML itself.
    pub faults: Vec<Fault>,
}

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
    /// A tag, or a key, of a kind that is not supported.
    Unsupported,
}

/// Reads one YAML document up to its first syntax error. A broken text yields no tree, and
/// the error is its last fault.
pub(super) fn parse_once(text: &str, flavor: Flavor, limits: Limits) -> Parsed {
    let mut builder = Builder::new(flavor, limits);
    let mut parser = Parser::new_from_str(text);
    let outcome = builder.run(&mut parser);
    let root = match outcome {
        Ok(()) => builder.root,
        Err(fault) => {
            builder.faults.push(fault);
            None
        }
    };
    Parsed {
        root,
        faults: builder.faults,
    }
}

/// A list or mapping that is still open.
struct Frame {
    start: Marker,
    anchor: usize,
    nodes_before: usize,
    bytes_before: usize,
    depth_below: usize,
    content: Content,
}

enum Content {
    Sequence(Vec<Node>),
    Mapping {
        entries: Vec<Entry>,
        seen: HashSet<String>,
        key: Option<(String, Span)>,
    },
}

/// A value that an alias may repeat, with what the repetition costs.
struct Anchored {
    node: Node,
    nodes: usize,
    bytes: usize,
    depth: usize,
}

struct Builder {
    flavor: Flavor,
    limits: Limits,
    stack: Vec<Frame>,
    anchors: HashMap<usize, Anchored>,
    nodes: usize,
    bytes: usize,
    documents: usize,
    root: Option<Node>,
    faults: Vec<Fault>,
}

impl Builder {
    fn new(flavor: Flavor, limits: Limits) -> Builder {
        Builder {
            flavor,
            limits,
            stack: Vec::new(),
            anchors: HashMap::new(),
            nodes: 0,
            bytes: 0,
            documents: 0,
            root: None,
            faults: Vec::new(),
        }
    }

    fn run<'t>(&mut self, parser: &mut impl Iterator<Item = ParserItem<'t>>) -> Result<(), Fault> {
        for item in parser {
            let (event, span) = item.map_err(|error| syntax_fault(&error))?;
            match event {
                Event::DocumentStart(_) => {
                    self.documents += 1;
                    if self.documents > 1 {
                        return Err(several_documents(span.start));
                    }
                }
                Event::Scalar(text, style, anchor, tag) => {
                    let span = spanned(span.start, span.end);
                    self.scalar(text, style, anchor, tag, span)?;
                }
                Event::SequenceStart(anchor, tag) => {
                    self.reject_tag(tag, "seq", span.start);
                    self.open(span.start, anchor, Content::Sequence(Vec::new()))?;
                }
                Event::MappingStart(anchor, tag) => {
                    self.reject_tag(tag, "map", span.start);
                    let content = Content::Mapping {
                        entries: Vec::new(),
                        seen: HashSet::new(),
                        key: None,
                    };
                    self.open(span.start, anchor, content)?;
                }
                Event::SequenceEnd | Event::MappingEnd => self.close(span.end)?,
                Event::Alias(anchor) => self.alias(anchor, spanned(span.start, span.end))?,
                Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => {}
            }
        }
        Ok(())
    }

    fn scalar(
        &mut self,
        text: Cow<'_, str>,
        style: ScalarStyle,
        anchor: usize,
        tag: Option<Cow<'_, Tag>>,
        span: Span,
    ) -> Result<(), Fault> {
        let kind = match &tag {
            Some(tag) => self.tagged(tag, &text, span),
            None if style == ScalarStyle::Plain => self.flavor.resolve(&text),
            None => ScalarKind::String,
        };
        self.charge(1, text.len(), span)?;
        let span = self.place_of_empty(span);
        let text = text.into_owned();
        let bytes = text.len();
        let node = Node {
            span,
            value: Value::Scalar(Scalar { text, kind }),
        };
        self.keep_anchor(anchor, &node, 1, bytes, 0)?;
        self.add(node, 0)
    }

    /// An absent value has no place of its own: it is shown at its key.
    fn place_of_empty(&self, span: Span) -> Span {
        let key = self.stack.last().and_then(|frame| match &frame.content {
            Content::Mapping { key, .. } => key.as_ref(),
            Content::Sequence(_) => None,
        });
        match key {
            Some((_, key_span)) if span.start == span.end => *key_span,
            _ => span,
        }
    }

    fn tagged(&mut self, tag: &Tag, text: &str, span: Span) -> ScalarKind {
        let suffix = if tag.is_yaml_core_schema() || tag.handle == "!!" {
            tag.suffix.as_str()
        } else if tag.handle == "!" && tag.suffix.is_empty() {
            "str"
        } else {
            ""
        };
        match suffix {
            "str" => ScalarKind::String,
            "int" => ScalarKind::Integer,
            "float" => ScalarKind::Float,
            "null" => ScalarKind::Null,
            "bool" | "timestamp" => self.flavor.resolve(text),
            _ => {
                self.faults.push(unsupported_tag(tag, span));
                ScalarKind::String
            }
        }
    }

    fn reject_tag(&mut self, tag: Option<Cow<'_, Tag>>, allowed: &str, start: Marker) {
        if let Some(tag) = tag {
            let core = tag.is_yaml_core_schema() && tag.suffix == allowed;
            if !core {
                self.faults
                    .push(unsupported_tag(&tag, spanned(start, start)));
            }
        }
    }

    fn open(&mut self, start: Marker, anchor: usize, content: Content) -> Result<(), Fault> {
        if self.stack.len() >= self.limits.depth {
            return Err(self.too_deep(spanned(start, start)));
        }
        let (nodes_before, bytes_before) = (self.nodes, self.bytes);
        self.charge(1, 0, spanned(start, start))?;
        self.stack.push(Frame {
            start,
            anchor,
            nodes_before,
            bytes_before,
            depth_below: 0,
            content,
        });
        Ok(())
    }

    fn close(&mut self, end: Marker) -> Result<(), Fault> {
        let Some(frame) = self.stack.pop() else {
            return Ok(());
        };
        let value = match frame.content {
            Content::Sequence(items) => Value::Sequence(items),
            Content::Mapping { entries, .. } => Value::Mapping(entries),
        };
        let node = Node {
            span: spanned(frame.start, end),
            value,
        };
        let nodes = self.nodes - frame.nodes_before;
        let bytes = self.bytes - frame.bytes_before;
        let depth = frame.depth_below + 1;
        self.keep_anchor(frame.anchor, &node, nodes, bytes, depth)?;
        self.add(node, depth)
    }

    fn keep_anchor(
        &mut self,
        anchor: usize,
        node: &Node,
        nodes: usize,
        bytes: usize,
        depth: usize,
    ) -> Result<(), Fault> {
        if anchor == 0 {
            return Ok(());
        }
        self.charge(nodes, bytes, node.span)?;
        let anchored = Anchored {
            node: node.clone(),
            nodes,
            bytes,
            depth,
        };
        self.anchors.insert(anchor, anchored);
        Ok(())
    }

    fn alias(&mut self, anchor: usize, span: Span) -> Result<(), Fault> {
        let Some(anchored) = self.anchors.get(&anchor) else {
            return Err(Fault {
                kind: FaultKind::Limit,
                span,
                message: "this alias stands within its own anchor".into(),
                hint: "write the value out; a taxonomy needs no anchors".into(),
            });
        };
        let (nodes, bytes, depth) = (anchored.nodes, anchored.bytes, anchored.depth);
        if self.stack.len() + depth > self.limits.depth {
            return Err(self.too_deep(span));
        }
        self.charge(nodes, bytes, span)?;
        let node = match self.anchors.get(&anchor) {
            Some(anchored) => Node {
                span,
                value: anchored.node.value.clone(),
            },
            None => return Ok(()),
        };
        self.add(node, depth)
    }

    /// Adds a finished value to the list or mapping that is open, or makes it the root.
    fn add(&mut self, node: Node, depth: usize) -> Result<(), Fault> {
        let Some(frame) = self.stack.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        frame.depth_below = frame.depth_below.max(depth);
        match &mut frame.content {
            Content::Sequence(items) => items.push(node),
            Content::Mapping { entries, seen, key } => match key.take() {
                Some((key, key_span)) => entries.push(Entry {
                    key,
                    key_span,
                    value: node,
                }),
                None => match node.value {
                    Value::Scalar(scalar) => {
                        if !seen.insert(scalar.text.clone()) {
                            self.faults.push(duplicate_key(&scalar.text, node.span));
                        }
                        *key = Some((scalar.text, node.span));
                    }
                    _ => {
                        self.faults.push(unsupported_key(node.span));
                        *key = Some((String::new(), node.span));
                    }
                },
            },
        }
        Ok(())
    }

    fn charge(&mut self, nodes: usize, bytes: usize, span: Span) -> Result<(), Fault> {
        self.nodes += nodes;
        self.bytes += bytes;
        if self.nodes > self.limits.nodes || self.bytes > self.limits.text_bytes {
            return Err(Fault {
                kind: FaultKind::Limit,
                span,
                message: format!(
                    "the file holds more than {} values or {} MiB of text, aliases expanded",
                    self.limits.nodes,
                    self.limits.text_bytes / 1024 / 1024
                ),
                hint: "split the leaf, and write values out instead of repeating them by aliases"
                    .into(),
            });
        }
        Ok(())
    }

    fn too_deep(&self, span: Span) -> Fault {
        Fault {
            kind: FaultKind::Limit,
            span,
            message: format!("values are nested more than {} deep", self.limits.depth),
            hint: "a leaf needs five levels; quote a text that begins with `[` or `{`".into(),
        }
    }
}

type ParserItem<'t> = Result<(Event<'t>, saphyr_parser::Span), saphyr_parser::ScanError>;

fn position(marker: Marker) -> Position {
    Position {
        line: marker.line().max(1),
        column: marker.col() + 1,
    }
}

fn spanned(start: Marker, end: Marker) -> Span {
    Span {
        start: position(start),
        end: position(end),
    }
}

fn syntax_fault(error: &saphyr_parser::ScanError) -> Fault {
    let (message, hint) = syntax_hint::for_message(error.info());
    Fault {
        kind: FaultKind::Syntax,
        span: spanned(*error.marker(), *error.marker()),
        message,
        hint: hint.into(),
    }
}

fn several_documents(start: Marker) -> Fault {
    Fault {
        kind: FaultKind::SeveralDocuments,
        span: spanned(start, start),
        message: "a second YAML document begins here".into(),
        hint: "keep one document per file, and remove this `---`".into(),
    }
}

fn duplicate_key(key: &str, span: Span) -> Fault {
    Fault {
        kind: FaultKind::DuplicateKey,
        span,
        message: format!("the key `{key}` stands twice in the same mapping"),
        hint: "remove one; readers silently keep only the last".into(),
    }
}

fn unsupported_tag(tag: &Tag, span: Span) -> Fault {
    Fault {
        kind: FaultKind::Unsupported,
        span,
        message: format!("the tag `{}{}` is not supported", tag.handle, tag.suffix),
        hint: "remove the tag, or quote a text that begins with `!`".into(),
    }
}

fn unsupported_key(span: Span) -> Fault {
    Fault {
        kind: FaultKind::Unsupported,
        span,
        message: "a list or mapping cannot be a key".into(),
        hint: "use a plain word as key".into(),
    }
}
