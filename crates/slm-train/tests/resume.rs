//! A run that is broken off and resumed ends with the bits of an unbroken one; and an adapter
//! changes what the model says.

mod tiny;

use std::collections::BTreeMap;
use std::sync::Arc;

use burn::backend::Flex;
use slm_model::Device;
use slm_model::decoder::Decoder;
use slm_model::lora::{Adapter, LoraConfig};
use slm_model::ops::Packing;
use slm_model::weights::Weights;
use slm_train::checkpoint::checkpoints;
use slm_train::run::{RunInputs, train};
use slm_train::settings::OptimizerKind;
use slm_train::{Event, Example, Method, TrainError, TrainSettings};
use tiny::{Recorder, base, config, dataset, dora, examples, lora, result, run, settings};

/// Runs whole, and broken behind step `at` with the checkpoint of that step lost.
fn resumes_to_the_same_bits(settings: &TrainSettings, validation: &[Example], at: u64) {
    let (whole, broken) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut unbroken = Recorder::default();
    let expected = run(whole.path(), settings, validation, &mut unbroken).unwrap();
    let mut first = Recorder {
        stop_behind: Some(at),
        ..Recorder::default()
    };
    let stopped = run(broken.path(), settings, validation, &mut first);
    assert!(matches!(stopped, Err(TrainError::Stopped { step }) if step == at));
    // A kill between checkpoints loses the steps behind the last one, and does them again.
    std::fs::remove_dir_all(broken.path().join(format!("checkpoint-{at:08}"))).unwrap();
    assert_eq!(checkpoints(broken.path()).len(), 1);
    let mut second = Recorder::default();
    let resumed = run(broken.path(), settings, validation, &mut second).unwrap();
    assert_eq!(result(&resumed), result(&expected));
    assert_eq!(
        (resumed.best, resumed.steps),
        (expected.best, expected.steps)
    );
    let watched = |recorder: &Recorder| -> Vec<Event> {
        let told = recorder.events.iter().filter(|event| match event {
            Event::Evaluation { step, .. } | Event::StoppedEarly { step, .. } => *step > at,
            _ => false,
        });
        told.cloned().collect()
    };
    assert_eq!(watched(&second), watched(&unbroken));
}

fn with_muon(method: Method) -> TrainSettings {
    let mut settings = settings(method);
    settings.optimizer = OptimizerKind::Muon;
    settings
}

#[test]
fn full_training_resumes() {
    resumes_to_the_same_bits(&with_muon(Method::Full), &[], 7);
}

#[test]
fn adapter_training_resumes() {
    resumes_to_the_same_bits(&with_muon(Method::Lora(lora())), &[], 7);
}

#[test]
fn noise_lion_and_magnitudes_resume() {
    let mut settings = settings(Method::Lora(dora()));
    settings.optimizer = OptimizerKind::Lion;
    settings.betas = OptimizerKind::Lion.usual_betas();
    settings.neftune_alpha = 5.0;
    settings.gradient_checkpointing = true;
    resumes_to_the_same_bits(&settings, &[], 7);
}

#[test]
fn patience_and_the_best_state_resume() {
    let mut settings = settings(Method::Lora(lora()));
    settings.evaluate_every = 2;
    settings.early_stopping_patience = 2;
    settings.load_best = true;
    settings.checkpoint_every = 2;
    // Rows that nothing in training tells of, and a rate at which their loss rises at once
    // (evaluations 3.90, 4.02, 4.01).
    settings.learning_rate = 0.1;
    let mut validation = examples(7);
    for (i, example) in validation.iter_mut().enumerate() {
        for (t, token) in example.tokens.iter_mut().enumerate() {
            *token = ((i * i * 13 + t * t * 7 + 5) % 40) as u32;
        }
    }
    resumes_to_the_same_bits(&settings, &validation, 5);
    let dir = tempfile::tempdir().unwrap();
    let mut recorder = Recorder::default();
    let outcome = run(dir.path(), &settings, &validation, &mut recorder).unwrap();
    assert!(outcome.steps < 12, "it never lost patience: {outcome:?}");
    let losses: Vec<(u64, f64)> = recorder
        .events
        .iter()
        .filter_map(|event| match event {
            Event::Evaluation { step, loss } => Some((*step, *loss)),
            _ => None,
        })
        .collect();
    let best = losses.iter().copied().min_by(|a, b| a.1.total_cmp(&b.1));
    assert_eq!(outcome.best, best);
    assert_eq!(
        losses.last().unwrap().0,
        best.unwrap().0 + 4,
        "two evaluations later"
    );
    // The result is the best state: a learner with its adapter has the best loss.
    let adapter = Adapter::load(&outcome.result, &config()).unwrap();
    let taken = slm_train::run::Base {
        adapter: Some(adapter),
        ..base()
    };
    let learner = tiny::learner(taken, &settings);
    let found = learner.evaluate(&slm_train::batch::pack_all(&validation, 1, 40));
    assert!((found - best.unwrap().1).abs() < 1e-9, "{found}, {best:?}");
}

#[test]
fn patience_without_rows_to_watch_is_refused() {
    let mut settings = settings(Method::Lora(lora()));
    settings.load_best = true;
    let dir = tempfile::tempdir().unwrap();
    let try_it = |settings: &TrainSettings| {
        run(dir.path(), settings, &[], &mut Recorder::default())
            .unwrap_err()
            .to_string()
    };
    assert!(try_it(&settings).contains("`evaluate_every` is 0"));
    settings.evaluate_every = 2;
    assert!(try_it(&settings).contains("need validation rows"));
}

#[test]
fn a_damaged_checkpoint_is_passed_over_and_said_so() {
    let settings = settings(Method::Lora(lora()));
    let (whole, broken) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let expected = run(whole.path(), &settings, &[], &mut Recorder::default()).unwrap();
    let mut first = Recorder {
        stop_behind: Some(7),
        ..Recorder::default()
    };
    run(broken.path(), &settings, &[], &mut first).unwrap_err();
    assert_eq!(checkpoints(broken.path()).len(), 2);
    let state = broken.path().join("checkpoint-00000007/state.safetensors");
    let mut bytes = std::fs::read(&state).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 64;
    std::fs::write(&state, bytes).unwrap();
    let mut second = Recorder::default();
    let resumed = run(broken.path(), &settings, &[], &mut second).unwrap();
    assert_eq!(result(&resumed), result(&expected));
    let said = second.events.iter().find_map(|event| match event {
        Event::Note { message } => Some(message.clone()),
        _ => None,
    });
    let said = said.expect("a note on the damaged checkpoint");
    assert!(said.contains("checkpoint-00000007"), "{said}");
    let from = second
        .events
        .iter()
        .find(|event| matches!(event, Event::Started { .. }));
    assert!(
        matches!(from, Some(Event::Started { step: 5, .. })),
        "{from:?}"
    );
}

fn logits(weights: Weights, adapter: Option<&Adapter>) -> Vec<f32> {
    let mut decoder = Decoder::<Flex>::new(&config(), weights, &Default::default()).unwrap();
    adapter.into_iter().for_each(|a| decoder.attach(a).unwrap());
    let packing = Arc::new(Packing::of_lengths(&[5]));
    let logits = decoder.logits(&[1, 5, 9, 30, 2], &packing);
    logits.into_data().into_vec::<f32>().unwrap()
}

fn distance(a: &[f32], b: &[f32]) -> f32 {
    let differences = a.iter().zip(b).map(|(x, y)| (x - y).abs());
    differences.fold(0.0, f32::max)
}

#[test]
fn a_trained_adapter_changes_the_logits_a_fresh_one_does_not_and_merging_changes_nothing() {
    let rslora = LoraConfig {
        use_rslora: true,
        ..lora()
    };
    for adapter in [lora(), rslora, dora()] {
        let dir = tempfile::tempdir().unwrap();
        let settings = settings(Method::Lora(adapter.clone()));
        let outcome = run(dir.path(), &settings, &[], &mut Recorder::default()).unwrap();
        let trained = Adapter::load(&outcome.result, &config()).unwrap();
        assert_eq!(trained.config, adapter);
        let fresh = Adapter::new(adapter, &config(), 1).unwrap();
        let plain = logits(tiny::weights(), None);
        let with = logits(tiny::weights(), Some(&trained));
        assert!(distance(&plain, &logits(tiny::weights(), Some(&fresh))) < 1e-5);
        assert!(distance(&plain, &with) > 1e-3);
        let mut merged = tiny::weights();
        merged.merge(&trained).unwrap();
        let apart = distance(&logits(merged, None), &with);
        assert!(apart < 1e-4, "merging changed the answers by {apart}");
    }
}

#[test]
fn a_loss_that_is_not_finite_names_the_rows() {
    let dir = tempfile::tempdir().unwrap();
    let mut weights = tiny::weights();
    let mut tables = BTreeMap::new();
    for (name, _) in config().tensors() {
        let mut values = weights.take(&name).unwrap();
        if name == "model.norm.weight" {
            values[0] = f32::NAN;
        }
        tables.insert(name, values);
    }
    let damaged = slm_train::run::Base {
        weights: Weights::from_tables(tables),
        ..base()
    };
    let origins = (0..30)
        .map(|i| format!("train.jsonl: row `r{i}`"))
        .collect();
    let dataset = dataset().with_origins(origins);
    let inputs = RunInputs {
        source: &dataset,
        validation: &[],
        inputs_hash: "x".into(),
        dir: dir.path(),
    };
    let settings = settings(Method::Full);
    let mut silent = slm_train::events::Silent;
    let error = train(damaged, &settings, &inputs, Device::Flex, &mut silent).unwrap_err();
    let TrainError::NotFinite { what, step, rows } = &error else {
        panic!("{error}");
    };
    assert_eq!((*what, *step), ("loss", 1));
    assert!(
        rows.len() > 1
            && rows
                .iter()
                .all(|row| row.starts_with("train.jsonl: row `r"))
    );
    assert!(error.to_string().contains(&rows[0]), "{error}");
}
