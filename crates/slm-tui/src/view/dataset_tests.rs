//! Whole frames of datasets at 80 by 24, and keys that lead from one to the next.

use std::path::PathBuf;

use ratatui::crossterm::event::{
    KeyCode, KeyEvent, KeyModifiers, MouseButton, MouseEvent, MouseEventKind,
};
use slm_data::review::{Reviews, Verdict};
use slm_data::{Entry, Sample, SampleReader, write_ledger};
use tempfile::TempDir;

use super::tests::{frame, frame_of, press};
use super::*;
use crate::dataset::Browser;

/// A folder with five rows, of which two lines are none, and a ledger.
fn folder() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let rows: Vec<Sample> = [
        ("where is my order?", "{\"intent\":\"track\"}"),
        ("red\u{1b}[31m \u{202e}door", "ok"),
        ("cancel it", "{\"intent\":\"cancel\"}"),
    ]
    .iter()
    .enumerate()
    .map(|(n, (question, answer))| {
        Sample::pair(format!("r{n}"), *question, *answer)
            .with("leaf", "compositional_skills/extraction/long/orders")
            .with("seed", n)
            .with("teacher", "grammar")
    })
    .collect();
    let lines: Vec<String> = rows
        .iter()
        .map(|row| serde_json::to_string(row).unwrap())
        .collect();
    let text = format!("{}\n{}\r\n\noops\n[1]\n{}", lines[0], lines[1], lines[2]);
    let path = folder.path().join("train.jsonl");
    std::fs::write(&path, text).unwrap();
    std::fs::write(folder.path().join("test.jsonl"), "").unwrap();
    let entries: Vec<Entry> = rows.iter().map(|row| Entry::kept(row, "train")).collect();
    write_ledger(&folder.path().join("ledger.jsonl"), &entries).unwrap();
    (folder, path)
}

fn opened(folder: &TempDir) -> App {
    let browser = Browser::open(Browser::files_of(folder.path()), 0).unwrap();
    let mut app = App::new(Source::Dataset(Box::new(browser)));
    app.colours = false;
    while app.work() {}
    app
}

/// The frame below its title, which names a folder of chance.
fn body(app: &mut App) -> String {
    while app.work() {}
    let frame = frame(app);
    frame.split_once('\n').unwrap().1.to_owned()
}

fn key(app: &mut App, code: KeyCode) {
    app.key(KeyEvent::new(code, KeyModifiers::NONE));
}

#[test]
fn the_list_shows_provenance_bad_lines_and_no_escape() {
    let (folder, _) = folder();
    let mut app = opened(&folder);
    let expected = "
 5 of 5 rows: all
     leaf #seed teacher          question \u{2192} answer
 \u{b7}   \u{2026}/long/orders #0 grammar    where is my order? \u{2192} {\"intent\":\"track\"}
 \u{b7}   \u{2026}/long/orders #1 grammar    red\u{241b}[31m \u{27e8}U+202E\u{27e9}door \u{2192} ok
 !   bad line: not a valid row: expected value, column 1
 !   bad line: the row is no JSON object; each line must hold one
 \u{b7}   \u{2026}/long/orders #2 grammar    cancel it \u{2192} {\"intent\":\"cancel\"}
";
    let shown = body(&mut app);
    assert!(shown.starts_with(expected), "\n{shown}");
    let title = frame(&mut app);
    assert!(
        title
            .lines()
            .next()
            .unwrap()
            .ends_with("train.jsonl  5 rows, file 1 of 2; 0 accepted, 0 rejected, 0 edited"),
        "\n{title}"
    );
    key(&mut app, KeyCode::Tab);
    let shown = body(&mut app);
    assert!(shown.contains("the file has no rows"), "\n{shown}");
}

#[test]
fn a_row_shows_roles_metadata_and_its_ledger_entry() {
    let (folder, _) = folder();
    let mut app = opened(&folder);
    press(&mut app, "\n");
    let expected = "
 r0  line 1

 user
 where is my order?

 assistant
 {\"intent\":\"track\"}

 Metadata
 leaf  compositional_skills/extraction/long/orders
 seed  0
 teacher  grammar

 Ledger
 leaf  compositional_skills/extraction/long/orders
 seed  0
 teacher  grammar
 outcome  kept
 split  train


n p row  a accept  x reject  e edit  u undo  Esc list  ? help  q quit";
    let shown = body(&mut app);
    assert_eq!(shown, expected, "\n{shown}");
    press(&mut app, "nn");
    let shown = body(&mut app);
    assert!(
        shown.contains("line 4: bad") && shown.contains("oops"),
        "\n{shown}"
    );
}

#[test]
fn verdicts_are_given_edited_undone_and_read_by_slm_data() {
    let (folder, path) = folder();
    let mut app = opened(&folder);
    press(&mut app, "ajx\n no q\n");
    assert!(!app.done, "a reason must be given, and its keys are text");
    key(&mut app, KeyCode::Down);
    press(&mut app, "a");
    assert!(body(&mut app).contains("a line that is no row cannot be judged"));
    key(&mut app, KeyCode::End);
    press(&mut app, "e");
    assert_eq!(app.wanted().as_deref(), Some("{\"intent\":\"cancel\"}"));
    app.edited(Ok("{\"intent\":\"stop\"}".into()));
    assert!(body(&mut app).ends_with("reason to edit (Esc drops): \u{2588}"));
    // A dropped reason loses no work: the editor begins with what was edited.
    key(&mut app, KeyCode::Esc);
    press(&mut app, "e");
    let draft = app.wanted().unwrap();
    assert_eq!(draft, "{\"intent\":\"stop\"}");
    app.edited(Ok(draft));
    press(&mut app, "clearer\n\n");
    let shown = body(&mut app);
    assert!(shown.contains("\u{270e} edit: clearer"), "\n{shown}");
    let reviews = Reviews::read(&folder.path().join("train.reviews.jsonl")).unwrap();
    let said: Vec<Option<Verdict>> = SampleReader::open(&path)
        .unwrap()
        .filter_map(Result::ok)
        .map(|sample| reviews.of(&sample)?.verdict)
        .collect();
    let all = [Verdict::Accept, Verdict::Reject, Verdict::Edit].map(Some);
    assert_eq!(said, all);
    press(&mut app, "uu");
    let again = opened(&folder);
    let Source::Dataset(browser) = &again.source else {
        panic!("no dataset");
    };
    assert_eq!(browser.verdicts.counts, [1, 0, 0]);
    assert!(browser.verdicts.said.starts_with("verdicts so far: 1, in "));
}

#[test]
fn an_editor_that_gives_nothing_changes_nothing() {
    let (folder, _) = folder();
    let mut app = opened(&folder);
    for (outcome, said) in [
        (Ok(" \n".to_owned()), "to drop the row, reject it"),
        (
            Ok("{\"intent\":\"track\"}".to_owned()),
            "nothing was changed",
        ),
        (
            Err("`vi` was not found; set EDITOR".to_owned()),
            "was not found",
        ),
    ] {
        app.edited(outcome);
        assert!(body(&mut app).contains(said), "{said}");
    }
    assert!(!folder.path().join("train.reviews.jsonl").exists());
}

#[test]
fn search_and_filters_list_rows_and_the_mouse_selects() {
    let (folder, _) = folder();
    let mut app = opened(&folder);
    press(&mut app, "/CANCEL\n");
    let shown = body(&mut app);
    assert!(
        shown.contains("1 of 5 rows: all, with \u{201c}CANCEL\u{201d}\n"),
        "\n{shown}"
    );
    press(&mut app, "/");
    key(&mut app, KeyCode::Esc);
    press(&mut app, "fffff");
    assert!(body(&mut app).contains("2 of 5 rows: bad lines"));
    press(&mut app, "f");
    body(&mut app);
    let click = MouseEvent {
        kind: MouseEventKind::Down(MouseButton::Left),
        column: 9,
        row: 5,
        modifiers: KeyModifiers::NONE,
    };
    app.mouse(click);
    app.mouse(click);
    assert!(body(&mut app).contains("r1  line 2"));
}

#[test]
fn verdicts_that_cannot_be_kept_hold_the_program_once() {
    let (folder, _) = folder();
    let mut app = opened(&folder);
    std::fs::create_dir(folder.path().join("train.reviews.jsonl")).unwrap();
    press(&mut app, "a");
    assert!(body(&mut app).contains("NOT KEPT"));
    press(&mut app, "q");
    assert!(!app.done);
    assert!(body(&mut app).contains("q again leaves without the last verdicts"));
    press(&mut app, "q");
    assert!(app.done);
}

#[test]
fn a_search_and_an_index_tell_how_far_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("train.jsonl");
    let row = serde_json::to_string(&Sample::pair("", "x".repeat(1 << 20), "y")).unwrap();
    std::fs::write(&path, format!("{row}\n").repeat(12)).unwrap();
    let browser = Browser::open(vec![path], 0).unwrap();
    let mut app = App::new(Source::Dataset(Box::new(browser)));
    let shown = frame(&mut app);
    assert!(shown.contains("reading 8%"), "\n{shown}");
    press(&mut app, "/y");
    assert!(app.work());
    let shown = frame(&mut app);
    assert!(shown.contains("searching"), "\n{shown}");
    while app.work() {}
    let shown = frame(&mut app);
    assert!(
        shown.contains("12 of 12 rows: all, with \u{201c}y\u{201d}\n"),
        "\n{shown}"
    );
}

#[test]
fn no_size_of_screen_breaks_a_dataset() {
    let (folder, _) = folder();
    for (width, height) in [(1, 1), (2, 3), (10, 4), (30, 8), (200, 60)] {
        let mut app = opened(&folder);
        for keys in ["", "\n", "x", "n"] {
            press(&mut app, keys);
            frame_of(&mut app, width, height);
        }
        key(&mut app, KeyCode::Esc);
        press(&mut app, "?");
        frame_of(&mut app, width, height);
    }
}
