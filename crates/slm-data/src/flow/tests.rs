//! Flows from end to end, with a teacher that is played.

use super::*;
use crate::document::Chunk;
use crate::error::DataError;
use crate::synthesize::{Offer, Pair, PoolSide, Reply, Request, Seed, SeedLeaf, Teacher};
use crate::teacher::{AskFault, ChatAnswer, ChatRequest, ChatTeacher, Kept, Nobody, Replay};
use slm_taxonomy::Output;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

/// A teacher that answers by what it is asked for, at its own speed.
pub(super) struct Played {
    answers: fn(&str, u64) -> Result<String, AskFault>,
    calls: AtomicU64,
    concurrency: usize,
}

impl Played {
    pub(super) fn new(
        concurrency: usize,
        answers: fn(&str, u64) -> Result<String, AskFault>,
    ) -> Self {
        Self {
            answers,
            calls: AtomicU64::new(0),
            concurrency,
        }
    }
}

impl ChatTeacher for Played {
    fn name(&self) -> &str {
        "played"
    }

    fn identity(&self) -> String {
        "played".into()
    }

    fn concurrency(&self) -> usize {
        self.concurrency
    }

    fn ask(&self, request: &ChatRequest) -> Result<ChatAnswer, AskFault> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        std::thread::sleep(std::time::Duration::from_micros(request.seed % 300));
        let prompt = &request.messages.last().unwrap().content;
        let text = (self.answers)(prompt, request.seed)?;
        Ok(ChatAnswer {
            text,
            finish_reason: Some("stop".into()),
            ..ChatAnswer::default()
        })
    }
}

const FLOW: &str = r#"
metadata:
  name: tiny
  dataset_requirements: {required_columns: [seed_question]}
  output_columns: [question, answer]
blocks:
  - block_type: generate
    block_config: {block_name: write, input_cols: [seed_question], output_cols: raw, temperature: 1, prompt: [{role: user, content: "write like {{ seed_question }}"}]}
  - block_type: parse
    block_config: {block_name: read, input_cols: raw, output_cols: [question, answer], start_tags: ["Q:", "A:"], end_tags: ["", ""], min_share: 0.5}
  - block_type: judge
    block_config: {block_name: rate, input_cols: [question], output_cols: score, verdict_pattern: 'Score: (\d)', verdicts: [1, 2], accept: [2], prompt: [{role: user, content: "rate {{ question }}"}]}
  - block_type: deduplicate
    block_config: {block_name: once, input_cols: question, similarity: 0.8}
"#;

fn flow(text: &str) -> Result<Flow, String> {
    parse_flow(Path::new("f.yaml"), text).map_err(|e| e.to_string())
}

fn leaf() -> SeedLeaf {
    let seed = |index: usize| Seed {
        index,
        context: None,
        pairs: vec![Pair {
            question: format!("seed question {index}"),
            answer: "yes".into(),
        }],
    };
    SeedLeaf {
        name: "skills/a".into(),
        knowledge: false,
        output: Output::Text,
        instruction: Some("Do it.".into()),
        label_field: None,
        slots: vec![],
        paraphrases: vec![],
        parts: None,
        seeds: (0..5).map(seed).collect(),
    }
}

fn teacher<'a>(flow: &'a Flow, chat: &'a dyn ChatTeacher) -> FlowTeacher<'a> {
    FlowTeacher::new(flow, chat, BTreeMap::new(), FlowSettings::default())
}

fn request(rows: usize) -> Request {
    Request {
        rows,
        seed: 7,
        side: PoolSide::Training,
    }
}

/// Writes two questions; a third of them is rated 1, some verdicts are mumbled.
fn answers(prompt: &str, seed: u64) -> Result<String, AskFault> {
    if prompt.starts_with("rate") {
        return Ok(match seed % 6 {
            0 | 1 => "Score: 1".into(),
            2 => "I would rather not say".into(),
            _ => "Fine. Score: 2".into(),
        });
    }
    if seed.is_multiple_of(10) {
        return Err(AskFault::Refused("the server answered 400: no".into()));
    }
    if seed.is_multiple_of(9) {
        return Ok("no marks here".into());
    }
    let words = |n: u64| format!("w{} w{} w{} w{}", n % 97, n % 89, n % 83, n % 79);
    Ok(format!(
        "Q: {}\nA: one\nQ: {}\nA: two",
        words(seed),
        words(seed / 7)
    ))
}

#[test]
fn every_row_is_accounted_for_whatever_the_concurrency() {
    let flow = flow(FLOW).unwrap();
    let mut results = Vec::new();
    for concurrency in [1, 8] {
        let chat = Played::new(concurrency, answers);
        let teacher = teacher(&flow, &chat);
        let made = teacher.synthesize(&leaf(), &request(60)).unwrap();
        assert_eq!(made.samples.len(), 60);
        assert_eq!(made.shortfall, None);
        let funnel = teacher.funnel();
        for (before, after) in funnel.blocks.iter().zip(&funnel.blocks[1..]) {
            assert_eq!(before.rows_out, after.rows_in, "{funnel}");
        }
        let surplus = made
            .dropped
            .iter()
            .filter(|e| format!("{:?}", e.fate).contains(reasons::SURPLUS))
            .count() as u64;
        assert_eq!(funnel.blocks[4].rows_out, 60 + surplus);
        let dropped: u64 = funnel.blocks.iter().map(BlockCount::all_dropped).sum();
        assert_eq!(made.dropped.len() as u64, dropped + surplus);
        for reason in [
            reasons::REFUSED,
            reasons::UNPARSABLE,
            reasons::NO_VERDICT,
            reasons::REJECTED,
        ] {
            assert!(
                funnel.blocks.iter().any(|b| b.dropped.contains_key(reason)),
                "{reason}\n{funnel}"
            );
        }
        results.push((made, funnel));
    }
    assert_eq!(
        results[0], results[1],
        "the number of threads changes nothing"
    );
}

#[test]
fn rows_say_how_they_were_made() {
    let flow = flow(FLOW).unwrap();
    let chat = Played::new(4, answers);
    let made = teacher(&flow, &chat)
        .synthesize(&leaf(), &request(10))
        .unwrap();
    let row = &made.samples[0];
    assert!(row.question().unwrap().starts_with("Do it.\nw"));
    assert_eq!(row.metadata["teacher"], "played");
    let entry = crate::ledger::Entry::kept(row, "train");
    let trace = entry.trace.unwrap();
    assert_eq!(trace.flow, format!("tiny@{}", &flow.hash[..12]));
    let blocks: Vec<&str> = trace.calls.iter().map(|call| call.block.as_str()).collect();
    assert_eq!(blocks, ["write", "rate"]);
    assert_eq!(trace.judgments[0].verdict, Some(2.into()));
    let mumbled = made
        .dropped
        .iter()
        .find(|e| format!("{:?}", e.fate).contains(reasons::NO_VERDICT))
        .unwrap();
    let trace = mumbled.trace.as_ref().unwrap();
    assert_eq!(trace.judgments[0].verdict, None, "unparsable is no score");
    assert_eq!(trace.judgments[0].text, "I would rather not say");
    assert_eq!(trace.dropped_by.as_deref(), Some("rate"));
    assert!(trace.columns.contains_key("raw"));
}

#[test]
fn a_killed_run_repeats_no_call_and_ends_the_same() {
    let flow = flow(FLOW).unwrap();
    let whole = Played::new(4, answers);
    let expected = teacher(&flow, &whole)
        .synthesize(&leaf(), &request(40))
        .unwrap();
    let folder = tempfile::tempdir().unwrap();
    // The first attempt breaks down after 30 answers.
    static LEFT: AtomicU64 = AtomicU64::new(30);
    let failing = Played::new(4, |prompt, seed| {
        let left = LEFT.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1));
        left.map_err(|_| AskFault::Stopped {
            message: "the server is gone".into(),
            hint: "run again".into(),
        })?;
        answers(prompt, seed)
    });
    let kept = Kept::new(failing, folder.path().into());
    let error = teacher(&flow, &kept)
        .synthesize(&leaf(), &request(40))
        .unwrap_err();
    assert!(error.to_string().contains("the server is gone"), "{error}");
    let paid = kept.asked();
    assert!(paid > 0);
    let second = Kept::new(Played::new(8, answers), folder.path().into());
    assert_eq!(
        teacher(&flow, &second)
            .synthesize(&leaf(), &request(40))
            .unwrap(),
        expected
    );
    assert!(
        second.found() <= paid && second.found() + 6 > paid,
        "answers are found, refusals asked again"
    );
    let replay = Replay::open(folder.path()).unwrap();
    let replayed = teacher(&flow, &replay).synthesize(&leaf(), &request(40));
    assert_eq!(replayed.unwrap(), expected, "refusals are replayed as well");
}

#[test]
fn a_block_that_lets_too_little_through_is_a_hard_error() {
    let flow = flow(FLOW).unwrap();
    let chat = Played::new(2, |prompt, seed| {
        Ok(if prompt.starts_with("rate") {
            "Score: 2".into()
        } else {
            format!("no marks {seed}")
        })
    });
    let teacher = teacher(&flow, &chat);
    let mut lost = 0;
    let message = teacher
        .offer(&leaf(), &request(100), &mut |offer| {
            lost += usize::from(matches!(offer, Offer::Dropped(_)));
            Ok(Reply::Taken)
        })
        .unwrap_err()
        .to_string();
    assert!(message.starts_with("flow `tiny`: block `read` let through 0 of 20 rows (0%), and must let through 50%\n  20 x the text cannot be parsed, such as: no marks"), "{message}");
    assert!(message.contains("\nhint: "));
    assert!(chat.calls.load(Ordering::SeqCst) < 30, "it stops early");
    assert_eq!(lost, 20, "each has its entry");
}

#[test]
fn too_few_rows_are_explained() {
    let flow = flow(FLOW).unwrap();
    let chat = Played::new(2, |prompt, _| {
        Ok(if prompt.starts_with("rate") {
            "Score: 2".into()
        } else {
            "Q: always the same thing\nA: x".into()
        })
    });
    let made = teacher(&flow, &chat)
        .synthesize(&leaf(), &request(9))
        .unwrap();
    let shortfall = made.shortfall.unwrap();
    assert_eq!((shortfall.got, shortfall.wanted), (1, 9));
    assert!(
        shortfall
            .reason
            .contains("dropped by `once` since a row like it was made before"),
        "{}",
        shortfall.reason
    );
}

#[test]
fn faults_are_found_before_anything_runs() {
    let cases = [
        (
            "block_type: generate",
            "block_type: genrate",
            "`genrate` is no block type",
            "did you mean `generate`?",
        ),
        (
            "{{ seed_question }}",
            "{{ seed_qestion }}",
            "its prompt names `seed_qestion`",
            "did you mean `seed_question`?",
        ),
        (
            "input_cols: raw,",
            "input_cols: rwa,",
            "it reads the column `rwa`, which no block before it makes",
            "did you mean `raw`?",
        ),
        (
            "input_cols: [seed_question],",
            "input_cols: [seed_question, score],",
            "it reads the column `score` that block `rate` makes from what this block makes: a cycle",
            "before both",
        ),
        (
            "similarity: 0.8",
            "similarity: 8",
            "`similarity: 8` is no similarity",
            "at most 1",
        ),
        (
            "accept: [2]",
            "accept: [3]",
            "`accept` is empty or holds what is no verdict",
            "verdicts",
        ),
        (
            "output_columns: [question, answer]",
            "output_columns: [question]",
            "`metadata.output_columns` lacks `answer`",
            "question",
        ),
        (
            "block_name: once",
            "block_name: rate",
            "there is another block of this name",
            "unique",
        ),
        (
            "end_tags: [\"\", \"\"]",
            "end_tags: [\"\"]",
            "one start and one end tag",
            "empty",
        ),
        (
            "temperature: 1",
            "temprature: 1",
            "unknown field `temprature`",
            "docs/flows.md",
        ),
    ];
    for (from, to, message, hint) in cases {
        let fault = flow(&FLOW.replacen(from, to, 1)).unwrap_err();
        assert!(fault.contains(message) && fault.contains(hint), "{fault}");
    }
    let several = FLOW
        .replace("genrate", "generate")
        .replace("similarity: 0.8", "similarity: 8")
        .replace("accept: [2]", "accept: [3]");
    let fault = flow(&several).unwrap_err();
    assert!(
        fault.contains("f.yaml:12: block `rate`:") && fault.contains("f.yaml:14: block `once`:"),
        "{fault}"
    );
    assert!(
        flow("metadata: [").unwrap_err().starts_with("f.yaml:1:"),
        "{:?}",
        flow("metadata: [")
    );
}

#[test]
fn a_column_of_a_later_block_is_told_to_move() {
    let text = FLOW.replacen("input_cols: raw,", "input_cols: late,", 1)
        + "  - block_type: transform\n    block_config: {block_name: last, output_cols: late, operation: set, value: x}\n";
    let fault = flow(&text).unwrap_err();
    assert!(
        fault.contains("which block `last` makes only later")
            && fault.contains("move block `last`"),
        "{fault}"
    );
}

#[test]
fn the_adversarial_flow_needs_nobody_and_repeats() {
    let flow = shipped_flow("adversarial").unwrap();
    let leaf = SeedLeaf {
        seeds: (0..5)
            .map(|index| Seed {
                index,
                context: None,
                pairs: vec![Pair {
                    question: format!(
                        "Please cancel the standing order number {index} for my account today."
                    ),
                    answer: "cancel".into(),
                }],
            })
            .collect(),
        ..leaf()
    };
    let made = teacher(&flow, &Nobody)
        .synthesize(&leaf, &request(20))
        .unwrap();
    assert_eq!(made.samples.len(), 20);
    assert_eq!(
        made,
        teacher(&flow, &Nobody)
            .synthesize(&leaf, &request(20))
            .unwrap()
    );
    assert!(
        made.samples
            .iter()
            .all(|s| s.answer() == Some("cancel") && s.metadata["teacher"] == "rules")
    );
    let asking = shipped_flow("freeform").unwrap();
    let facts = BTreeMap::from([(
        "skills/a".to_owned(),
        LeafFacts {
            task_description: "t".into(),
            ..LeafFacts::default()
        },
    )]);
    let error = FlowTeacher::new(&asking, &Nobody, facts, FlowSettings::default())
        .synthesize(&leaf, &request(2))
        .unwrap_err();
    assert!(error.to_string().contains("none is given"), "{error}");
}

fn chunk(source: usize, index: usize) -> Chunk {
    let text = format!("text {source} {index}");
    Chunk {
        source: format!("d{source}.md"),
        origin: None,
        sha256: format!("{source:064}"),
        index,
        headings: vec![],
        end: text.len(),
        text,
        start: 0,
        first_line: 1,
        last_line: 1,
        page: None,
        tokens: 3,
    }
}

#[test]
fn chunks_of_training_are_never_tested_on() {
    for documents in [1, 7] {
        let chunks: Vec<Chunk> = (0..documents)
            .flat_map(|d| (0..6).map(move |c| chunk(d, c)))
            .collect();
        let held_out: Vec<&Chunk> = chunks
            .iter()
            .filter(|c| inputs::is_held_out(&chunks, c, 0.2))
            .collect();
        assert!(!held_out.is_empty() && held_out.len() < chunks.len());
        if documents == 7 {
            let of = |c: &Chunk| {
                chunks
                    .iter()
                    .filter(|o| o.sha256 == c.sha256)
                    .all(|o| inputs::is_held_out(&chunks, o, 0.2))
            };
            assert!(
                held_out.iter().all(|c| of(c)),
                "whole documents are held out"
            );
        }
        assert!(chunks.iter().all(|c| !inputs::is_held_out(&chunks, c, 0.0)));
    }
}

#[test]
fn what_a_leaf_lacks_is_named() {
    let flow = shipped_flow("knowledge").unwrap();
    let error = teacher(&flow, &Nobody)
        .synthesize(&leaf(), &request(2))
        .unwrap_err();
    assert!(matches!(error, DataError::Settings { .. }));
    assert!(error.to_string().starts_with("flow `knowledge` needs documents, and leaf `skills/a` has none\nhint: name them with `--document`"), "{error}");
}

#[test]
fn an_estimate_counts_calls_and_tokens() {
    let flow = flow(FLOW).unwrap();
    let prices = Prices {
        input_per_million: 1.0,
        output_per_million: 10.0,
        seconds_per_call: 2.0,
        concurrency: 4,
    };
    let words = |text: &str| text.split_whitespace().count();
    let teacher = teacher(&flow, &Nobody);
    let made = estimate(&teacher, &[leaf()], 50, &prices, &words).unwrap();
    // Every block lets all through unless it says otherwise: 50 rows, 50 questions, 50 verdicts.
    assert_eq!((made.rows, made.calls), (50.0, 100.0));
    assert_eq!(
        made.blocks,
        [("write".to_owned(), 50.0), ("rate".to_owned(), 50.0)]
    );
    // "write like seed question N": 5 words; "rate" and 64 words that stand in: 65; 4 for each message.
    assert_eq!(made.input_tokens, 50.0 * 9.0 + 50.0 * 69.0);
    assert_eq!(made.most_output_tokens, 100.0 * 1024.0);
    assert_eq!(made.seconds, 50.0);
    assert!((made.most_cost - (3900.0 + 1_024_000.0) / 1e6).abs() < 1e-9);
}

#[test]
fn judges_are_measured_against_people() {
    let flow = flow(FLOW).unwrap();
    let chat = Played::new(2, |prompt, _| {
        Ok(if prompt.contains("good") {
            "Score: 2"
        } else if prompt.contains("odd") {
            "Hm"
        } else {
            "Score: 1"
        }
        .into())
    });
    let labelled = |question: &str, accept| Labelled {
        accept,
        columns: serde_json::Map::from_iter([("question".to_owned(), question.into())]),
    };
    let rows = [
        labelled("good", true),
        labelled("good too", false),
        labelled("bad", false),
        labelled("odd", true),
    ];
    let found = calibrate(&flow, &chat, &rows).unwrap();
    let (name, made) = &found[0];
    assert_eq!(
        (
            name.as_str(),
            made.rows,
            made.unparsable,
            made.precision,
            made.recall
        ),
        ("rate", 4, 1, Some(0.5), Some(1.0))
    );
    let bare = [Labelled {
        accept: true,
        columns: serde_json::Map::new(),
    }];
    assert!(
        calibrate(&flow, &chat, &bare)
            .unwrap_err()
            .to_string()
            .contains("has no `question`, which judge `rate` reads")
    );
}
