//! Blocks by hand.

use super::*;

fn parse_of(yaml: &str) -> Parse {
    serde_yaml::from_str(yaml).unwrap()
}

fn texts(rows: Vec<Vec<Value>>) -> Vec<Vec<String>> {
    rows.into_iter()
        .map(|row| row.iter().map(plain).collect())
        .collect()
}

#[test]
fn marks_are_read_pair_by_pair_and_a_cut_last_one_is_left() {
    let tags = parse_of("{start_tags: ['[Q]', '[A]'], end_tags: ['', '[END]']}");
    let text = "Sure!\n[Q] one\n[A] two [END]\n[Q]three[A]four[END] [Q] five [A] cut off";
    assert_eq!(
        texts(parse_tags(text, &tags)),
        [["one", "two"], ["three", "four"]]
    );
    assert!(parse_tags("nothing", &tags).is_empty());
}

#[test]
fn json_comes_alone_in_lists_and_in_fences() {
    let columns = ["q".to_owned(), "a".to_owned()];
    let read = |text: &str| texts(parse_json(text, &columns));
    assert_eq!(read(r#"{"q": "x", "a": {"k": 1}}"#), [["x", r#"{"k":1}"#]]);
    assert_eq!(
        read("```json\n[{\"q\": \"x\", \"a\": \"y\"}, {\"q\": \"z\"}]\n```"),
        [["x", "y"]]
    );
    assert!(read("{\"q\": \"x\", ").is_empty());
}

#[test]
fn the_last_verdict_counts_and_others_are_none() {
    let judge = |verdicts: Vec<Value>| Judge {
        prompt: super::super::Prompt::new(vec![PromptMessage {
            role: "user".into(),
            content: "x".into(),
        }])
        .unwrap(),
        asking: Asking {
            max_tokens: 1,
            temperature: 0.0,
        },
        verdict_pattern: regex::Regex::new(r"(?i)verdict: (\w+)").unwrap(),
        accept: verdicts.clone(),
        verdicts,
        uncalibrated: false,
    };
    let words = judge(vec!["YES".into(), "NO".into()]);
    assert_eq!(
        verdict(&words, "Verdict: no, or rather\nverdict: yes"),
        Some("YES".into())
    );
    assert_eq!(verdict(&words, "Verdict: MAYBE"), None);
    assert_eq!(verdict(&words, ""), None);
    let numbers = judge(vec![1.into(), 2.into()]);
    assert_eq!(verdict(&numbers, "Verdict: 2"), Some(2.into()));
    assert_eq!(verdict(&numbers, "Verdict: 3"), None);
}

#[test]
fn filters_compare_as_they_say() {
    let unmet = |yaml: &str, text: &str| {
        unmet(&serde_yaml::from_str(yaml).unwrap(), text).map(|(reason, _)| reason)
    };
    assert_eq!(unmet("{operation: ge, filter_value: 2}", "2.5"), None);
    assert_eq!(
        unmet("{operation: ge, filter_value: 2}", "1"),
        Some(reasons::FILTERED)
    );
    assert_eq!(
        unmet("{operation: ge, filter_value: 2}", "two"),
        Some(reasons::NOT_A_NUMBER)
    );
    assert_eq!(unmet("{operation: in, filter_value: [a, 1]}", "1"), None);
    assert_eq!(
        unmet("{operation: eq, filter_value: a}", "b"),
        Some(reasons::FILTERED)
    );
    assert_eq!(
        unmet("{operation: max_words, filter_value: 2}", "a b c"),
        Some(reasons::FILTERED)
    );
    assert_eq!(
        unmet("{operation: no_personal_data}", "mail ada@lovelace.org"),
        Some(reasons::FILTERED)
    );
}

#[test]
fn answers_cut_off_filtered_or_empty_have_their_own_reasons() {
    let text = "metadata: {name: x, dataset_requirements: {required_columns: [a]}, output_columns: [question, answer]}\nblocks:\n  - block_type: transform\n    block_config: {block_name: b, input_cols: [a, a], output_cols: [question, answer], operation: copy}\n";
    let flow = super::super::parse_flow(std::path::Path::new("x.yaml"), text).unwrap();
    let row = || Row {
        id: "r".into(),
        leaf: "l".into(),
        columns: Default::default(),
        seed: None,
        trace: Default::default(),
    };
    let reason = |text: &str, finish: &str| {
        let answer = ChatAnswer {
            text: text.into(),
            finish_reason: Some(finish.into()),
            ..ChatAnswer::default()
        };
        match answered(&flow.blocks[0], row(), answer) {
            Passed::Kept(row) => row.text("question"),
            Passed::Dropped { reason, .. } => reason.to_owned(),
        }
    };
    assert_eq!(reason(" fine ", "stop"), "fine");
    assert_eq!(reason("half a", "length"), reasons::CUT_OFF);
    assert_eq!(reason("I cannot", "content_filter"), reasons::REFUSED);
    assert_eq!(reason("  ", "stop"), reasons::EMPTY);
}
