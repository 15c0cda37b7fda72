//! The list of a dataset's rows: verdict, provenance, question and answer.
//!
//! Does not know searches; the list is made elsewhere.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;
use slm_data::review::Verdict;
use slm_data::{Plain, Sample};

use super::theme::Theme;
use super::{fit, inset, line_of};
use crate::app::ListPlace;
use crate::dataset::Browser;
use crate::dataset::row::{Row, words};

pub(super) fn draw(
    frame: &mut Frame,
    area: Rect,
    browser: &mut Browser,
    theme: &Theme,
) -> ListPlace {
    let [above, list] =
        Layout::vertical([Constraint::Length(3), Constraint::Min(1)]).areas(inset(area));
    let width = usize::from(list.width);
    frame.render_widget(Paragraph::new(heading(browser, width, theme)), above);
    let height = usize::from(list.height);
    browser.page = height.max(1);
    let first = browser
        .selected
        .saturating_sub(height / 2)
        .min(browser.listed().saturating_sub(height));
    let lines: Vec<Line> = (first..browser.listed().min(first + height))
        .filter_map(|position| {
            let row = browser.row_at(position)?;
            let shown = browser.row(row)?;
            let selected = position == browser.selected;
            Some(line(browser, &shown, selected, width, theme))
        })
        .collect();
    frame.render_widget(Paragraph::new(lines), list);
    ListPlace {
        top: list.y,
        height: list.height,
        first,
    }
}

fn heading<'a>(browser: &Browser, width: usize, theme: &Theme) -> Vec<Line<'a>> {
    let mut text = format!(
        "{} of {} rows",
        count(browser.listed()),
        count(browser.rows.len())
    );
    if browser.rows.is_empty() && browser.rows.is_complete() {
        text = "the file has no rows".into();
    }
    text.push_str(&format!(": {}", browser.filter.name()));
    if !browser.search.is_empty() {
        text.push_str(&format!(
            ", with \u{201c}{}\u{201d}",
            line_of(&browser.search)
        ));
    }
    text.push_str(&progress(browser));
    let provenance = provenance_width(width);
    let head = format!(
        "    {:<provenance$}  question \u{2192} answer",
        "leaf #seed teacher"
    );
    vec![
        Line::raw(""),
        Line::styled(fit(&text, width), theme.accent),
        Line::styled(fit(&head, width), theme.head),
    ]
}

/// How far finding and searching rows are, where they are not done.
pub(super) fn progress(browser: &Browser) -> String {
    let mut text = String::new();
    if !browser.rows.is_complete() {
        text.push_str(&format!("  reading {:.0}%", browser.rows.share() * 100.0));
    }
    if let Some(scan) = &browser.scan {
        let share = scan.share(&browser.rows) * browser.rows.share();
        if share < 1.0 {
            text.push_str(&format!("  searching {:.0}%", share * 100.0));
        }
    }
    text
}

/// A count with its thousands apart.
pub(super) fn count(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn provenance_width(width: usize) -> usize {
    (width / 3).clamp(10, 44)
}

/// A verdict's mark and style.
pub(super) fn mark(verdict: Option<Verdict>, theme: &Theme) -> (&'static str, Style) {
    match verdict {
        Some(Verdict::Accept) => ("\u{2713}", theme.good),
        Some(Verdict::Reject) => ("\u{2717}", theme.bad),
        Some(Verdict::Edit) => ("\u{270e}", theme.accent),
        None => ("\u{b7}", theme.soft),
    }
}

fn line<'a>(browser: &Browser, row: &Row, selected: bool, width: usize, theme: &Theme) -> Line<'a> {
    let style = if selected {
        theme.selected
    } else {
        Style::new()
    };
    let left = width.saturating_sub(4);
    match row {
        Row::Bad { reason, .. } => Line::from(vec![
            Span::styled("!", theme.bad),
            Span::raw("   "),
            Span::styled(
                fit(&format!("bad line: {}", line_of(reason)), left),
                style.patch(theme.bad),
            ),
        ]),
        Row::Good(sample, hash) => {
            let verdict = browser.verdicts.of(hash).and_then(|review| review.verdict);
            let (sign, sign_style) = mark(verdict, theme);
            let wide = provenance_width(width);
            Line::from(vec![
                Span::styled(sign, sign_style),
                Span::raw("   "),
                Span::styled(
                    fit(&provenance(sample, wide), wide),
                    style.patch(theme.soft),
                ),
                Span::styled("  ", style),
                Span::styled(fit(&content(sample), left.saturating_sub(wide + 2)), style),
            ])
        }
    }
}

/// Leaf, seed and teacher in at most so many columns; a long leaf keeps its end.
fn provenance(sample: &Sample, width: usize) -> String {
    let seed = sample
        .seed()
        .map_or_else(String::new, |seed| format!(" #{seed}"));
    let teacher = sample
        .metadata
        .get("teacher")
        .map(words)
        .unwrap_or_default();
    let after = format!("{seed} {}", line_of(&teacher));
    let after = after.trim_end();
    let leaf = line_of(sample.leaf().unwrap_or_default());
    let parts: Vec<&str> = leaf.split('/').collect();
    for from in 0..parts.len() {
        let short = parts[from..].join("/");
        let dots = if from > 0 { "\u{2026}/" } else { "" };
        let text = format!("{dots}{short}{after}");
        if text.chars().count() <= width || from + 1 == parts.len() {
            return text.trim_start().to_owned();
        }
    }
    String::new()
}

fn content(sample: &Sample) -> String {
    match &sample.plain {
        Some(Plain::Pair { prompt, completion }) => {
            format!("{} \u{2192} {}", line_of(prompt), line_of(completion))
        }
        Some(Plain::Text { text }) => line_of(text),
        None => format!(
            "{} \u{2192} {}",
            line_of(sample.question().unwrap_or_default()),
            line_of(sample.answer().unwrap_or_default())
        ),
    }
}
