//! Every kernel that this machine can run, against sums in f64.

use super::*;
use crate::kernels::testing::{check_gradient, dot, random};

#[test]
fn linear_and_its_gradients() {
    let (m, k, n) = (5, 7, 6);
    let (x, w, g) = (random(1, m * k), random(2, n * k), random(3, m * n));
    let y = linear(&x, &w, m, k, n);
    let by_hand: f32 = (0..k).map(|i| x[2 * k + i] * w[4 * k + i]).sum();
    assert!((y[2 * n + 4] - by_hand).abs() < 1e-5);
    check_gradient(&x, &linear_dx(&g, &w, m, k, n), 1, |x| {
        dot(&linear(x, &w, m, k, n), &g)
    });
    check_gradient(&w, &linear_dw(&g, &x, m, k, n), 1, |w| {
        dot(&linear(&x, w, m, k, n), &g)
    });
}

/// How the factors of a test lie in memory.
#[derive(Clone, Copy, Debug)]
struct Case {
    m: usize,
    k: usize,
    n: usize,
    a_transposed: bool,
    b_transposed: bool,
    write: Write,
    threads: Threads,
}

/// A matrix of the shape [rows, columns], stored transposed or not, its rows 3 further apart than
/// they are long.
fn view(data: &[f32], rows: usize, columns: usize, transposed: bool) -> View<'_> {
    match transposed {
        false => View::strided(data, rows, columns, columns + 3),
        true => View::strided(data, columns, rows, rows + 3).t(),
    }
}

fn at(view: &View<'_>, row: usize, column: usize) -> f32 {
    view.data[row * view.row_stride + column * view.column_stride]
}

/// The whole output of one kernel, checked against sums in f64; nothing beside it is written.
fn checked(kernel: Kernel, case: Case) -> Vec<f32> {
    let Case { m, k, n, .. } = case;
    let (a, b) = (random(1, (m + 3) * (k + 3)), random(2, (k + 3) * (n + 3)));
    let a = view(&a, m, k, case.a_transposed);
    let b = view(&b, k, n, case.b_transposed);
    let before = random(3, m * (n + 5));
    let mut out = before.clone();
    product_by(
        kernel,
        &mut out,
        n + 5,
        (a, b),
        case.write,
        0.5,
        case.threads,
    );
    for i in 0..m {
        for j in 0..n + 5 {
            let (old, new) = (before[i * (n + 5) + j], out[i * (n + 5) + j]);
            if j >= n {
                assert_eq!(old, new, "beside the output of {case:?}");
                continue;
            }
            let terms = (0..k).map(|p| at(&a, i, p) as f64 * at(&b, p, j) as f64);
            let start = if case.write == Write::Add {
                old as f64
            } else {
                0.0
            };
            let expected = start + 0.5 * terms.sum::<f64>();
            let tolerance = 1e-6 * (4.0 + k as f64).sqrt() * 3.0;
            let off = (new as f64 - expected).abs();
            assert!(
                off < tolerance,
                "{case:?} at {i}, {j}: {new}, not {expected}"
            );
        }
    }
    out
}

/// All ways of laying the factors out, for one shape.
fn layouts(m: usize, k: usize, n: usize) -> Vec<Case> {
    let mut out = Vec::new();
    for bits in 0..8 {
        out.push(Case {
            m,
            k,
            n,
            a_transposed: bits & 1 > 0,
            b_transposed: bits & 2 > 0,
            write: if bits & 4 > 0 { Write::Add } else { Write::Set },
            threads: if bits & 1 > 0 {
                Threads::One
            } else {
                Threads::All
            },
        });
    }
    out
}

#[test]
fn every_kernel_multiplies_edge_shapes() {
    let shapes = [
        (1, 1, 1),
        (1, 9, 33),
        (12, 16, 32),
        (13, 17, 31),
        (5, 385, 16),
        (7, 40, 17),
        (25, 384, 65),
        (64, 3, 7),
        (3, 800, 2),
    ];
    for kernel in Kernel::available() {
        for (m, k, n) in shapes {
            for case in layouts(m, k, n) {
                checked(kernel, case);
            }
        }
    }
}

#[test]
fn every_kernel_multiplies_random_shapes_on_all_threads() {
    let sizes = random(9, 30);
    let size = |i: usize, most: f32| ((sizes[i] + 1.0) / 2.0 * most) as usize + 1;
    for kernel in Kernel::available() {
        for i in 0..10 {
            let (m, k, n) = (
                size(3 * i, 150.0),
                size(3 * i + 1, 500.0),
                size(3 * i + 2, 150.0),
            );
            for case in layouts(m, k, n).into_iter().step_by(3) {
                checked(kernel, case);
            }
        }
    }
}

#[test]
fn one_thread_and_all_give_the_same_bits() {
    // Several chunks of the inner size, and more rows than are packed at once.
    let case = Case {
        m: 1400,
        k: 1700,
        n: 40,
        a_transposed: false,
        b_transposed: true,
        write: Write::Set,
        threads: Threads::All,
    };
    let run = |kernel, threads| {
        let (a, b) = (random(1, case.m * case.k), random(2, case.k * case.n));
        let (a, b) = (
            View::new(&a, case.m, case.k),
            View::new(&b, case.n, case.k).t(),
        );
        let mut out = vec![0.0; case.m * case.n];
        product_by(kernel, &mut out, case.n, (a, b), case.write, 1.0, threads);
        out
    };
    for kernel in Kernel::available() {
        assert_eq!(run(kernel, Threads::One), run(kernel, Threads::All));
    }
    // The kernels with fused multiply-add round alike.
    let fused: Vec<_> = Kernel::available().into_iter().skip(1).collect();
    for pair in fused.windows(2) {
        assert_eq!(run(pair[0], Threads::All), run(pair[1], Threads::All));
    }
}

#[test]
fn without_terms_the_sum_is_nothing() {
    let mut out = [1.0, 2.0, 3.0];
    let empty = || (View::new(&[], 1, 0), View::new(&[], 0, 2));
    product_by(
        Kernel::best(),
        &mut out,
        3,
        empty(),
        Write::Add,
        1.0,
        Threads::All,
    );
    assert_eq!(out, [1.0, 2.0, 3.0]);
    product_by(
        Kernel::best(),
        &mut out,
        3,
        empty(),
        Write::Set,
        1.0,
        Threads::All,
    );
    assert_eq!(out, [0.0, 0.0, 3.0]);
}
