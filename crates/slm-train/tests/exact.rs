//! What must not depend on how it is computed: packing, accumulation, block checkpointing, packed
//! weights.

mod tiny;

use std::collections::BTreeMap;

use slm_model::weights::Weights;
use slm_train::noise::Noise;
use slm_train::{Example, Method, TrainSettings};
use tiny::{base, batches, config, dora, examples, learner, lora, settings};

fn gradients(settings: &TrainSettings, examples: &[Example], packed: bool) -> (f64, Vec<Vec<f32>>) {
    learner(base(), settings).gradients(&batches(examples, packed), None)
}

fn close(left: &(f64, Vec<Vec<f32>>), right: &(f64, Vec<Vec<f32>>)) {
    assert!((left.0 - right.0).abs() < 1e-5, "{}, {}", left.0, right.0);
    let size = |g: &[f32]| g.iter().fold(0.0f32, |most, v| most.max(v.abs()));
    for (a, b) in left.1.iter().zip(&right.1) {
        let worst = a
            .iter()
            .zip(b)
            .map(|(a, b)| (a - b).abs())
            .fold(0.0, f32::max);
        assert!(worst <= 1e-4 * size(a).max(1e-3), "{worst} of {}", size(a));
    }
}

#[test]
fn packed_rows_have_the_gradients_of_rows_alone() {
    for method in [Method::Full, Method::Lora(lora())] {
        let settings = settings(method);
        let (packed, alone) = (
            gradients(&settings, &examples(9), true),
            gradients(&settings, &examples(9), false),
        );
        assert!(packed.1.iter().flatten().any(|g| g.abs() > 1e-3));
        close(&packed, &alone);
    }
}

#[test]
fn accumulated_batches_make_the_step_of_one_large_batch() {
    let settings = settings(Method::Lora(lora()));
    // Rows of unequal numbers of learned tokens: batches must not weigh the same.
    let mut rows = examples(4);
    rows[0].trained.fill(false);
    rows[0].trained[7] = true;
    let step = |packed: bool| {
        let mut learner = learner(base(), &settings);
        let report = learner
            .step(&batches(&rows, packed), &settings, 1, 1.0)
            .unwrap();
        (report.loss, learner.parameters())
    };
    let ((one, large), (other, small)) = (step(true), step(false));
    assert!((one - other).abs() < 1e-5);
    for ((name, a, _), (_, b, _)) in large.iter().zip(&small) {
        let worst = a
            .iter()
            .zip(b)
            .map(|(a, b)| (a - b).abs())
            .fold(0.0, f32::max);
        assert!(worst < 1e-4, "{name}: {worst}");
    }
}

#[test]
fn recomputed_blocks_have_the_same_gradients_to_the_bit() {
    let noise = Noise {
        alpha: 5.0,
        dropout: 0.2,
        seed: 1,
        step: 2,
        batch: 0,
    };
    for method in [
        Method::Full,
        Method::Lora(lora()),
        Method::Lora(dora()),
        Method::Qlora(lora()),
        Method::Qlora(dora()),
    ] {
        let mut settings = settings(method);
        let packed = batches(&examples(6), true);
        let mut of = |recompute: bool| {
            settings.gradient_checkpointing = recompute;
            let mut base = base();
            if settings.method.held() == slm_model::weights::Held::Packed {
                base.weights = packed_weights();
            }
            learner(base, &settings).gradients(&packed, Some(noise))
        };
        let (direct, recomputed) = (of(false), of(true));
        assert_eq!(direct.0.to_bits(), recomputed.0.to_bits());
        assert_eq!(direct.1, recomputed.1, "{:?}", settings.method);
        assert!(direct.1.iter().any(|g| g.iter().any(|v| *v != 0.0)));
    }
}

/// The tiny model as QLoRA holds it, by way of a checkpoint.
fn packed_weights() -> Weights {
    let dir = tempfile::tempdir().unwrap();
    let stored = slm_model::checkpoint::StoredType::F32;
    tiny::weights()
        .save(dir.path(), &config(), None, stored)
        .unwrap();
    let held = slm_model::weights::Held::Packed;
    Weights::load_held(dir.path(), &config(), held).unwrap()
}

/// The same values in f32.
fn widened_weights() -> Weights {
    let (mut packed, mut plain) = (packed_weights(), tiny::weights());
    let tables = config().tensors().into_iter().map(|(name, _)| {
        let values = match packed.take_frozen(&name) {
            Some(matrix) => matrix.dequantize(),
            None => plain.take(&name).unwrap(),
        };
        (name, values)
    });
    Weights::from_tables(tables.collect::<BTreeMap<_, _>>())
}

#[test]
fn a_packed_base_trains_as_its_widened_values_do() {
    for adapter in [lora(), dora()] {
        let of = |method: Method, weights: Weights| {
            let settings = settings(method);
            let mut learner = learner(tiny_base(weights), &settings);
            let rows = batches(&examples(8), true);
            let steps: Vec<f64> = (1..=6)
                .map(|step| learner.step(&rows, &settings, step, 1.0).unwrap().loss)
                .collect();
            (steps, learner.evaluate(&rows))
        };
        let packed = of(Method::Qlora(adapter.clone()), packed_weights());
        let wide = of(Method::Lora(adapter), widened_weights());
        for (a, b) in packed.0.iter().zip(&wide.0) {
            assert!((a - b).abs() < 1e-4, "{packed:?}, {wide:?}");
        }
        assert!((packed.1 - wide.1).abs() < 1e-4);
        assert!(packed.0[5] < packed.0[0] - 0.01, "{:?}", packed.0);
    }
}

fn tiny_base(weights: Weights) -> slm_train::run::Base {
    slm_train::run::Base { weights, ..base() }
}

#[test]
fn a_fresh_magnitude_changes_nothing_and_leaves_the_gradients_of_lora() {
    let rows = batches(&examples(5), true);
    let of = |adapter| learner(base(), &settings(Method::Lora(adapter))).gradients(&rows, None);
    let (plain, with_magnitudes) = (of(lora()), of(dora()));
    assert!((plain.0 - with_magnitudes.0).abs() < 1e-5);
    // A, B and magnitude of each layer; the norm is constant to the gradient, so A's and B's stay.
    let pairs = with_magnitudes.1.chunks(3).flat_map(|three| &three[..2]);
    for (a, b) in plain.1.iter().zip(pairs) {
        assert_eq!(a.len(), b.len());
        assert!(a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-5));
    }
    assert!(
        with_magnitudes
            .1
            .chunks(3)
            .all(|three| three[2].iter().any(|g| g.abs() > 1e-6))
    );
}

#[test]
fn noise_is_for_training_only() {
    let mut settings = settings(Method::Lora(lora()));
    let rows = batches(&examples(6), true);
    let mut plain = learner(base(), &settings);
    let quiet = (
        plain.evaluate(&rows),
        plain.step(&rows, &settings, 1, 1.0).unwrap().loss,
    );
    for (alpha, dropout) in [(20.0, 0.0), (0.0, 0.5)] {
        (settings.neftune_alpha, settings.prompt_dropout) = (alpha, dropout);
        let mut noisy = learner(base(), &settings);
        assert_eq!(noisy.evaluate(&rows), quiet.0);
        let loss = noisy.step(&rows, &settings, 1, 1.0).unwrap().loss;
        assert!((loss - quiet.1).abs() > 1e-4, "{loss}, {}", quiet.1);
    }
}

#[test]
fn the_adapters_b_learns_faster_by_the_ratio() {
    let step = |ratio: f64| {
        let mut settings = settings(Method::Lora(lora()));
        settings.loraplus_lr_ratio = ratio;
        let mut learner = learner(base(), &settings);
        let before = learner.parameters();
        let rows = batches(&examples(6), true);
        learner.step(&rows, &settings, 1, 1.0).unwrap();
        let after = learner.parameters().into_iter();
        let moved = after.zip(before).map(|((name, after, _), (_, before, _))| {
            let moved = after
                .iter()
                .zip(&before)
                .map(|(a, b)| f64::from((a - b).abs()));
            (name, moved.sum::<f64>())
        });
        moved.collect::<Vec<_>>()
    };
    for ((name, plain), (_, faster)) in step(1.0).into_iter().zip(step(4.0)) {
        let times = if name.contains("lora_B") { 4.0 } else { 1.0 };
        assert!(
            (faster - times * plain).abs() <= 1e-3 * faster,
            "{name}: {plain}, {faster}"
        );
    }
}

#[test]
fn clipping_is_reported_before_and_after() {
    let mut settings = settings(Method::Lora(lora()));
    let rows = batches(&examples(6), true);
    let mut of = |limit: f64| {
        settings.clip_grad_norm = limit;
        learner(base(), &settings)
            .step(&rows, &settings, 1, 1.0)
            .unwrap()
    };
    let (free, clipped) = (of(0.0), of(0.001));
    assert_eq!(free.gradient_norm, free.clipped_norm);
    assert_eq!(free.gradient_norm, clipped.gradient_norm);
    assert!((clipped.clipped_norm - 0.001).abs() < 1e-6, "{clipped:?}");
}
