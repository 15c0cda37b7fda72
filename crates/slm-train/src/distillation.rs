//! Learning from a larger model's predictions: cross-entropy mixed with the divergence from them.
//!
//! `(1 - w) CE + w T^2 KL(teacher_T || student_T)` per labelled row (Hinton et al. 2015), the
//! gradients by hand, in chunks of rows, so that `[rows, vocabulary]` is never held for more than
//! one chunk. Knows hidden rows and heads; not decoders.

use burn::tensor::activation::{log_softmax, softmax};
use burn::tensor::{IndexingUpdateOp, Int, Tensor, TensorData};
use slm_model::head::Head;
use slm_model::ops::DecoderBackend;

use crate::update::host;

/// Rows whose logits are held at once.
const CHUNK: usize = 128;

/// Labelled hidden rows and the head that reads them.
pub struct Rows<'a, B: DecoderBackend> {
    /// Hidden rows [m, d].
    pub hidden: Tensor<B, 2>,
    /// Head [vocabulary, d].
    pub head: &'a Head<B>,
}

/// How teacher and labels are mixed.
#[derive(Debug, Clone, Copy)]
pub struct Mix {
    /// Softens both predictions.
    pub temperature: f64,
    /// Share of the divergence in the loss.
    pub weight: f64,
    /// Factor on each row's loss.
    pub row_weight: f64,
}

/// Loss, and its gradients where wanted.
pub struct Distilled<B: DecoderBackend> {
    /// Weighted sum over the rows, in nats.
    pub loss: f64,
    /// Gradient towards the student's hidden rows [m, d].
    pub d_hidden: Tensor<B, 2>,
    /// Gradient towards the student's head [vocabulary, d], if asked for.
    pub d_head: Option<Tensor<B, 2>>,
}

/// Loss and gradients of the student; the teacher is constant.
///
/// # Shapes
/// Both models' rows [m, their width], heads of one vocabulary, `labels` [m].
pub fn distill<B: DecoderBackend>(
    student: &Rows<'_, B>,
    teacher: &Rows<'_, B>,
    labels: &[u32],
    mix: Mix,
    want_head: bool,
) -> Distilled<B> {
    let (mut loss, mut parts, mut d_head) = (0.0, Vec::new(), None);
    for from in (0..labels.len()).step_by(CHUNK) {
        let count = CHUNK.min(labels.len() - from);
        let rows = student.hidden.clone().narrow(0, from, count);
        let guide = teacher
            .head
            .logits(teacher.hidden.clone().narrow(0, from, count));
        let logits = student.head.logits(rows.clone());
        let (part, gradient) = chunk(logits.clone(), guide, &labels[from..from + count], mix);
        let gradient = student.head.before_cap(gradient, logits);
        loss += part;
        if want_head {
            let more = gradient.clone().transpose().matmul(rows);
            d_head = Some(match d_head {
                None => more,
                Some(sum) => sum + more,
            });
        }
        parts.push(student.head.matrix.product_dx(gradient));
    }
    let d_hidden = match parts.is_empty() {
        true => student.hidden.zeros_like(),
        false => Tensor::cat(parts, 0),
    };
    Distilled {
        loss,
        d_hidden,
        d_head,
    }
}

/// Loss of some rows and its gradient towards the student's logits.
fn chunk<B: DecoderBackend>(
    logits: Tensor<B, 2>,
    guide: Tensor<B, 2>,
    labels: &[u32],
    mix: Mix,
) -> (f64, Tensor<B, 2>) {
    let (t, w) = (mix.temperature, mix.weight);
    let device = logits.device();
    let labels: Vec<i64> = labels.iter().map(|label| *label as i64).collect();
    let count = labels.len();
    let labels = Tensor::<B, 2, Int>::from_data(TensorData::new(labels, [count, 1]), &device);
    let wanted = log_softmax(guide / t, 1);
    let found = log_softmax(logits.clone() / t, 1);
    let target = wanted.clone().exp();
    let divergence = host((target.clone() * (wanted - found.clone())).sum_dim(1));
    let surprise = host(log_softmax(logits.clone(), 1).gather(1, labels.clone()));
    let sum = |values: Vec<f32>| values.into_iter().map(f64::from).sum::<f64>();
    let loss = w * t * t * sum(divergence) - (1.0 - w) * sum(surprise);
    // d KL(q || softmax(z / T)) / dz = (softmax(z / T) - q) / T.
    let soft = (found.exp() - target) * (w * t * mix.row_weight);
    let minus_one = Tensor::<B, 2>::ones([count, 1], &device).neg();
    let hard = softmax(logits, 1).scatter(1, labels, minus_one, IndexingUpdateOp::Add);
    let gradient = soft + hard * ((1.0 - w) * mix.row_weight);
    (loss * mix.row_weight, gradient)
}

#[cfg(test)]
mod tests {
    use burn::backend::{Flex, NdArray};
    use slm_model::linear::{Matrix, Parameter};

    use super::*;

    const M: usize = 150;
    const V: usize = 11;
    const MIX: Mix = Mix {
        temperature: 2.5,
        weight: 0.7,
        row_weight: 0.01,
    };

    fn draw(seed: usize, count: usize) -> Vec<f32> {
        (0..count)
            .map(|i| ((i * 7919 + seed * 104_729) % 1000) as f32 / 500.0 - 1.0)
            .collect()
    }

    fn tensor<B: DecoderBackend>(values: Vec<f32>, columns: usize) -> Tensor<B, 2> {
        let shape = [values.len() / columns, columns];
        Tensor::from_data(TensorData::new(values, shape), &Default::default())
    }

    fn run<B: DecoderBackend>(hidden: &[f32], head: &[f32], want_head: bool) -> Distilled<B> {
        let matrix = |values: Vec<f32>, columns: usize| {
            let value = tensor::<B>(values, columns);
            let name = "lm_head.weight".to_string();
            Head {
                matrix: Matrix::Dense(Parameter { name, value }),
                softcap: Some(3.0),
            }
        };
        let (head, guide) = (matrix(head.to_vec(), 4), matrix(draw(3, V * 6), 6));
        let student = Rows {
            hidden: tensor::<B>(hidden.to_vec(), 4),
            head: &head,
        };
        let teacher = Rows {
            hidden: tensor::<B>(draw(4, M * 6), 6),
            head: &guide,
        };
        let labels: Vec<u32> = (0..M).map(|i| (i * 5 % V) as u32).collect();
        distill(&student, &teacher, &labels, MIX, want_head)
    }

    fn gradients_match_finite_differences<B: DecoderBackend>() {
        let (hidden, head) = (draw(1, M * 4), draw(2, V * 4));
        let found = run::<B>(&hidden, &head, true);
        let (d_hidden, d_head) = (host(found.d_hidden), host(found.d_head.unwrap()));
        let slope = |values: &[f32], at: usize, loss: &dyn Fn(&[f32]) -> f64| {
            let mut moved = values.to_vec();
            moved[at] = values[at] + 1e-2;
            let up = loss(&moved);
            moved[at] = values[at] - 1e-2;
            (up - loss(&moved)) / 2e-2
        };
        for at in (0..hidden.len()).step_by(97) {
            let expected = slope(&hidden, at, &|h| run::<B>(h, &head, false).loss);
            let difference = (expected - d_hidden[at] as f64).abs();
            assert!(
                difference < 1e-4,
                "hidden {at}: {expected}, {}",
                d_hidden[at]
            );
        }
        for at in (0..head.len()).step_by(5) {
            let expected = slope(&head, at, &|w| run::<B>(&hidden, w, false).loss);
            let difference = (expected - d_head[at] as f64).abs();
            assert!(difference < 2e-3, "head {at}: {expected}, {}", d_head[at]);
        }
    }

    #[test]
    fn on_flex() {
        gradients_match_finite_differences::<Flex>();
    }

    #[test]
    fn on_ndarray() {
        gradients_match_finite_differences::<NdArray>();
    }

    #[test]
    fn a_student_that_is_its_teacher_has_no_divergence() {
        let value = tensor::<Flex>(draw(1, V * 4), 4);
        let name = "lm_head.weight".to_string();
        let head = Head {
            matrix: Matrix::Dense(Parameter { name, value }),
            softcap: None,
        };
        let rows = || Rows {
            hidden: tensor::<Flex>(draw(2, 3 * 4), 4),
            head: &head,
        };
        let mix = Mix { weight: 1.0, ..MIX };
        let found = distill(&rows(), &rows(), &[1, 2, 3], mix, false);
        assert!(found.loss.abs() < 1e-6, "{}", found.loss);
        assert!(host(found.d_hidden).iter().all(|v| v.abs() < 1e-6));
    }
}
