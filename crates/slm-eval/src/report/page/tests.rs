//! The page as a whole: hostile content stays content, and data comes back.

use serde_json::json;

use super::*;
use crate::predictions::{Prediction, Predictions};
use crate::report::{extract, with_reviews};
use crate::review::{Opinion, Review, Reviews};
use crate::score::{Options, score};
use crate::task::OutputType;

const HOSTILE: &str =
    "</script><script>alert(1)</script><img src=x onerror=alert(2)>\u{1b}[31m\u{202e}&\"'";

fn report(outputs: &[Option<&str>]) -> (String, Results) {
    let task = Task::of_kind(HOSTILE, OutputType::Text);
    let rows: Vec<Row> = (0..outputs.len())
        .map(|index| Row {
            id: format!("{index}{HOSTILE}"),
            input: Some(HOSTILE.into()),
            target: json!("yes"),
            tags: vec![HOSTILE.into()],
            ..Row::default()
        })
        .collect();
    let answers = rows
        .iter()
        .zip(outputs)
        .filter_map(|(row, output)| Some(Prediction::text(row.id.clone(), (*output)?)));
    let systems = [System {
        name: HOSTILE.into(),
        predictions: Predictions::new(answers, &rows),
        ..System::default()
    }];
    let results = score(&task, &rows, &systems, &Options::default());
    (html(&results, &task, &rows, &systems), results)
}

#[test]
fn hostile_text_stays_text() {
    let (page, _) = report(&[Some(HOSTILE), Some("yes"), None]);
    assert_eq!(page.matches("<script").count(), 4, "only our own scripts");
    assert_eq!(page.matches("</script").count(), 4);
    assert!(!page.contains("<img"));
    for steering in ['\u{1b}', '\u{202e}'] {
        let outside = page.split("<script type=").next().unwrap();
        assert!(!outside.contains(steering));
    }
}

#[test]
fn the_policy_allows_nothing_but_our_own() {
    let (page, _) = report(&[Some("yes")]);
    let policy = page
        .split("Content-Security-Policy\" content=\"")
        .nth(1)
        .unwrap();
    let policy = policy.split("\">").next().unwrap();
    assert!(policy.starts_with("default-src 'none'; style-src 'sha256-"));
    assert!(!policy.contains("unsafe") && !policy.contains("http"));
    assert!(!page.contains(" style=\"") && !page.contains(" onclick"));
    assert!(!SCRIPT.contains("innerHTML") && !SCRIPT.contains("eval("));
}

#[test]
fn what_went_in_comes_back() {
    let (page, results) = report(&[Some(HOSTILE), Some("yes"), None]);
    let back = extract(&page).unwrap();
    assert_eq!(
        serde_json::to_string(&back.results).unwrap(),
        serde_json::to_string(&results).unwrap()
    );
    assert_eq!(back.samples.len(), 3);
    assert_eq!(back.samples[0].question, HOSTILE);
    assert_eq!(back.samples[0].answers[0].output, HOSTILE);
    assert!(!back.samples[0].answers[0].right);
    assert!(back.samples[1].answers[0].right);
    assert_eq!(back.samples[1].answers[0].output, "yes");
    assert_eq!(back.samples[2].answers[0].cause, "missing");
}

#[test]
fn latencies_come_back_beside_the_answers() {
    let task = Task::of_kind("t", OutputType::Text);
    let row = |id: &str| Row {
        id: id.into(),
        target: json!("yes"),
        ..Row::default()
    };
    let rows = [row("a"), row("b")];
    let slow = Prediction {
        latency_ms: Some(12.345),
        ..Prediction::text("a", "yes")
    };
    let systems = [System {
        predictions: Predictions::new([slow, Prediction::text("b", "yes")], &rows),
        ..System::default()
    }];
    let results = score(&task, &rows, &systems, &Options::default());
    let back = extract(&html(&results, &task, &rows, &systems)).unwrap();
    assert_eq!(back.samples[0].answers[0].latency_ms, Some(12.3));
    assert_eq!(back.samples[1].answers[0].latency_ms, None);
}

#[test]
fn a_report_cut_in_half_is_told() {
    let (page, _) = report(&[Some("yes")]);
    let cut = page.find("slm-samples").unwrap() + 40;
    assert!(
        extract(&page[..cut])
            .unwrap_err()
            .to_string()
            .contains("cut off")
    );
}

#[test]
fn a_report_without_systems_or_samples_still_renders() {
    let results = Results::default();
    let page = html(&results, &Task::default(), &[], &[]);
    assert!(page.ends_with("</html>\n"));
    assert!(extract(&page).unwrap().samples.is_empty());
}

#[test]
fn reviews_are_merged_into_the_page_and_come_back() {
    let (page, _) = report(&[Some("yes"), None]);
    let mut reviews = Reviews::default();
    for reviewer in ["ann", HOSTILE] {
        reviews.put(Review {
            id: format!("0{HOSTILE}"),
            reviewer: reviewer.into(),
            opinion: Some(Opinion::BadTarget),
            comment: HOSTILE.into(),
            ..Review::blank("", "")
        });
    }
    let merged = with_reviews(&page, &reviews).unwrap();
    assert_eq!(merged.matches("</script").count(), 4);
    assert_eq!(extract(&merged).unwrap().reviews, reviews);
    // Merging again replaces, and nothing else has changed.
    let emptied = with_reviews(&merged, &Reviews::default()).unwrap();
    assert_eq!(emptied, page);
    assert!(with_reviews("<html>", &reviews).is_err());
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(64))]

    #[test]
    fn any_text_survives_and_nothing_gets_out(question in "\\PC*|[<>/a-z!\\-\u{0}-\u{1f}\u{202e}]{0,40}", output in "\\PC*|[<>&\"'/script!-]{0,40}") {
        let task = Task::of_kind("t", OutputType::Text);
        let rows = [Row {
            id: question.clone() + "x",
            input: Some(question.clone()),
            target: json!("yes"),
            ..Row::default()
        }];
        let systems = [System {
            name: output.clone(),
            predictions: Predictions::new([Prediction::text(rows[0].id.clone(), output.clone())], &rows),
            ..System::default()
        }];
        let options = Options { resamples: 10, ..Options::default() };
        let results = score(&task, &rows, &systems, &options);
        let page = html(&results, &task, &rows, &systems);
        proptest::prop_assert_eq!(page.matches("</script").count(), 4);
        let back = extract(&page).unwrap();
        proptest::prop_assert_eq!(&back.samples[0].question, &question);
        proptest::prop_assert_eq!(&back.samples[0].answers[0].output, &output);
        for value in results.systems[0].metrics.values() {
            proptest::prop_assert!(value.low <= value.value && value.value <= value.high);
        }
    }
}
