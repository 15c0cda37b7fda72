//! Samples by keys: which are listed, what is searched for, and what reviewers say.
//!
//! Does not know how verdicts are kept.

use ratatui::crossterm::event::{KeyCode, KeyEvent};
use slm_eval::report::SampleRow;
use slm_eval::review::Opinion;

use super::App;

impl App {
    pub(super) fn type_into_search(&mut self, key: KeyEvent) {
        match key.code {
            KeyCode::Enter => self.searching = false,
            KeyCode::Esc => {
                self.searching = false;
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

    pub(super) fn opine(&mut self, opinion: Opinion) {
        if let Some(id) = self.sample().map(|sample| sample.id.clone()) {
            self.reviewing.opine(&id, opinion);
        }
    }

    pub(super) fn type_into_comment(&mut self, key: KeyEvent) {
        let id = self.sample().map(|sample| sample.id.clone());
        let Some(text) = &mut self.reviewing.writing else {
            return;
        };
        match (key.code, id) {
            (KeyCode::Enter, Some(id)) => self.reviewing.keep(&id),
            (KeyCode::Esc | KeyCode::Enter, _) => self.reviewing.writing = None,
            (KeyCode::Backspace, _) => {
                text.pop();
            }
            (KeyCode::Char(character), _) => text.push(character),
            _ => {}
        }
    }

    /// Lists the samples that filter and search keep.
    pub(super) fn list(&mut self) {
        let words = self.search.to_lowercase();
        let holds = |text: &str| text.to_lowercase().contains(&words);
        let found = |sample: &SampleRow| {
            words.is_empty()
                || [&sample.id, &sample.question, &sample.target]
                    .into_iter()
                    .any(|text| holds(text))
                || sample.answers.iter().any(|answer| holds(&answer.output))
        };
        self.listed = self
            .samples()
            .iter()
            .enumerate()
            .filter(|(_, sample)| self.filter.keeps(sample, self.system) && found(sample))
            .map(|(index, _)| index)
            .collect();
        self.selected = 0;
        self.scroll = 0;
    }
}
