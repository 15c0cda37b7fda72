//! How fast the products of a LoRA step are: `cargo run --release -p slm-cli -p slm-model --example
//! gemm_speed -- [ROWS]`, for SmolLM2-135M's shapes at rank 16 and a batch of ROWS (512) tokens.

use std::hint::black_box;
use std::time::Instant;

use slm_model::kernels::gemm::{Threads, View, Write, product};

const RANK: usize = 16;

/// A product `[m, k] [k, n]` of a step.
struct Case {
    name: &'static str,
    m: usize,
    k: usize,
    n: usize,
    /// Whether the factors are the transposes of what lies in memory.
    transposed: (bool, bool),
    write: Write,
}

fn cases(rows: usize, k: usize, n: usize) -> Vec<Case> {
    let case = |name, (m, k, n), transposed, write| Case {
        name,
        m,
        k,
        n,
        transposed,
        write,
    };
    vec![
        case("x W^T", (rows, k, n), (false, true), Write::Set),
        case("dy W", (rows, n, k), (false, false), Write::Set),
        case("x A^T", (rows, k, RANK), (false, true), Write::Set),
        case("low B^T", (rows, RANK, n), (false, true), Write::Add),
        case("dy B", (rows, n, RANK), (false, false), Write::Set),
        case("dlow A", (rows, RANK, k), (false, false), Write::Add),
        case("dlow^T x", (RANK, rows, k), (true, false), Write::Set),
        case("dy^T low", (n, rows, RANK), (true, false), Write::Set),
    ]
}

fn view(data: &[f32], rows: usize, columns: usize, transposed: bool) -> View<'_> {
    match transposed {
        false => View::new(data, rows, columns),
        true => View::new(data, columns, rows).t(),
    }
}

/// Seconds a product takes, the median over some operands that no cache holds together.
fn seconds(case: &Case) -> f64 {
    let Case { m, k, n, .. } = *case;
    let copies = (64_000_000 / (4 * (m * k + k * n + m * n))).clamp(3, 60);
    let numbers = |count: usize| (0..count).map(|i| (i % 17) as f32 * 0.1 - 0.8).collect();
    let sets: Vec<[Vec<f32>; 2]> = (0..copies)
        .map(|_| [numbers(m * k), numbers(k * n)])
        .collect();
    let mut out = vec![0.0; m * n];
    let mut times = vec![];
    for round in 0..3 {
        for [a, b] in &sets {
            let begun = Instant::now();
            product(
                &mut out,
                n,
                view(a, m, k, case.transposed.0),
                view(b, k, n, case.transposed.1),
                case.write,
                1.0,
                Threads::All,
            );
            if round > 0 {
                times.push(begun.elapsed().as_secs_f64());
            }
            black_box(&mut out);
        }
    }
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

fn main() {
    let rows = std::env::args().nth(1);
    let rows = rows.map_or(512, |rows| rows.parse().expect("ROWS is a number"));
    let linears = [(576, 576, 2), (576, 192, 2), (576, 1536, 2), (1536, 576, 1)];
    let mut total = [0.0; 2];
    rayon::scope(|_| {
        for (k, n, count) in linears {
            for case in cases(rows, k, n) {
                let time = seconds(&case);
                let flop = 2.0 * (case.m * case.k * case.n) as f64;
                let small = case.m.min(case.k).min(case.n) == RANK;
                total[small as usize] += 30.0 * count as f64 * time;
                println!(
                    "{:9} {:5} {:5} {:5} {:8.3} ms {:6.1} GFLOP/s",
                    case.name,
                    case.m,
                    case.k,
                    case.n,
                    time * 1e3,
                    flop / time / 1e9
                );
            }
        }
    });
    let [full, low] = total;
    println!("a step of 30 layers: full {full:.3} s, low-rank {low:.3} s");
}
