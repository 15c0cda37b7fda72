//! Pipelines in InstructLab's form, written here.

use crate::flow::tests::Played;
use crate::flow::{Flow, FlowSettings, FlowTeacher, LeafFacts, Step, read_flow};
use crate::ledger::Fate;
use crate::synthesize::{Pair, PoolSide, Request, Seed, SeedLeaf, Teacher};
use crate::teacher::AskFault;
use slm_taxonomy::Output;
use std::collections::BTreeMap;
use std::path::Path;

const PIPELINE: &str = r#"version: "1.0"
blocks:
  - name: ask
    type: LLMBlock
    config:
      config_path: prompts/ask.yaml
      output_cols: [question, response]
      parser_kwargs:
        parser_name: custom
        parsing_pattern: '\[Q\]\s*(.*?)\s*\[A\]\s*(.*?)\s*(?=\[Q\]|$)'
        parser_cleanup_tags: ["[END]"]
      gen_kwargs: {max_tokens: 64, temperature: 0.7, n: 2, seed: 42}
      batch_kwargs: {num_samples: 3}
    drop_duplicates: [question]
  - name: rate
    type: LLMBlock
    config:
      config_path: prompts/rate.yaml
      output_cols: [why, score]
  - name: good_only
    type: FilterByValueBlock
    config: {filter_column: score, filter_value: 2.0, operation: ge, convert_dtype: float}
    drop_columns: [why, score, num_samples]
"#;
const ASK: &str = r#"system: You write questions.
introduction: Write {{num_samples}} questions - {{task_description}}.
principles:
examples: |
  [Q] {{seed_question}} [A] {{seed_response}} [END]
generation: Begin.
start_tags: [""]
end_tags: [""]
"#;
const RATE: &str = r#"generation: "Rate {{question}} {{response}}"
start_tags: ["[Why]", "[Score]"]
end_tags: ["[End of why]", "[End of score]"]
"#;

fn write(folder: &Path, pipeline: &str) -> Result<Flow, String> {
    std::fs::create_dir_all(folder.join("prompts")).unwrap();
    std::fs::write(folder.join("skills.yaml"), pipeline).unwrap();
    std::fs::write(folder.join("prompts/ask.yaml"), ASK).unwrap();
    std::fs::write(folder.join("prompts/rate.yaml"), RATE).unwrap();
    read_flow(&folder.join("skills.yaml")).map_err(|error| error.to_string())
}

/// Two pairs, or a score that is mumbled now and then.
fn answers(prompt: &str, seed: u64) -> Result<String, AskFault> {
    if prompt.starts_with("Rate") {
        return Ok(match seed % 4 {
            0 => "[Why] hm [End of why]".to_owned(),
            1 => "[Why] bad [End of why] [Score] 1 [End of score]".to_owned(),
            _ => "[Why] good [End of why]\n[Score]\n3\n[End of score]".to_owned(),
        });
    }
    assert!(prompt.starts_with("You write questions.\nWrite 3 questions - Do it.\n"));
    assert!(
        prompt.ends_with("[Q] Why? [A] Because. [END]\n\nBegin."),
        "{prompt}"
    );
    Ok(format!(
        "[Q] What of a{} b{}?\n[A] This. [END]\n[Q] Who is c{} d{}? [A] Her,\nof course. [END]",
        seed % 997,
        seed % 991,
        seed % 983,
        seed % 977
    ))
}

fn leaf() -> SeedLeaf {
    let pair = Pair {
        question: "Why?".into(),
        answer: "Because.".into(),
    };
    let seed = |index| Seed {
        index,
        context: None,
        pairs: vec![pair.clone()],
    };
    SeedLeaf {
        name: "skills/a".into(),
        knowledge: false,
        output: Output::Text,
        instruction: None,
        label_field: None,
        slots: vec![],
        paraphrases: vec![],
        parts: None,
        seeds: (0..5).map(seed).collect(),
    }
}

#[test]
fn a_pipeline_makes_rows_and_its_scores_are_judged() {
    let folder = tempfile::tempdir().unwrap();
    let flow = write(folder.path(), PIPELINE).unwrap();
    let names: Vec<&str> = flow.blocks.iter().map(|b| b.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "ask (num_samples)",
            "ask",
            "ask (parse)",
            "ask (distinct)",
            "rate",
            "response_to_answer"
        ]
    );
    assert!(matches!(&flow.blocks[4].step, Step::Judge(judge) if judge.accept.len() == 9));
    assert_eq!(
        flow.metadata.dataset_requirements.required_columns,
        ["seed_question", "seed_response", "task_description"]
    );
    let facts = LeafFacts {
        task_description: "Do it".into(),
        ..LeafFacts::default()
    };
    let facts = BTreeMap::from([("skills/a".to_owned(), facts)]);
    let chat = Played::new(2, answers);
    let teacher = FlowTeacher::new(&flow, &chat, facts, FlowSettings::default());
    let request = Request {
        rows: 30,
        seed: 1,
        side: PoolSide::Training,
    };
    let made = teacher.synthesize(&leaf(), &request).unwrap();
    assert_eq!(made.samples.len(), 30);
    let answers: Vec<&str> = made.samples.iter().map(|s| s.answer().unwrap()).collect();
    assert!(
        answers.contains(&"This.") && answers.contains(&"Her,\nof course."),
        "{answers:?}"
    );
    let reasons: Vec<&str> = made
        .dropped
        .iter()
        .filter_map(|entry| match &entry.fate {
            Fate::Dropped { reason, .. } => Some(reason.as_str()),
            Fate::Kept { .. } => None,
        })
        .collect();
    for reason in [
        "the judge's verdict cannot be parsed",
        "the judge rejected it",
    ] {
        assert!(reasons.contains(&reason), "no `{reason}`");
    }
}

#[test]
fn what_is_not_supported_is_refused_by_name_and_line() {
    let folder = tempfile::tempdir().unwrap();
    let pipeline = "version: \"1.0\"\nblocks:\n  - name: pick\n    type: SelectorBlock\n    config: {}\n  - name: ask\n    type: LLMBlock\n    config: {config_path: prompts/none.yaml, output_cols: [question]}\n  - name: both\n    type: FilterByValueBlock\n    config: {filter_column: a, filter_value: [1.0, 2.0], operation: ge, convert_dtype: float}\n";
    let message = write(folder.path(), pipeline).unwrap_err();
    for part in [
        "skills.yaml:3: block `pick`: blocks of the type `SelectorBlock` are not supported",
        "skills.yaml:6: block `ask`: its prompt: ",
        "skills.yaml:9: block `both`: this operation with these values is not supported",
    ] {
        assert!(message.contains(part), "no `{part}` in\n{message}");
    }
    let odd = PIPELINE.replace(
        "output_cols: [why, score]",
        "output_cols: [why, score], extra: 1",
    );
    let message = write(folder.path(), &odd).unwrap_err();
    assert!(
        message.contains("its `config`: ") || message.contains("not a flow"),
        "{message}"
    );
}

#[test]
fn columns_are_duplicated_flattened_renamed_combined_and_compared() {
    let folder = tempfile::tempdir().unwrap();
    let pipeline = r#"version: "1.0"
blocks:
  - {name: double, type: DuplicateColumnsBlock, config: {columns_map: {seed_question: original}}}
  - name: fix
    type: LLMBlock
    config: {config_path: prompts/fix.yaml, output_cols: [fixed]}
  - {name: melt, type: FlattenColumnsBlock, config: {var_cols: [original, fixed], value_name: text, var_name: kind}}
  - {name: only, type: FilterByValueBlock, config: {filter_column: kind, filter_value: [original, fixed], operation: eq}}
  - {name: swap, type: RenameColumnsBlock, config: {columns_map: {text: kind, kind: text}}}
  - {name: join, type: CombineColumnsBlock, config: {columns: [text, kind], output_col: question, separator: ": "}}
  - {name: answer, type: DuplicateColumnsBlock, config: {columns_map: {seed_response: response}}}
"#;
    std::fs::create_dir_all(folder.path().join("prompts")).unwrap();
    let fix =
        "generation: Rate {{seed_question}}\nstart_tags: ['[Why]']\nend_tags: ['[End of why]']\n";
    std::fs::write(folder.path().join("prompts/fix.yaml"), fix).unwrap();
    let flow = write(folder.path(), pipeline).unwrap();
    let chat = Played::new(2, answers);
    let teacher = FlowTeacher::new(&flow, &chat, BTreeMap::new(), FlowSettings::default());
    let request = Request {
        rows: 2,
        seed: 1,
        side: PoolSide::Training,
    };
    let made = teacher.synthesize(&leaf(), &request).unwrap();
    let questions: Vec<&str> = made.samples.iter().map(|s| s.question().unwrap()).collect();
    assert_eq!(questions[0], "original: Why?");
    assert!(
        ["fixed: good", "fixed: bad", "fixed: hm"].contains(&questions[1]),
        "{questions:?}"
    );
    assert_eq!(made.samples[0].answer(), Some("Because."));
}

#[test]
fn a_simple_pipeline_has_question_and_answer_in_one_text() {
    let folder = tempfile::tempdir().unwrap();
    let pipeline = "version: \"1.0\"\nblocks:\n  - name: ask\n    type: LLMBlock\n    config:\n      config_path: prompts/plain.yaml\n      output_cols: [output]\n      gen_kwargs: {n: scaled}\n    drop_duplicates: [output]\n";
    std::fs::create_dir_all(folder.path().join("prompts")).unwrap();
    let plain = "generation: Rate {{seed_question}}\nstart_tags: ['']\nend_tags: ['']\n";
    std::fs::write(folder.path().join("prompts/plain.yaml"), plain).unwrap();
    let flow = write(folder.path(), pipeline).unwrap();
    let names: Vec<&str> = flow.blocks.iter().map(|b| b.name.as_str()).collect();
    assert_eq!(names, ["ask", "ask (distinct)", "divide_output"]);
    let Step::Parse(parse) = &flow.blocks[2].step else {
        panic!("the last block parses");
    };
    let pattern = crate::flow::pattern::Pattern::new(parse.parsing_pattern.as_ref().unwrap());
    assert_eq!(
        pattern.unwrap().find_all("Why?\n\nBecause. Or not?"),
        [["Why?", "\n\nBecause. Or not?"]]
    );
}
