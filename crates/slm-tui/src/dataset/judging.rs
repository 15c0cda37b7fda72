//! Verdicts by keys: what is typed, the editor's text, the way back.
//!
//! Does not know how verdicts are kept.

use ratatui::crossterm::event::{KeyCode, KeyEvent};
use slm_data::Sample;
use slm_data::review::{Verdict, open_review};

use super::Browser;
use super::row::Row;
use super::verdicts::judged;

/// A verdict whose reason is being written.
#[derive(Debug, Clone)]
pub struct Writing {
    /// The verdict.
    pub verdict: Verdict,
    /// The reason so far.
    pub text: String,
    edited: Option<String>,
}

/// What the keys are written into.
#[derive(Debug, Clone, Default)]
pub enum Typing {
    /// Nothing: keys are actions.
    #[default]
    Nothing,
    /// The search.
    Search,
    /// A reason.
    Reason(Writing),
}

impl Browser {
    /// Whether keys are text now.
    pub fn is_typing(&self) -> bool {
        !matches!(self.typing, Typing::Nothing)
    }

    /// Takes a key while keys are text.
    pub fn type_key(&mut self, key: KeyEvent) {
        match (&mut self.typing, key.code) {
            (Typing::Nothing, _) => {}
            (Typing::Search, KeyCode::Enter) => self.typing = Typing::Nothing,
            (Typing::Search, code) => {
                match code {
                    KeyCode::Esc => {
                        self.typing = Typing::Nothing;
                        self.search.clear();
                    }
                    KeyCode::Backspace => {
                        self.search.pop();
                    }
                    KeyCode::Char(character) => self.search.push(character),
                    _ => return,
                }
                self.list();
            }
            (Typing::Reason(writing), KeyCode::Esc) => {
                self.said = match writing.edited {
                    Some(_) => "no verdict given; e goes on with the edited answer".into(),
                    None => "no verdict given".into(),
                };
                self.typing = Typing::Nothing;
            }
            (Typing::Reason(writing), KeyCode::Enter) => {
                if !writing.text.trim().is_empty() {
                    self.give();
                }
            }
            (Typing::Reason(writing), KeyCode::Backspace) => {
                writing.text.pop();
            }
            (Typing::Reason(writing), KeyCode::Char(character)) => writing.text.push(character),
            (Typing::Reason(_), _) => {}
        }
    }

    /// The sample selected with its hash, or why it cannot be judged.
    fn sample(&mut self) -> Option<(usize, Sample, String)> {
        match self.current() {
            Some((row, shown)) => match &*shown {
                Row::Good(sample, hash) => return Some((row, (**sample).clone(), hash.clone())),
                Row::Bad { .. } => self.said = "a line that is no row cannot be judged".into(),
            },
            None => self.said = "there is no row to judge".into(),
        }
        None
    }

    /// Accepts the row, or asks for the reason.
    pub(super) fn judge(&mut self, verdict: Verdict) {
        let Some((row, sample, hash)) = self.sample() else {
            return;
        };
        let before = self.verdicts.of(&hash);
        if verdict == Verdict::Accept {
            let review = judged(open_review(&sample), verdict, "", None);
            return self.verdicts.put(row, review);
        }
        let reason = before.filter(|review| review.verdict == Some(verdict));
        self.typing = Typing::Reason(Writing {
            verdict,
            text: reason.map_or_else(String::new, |review| review.reason.clone()),
            edited: None,
        });
    }

    /// Asks for an editor on the answer: as drafted, as edited before, or as it is.
    pub(super) fn edit(&mut self) {
        let Some((_, sample, hash)) = self.sample() else {
            return;
        };
        let Some(answer) = sample.answer() else {
            self.said = "the row has no assistant turn, so there is no answer to edit".into();
            return;
        };
        let edited = self.verdicts.of(&hash).and_then(|r| r.edited.clone());
        let draft = self.drafts.get(&hash).cloned();
        self.wanted = Some(draft.or(edited).unwrap_or_else(|| answer.to_owned()));
    }

    /// Takes what the editor gave back, and asks for the reason; or why there is nothing.
    pub fn edited(&mut self, outcome: Result<String, String>) {
        let text = match outcome {
            Ok(text) => text,
            Err(why) => {
                self.said = why;
                return;
            }
        };
        let Some((_, sample, hash)) = self.sample() else {
            return;
        };
        let before = self.verdicts.of(&hash).cloned();
        let known = before.as_ref().and_then(|review| review.edited.as_deref());
        if text.trim().is_empty() {
            self.said = "the answer was left empty; to drop the row, reject it".into();
        } else if known.or(sample.answer()) == Some(&*text) {
            self.said = "nothing was changed".into();
        } else {
            self.drafts.insert(hash, text.clone());
            self.typing = Typing::Reason(Writing {
                verdict: Verdict::Edit,
                text: before.map_or_else(String::new, |review| review.reason),
                edited: Some(text),
            });
        }
    }

    fn give(&mut self) {
        let Typing::Reason(writing) = std::mem::take(&mut self.typing) else {
            return;
        };
        if let Some((row, sample, hash)) = self.sample() {
            self.drafts.remove(&hash);
            let open = open_review(&sample);
            let review = judged(open, writing.verdict, &writing.text, writing.edited);
            self.verdicts.put(row, review);
        }
    }

    /// Takes the last verdict back and goes to its row, where it is listed.
    pub(super) fn undo(&mut self) {
        let Some(row) = self.verdicts.undo() else {
            return;
        };
        let position = match &self.scan {
            Some(scan) => scan.found.binary_search(&row).ok(),
            None => Some(row),
        };
        if let Some(position) = position {
            self.selected = position;
            self.scroll = 0;
        }
    }
}
