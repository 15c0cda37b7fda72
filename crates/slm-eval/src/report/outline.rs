//! The report's sections as blocks, for readers that are no browser.
//!
//! They are read from the very HTML that the page is made of, so that both say the same. Reads
//! only what our sections write: every tag is closed, and text is escaped.

use super::plot::{FRAME, SIZE};
use super::sections;
use crate::results::Results;

/// One section.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Part {
    /// Its title.
    pub title: String,
    /// What is in it, from above.
    pub blocks: Vec<Block>,
}

/// A piece of a section.
#[derive(Debug, Clone, PartialEq)]
pub enum Block {
    /// What the following is about.
    Heading(String),
    /// A paragraph.
    Text(Cell),
    /// Lines as they are.
    Lines(String),
    /// A table.
    Table {
        /// The columns' names.
        head: Vec<String>,
        /// The rows' cells, the row's name first.
        rows: Vec<Vec<Cell>>,
    },
    /// Curves over each other.
    Plot(Plot),
}

/// A text and what it is to a reader.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Cell {
    /// The text.
    pub text: String,
    /// How it is meant.
    pub tone: Tone,
}

/// How a text is meant.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Tone {
    /// As it is.
    #[default]
    Plain,
    /// Good news.
    Good,
    /// Bad news.
    Bad,
    /// Beside the point.
    Soft,
}

/// Curves over each other.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Plot {
    /// What runs to the right, from 0 to 1.
    pub x: String,
    /// What runs up.
    pub y: String,
    /// The values at the foot and at the head of the frame.
    pub ends: [String; 2],
    /// Points within the frame, from (0, 0) at its foot to (1, 1); and whose curve it is:
    /// `ours`, `oracle` or `random`.
    pub curves: Vec<(String, Vec<(f64, f64)>)>,
}

/// All sections that have something to say, but for the systems by metrics with
/// their intervals, and the samples.
pub fn outline(results: &Results) -> Vec<Part> {
    [
        sections::verdict,
        sections::gates,
        sections::head_to_head,
        sections::regression,
        sections::costs,
        sections::routing,
        sections::confidence,
        sections::cost,
        sections::failures,
        sections::fields,
        sections::labels,
        sections::confusion,
        sections::slices,
        sections::robustness,
        sections::leakage,
        sections::method,
    ]
    .into_iter()
    .map(|section| part(&section(results)))
    .filter(|part| !part.blocks.is_empty())
    .collect()
}

/// Reads one section.
fn part(html: &str) -> Part {
    let mut reader = Reader::default();
    let mut rest = html;
    while let Some(open) = rest.find('<') {
        reader.text.push_str(&unescaped(&rest[..open]));
        let Some(close) = rest[open..].find('>') else {
            break;
        };
        let tag = &rest[open + 1..open + close];
        match tag.strip_prefix('/') {
            Some(name) => reader.close(name),
            None => reader.open(tag),
        }
        rest = &rest[open + close + 1..];
    }
    reader.part
}

#[derive(Default)]
struct Reader {
    part: Part,
    /// Text since the last element that stands by itself.
    text: String,
    tone: Tone,
    head: Vec<String>,
    rows: Vec<Vec<Cell>>,
    row: Vec<Cell>,
    in_head: bool,
    plot: Option<Plot>,
    /// Whether the text is a tick's on the left.
    tick: bool,
}

impl Reader {
    fn open(&mut self, tag: &str) {
        let name = tag.split(' ').next().unwrap_or_default();
        match name {
            "h2" | "h3" | "p" | "li" | "summary" | "figcaption" | "pre" | "th" | "td" => {
                self.text.clear();
                self.tone = tone(tag);
            }
            "span" if self.tone == Tone::Plain => self.tone = tone(tag),
            // Stands below the cell's text.
            "small" if !self.text.is_empty() => self.text.push(' '),
            "thead" => self.in_head = true,
            "svg" if attribute(tag, "class") == "plot" => self.plot = Some(Plot::default()),
            "polyline" => {
                let points = attribute(tag, "points").split(' ').filter_map(placed);
                let points = points.collect();
                if let Some(plot) = &mut self.plot {
                    plot.curves.push((attribute(tag, "class").into(), points));
                }
            }
            "text" => {
                self.text.clear();
                self.tick = attribute(tag, "text-anchor") == "end";
            }
            _ => {}
        }
    }

    fn close(&mut self, name: &str) {
        match name {
            "h2" => self.part.title = self.taken().text,
            "h3" | "summary" | "figcaption" => {
                let heading = self.taken().text;
                self.push(Block::Heading(heading));
            }
            "p" | "li" => {
                let text = self.taken();
                self.push(Block::Text(text));
            }
            "pre" => {
                let lines = std::mem::take(&mut self.text);
                self.push(Block::Lines(lines));
            }
            "th" if self.in_head => {
                let name = self.taken().text;
                self.head.push(name);
            }
            "th" | "td" => {
                let cell = self.taken();
                self.row.push(cell);
            }
            "thead" => self.in_head = false,
            "tr" if !self.row.is_empty() => self.rows.push(std::mem::take(&mut self.row)),
            "table" => {
                let (head, rows) = (&mut self.head, &mut self.rows);
                let (head, rows) = (std::mem::take(head), std::mem::take(rows));
                self.push(Block::Table { head, rows });
            }
            "text" => self.label(),
            "svg" => {
                if let Some(plot) = self.plot.take() {
                    self.push(Block::Plot(plot));
                }
            }
            _ => {}
        }
    }

    /// A plot's text: ticks on the left from below, then what runs to the right and up.
    fn label(&mut self) {
        let (text, tick) = (self.taken().text, self.tick);
        let Some(plot) = &mut self.plot else {
            return;
        };
        match (tick, text.parse::<f64>().is_ok()) {
            (true, _) if plot.ends[0].is_empty() => plot.ends[0] = text,
            (true, _) => plot.ends[1] = text,
            (false, true) => {}
            (false, false) if plot.x.is_empty() => plot.x = text,
            (false, false) => plot.y = text,
        }
    }

    fn taken(&mut self) -> Cell {
        let words: Vec<&str> = self.text.split_whitespace().collect();
        let cell = Cell {
            text: words.join(" "),
            tone: std::mem::take(&mut self.tone),
        };
        self.text.clear();
        cell
    }

    fn push(&mut self, block: Block) {
        self.part.blocks.push(block);
    }
}

/// What the classes of an element say.
fn tone(tag: &str) -> Tone {
    let mut classes = attribute(tag, "class").split(' ');
    classes
        .find_map(|class| match class {
            "good" => Some(Tone::Good),
            "bad" | "confused" => Some(Tone::Bad),
            "none" | "aside" => Some(Tone::Soft),
            _ => None,
        })
        .unwrap_or_default()
}

fn attribute<'a>(tag: &'a str, name: &str) -> &'a str {
    let opening = format!(" {name}=\"");
    let value = tag.split_once(&*opening).map(|(_, rest)| rest);
    value
        .and_then(|rest| rest.split('"').next())
        .unwrap_or_default()
}

/// A point of a plot within its frame.
fn placed(point: &str) -> Option<(f64, f64)> {
    let (x, y) = point.split_once(',')?;
    let (x, y): (f64, f64) = (x.parse().ok()?, y.parse().ok()?);
    let [left, right, top, bottom] = FRAME;
    Some((
        (x - left) / (SIZE - left - right),
        1.0 - (y - top) / (SIZE * 0.8 - top - bottom),
    ))
}

fn unescaped(text: &str) -> String {
    [
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", "\""),
        ("&#39;", "'"),
        ("&amp;", "&"),
    ]
    .iter()
    .fold(text.to_string(), |text, (from, to)| text.replace(from, to))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::plot::{Curve, plot};

    #[test]
    fn tables_come_back_with_their_tones_and_hostile_text() {
        let html = "<section id=\"x\"><h2>A &amp; B</h2><p class=\"aside\">one <b>two</b></p>\
            <details open><summary>m_<wbr>n</summary><div class=\"scroll\" tabindex=\"0\"><table class=\"plain\"><thead><tr>\
            <th scope=\"col\">System</th><th scope=\"col\"><span>f1</span></th></tr></thead><tbody>\
            <tr><th scope=\"row\">&lt;b&gt;</th><td><span class=\"good\">0.9</span><small>0.8\u{2013}1.0</small></td></tr>\
            <tr><th scope=\"row\">x</th><td class=\"none\">\u{2013}</td></tr></tbody></table></div></details>\
            <pre class=\"command\">slm  run\n2</pre></section>";
        let cell = |text: &str, tone| Cell {
            text: text.into(),
            tone,
        };
        let found = part(html);
        assert_eq!(found.title, "A & B");
        assert_eq!(
            found.blocks,
            [
                Block::Text(cell("one two", Tone::Soft)),
                Block::Heading("m_n".into()),
                Block::Table {
                    head: vec!["System".into(), "f1".into()],
                    rows: vec![
                        vec![
                            cell("<b>", Tone::Plain),
                            cell("0.9 0.8\u{2013}1.0", Tone::Good)
                        ],
                        vec![cell("x", Tone::Plain), cell("\u{2013}", Tone::Soft)],
                    ],
                },
                Block::Lines("slm  run\n2".into()),
            ]
        );
    }

    #[test]
    fn plots_come_back_with_their_ends() {
        let curve = Curve {
            name: "n",
            class: "ours",
            points: vec![(0.0, 0.5), (1.0, 1.0)],
        };
        let found = part(&plot("share sent", "share right", &[curve], true));
        let [Block::Plot(plot)] = found.blocks.as_slice() else {
            panic!("{found:?}");
        };
        assert_eq!(
            (plot.x.as_str(), plot.y.as_str()),
            ("share sent", "share right")
        );
        assert_eq!(plot.ends, ["0.50", "1.00"]);
        let (class, points) = &plot.curves[0];
        assert_eq!(class, "ours");
        for (found, expected) in points.iter().zip([(0.0, 0.0), (1.0, 1.0)]) {
            assert!((found.0 - expected.0).abs() < 1e-3 && (found.1 - expected.1).abs() < 1e-3);
        }
    }
}
