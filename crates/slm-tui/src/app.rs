//! What is open, selected and filtered, and how actions change it.
//!
//! Does not know the terminal: keys come in, the views read the fields.

use ratatui::crossterm::event::{KeyEvent, KeyModifiers, MouseButton, MouseEvent, MouseEventKind};
use slm_eval::report::SampleRow;
use slm_eval::review::Opinion;

use crate::dataset::moved;
use crate::filter::Filter;
use crate::keys::{self, Action};
use crate::parts::Parts;
use crate::review::Reviewing;
use crate::source::Source;

mod samples;

/// Lines that a turn of the wheel goes.
const WHEEL: usize = 3;

/// What fills the screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Screen {
    /// Systems by metrics.
    Systems,
    /// The tables and curves beside these.
    Parts,
    /// The list of samples.
    Samples,
    /// One sample.
    Detail,
    /// Training runs.
    Run,
    /// A dataset: its rows, or one.
    Rows,
}

/// Where the list lies on screen, told by the last drawing; for the mouse.
#[derive(Debug, Clone, Copy, Default)]
pub struct ListPlace {
    /// The first line of the screen.
    pub top: u16,
    /// Lines of the screen; 0 where no list is shown.
    pub height: u16,
    /// The position that is on the first line.
    pub first: usize,
}

/// The state of the program.
#[derive(Debug)]
pub struct App {
    /// What is shown.
    pub source: Source,
    /// What fills the screen.
    pub screen: Screen,
    /// Whether help lies over it.
    pub help: bool,
    /// Whether the program is to end.
    pub done: bool,
    /// The sections of a report.
    pub parts: Parts,
    /// The metric that the chart shows and the table begins with.
    pub metric: usize,
    /// The system that filters are about.
    pub system: usize,
    /// Which samples are listed.
    pub filter: Filter,
    /// The text searched for.
    pub search: String,
    /// Whether keys are written into the search.
    pub searching: bool,
    /// The samples listed, by position.
    pub listed: Vec<usize>,
    /// The line selected among them.
    pub selected: usize,
    /// The first line of a sample's text on screen.
    pub scroll: usize,
    /// Lines of a page, told by the last drawing.
    pub page: usize,
    /// Lines of the open sample, told by the last drawing.
    pub lines: usize,
    /// Whether colours may be used.
    pub colours: bool,
    /// What reviewers say about samples.
    pub reviewing: Reviewing,
    /// Whether clicks and the wheel are taken; otherwise the terminal marks text by them.
    pub mouse: bool,
    /// Where the list lies.
    pub list_place: ListPlace,
    /// Whether the reader was told that verdicts would be lost.
    warned: bool,
}

impl App {
    /// The state at the beginning; colours unless `NO_COLOR` is set.
    pub fn new(source: Source) -> Self {
        let screen = match source {
            Source::Report(_) => Screen::Systems,
            Source::Runs(_) => Screen::Run,
            Source::Dataset(_) => Screen::Rows,
        };
        let parts = match &source {
            Source::Report(report) => Parts::of(&report.results),
            _ => Parts::default(),
        };
        let mut app = Self {
            source,
            parts,
            screen,
            help: false,
            done: false,
            metric: 0,
            system: 0,
            filter: Filter::All,
            search: String::new(),
            searching: false,
            listed: Vec::new(),
            selected: 0,
            scroll: 0,
            page: 10,
            lines: 0,
            reviewing: Reviewing::default(),
            mouse: true,
            list_place: ListPlace::default(),
            warned: false,
            colours: std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()),
        };
        app.list();
        app
    }

    /// The samples; none where no report is open.
    pub fn samples(&self) -> &[SampleRow] {
        match &self.source {
            Source::Report(report) => &report.samples,
            _ => &[],
        }
    }

    /// The sample selected.
    pub fn sample(&self) -> Option<&SampleRow> {
        self.samples().get(*self.listed.get(self.selected)?)
    }

    /// Reads the runs' files again; a file that went away leaves what is known.
    pub fn refresh(&mut self) {
        if let Source::Runs(runs) = &mut self.source {
            for run in runs {
                run.refresh();
            }
        }
    }

    /// Does a slice of what is to be done between two frames; whether there is more of it.
    pub fn work(&mut self) -> bool {
        match &mut self.source {
            Source::Dataset(browser) => browser.work(),
            _ => false,
        }
    }

    /// The text that an editor is to be opened on, once.
    pub fn wanted(&mut self) -> Option<String> {
        match &mut self.source {
            Source::Dataset(browser) => browser.wanted.take(),
            _ => None,
        }
    }

    /// Takes what the editor gave back.
    pub fn edited(&mut self, outcome: Result<String, String>) {
        if let Source::Dataset(browser) = &mut self.source {
            browser.edited(outcome);
        }
    }

    /// Takes a press of a button or a turn of the wheel.
    pub fn mouse(&mut self, event: MouseEvent) {
        let typing = matches!(&self.source, Source::Dataset(browser) if browser.is_typing());
        if self.help || self.searching || self.reviewing.writing.is_some() || typing {
            return;
        }
        match event.kind {
            MouseEventKind::ScrollDown => (0..WHEEL).for_each(|_| self.act(Action::Down)),
            MouseEventKind::ScrollUp => (0..WHEEL).for_each(|_| self.act(Action::Up)),
            MouseEventKind::Down(MouseButton::Left) => {
                let line = event.row.checked_sub(self.list_place.top);
                if let Some(line) = line.filter(|line| *line < self.list_place.height) {
                    self.click(self.list_place.first + usize::from(line));
                }
            }
            _ => {}
        }
    }

    fn click(&mut self, position: usize) {
        match (&mut self.source, self.screen) {
            (Source::Dataset(browser), _) => browser.click(position),
            (_, Screen::Samples) if position == self.selected => self.act(Action::Open),
            (_, Screen::Samples) if position < self.listed.len() => self.selected = position,
            _ => {}
        }
    }

    /// Takes a key press.
    pub fn key(&mut self, key: KeyEvent) {
        if key.modifiers.contains(KeyModifiers::CONTROL) {
            // Control and a letter is no text, and control and C leaves from anywhere.
            if keys::action(key) == Some(Action::Quit) {
                self.quit();
            }
            return;
        }
        if self.searching {
            return self.type_into_search(key);
        }
        if self.reviewing.writing.is_some() {
            return self.type_into_comment(key);
        }
        if let Source::Dataset(browser) = &mut self.source
            && browser.is_typing()
        {
            return browser.type_key(key);
        }
        let Some(action) = keys::action(key) else {
            return;
        };
        if self.help && action != Action::Quit {
            self.help = false;
            return;
        }
        match action {
            Action::Quit => self.quit(),
            Action::Help => self.help = true,
            Action::Mouse => self.mouse = !self.mouse,
            _ if self.screen == Screen::Rows => self.act(action),
            Action::Switch => self.switch(),
            Action::Back => self.back(),
            _ => self.act(action),
        }
    }

    /// Ends the program; verdicts that could not be kept are tried once more, and the program
    /// stays where that fails, until the key is pressed again.
    fn quit(&mut self) {
        if let Source::Dataset(browser) = &mut self.source
            && browser.verdicts.unsaved
            && !std::mem::replace(&mut self.warned, true)
        {
            browser.said.clear();
            browser.verdicts.save();
            if browser.verdicts.unsaved {
                browser
                    .verdicts
                    .said
                    .insert_str(0, "q again leaves without the last verdicts: ");
                return;
            }
        }
        self.done = true;
    }

    fn act(&mut self, action: Action) {
        if let Source::Dataset(browser) = &mut self.source {
            self.warned = false;
            return browser.act(action);
        }
        match (self.screen, action) {
            (Screen::Systems, Action::Left) => self.metric = self.metric.saturating_sub(1),
            (Screen::Systems, Action::Right) => {
                self.metric = (self.metric + 1).min(self.metrics().saturating_sub(1));
            }
            (Screen::Systems, Action::Down | Action::System) => self.turn_system(1),
            (Screen::Systems, Action::Up) => self.turn_system(-1),
            (Screen::Systems, Action::Open) => {
                self.filter = Filter::Failures;
                self.list();
                if !self.samples().is_empty() {
                    self.screen = Screen::Samples;
                }
            }
            (Screen::Parts, action) => self.parts.act(action),
            (Screen::Samples, Action::Open) if self.sample().is_some() => {
                self.screen = Screen::Detail;
                self.scroll = 0;
            }
            (Screen::Samples, Action::Filter) => {
                self.filter = self.filter.next();
                self.list();
            }
            (Screen::Samples, Action::System) => {
                self.turn_system(1);
                self.list();
            }
            (Screen::Samples, Action::Search) => {
                self.searching = true;
            }
            (Screen::Samples, action) => {
                self.selected = self.moved(self.selected, self.listed.len(), action)
            }
            (Screen::Detail, Action::Agree) => self.opine(Opinion::Agree),
            (Screen::Detail, Action::Disagree) => self.opine(Opinion::Disagree),
            (Screen::Detail, Action::BadTarget) => self.opine(Opinion::BadTarget),
            (Screen::Detail, Action::Comment) => {
                if let Some(id) = self.sample().map(|sample| sample.id.clone()) {
                    self.reviewing.write(&id);
                }
            }
            (Screen::Detail, Action::Next) => self.select(1),
            (Screen::Detail, Action::Previous) => self.select(-1),
            (Screen::Detail, action) => {
                let most = self.lines.saturating_sub(self.page) + 1;
                self.scroll = self.moved(self.scroll, most, action);
            }
            _ => {}
        }
    }

    fn moved(&self, at: usize, length: usize, action: Action) -> usize {
        moved(at, length, self.page, action)
    }

    fn select(&mut self, by: isize) {
        let last = self.listed.len().saturating_sub(1);
        self.selected = self.selected.saturating_add_signed(by).min(last);
        self.scroll = 0;
    }

    fn switch(&mut self) {
        self.screen = match self.screen {
            Screen::Systems if !self.parts.all.is_empty() => Screen::Parts,
            Screen::Systems | Screen::Parts if !self.samples().is_empty() => Screen::Samples,
            Screen::Parts => Screen::Systems,
            Screen::Samples | Screen::Detail => Screen::Systems,
            other => other,
        };
    }

    fn back(&mut self) {
        self.screen = match self.screen {
            Screen::Detail => Screen::Samples,
            Screen::Samples | Screen::Parts => Screen::Systems,
            other => other,
        };
    }

    fn metrics(&self) -> usize {
        match &self.source {
            Source::Report(report) => report.results.metrics.len(),
            _ => 0,
        }
    }

    fn turn_system(&mut self, by: isize) {
        let Source::Report(report) = &self.source else {
            return;
        };
        let count = report.results.systems.len().max(1) as isize;
        self.system = (self.system as isize + by).rem_euclid(count) as usize;
    }
}
