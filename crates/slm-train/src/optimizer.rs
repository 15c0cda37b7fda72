//! AdamW, Lion and Muon on plain f32 slices, with clipping by the global norm.
//!
//! Knows values, gradients and moments; not the model.

use rayon::prelude::*;
use slm_model::kernels::gemm::{Threads, View, Write, product};
use slm_model::vectorized;

/// Elements of one parallel task.
const SPAN: usize = 32 * 1024;

/// Moments of one parameter: AdamW's first and second, or Lion's or Muon's momentum alone.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Moments {
    /// First moment, or momentum.
    pub first: Vec<f32>,
    /// Second moment; empty under Lion and Muon.
    pub second: Vec<f32>,
}

/// One AdamW step's constants.
#[derive(Debug, Clone, Copy)]
pub struct AdamW {
    /// Learning rate.
    pub learning_rate: f64,
    /// Decays of the moments.
    pub betas: (f64, f64),
    /// Added to the root of the second moment.
    pub epsilon: f64,
    /// Decoupled weight decay.
    pub weight_decay: f64,
    /// Step, from 1, for the bias correction.
    pub step: u64,
}

impl AdamW {
    /// `p <- p (1 - lr wd) - lr m' / (sqrt v' + eps)`, moments corrected for their start at zero
    /// (Loshchilov and Hutter 2019). `factor` scales the gradient first (clipping).
    ///
    /// # Shapes
    /// All slices of the parameter's length; empty moments are set up.
    pub fn update(&self, values: &mut [f32], gradient: &[f32], moments: &mut Moments, factor: f32) {
        if moments.first.is_empty() {
            *moments = Moments {
                first: vec![0.0; values.len()],
                second: vec![0.0; values.len()],
            };
        }
        let correct = |beta: f64| 1.0 - beta.powi(self.step.min(i32::MAX as u64) as i32);
        let rule = AdamWRule {
            betas: (self.betas.0 as f32, self.betas.1 as f32),
            rate: (self.learning_rate / correct(self.betas.0)) as f32,
            root: (1.0 / correct(self.betas.1).sqrt()) as f32,
            keep: (1.0 - self.learning_rate * self.weight_decay) as f32,
            epsilon: self.epsilon as f32,
            factor,
        };
        let state = moments
            .first
            .par_chunks_mut(SPAN)
            .zip(moments.second.par_chunks_mut(SPAN));
        values
            .par_chunks_mut(SPAN)
            .zip(gradient.par_chunks(SPAN))
            .zip(state)
            .for_each(|((values, gradient), (first, second))| {
                adamw_span(rule, values, gradient, first, second);
            });
    }
}

/// The constants of AdamW's step as its loop uses them.
#[derive(Clone, Copy)]
struct AdamWRule {
    betas: (f32, f32),
    rate: f32,
    root: f32,
    keep: f32,
    epsilon: f32,
    factor: f32,
}

vectorized! {
    fn adamw_span(
        rule: AdamWRule,
        values: &mut [f32],
        gradient: &[f32],
        first: &mut [f32],
        second: &mut [f32],
    ) {
        let (b1, b2) = rule.betas;
        for (((p, g), m), v) in values.iter_mut().zip(gradient).zip(first).zip(second) {
            let g = g * rule.factor;
            *m = b1 * *m + (1.0 - b1) * g;
            *v = b2 * *v + (1.0 - b2) * g * g;
            *p = *p * rule.keep - rule.rate * *m / (v.sqrt() * rule.root + rule.epsilon);
        }
    }
}

/// One Lion step's constants.
#[derive(Debug, Clone, Copy)]
pub struct Lion {
    /// Learning rate; a third to a tenth of AdamW's serves.
    pub learning_rate: f64,
    /// Share of the momentum in the step, and in the momentum kept.
    pub betas: (f64, f64),
    /// Decoupled weight decay.
    pub weight_decay: f64,
}

impl Lion {
    /// `p <- p (1 - lr wd) - lr sign(b1 m + (1 - b1) g)`, then `m <- b2 m + (1 - b2) g` (Chen et
    /// al. 2023). `factor` scales the gradient first (clipping).
    ///
    /// # Shapes
    /// All slices of the parameter's length; empty moments are set up.
    pub fn update(&self, values: &mut [f32], gradient: &[f32], moments: &mut Moments, factor: f32) {
        if moments.first.is_empty() {
            moments.first = vec![0.0; values.len()];
        }
        let (b1, b2) = (self.betas.0 as f32, self.betas.1 as f32);
        let rate = self.learning_rate as f32;
        let keep = (1.0 - self.learning_rate * self.weight_decay) as f32;
        let sign = |v: f32| if v == 0.0 { 0.0 } else { v.signum() };
        values
            .par_chunks_mut(SPAN)
            .zip(gradient.par_chunks(SPAN))
            .zip(moments.first.par_chunks_mut(SPAN))
            .for_each(|((values, gradient), first)| {
                for ((p, g), m) in values.iter_mut().zip(gradient).zip(first) {
                    let g = g * factor;
                    *p = *p * keep - rate * sign(b1 * *m + (1.0 - b1) * g);
                    *m = b2 * *m + (1.0 - b2) * g;
                }
            });
    }
}

/// One Muon step's constants.
#[derive(Debug, Clone, Copy)]
pub struct Muon {
    /// Learning rate.
    pub learning_rate: f64,
    /// Decay of the momentum.
    pub momentum: f64,
    /// Decoupled weight decay.
    pub weight_decay: f64,
}

impl Muon {
    /// Nesterov momentum, orthogonalised, scaled by `0.2 sqrt(max(rows, columns))` so that its
    /// elements are of AdamW's size (Jordan et al. 2024; Liu et al. 2025).
    ///
    /// # Shapes
    /// `values`, `gradient` [rows, columns].
    pub fn update(
        &self,
        values: &mut [f32],
        gradient: &[f32],
        moments: &mut Moments,
        factor: f32,
        rows: usize,
    ) {
        if moments.first.is_empty() {
            moments.first = vec![0.0; values.len()];
        }
        let columns = values.len() / rows.max(1);
        let momentum = self.momentum as f32;
        let mut direction = vec![0.0; values.len()];
        for ((d, g), m) in direction.iter_mut().zip(gradient).zip(&mut moments.first) {
            let g = g * factor;
            *m = momentum * *m + g;
            *d = g + momentum * *m;
        }
        let direction = orthogonalise(direction, rows, columns);
        let rate = (self.learning_rate * 0.2 * (rows.max(columns) as f64).sqrt()) as f32;
        let keep = (1.0 - self.learning_rate * self.weight_decay) as f32;
        for (p, d) in values.iter_mut().zip(&direction) {
            *p = *p * keep - rate * d;
        }
    }
}

/// Pushes all singular values of a matrix towards one: five quintic Newton-Schulz iterations with
/// Jordan's coefficients.
///
/// # Shapes
/// `x` [rows, columns], row-major.
pub fn orthogonalise(mut x: Vec<f32>, rows: usize, columns: usize) -> Vec<f32> {
    const A: f32 = 3.4445;
    const B: f32 = -4.7750;
    const C: f32 = 2.0315;
    let norm = x.iter().map(|v| (*v as f64).powi(2)).sum::<f64>().sqrt() as f32 + 1e-7;
    x.iter_mut().for_each(|v| *v /= norm);
    let small = rows.min(columns);
    let (mut gram, mut poly) = (vec![0.0; small * small], vec![0.0; small * small]);
    let mut next = vec![0.0; x.len()];
    for _ in 0..5 {
        let view = View::new(&x, rows, columns);
        let (left, right) = if rows <= columns {
            (view, view.t())
        } else {
            (view.t(), view)
        };
        product(&mut gram, small, left, right, Write::Set, 1.0, Threads::All);
        poly.copy_from_slice(&gram);
        poly.iter_mut().for_each(|v| *v *= B);
        let square = View::new(&gram, small, small);
        product(
            &mut poly,
            small,
            square,
            square,
            Write::Add,
            C,
            Threads::All,
        );
        next.iter_mut().zip(&x).for_each(|(n, x)| *n = A * x);
        let poly = View::new(&poly, small, small);
        let (left, right) = if rows <= columns {
            (poly, view)
        } else {
            (view, poly)
        };
        product(
            &mut next,
            columns,
            left,
            right,
            Write::Add,
            1.0,
            Threads::All,
        );
        std::mem::swap(&mut x, &mut next);
    }
    x
}

/// Euclidean norm over all gradients.
pub fn global_norm(gradients: &[Vec<f32>]) -> f64 {
    let square = |g: &Vec<f32>| g.iter().map(|v| (*v as f64).powi(2)).sum::<f64>();
    gradients.iter().map(square).sum::<f64>().sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_adamw_step_moves_by_the_learning_rate() {
        let adam = AdamW {
            learning_rate: 0.1,
            betas: (0.9, 0.999),
            epsilon: 1e-8,
            weight_decay: 0.5,
            step: 1,
        };
        let (mut p, mut moments) = (vec![1.0, -2.0], Moments::default());
        adam.update(&mut p, &[3.0, -0.01], &mut moments, 1.0);
        assert!(
            (p[0] - (0.95 - 0.1)).abs() < 1e-6 && (p[1] - (-1.9 + 0.1)).abs() < 1e-5,
            "{p:?}"
        );
    }

    #[test]
    fn lion_steps_by_the_sign_of_its_blend() {
        let lion = Lion {
            learning_rate: 0.1,
            betas: (0.9, 0.99),
            weight_decay: 0.5,
        };
        let (mut p, mut moments) = (vec![1.0, -2.0, 3.0], Moments::default());
        lion.update(&mut p, &[3.0, -0.01, 0.0], &mut moments, 1.0);
        let close = |a: &[f32], b: &[f32]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-6);
        assert!(close(&p, &[0.95 - 0.1, -1.9 + 0.1, 2.85]), "{p:?}");
        assert!(close(&moments.first, &[0.03, -0.0001, 0.0]), "{moments:?}");
        assert!(moments.second.is_empty());
        // The momentum of the first step outweighs a small gradient against it.
        let before = p[0];
        lion.update(&mut p, &[-0.2, 0.0, 0.0], &mut moments, 1.0);
        assert!((p[0] - (before * 0.95 - 0.1)).abs() < 1e-6, "{p:?}");
    }

    #[test]
    fn orthogonalised_rows_are_nearly_orthonormal() {
        for (rows, columns) in [(4, 9), (9, 4)] {
            let x: Vec<f32> = (0..rows * columns)
                .map(|i| ((i * 37 % 101) as f32 / 50.0 - 1.0) + if i % 10 == 0 { 3.0 } else { 0.0 })
                .collect();
            let y = orthogonalise(x, rows, columns);
            let get = |i: usize, k: usize| {
                if rows < columns {
                    y[i * columns + k]
                } else {
                    y[k * columns + i]
                }
            };
            for i in 0..4 {
                let square: f32 = (0..9).map(|k| get(i, k) * get(i, k)).sum();
                assert!((0.3..1.8).contains(&square), "row {i} has norm {square}");
            }
        }
    }
}
