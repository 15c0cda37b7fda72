//! Distillation and preference: gradients of the whole model against finite differences, and what
//! training by them does.

mod tiny;

use slm_model::weights::Weights;
use slm_train::batch::Batch;
use slm_train::learner::Learner;
use slm_train::run::{Base, Teacher};
use slm_train::{Example, Method, Objective, TrainSettings};
use tiny::{base, config_of_width, dora, examples, learner, lora, settings};

const DPO: Objective = Objective::Preference { beta: 0.5 };
const DISTILLATION: Objective = Objective::Distillation {
    temperature: 2.0,
    weight: 0.6,
};

fn with(objective: Objective, method: Method) -> TrainSettings {
    let mut settings = settings(method);
    settings.objective = objective;
    settings
}

/// The tiny model, with another of its vocabulary to learn from.
fn taught() -> Base {
    let wide = config_of_width(24);
    Base {
        teacher: Some(Teacher {
            weights: Weights::random(&wide, 9),
            config: wide,
        }),
        ..base()
    }
}

/// Compares the gradient of each kind of parameter with central differences of the loss.
fn matches_finite_differences(
    make: impl Fn() -> Learner<burn::backend::Flex>,
    rows: &[Batch],
    only: &str,
) {
    let mut learner = make();
    // Away from the start, where B is zero and A has no gradient.
    let mut moved = learner.parameters();
    for (number, (_, values, _)) in moved.iter_mut().enumerate() {
        for (i, v) in values.iter_mut().enumerate() {
            *v += 0.05 * (((i * 31 + number * 17) % 13) as f32 / 6.0 - 1.0);
        }
    }
    assert!(learner.restore(moved.clone()));
    let (loss, gradients) = learner.gradients(rows, None);
    assert!((loss - learner.evaluate(rows)).abs() < 1e-6);
    for number in 0..moved.len() {
        if !moved[number].0.contains(only) {
            continue;
        }
        let at = gradients[number].len() / 2;
        let mut at_step = |step: f32| {
            let mut shifted = moved.clone();
            shifted[number].1[at] += step;
            assert!(learner.restore(shifted));
            learner.evaluate(rows)
        };
        let slope = (at_step(1e-2) - at_step(-1e-2)) / 2e-2;
        let found = gradients[number][at] as f64;
        assert!(
            (slope - found).abs() < 2e-3 * (1.0 + slope.abs()),
            "{} at {at}: finite difference {slope}, gradient {found}",
            moved[number].0
        );
    }
    assert!(gradients.iter().flatten().any(|g| g.abs() > 1e-3));
}

#[test]
fn preference_gradients() {
    let pairs = [Batch::pack(&examples(6)), Batch::pack(&examples(2))];
    let settings = with(DPO, Method::Lora(lora()));
    matches_finite_differences(|| learner(base(), &settings), &pairs, "");
}

#[test]
fn distillation_gradients() {
    let rows = [Batch::pack(&examples(6)), Batch::pack(&examples(2))];
    for method in [Method::Lora(lora()), Method::Full] {
        let settings = with(DISTILLATION, method);
        matches_finite_differences(|| learner(taught(), &settings), &rows, "");
    }
}

#[test]
fn magnitude_gradients() {
    let rows = [Batch::pack(&examples(6))];
    let settings = with(Objective::CrossEntropy, Method::Lora(dora()));
    // The norm below the magnitude is constant to the gradient, so A's and B's are not the slope.
    let only = "lora_magnitude_vector";
    matches_finite_differences(|| learner(base(), &settings), &rows, only);
}

#[test]
fn recomputed_blocks_change_no_objective() {
    let rows = [Batch::pack(&examples(6))];
    for (objective, method) in [
        (DPO, Method::Lora(lora())),
        (DISTILLATION, Method::Lora(lora())),
        (DISTILLATION, Method::Full),
    ] {
        let mut settings = with(objective, method);
        let mut of = |recompute: bool| {
            settings.gradient_checkpointing = recompute;
            learner(taught(), &settings).gradients(&rows, None)
        };
        assert_eq!(of(false), of(true));
    }
}

#[test]
fn preference_begins_at_log_two_and_learns_the_chosen() {
    let settings = with(DPO, Method::Lora(lora()));
    let mut learner = learner(base(), &settings);
    let pairs = [Batch::pack(&examples(6))];
    let loss = |learner: &Learner<_>| learner.evaluate(&pairs);
    assert!(
        (loss(&learner) - 2f64.ln()).abs() < 1e-6,
        "{}",
        loss(&learner)
    );
    for step in 1..=20 {
        learner.step(&pairs, &settings, step, 1.0).unwrap();
    }
    assert!(loss(&learner) < 0.3, "{}", loss(&learner));
}

#[test]
fn distillation_draws_the_model_towards_its_teacher() {
    let mut settings = with(DISTILLATION, Method::Full);
    settings.objective = Objective::Distillation {
        temperature: 1.0,
        weight: 1.0,
    };
    let mut learner = learner(taught(), &settings);
    let rows = [Batch::pack(&examples(6))];
    let before = learner.evaluate(&rows);
    for step in 1..=60 {
        learner.step(&rows, &settings, step, 1.0).unwrap();
    }
    let after = learner.evaluate(&rows);
    assert!(after < before / 5.0, "{before}, {after}");
}

#[test]
fn what_does_not_go_together_is_refused() {
    let full = with(DPO, Method::Full).check().unwrap_err().to_string();
    assert!(full.contains("`method: lora`"), "{full}");
    assert!(
        with(Objective::Preference { beta: 0.0 }, Method::Lora(lora()))
            .check()
            .is_err()
    );
    let cold = Objective::Distillation {
        temperature: 0.0,
        weight: 0.5,
    };
    assert!(with(cold, Method::Full).check().is_err());
    let alone = slm_train::learner::build::<burn::backend::Flex>(
        base(),
        &with(DISTILLATION, Method::Full),
        &Default::default(),
    );
    assert!(alone.err().unwrap().to_string().contains("no teacher"));
    let odd: Vec<Example> = examples(3);
    assert!(
        slm_train::batch::Dataset::new(odd, 1, 0, 64)
            .unwrap()
            .in_pairs()
            .is_err()
    );
}
