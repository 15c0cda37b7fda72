//! From YAML text to the tree, within limits.
//!
//! The parser's events are gathered on a stack of our own, so that neither nesting nor
//! aliases can exhaust the machine. It does not know which keys a file may have.

use super::fault::{self, Fault};
use super::merge::{Merged, merged_into, taken};
use super::{Entry, Flavor, Node, Scalar, ScalarKind, Value};
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
        key: Option<(Key, Span)>,
        /// What `<<` brings in, in the order of the file.
        merged: Merged,
    },
}

/// A key whose value is to come.
enum Key {
    Text(String),
    /// A plain `<<`: the value's entries are taken over.
    Merge,
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
    /// Whether the scalar at hand is a plain `<<`.
    plain_merge: bool,
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
            plain_merge: false,
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
            let (event, span) = item.map_err(|error| {
                fault::syntax(error.info(), spanned(*error.marker(), *error.marker()))
            })?;
            match event {
                Event::DocumentStart(_) => {
                    self.documents += 1;
                    if self.documents > 1 {
                        return Err(fault::several_documents(spanned(span.start, span.start)));
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
                        merged: Merged::default(),
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
        let is_merge = tag.is_none() && style == ScalarStyle::Plain && text == "<<";
        self.charge(1, text.len(), span)?;
        let span = self.place_of_empty(span);
        let text = text.into_owned();
        let bytes = text.len();
        let node = Node {
            span,
            value: Value::Scalar(Scalar { text, kind }),
        };
        self.keep_anchor(anchor, &node, 1, bytes, 0)?;
        self.plain_merge = is_merge;
        let added = self.add(node, 0);
        self.plain_merge = false;
        added
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
                self.faults
                    .push(fault::unsupported_tag(&tag.to_string(), span));
                ScalarKind::String
            }
        }
    }

    fn reject_tag(&mut self, tag: Option<Cow<'_, Tag>>, allowed: &str, start: Marker) {
        if let Some(tag) = tag {
            let core = tag.is_yaml_core_schema() && tag.suffix == allowed;
            if !core {
                self.faults.push(fault::unsupported_tag(
                    &tag.to_string(),
                    spanned(start, start),
                ));
            }
        }
    }

    fn open(&mut self, start: Marker, anchor: usize, content: Content) -> Result<(), Fault> {
        if self.stack.len() >= self.limits.depth {
            return Err(fault::too_deep(&self.limits, spanned(start, start)));
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
            Content::Mapping {
                entries, merged, ..
            } => Value::Mapping(merged_into(entries, merged)),
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
            return Err(fault::own_anchor(span));
        };
        let (nodes, bytes, depth) = (anchored.nodes, anchored.bytes, anchored.depth);
        if self.stack.len() + depth > self.limits.depth {
            return Err(fault::too_deep(&self.limits, span));
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
            Content::Mapping {
                entries,
                seen,
                key,
                merged,
            } => match key.take() {
                Some((Key::Text(key), key_span)) => entries.push(Entry {
                    key,
                    key_span,
                    value: node,
                }),
                Some((Key::Merge, _)) => {
                    let span = node.span;
                    if !taken(node, merged) {
                        self.faults.push(fault::merge_of_no_mapping(span));
                    }
                }
                None if self.plain_merge => *key = Some((Key::Merge, node.span)),
                None => match node.value {
                    Value::Scalar(scalar) => {
                        if !seen.insert(scalar.text.clone()) {
                            self.faults
                                .push(fault::duplicate_key(&scalar.text, node.span));
                        }
                        *key = Some((Key::Text(scalar.text), node.span));
                    }
                    _ => {
                        self.faults.push(fault::unsupported_key(node.span));
                        *key = Some((Key::Text(String::new()), node.span));
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
            return Err(fault::too_large(&self.limits, span));
        }
        Ok(())
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
