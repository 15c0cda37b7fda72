//! Whole frames at 80 by 24, and keys that lead from one to the next.

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use slm_eval::report::{Embedded, SampleAnswer, SampleRow};
use slm_eval::results::{MetricValue, Results, SystemResult};

use super::*;
use crate::events::{Run, RunFile};
use crate::filter::Filter;

fn answer(right: bool, cause: &str, output: &str) -> SampleAnswer {
    SampleAnswer {
        right,
        cause: cause.into(),
        output: output.into(),
        latency_ms: None,
        confidence: None,
    }
}

fn report() -> App {
    let system = |name: &str, value: f64| SystemResult {
        name: name.into(),
        metrics: [(
            "exact_raw".to_string(),
            MetricValue {
                value,
                low: value - 0.1,
                high: value + 0.1,
                n: 2,
            },
        )]
        .into(),
        ..SystemResult::default()
    };
    let sample = |id: &str, question: &str, answers: Vec<SampleAnswer>| SampleRow {
        id: id.into(),
        question: question.into(),
        target: "the blue door".into(),
        tags: vec![],
        answers,
    };
    let embedded = Embedded {
        results: Results {
            task: "doors".into(),
            samples: 2,
            metrics: vec!["exact_raw".into()],
            systems: vec![system("base", 0.2), system("tuned", 0.8)],
            verdict: vec!["`tuned` leads.".into()],
            notes: vec!["no frontier baseline configured".into()],
            ..Results::default()
        },
        samples: vec![
            sample(
                "a",
                "which\u{1b}[31m door?",
                vec![
                    answer(false, "", "the red door"),
                    answer(true, "", "the blue door"),
                ],
            ),
            sample(
                "b",
                "what now?",
                vec![answer(false, "missing", ""), answer(false, "", "a door")],
            ),
        ],
        ..Embedded::default()
    };
    let mut app = App::new(Source::Report(Box::new(embedded)));
    app.colours = false;
    app
}

pub(super) fn frame(app: &mut App) -> String {
    frame_of(app, 80, 24)
}

pub(super) fn frame_of(app: &mut App, width: u16, height: u16) -> String {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| draw(frame, app)).unwrap();
    let buffer = terminal.backend().buffer();
    let lines: Vec<String> = (0..height)
        .map(|y| {
            let line: String = (0..width).map(|x| buffer[(x, y)].symbol()).collect();
            line.trim_end().to_string()
        })
        .collect();
    lines.join("\n").trim_end().to_string()
}

pub(super) fn press(app: &mut App, keys: &str) {
    for key in keys.chars() {
        let code = match key {
            '\n' => KeyCode::Enter,
            '\t' => KeyCode::Tab,
            other => KeyCode::Char(other),
        };
        app.key(KeyEvent::new(code, KeyModifiers::NONE));
    }
}

#[test]
fn the_systems_frame() {
    let expected = "\
doors  2 samples, 2 systems

 `tuned` leads.

 system                           exact_raw
 base                     0.200 0.100-0.300
 tuned                    0.800 0.700-0.900


 exact_raw               0                                                    1
 base                    \u{b7}\u{b7}\u{b7}\u{b7}\u{b7}\u{2501}\u{2501}\u{2501}\u{2501}\u{2501}\u{2501}\u{25cf}\u{2501}\u{2501}\u{2501}\u{2501}\u{2501}\u{b7}";
    let frame = frame(&mut report());
    let start: String = frame.lines().take(11).collect::<Vec<_>>().join("\n");
    assert!(start.starts_with(expected), "\n{frame}");
    assert!(frame.contains("note: no frontier baseline configured"));
    assert!(frame.ends_with("? help  q quit"));
}

#[test]
fn the_samples_frame_shows_no_escape() {
    let mut app = report();
    press(&mut app, "\t\t");
    let frame = frame(&mut app);
    let expected = "\
doors  2 samples, 2 systems

 2 of 2: all
 \u{2713} right \u{2717} wrong \u{2205} unjudged: base, tuned
 \u{2717}\u{2713}  which\u{241b}[31m door?
 \u{2205}\u{2717}  what now?";
    assert!(frame.starts_with(expected), "\n{frame}");
}

#[test]
fn the_tables_frame_and_its_sections() {
    let mut app = report();
    if let Source::Report(report) = &mut app.source {
        let confidence = slm_eval::results::Confidence {
            risk_coverage: vec![
                slm_eval::statistics::risk_coverage::Kept {
                    threshold: 0.9,
                    coverage: 0.5,
                    risk: 0.0,
                },
                slm_eval::statistics::risk_coverage::Kept {
                    threshold: 0.1,
                    coverage: 1.0,
                    risk: 0.1,
                },
            ],
            ..Default::default()
        };
        report.results.systems[1].confidence = Some(confidence);
        report.results.systems[1].right = 1;
        app.parts = crate::parts::Parts::of(&report.results);
    }
    press(&mut app, "\t");
    let verdict = frame(&mut app);
    assert!(
        verdict.contains(" Verdict  1 of 5") && verdict.contains(" tuned leads."),
        "\n{verdict}"
    );
    press(&mut app, "n");
    let first = frame(&mut app);
    assert!(
        first.contains(" Confidence, and what people must see  2 of 5"),
        "\n{first}"
    );
    assert!(
        first.contains(" System  calibration error  Brier"),
        "\n{first}"
    );
    press(&mut app, "G");
    let curve = frame(&mut app);
    assert!(
        curve.contains("share wrong") && curve.contains("\u{2880}\u{2824}\u{280a}"),
        "\n{curve}"
    );
    press(&mut app, "n");
    let expected = "\
doors  2 samples, 2 systems

 Answers as a whole  3 of 5

 System  right  wrong
 base        0      2
 tuned       1      1
 Right: equal to the target after normalizing, or matching calls. Missing,
 cut-off, refused and unparsable answers are wrong under every metric.";
    let second = frame(&mut app);
    assert!(second.starts_with(expected), "\n{second}");
    press(&mut app, "l");
    assert!(frame(&mut app).contains(" System  wrong \u{2190}"));
    press(&mut app, "nnnn");
    assert!(frame(&mut app).contains("5 of 5"));
    press(&mut app, "\t");
    assert_eq!(app.screen, Screen::Samples);
}

#[test]
fn filters_search_and_the_open_sample() {
    let mut app = report();
    press(&mut app, "\t\tff");
    assert_eq!(app.filter, Filter::Disagreements);
    assert_eq!(app.listed, [0]);
    press(&mut app, "f");
    assert_eq!(app.listed, [1]);
    press(&mut app, "ff/NOW\n\n");
    assert_eq!(app.listed, [1]);
    let frame = frame(&mut app);
    for part in [
        "b",
        "Prompt",
        "what now?",
        "Target",
        "base  missing",
        "tuned  wrong",
    ] {
        assert!(frame.contains(part), "{part} is missing in\n{frame}");
    }
    press(&mut app, "q");
    assert!(app.done);
}

#[test]
fn enter_on_a_system_lists_its_failures() {
    let mut app = report();
    press(&mut app, "j\n");
    assert_eq!((app.system, app.filter), (1, Filter::Failures));
    assert_eq!(app.listed, [1]);
}

#[test]
fn a_verdict_and_a_comment_are_kept_beside_the_report() {
    let folder = std::env::temp_dir().join(format!("slm-tui-view-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let mut app = report();
    let page = folder.join("report.html");
    app.reviewing = crate::review::Reviewing::beside(&page, Default::default());
    press(&mut app, "\t\t\n2cno q here\n");
    assert!(!app.done, "keys of a comment are its text");
    let shown = frame(&mut app);
    assert!(shown.contains("judged wrongly: no q here"), "\n{shown}");
    let kept = std::fs::read_to_string(folder.join("report.reviews.jsonl")).unwrap();
    assert!(
        kept.contains("\"id\":\"a\"") && kept.contains("\"disagree\""),
        "{kept}"
    );
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn help_lies_over_everything_and_any_key_takes_it_away() {
    let mut app = report();
    press(&mut app, "?");
    let frame = frame(&mut app);
    assert!(
        frame.contains("Keys") && frame.contains("show or hide this help"),
        "\n{frame}"
    );
    press(&mut app, "j");
    assert!(!app.help);
}

#[test]
fn a_run_draws_its_curves_and_where_it_stands() {
    let text: String = (1..=50)
        .map(|step| format!("{{\"event\":\"step\",\"step\":{step},\"steps\":100,\"loss\":{},\"learning_rate\":0.001,\"tokens_per_second\":1200,\"elapsed_seconds\":{step}}}\n", 4.0 / f64::from(step)))
        .collect();
    let mut app = App::new(Source::Runs(vec![RunFile::new(
        "events.jsonl".as_ref(),
        Run::parse(&text),
    )]));
    let frame = frame(&mut app);
    assert!(
        frame.contains(
            "step 50 of 100  loss 0.0800\n learning rate 1.00e-3  1200 tokens/s  50 s left"
        ),
        "\n{frame}"
    );
    assert!(
        frame.contains("4.20") && frame.contains("learning rate"),
        "\n{frame}"
    );
    assert!(
        frame
            .chars()
            .any(|c| ('\u{2801}'..='\u{28ff}').contains(&c)),
        "no curve in\n{frame}"
    );
}

#[test]
fn runs_lie_over_each_other_with_a_line_each() {
    let run = |name: &str, factor: f64| {
        let text: String = (1..=50)
            .map(|step| format!("{{\"event\":\"step\",\"step\":{step},\"steps\":100,\"loss\":{},\"learning_rate\":0.001,\"tokens_per_second\":{},\"elapsed_seconds\":{},\"memory_bytes\":1.5e9}}\n", factor / f64::from(step), 100.0 * factor, 100 * step))
            .collect();
        let text = text + "{\"event\":\"checkpoint\",\"step\":50}\n";
        RunFile::new(
            format!("runs/{name}/events.jsonl").as_ref(),
            Run::parse(&text),
        )
    };
    let mut app = App::new(Source::Runs(vec![run("low", 4.0), run("hi\u{1b}gh", 8.0)]));
    app.colours = false;
    let frame = frame(&mut app);
    let expected = "\
2 runs

   run                  step    loss  valid.     rate tokens/s    left   memory
 \u{28ff} low                50/100  0.0800           1.0e-3      400   1h23m  1.50 GB
 \u{2022} hi\u{241b}gh              50/100  0.1600           1.0e-3      800   1h23m  1.50 GB
 low: step 50: checkpoint
 hi\u{241b}gh: step 50: checkpoint";
    assert!(frame.starts_with(expected), "\n{frame}");
    let braille = |c: char| ('\u{2801}'..='\u{28ff}').contains(&c);
    let curves: String = frame.lines().skip(7).collect();
    assert!(
        curves.contains(braille) && curves.contains('\u{2022}'),
        "\n{frame}"
    );
}

#[test]
fn no_size_of_screen_breaks_a_view() {
    for (width, height) in [(1, 1), (2, 3), (10, 4), (30, 8), (200, 60)] {
        let mut app = report();
        for keys in ["", "\t", "\n", "?"] {
            press(&mut app, keys);
            frame_of(&mut app, width, height);
        }
        let run = Run::parse("{\"step\":1,\"loss\":1}\n");
        let mut app = App::new(Source::Runs(vec![RunFile::new("e".as_ref(), run)]));
        frame_of(&mut app, width, height);
    }
}

#[test]
fn without_colours_no_cell_has_one() {
    use ratatui::style::Color;
    let mut app = report();
    for keys in ["", "\t", "\n"] {
        press(&mut app, keys);
        let mut terminal = Terminal::new(TestBackend::new(80, 24)).unwrap();
        terminal.draw(|frame| draw(frame, &mut app)).unwrap();
        let plain = terminal
            .backend()
            .buffer()
            .content
            .iter()
            .all(|cell| cell.fg == Color::Reset && cell.bg == Color::Reset);
        assert!(plain);
    }
}
