//! Web pages to Markdown: headings, paragraphs, lists, tables and code.
//!
//! A light reader of tags, in one pass and never failing; it does not know style sheets,
//! scripts, or what browsers do to mend a page.

/// Elements whose content is not text for people.
const SKIPPED: [&str; 8] = [
    "script", "style", "head", "noscript", "template", "svg", "iframe", "nav",
];
/// Elements that stand on lines of their own.
const BLOCKS: [&str; 20] = [
    "p",
    "div",
    "section",
    "article",
    "main",
    "header",
    "footer",
    "aside",
    "ul",
    "ol",
    "dl",
    "dd",
    "dt",
    "blockquote",
    "figure",
    "figcaption",
    "form",
    "hr",
    "body",
    "details",
];

/// The text of a page, marked as Markdown.
pub(super) fn to_markdown(page: &str) -> String {
    let mut writer = Writer::default();
    let mut rest = page;
    while let Some(open) = rest.find('<') {
        writer.text(&rest[..open]);
        rest = &rest[open..];
        if let Some(comment) = rest.strip_prefix("<!--") {
            rest = comment.find("-->").map_or("", |end| &comment[end + 3..]);
            continue;
        }
        let named = rest[1..]
            .starts_with(|c: char| c.is_ascii_alphabetic() || matches!(c, '/' | '!' | '?'));
        if !named {
            writer.text("<");
            rest = &rest[1..];
            continue;
        }
        let end = tag_end(rest);
        let (tag, behind) = (&rest[1..end], rest.get(end + 1..).unwrap_or_default());
        rest = match writer.tag(tag) {
            Some(skipped) => after_closing(behind, &skipped),
            None => behind,
        };
    }
    writer.text(rest);
    writer.finish()
}

/// The place of the `>` that ends a tag; quoted ones do not.
fn tag_end(text: &str) -> usize {
    let mut quote = None;
    for (at, byte) in text.bytes().enumerate() {
        match (quote, byte) {
            (None, b'>') => return at,
            (None, b'"' | b'\'') => quote = Some(byte),
            (Some(open), byte) if open == byte => quote = None,
            _ => {}
        }
    }
    // A quote that never closes: the first `>` will do.
    text.find('>').unwrap_or(text.len())
}

/// What follows the closing tag of a skipped element.
fn after_closing<'a>(text: &'a str, name: &str) -> &'a str {
    let mut rest = text;
    while let Some(at) = rest.find("</") {
        rest = &rest[at + 2..];
        let is_it = rest
            .get(..name.len())
            .is_some_and(|n| n.eq_ignore_ascii_case(name));
        if is_it {
            return rest.find('>').map_or("", |end| &rest[end + 1..]);
        }
    }
    ""
}

#[derive(Default)]
struct Writer {
    out: String,
    /// A heading or list mark to put before the next words.
    mark: String,
    preformatted: bool,
    /// The rows of the table that is open, with its cells.
    table: Option<Vec<Vec<String>>>,
}

impl Writer {
    fn text(&mut self, raw: &str) {
        let text = unescape(raw);
        if self.preformatted && self.table.is_none() {
            self.out.push_str(&text);
            return;
        }
        let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
        if words.is_empty() && (raw.is_empty() || !self.mark.is_empty()) {
            return;
        }
        let (leading, trailing) = (
            text.starts_with(char::is_whitespace),
            text.ends_with(char::is_whitespace),
        );
        let mark = std::mem::take(&mut self.mark);
        let target = match &mut self.table {
            Some(rows) => match rows.last_mut().and_then(|row| row.last_mut()) {
                Some(cell) => cell,
                // Words between rows belong to no cell.
                None => return,
            },
            None => &mut self.out,
        };
        let glued = target.is_empty() || target.ends_with(['\n', ' ']);
        if leading && !glued {
            target.push(' ');
        }
        target.push_str(&mark);
        target.push_str(&words);
        if trailing && !words.is_empty() {
            target.push(' ');
        }
    }

    /// Handles one tag; the name of an element whose content is to be skipped.
    fn tag(&mut self, tag: &str) -> Option<String> {
        let closing = tag.starts_with('/');
        let name: String = tag
            .trim_start_matches('/')
            .chars()
            .take_while(char::is_ascii_alphanumeric)
            .collect();
        let name = name.to_ascii_lowercase();
        if SKIPPED.contains(&name.as_str()) {
            return (!closing && !tag.ends_with('/')).then_some(name);
        }
        match name.as_str() {
            "table" => self.table_tag(closing),
            "tr" if !closing => self.row(),
            "td" | "th" if !closing => self.cell(),
            "br" => self.line(if self.table.is_some() { " " } else { "\n" }),
            "h1" | "h2" | "h3" | "h4" | "h5" | "h6" => {
                self.line("\n\n");
                let level = usize::from(name.as_bytes()[1] - b'0');
                self.mark = if closing {
                    String::new()
                } else {
                    format!("{} ", "#".repeat(level))
                };
            }
            "li" => {
                self.line("\n");
                self.mark = if closing {
                    String::new()
                } else {
                    "- ".to_owned()
                };
            }
            "pre" => {
                self.line("\n\n");
                if self.table.is_none() && self.preformatted == closing {
                    self.out.push_str(if closing { "```\n\n" } else { "```\n" });
                    self.preformatted = !closing;
                }
            }
            name if BLOCKS.contains(&name) => self.line("\n\n"),
            _ => {}
        }
        None
    }

    /// Ends the line, so that the text ends with `with`.
    fn line(&mut self, with: &str) {
        if self.table.is_some() {
            self.text(" ");
            return;
        }
        if self.preformatted {
            if !self.out.ends_with('\n') {
                self.out.push('\n');
            }
            return;
        }
        self.out.truncate(self.out.trim_end_matches(' ').len());
        let there = self.out.len() - self.out.trim_end_matches('\n').len();
        if !self.out.is_empty() {
            self.out
                .push_str(&"\n".repeat(with.len().saturating_sub(there)));
        }
    }

    fn table_tag(&mut self, closing: bool) {
        if !closing {
            if self.table.is_none() {
                self.line("\n\n");
                self.table = Some(Vec::new());
            }
            return;
        }
        let Some(rows) = self.table.take() else {
            return;
        };
        let rows: Vec<Vec<String>> = rows.into_iter().filter(|row| !row.is_empty()).collect();
        let width = rows.iter().map(Vec::len).max().unwrap_or(0);
        for (n, row) in rows.iter().enumerate() {
            let cell = |c: usize| {
                row.get(c)
                    .map_or("", |text| text.trim())
                    .replace('|', "\\|")
            };
            let cells: Vec<String> = (0..width).map(cell).collect();
            self.out.push_str(&format!("| {} |\n", cells.join(" | ")));
            if n == 0 {
                self.out.push_str(&format!("|{}\n", " --- |".repeat(width)));
            }
        }
        self.out.push('\n');
    }

    fn row(&mut self) {
        if let Some(rows) = &mut self.table {
            rows.push(Vec::new());
        }
    }

    fn cell(&mut self) {
        if let Some(rows) = &mut self.table {
            if rows.is_empty() {
                rows.push(Vec::new());
            }
            if let Some(row) = rows.last_mut() {
                row.push(String::new());
            }
        }
    }

    fn finish(mut self) -> String {
        self.table_tag(true);
        if self.preformatted {
            self.line("\n");
            self.out.push_str("```");
        }
        let kept = self.out.trim_end().len();
        self.out.truncate(kept);
        self.out.push('\n');
        self.out
    }
}

/// Character references: numeric ones, and the named ones that pages use most.
fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let end = rest.bytes().take(12).position(|b| b == b';');
        match end.and_then(|end| Some((reference(&rest[1..end])?, end))) {
            Some((letter, end)) => {
                out.push(letter);
                rest = &rest[end + 1..];
            }
            None => {
                out.push('&');
                rest = &rest[1..];
            }
        }
    }
    out.push_str(rest);
    out
}

fn reference(name: &str) -> Option<char> {
    if let Some(number) = name.strip_prefix('#') {
        let code = match number.strip_prefix(['x', 'X']) {
            Some(digits) => u32::from_str_radix(digits, 16).ok()?,
            None => number.parse().ok()?,
        };
        return char::from_u32(code).filter(|c| *c != '\0');
    }
    Some(match name {
        "amp" => '&',
        "lt" => '<',
        "gt" => '>',
        "quot" => '"',
        "apos" => '\'',
        "nbsp" => ' ',
        "ndash" => '–',
        "mdash" => '—',
        "hellip" => '…',
        "lsquo" => '‘',
        "rsquo" => '’',
        "ldquo" => '“',
        "rdquo" => '”',
        "deg" => '°',
        "middot" => '·',
        "bull" => '•',
        "times" => '×',
        "euro" => '€',
        "copy" => '©',
        "reg" => '®',
        "eacute" => 'é',
        "egrave" => 'è',
        "auml" => 'ä',
        "ouml" => 'ö',
        "uuml" => 'ü',
        "szlig" => 'ß',
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_page_becomes_markdown() {
        let page = "<!doctype html><html><head><title>no</title></head><body><h1>Caf&eacute;</h1>\
            <p>One <b>bold</b>\n word &amp; more.<br>Next</p><!-- <p>no</p> --><ul><li>a<li>b</ul>\
            <table><tr><th>k</th><th>v|w</th></tr><tr><td>1<td>2 &lt; 3</table>\
            <script>if (a < b) {}</script><pre>x\n  y</pre> 1 < 2</body></html>";
        assert_eq!(
            to_markdown(page),
            "# Café\n\nOne bold word & more.\nNext\n\n- a\n- b\n\n| k | v\\|w |\n| --- | --- |\n| 1 | 2 < 3 |\n\n```\nx\n  y\n```\n\n1 < 2\n"
        );
    }

    proptest! {
        #[test]
        fn anything_is_read_without_panic(page in "[<>/!\\-a-z\"'= &;#é]{0,120}") {
            to_markdown(&page);
        }

        #[test]
        fn words_outside_of_tags_survive(words in "[a-zé]{1,9}( [a-z]{1,9}){0,5}") {
            let page = format!("<div><p class='a>b'>{words}</p></div>");
            let text = to_markdown(&page);
            prop_assert_eq!(text.trim(), words);
        }
    }
}
