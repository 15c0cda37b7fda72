//! Asks for what an option did not give: questions on stderr, answers from stdin.
//!
//! Does not know what is asked.

use std::io::{self, BufRead, Write};

use anyhow::Result;

use crate::failure::Failure;

/// A line that ends a text of several lines.
const END: &str = ".";

/// Whoever answers.
pub struct Answers<R> {
    input: R,
}

impl<R: BufRead> Answers<R> {
    /// Answers that are read from `input`.
    pub fn new(input: R) -> Self {
        Self { input }
    }

    /// One line that is not empty, asked for until it is given; `default` for an empty one.
    pub fn line(&mut self, question: &str, option: &str, default: Option<&str>) -> Result<String> {
        loop {
            match default {
                Some(default) => eprint!("{question} [{default}]: "),
                None => eprint!("{question}: "),
            }
            let line = self.read(question, option)?;
            match (line.trim(), default) {
                ("", Some(default)) => return Ok(default.to_owned()),
                ("", None) => eprintln!("  (an answer is needed)"),
                (line, _) => return Ok(line.to_owned()),
            }
        }
    }

    /// Lines up to one that holds only a dot. An empty text is none.
    pub fn text(&mut self, question: &str, option: &str) -> Result<Option<String>> {
        eprintln!("{question} (end with a line that holds only `{END}`):");
        let mut lines: Vec<String> = Vec::new();
        loop {
            eprint!("  ");
            let line = self.read(question, option)?;
            if line.trim() == END {
                break;
            }
            lines.push(line);
        }
        let text = lines.join("\n").trim().to_owned();
        Ok((!text.is_empty()).then_some(text))
    }

    fn read(&mut self, question: &str, option: &str) -> Result<String> {
        io::stderr().flush()?;
        let mut line = String::new();
        if self.input.read_line(&mut line)? == 0 {
            eprintln!();
            return Err(Failure::usage(format!("no answer to `{question}`"))
                .hint(format!("answer on stdin, or give `{option}`"))
                .into());
        }
        Ok(line.trim_end_matches(['\n', '\r']).to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_texts_and_defaults_are_read() {
        let mut answers = Answers::new("\nme\n\na\n\n b\n.\n.\n".as_bytes());
        assert_eq!(answers.line("Who", "--who", None).unwrap(), "me");
        assert_eq!(answers.line("Who", "--who", Some("x")).unwrap(), "x");
        assert_eq!(answers.text("What", "--what").unwrap().unwrap(), "a\n\n b");
        assert_eq!(answers.text("What", "--what").unwrap(), None);
        let error = answers.line("Who", "--who", None).unwrap_err();
        assert_eq!(error.to_string(), "no answer to `Who`");
    }
}
