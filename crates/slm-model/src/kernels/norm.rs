//! RMSNorm: `y = x / sqrt(mean(x^2) + epsilon) * w` (Zhang and Sennrich 2019).

use rayon::prelude::*;

use super::ROWS_PER_TASK;
use super::exp::dot;
use crate::vectorized;

/// Normalises each row.
///
/// # Shapes
/// `x` [m, d], `w` [d]; returns `y` [m, d] and the inverse root mean squares [m].
pub fn forward(x: &[f32], w: &[f32], epsilon: f32) -> (Vec<f32>, Vec<f32>) {
    let d = w.len();
    let mut y = vec![0.0; x.len()];
    let mut inverse = vec![0.0; x.len() / d];
    let tasks = y
        .par_chunks_mut(d * ROWS_PER_TASK)
        .zip(inverse.par_chunks_mut(ROWS_PER_TASK))
        .zip(x.par_chunks(d * ROWS_PER_TASK));
    tasks.for_each(|((y, inverse), x)| forward_rows(y, inverse, x, w, epsilon));
    (y, inverse)
}

vectorized! {
    fn forward_rows(y: &mut [f32], inverse: &mut [f32], x: &[f32], w: &[f32], epsilon: f32) {
        let d = w.len();
        for ((y, x), inverse) in y.chunks_exact_mut(d).zip(x.chunks_exact(d)).zip(inverse) {
            let r = 1.0 / (dot(x, x) / d as f32 + epsilon).sqrt();
            *inverse = r;
            for ((y, x), w) in y.iter_mut().zip(x).zip(w) {
                *y = x * r * w;
            }
        }
    }
}

/// Gradients of [`forward`]: towards `x`, and towards `w` when `want_dw`.
///
/// With `n = x r`: `dx = r (dy w - n mean(dy w n))`, `dw = sum over rows of dy n`.
///
/// # Shapes
/// `dy`, `x` [m, d], `w` [d], `inverse` [m]; returns `dx` [m, d] and `dw` [d].
pub fn backward(
    dy: &[f32],
    x: &[f32],
    w: &[f32],
    inverse: &[f32],
    want_dw: bool,
) -> (Vec<f32>, Option<Vec<f32>>) {
    let d = w.len();
    let mut dx = vec![0.0; x.len()];
    let span = d * ROWS_PER_TASK;
    let tasks = dx
        .par_chunks_mut(span)
        .zip(dy.par_chunks(span))
        .zip(x.par_chunks(span))
        .zip(inverse.par_chunks(ROWS_PER_TASK));
    // One partial sum per task, added up in task order, keeps the result the same on every run.
    let partial: Vec<Vec<f32>> = tasks
        .map(|(((dx, dy), x), inverse)| backward_rows(dx, dy, x, w, inverse, want_dw))
        .collect();
    let dw = want_dw.then(|| {
        let mut total = vec![0.0; d];
        for part in &partial {
            total.iter_mut().zip(part).for_each(|(t, p)| *t += p);
        }
        total
    });
    (dx, dw)
}

vectorized! {
    fn backward_rows(
        dx: &mut [f32],
        dy: &[f32],
        x: &[f32],
        w: &[f32],
        inverse: &[f32],
        want_dw: bool,
    ) -> Vec<f32> {
        let d = w.len();
        let mut dw = vec![0.0; if want_dw { d } else { 0 }];
        let mut scaled = vec![0.0; d];
        let rows = dx
            .chunks_exact_mut(d)
            .zip(dy.chunks_exact(d))
            .zip(x.chunks_exact(d))
            .zip(inverse);
        for (((dx, dy), x), r) in rows {
            for ((s, dy), w) in scaled.iter_mut().zip(dy).zip(w) {
                *s = dy * w;
            }
            let mean = dot(&scaled, x) * r * r / d as f32;
            for ((dx, s), x) in dx.iter_mut().zip(&scaled).zip(x) {
                *dx = r * (s - x * mean);
            }
            if want_dw {
                for ((dw, dy), x) in dw.iter_mut().zip(dy).zip(x) {
                    *dw += dy * x * r;
                }
            }
        }
        dw
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::testing::{check_gradient, dot as loss, random};

    #[test]
    fn gradients_match_finite_differences() {
        let (m, d) = (70, 10);
        let (x, w, g) = (random(1, m * d), random(2, d), random(3, m * d));
        let (_, inverse) = forward(&x, &w, 1e-5);
        let (dx, dw) = backward(&g, &x, &w, &inverse, true);
        check_gradient(&x, &dx, 13, |x| loss(&forward(x, &w, 1e-5).0, &g));
        check_gradient(&w, &dw.unwrap(), 1, |w| loss(&forward(&x, w, 1e-5).0, &g));
    }
}
