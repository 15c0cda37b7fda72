//! Reads templates (see `grammar`) into nodes.
//!
//! Knows names only through the two look-ups it is given; an unknown name is
//! reported and left out.

use super::grammar::{Choice, Node};

/// Where names are looked up and problems collected.
pub(crate) struct Names<'a> {
    /// Number of a `$symbol`.
    pub(crate) symbol: &'a dyn Fn(&str) -> Option<usize>,
    /// Number of a `{field}`.
    pub(crate) field: &'a dyn Fn(&str) -> Option<usize>,
    /// Unknown names met, for the tests.
    pub(crate) problems: &'a mut Vec<String>,
}

/// Reads alternatives separated by `|`.
pub(crate) fn parse(text: &str, names: &mut Names) -> Choice {
    let mut reader = Reader {
        marks: text.trim().chars().collect(),
        at: 0,
        names,
    };
    let choice = reader.choice();
    if reader.at < reader.marks.len() {
        let rest: String = reader.marks[reader.at..].iter().collect();
        reader
            .names
            .problems
            .push(format!("unbalanced template at `{rest}` in `{text}`"));
    }
    choice
}

struct Reader<'a, 'b> {
    marks: Vec<char>,
    at: usize,
    names: &'a mut Names<'b>,
}

impl Reader<'_, '_> {
    fn peek(&self) -> Option<char> {
        self.marks.get(self.at).copied()
    }

    fn choice(&mut self) -> Choice {
        let mut choice = Choice::default();
        loop {
            let (held_out, weight) = self.prefix();
            let nodes = self.sequence();
            choice.push(held_out, weight, nodes);
            if self.peek() != Some('|') {
                return choice;
            }
            self.at += 1;
        }
    }

    /// `!` and `%N ` at the start of an alternative, spaces before them allowed.
    fn prefix(&mut self) -> (bool, u32) {
        let start = self.at;
        while self.peek() == Some(' ') {
            self.at += 1;
        }
        let held_out = self.peek() == Some('!');
        if held_out {
            self.at += 1;
        }
        let mut weight = 0;
        if self.peek() == Some('%') {
            self.at += 1;
            while let Some(digit) = self.peek().and_then(|mark| mark.to_digit(10)) {
                weight = weight * 10 + digit;
                self.at += 1;
            }
        } else if !held_out {
            self.at = start;
        }
        (held_out, weight.max(1))
    }

    fn sequence(&mut self) -> Vec<Node> {
        let mut nodes = Vec::new();
        let mut text = String::new();
        while let Some(mark) = self.peek() {
            if matches!(mark, '|' | ']' | '>' | '}') {
                break;
            }
            self.at += 1;
            if mark == '\\' {
                let escaped = self.peek().unwrap_or('\\');
                text.push(if escaped == 'n' { '\n' } else { escaped });
                self.at += 1;
            } else if matches!(mark, '[' | '<' | '{' | '$') {
                if !text.is_empty() {
                    nodes.push(Node::Text(std::mem::take(&mut text)));
                }
                nodes.extend(self.special(mark));
            } else {
                text.push(mark);
            }
        }
        if !text.is_empty() {
            nodes.push(Node::Text(text));
        }
        nodes
    }

    fn special(&mut self, mark: char) -> Option<Node> {
        match mark {
            '[' => {
                let choice = self.choice();
                self.expect(']');
                Some(Node::Choice(choice))
            }
            '<' => {
                let inner = self.choice();
                self.expect('>');
                Some(Node::Maybe(vec![Node::Choice(inner)]))
            }
            '{' => {
                let name = self.name();
                self.expect('}');
                let found = (self.names.field)(&name);
                self.known(found, &name).map(Node::Field)
            }
            _ => {
                let name = self.name();
                let found = (self.names.symbol)(&name);
                self.known(found, &name).map(Node::Symbol)
            }
        }
    }

    fn known(&mut self, found: Option<usize>, name: &str) -> Option<usize> {
        if found.is_none() {
            self.names.problems.push(format!("unknown name `{name}`"));
        }
        found
    }

    fn expect(&mut self, mark: char) {
        if self.peek() == Some(mark) {
            self.at += 1;
        } else {
            let rest: String = self.marks[self.at.min(self.marks.len())..].iter().collect();
            self.names
                .problems
                .push(format!("`{mark}` expected before `{rest}`"));
        }
    }

    fn name(&mut self) -> String {
        let mut name = String::new();
        while let Some(mark) = self
            .peek()
            .filter(|m| m.is_ascii_alphanumeric() || *m == '_')
        {
            name.push(mark);
            self.at += 1;
        }
        name
    }
}
