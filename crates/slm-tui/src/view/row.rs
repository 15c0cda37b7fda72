//! One row of a dataset: its verdict, the conversation by roles, metadata, the ledger's entry.
//!
//! Does not know which rows come before and after.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;
use slm_data::review::Review;
use slm_data::{Message, Plain, Sample};

use super::detail::{MOST, limited, wrapped};
use super::theme::Theme;
use super::{inset, line_of, rows};
use crate::dataset::provenance::Looked;
use crate::dataset::row::{Row, words};
use crate::dataset::{Browser, answer_of};
use crate::difference::{Part, difference};

pub(super) fn draw(frame: &mut Frame, area: Rect, browser: &mut Browser, theme: &Theme) {
    let area = inset(area);
    let Some((row, shown)) = browser.current() else {
        return;
    };
    let line = browser.rows.line(row).unwrap_or(0);
    let unit = browser.rows.unit();
    let mut page = Page {
        lines: vec![Line::raw("")],
        width: usize::from(area.width).max(1),
        theme,
    };
    match &*shown {
        Row::Bad { reason, text } => {
            page.lines
                .push(Line::styled(format!("{unit} {line}: bad"), theme.bad));
            page.text(reason);
            page.section("The line");
            page.text(text);
        }
        Row::Good(sample, hash) => {
            page.lines.push(Line::from(vec![
                Span::styled(line_of(&sample.id), theme.title),
                Span::styled(format!("  {unit} {line}"), theme.soft),
            ]));
            let review = browser.verdicts.of(hash);
            if let Some(review) = review {
                page.verdict(review);
            }
            page.sample(sample, review.and_then(|review| review.edited.as_deref()));
            page.ledger(&browser.ledger.of(&sample.id));
        }
    }
    browser.page = usize::from(area.height).max(1);
    let most = page.lines.len().saturating_sub(browser.page);
    browser.scroll = browser.scroll.min(most);
    let shown: Vec<Line> = page
        .lines
        .into_iter()
        .skip(browser.scroll)
        .take(browser.page)
        .collect();
    frame.render_widget(Paragraph::new(shown), area);
}

/// The lines of the page so far.
struct Page<'a, 't> {
    lines: Vec<Line<'a>>,
    width: usize,
    theme: &'t Theme,
}

impl Page<'_, '_> {
    fn section(&mut self, heading: &str) {
        self.lines.push(Line::raw(""));
        self.lines
            .push(Line::styled(line_of(heading), self.theme.accent));
    }

    fn text(&mut self, text: &str) {
        self.parts(&[Part::Same(limited(text))]);
        if text.len() > MOST && text.chars().nth(MOST).is_some() {
            let more = text.chars().count() - MOST;
            let note = format!("\u{2026} and {} characters more", rows::count(more));
            self.lines.push(Line::styled(note, self.theme.soft));
        }
    }

    fn parts(&mut self, parts: &[Part]) {
        self.lines.extend(wrapped(parts, self.width, self.theme));
    }

    fn verdict(&mut self, review: &Review) {
        let (sign, style) = rows::mark(review.verdict, self.theme);
        let name = match review.verdict {
            Some(verdict) => format!("{verdict:?}").to_lowercase(),
            None => String::new(),
        };
        let reason = match review.reason.is_empty() {
            true => String::new(),
            false => format!(": {}", line_of(&review.reason)),
        };
        self.lines
            .push(Line::styled(format!("{sign} {name}{reason}"), style));
    }

    fn sample(&mut self, sample: &Sample, edited: Option<&str>) {
        if let Some(plain) = &sample.plain {
            match plain {
                Plain::Pair { prompt, completion } => {
                    self.section("prompt");
                    self.text(prompt);
                    self.section("completion");
                    self.text(completion);
                }
                Plain::Text { text } => {
                    self.section("text");
                    self.text(text);
                }
            }
        }
        let answer = answer_of(sample);
        for (index, message) in sample.messages.iter().enumerate() {
            self.message(message, edited.filter(|_| answer == Some(index)));
        }
        if let Some(tools) = &sample.tools {
            self.section("tools");
            self.text(&serde_json::to_string_pretty(tools).unwrap_or_default());
        }
        if !sample.metadata.is_empty() {
            self.section("Metadata");
            for (key, value) in &sample.metadata {
                self.text(&format!("{key}  {}", words(value)));
            }
        }
    }

    fn message(&mut self, message: &Message, edited: Option<&str>) {
        let marked = if edited.is_some() { ", edited" } else { "" };
        self.section(&format!("{}{marked}", message.role.name()));
        match edited {
            Some(edited) => self.parts(&difference(&limited(&message.content), &limited(edited))),
            None if message.content.is_empty() && !message.more.is_empty() => {}
            None => self.text(&message.content),
        }
        for (key, value) in &message.more {
            self.text(&format!("{key}  {}", words(value)));
        }
    }

    fn ledger(&mut self, looked: &Looked) {
        match looked {
            Looked::None => {}
            Looked::Looking(share) => {
                self.section(&format!("Ledger: looking, {:.0}%", share * 100.0))
            }
            Looked::Missing => self.section("Ledger: no entry of this id"),
            Looked::Found(entry) => {
                self.section("Ledger");
                let value = serde_json::to_value(entry).unwrap_or_default();
                for (key, value) in value.as_object().into_iter().flatten() {
                    if key != "id" {
                        self.text(&format!("{key}  {}", words(value)));
                    }
                }
            }
        }
    }
}
