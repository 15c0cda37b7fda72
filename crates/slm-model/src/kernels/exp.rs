//! A vectorizable `exp` and the reductions built on it.
//!
//! The polynomial is Cephes' `expf`: range reduction by `log 2`, degree 5, about 2 ulp.

const LOG2_E: f32 = std::f32::consts::LOG2_E;
const LN2_HIGH: f32 = 0.693_359_4;
const LN2_LOW: f32 = -2.121_944_4e-4;

/// `e^x`, at most about 2 ulp off; 0 below -87.3, saturating above 88.
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    let clamped = x.clamp(-87.3, 88.0);
    // Adding and subtracting 1.5 * 2^23 rounds to the nearest integer without a branch.
    let magic = 12_582_912.0f32;
    let rounded = clamped * LOG2_E + magic;
    let n = rounded - magic;
    let r = clamped - n * LN2_HIGH - n * LN2_LOW;
    let mut p = 1.987_569_1e-4f32;
    p = p * r + 1.398_199_9e-3;
    p = p * r + 8.333_452e-3;
    p = p * r + 4.166_579_6e-2;
    p = p * r + 1.666_666_5e-1;
    p = p * r + 0.5;
    let fraction = p * r * r + r + 1.0;
    // The sum's low bits are the integer; a cast of `n` would have to saturate.
    let integer = rounded.to_bits().wrapping_sub(magic.to_bits());
    let power = f32::from_bits(integer.wrapping_add(127) << 23);
    if x < -87.3 { 0.0 } else { fraction * power }
}

/// `tanh x`, at most about 2 ulp off: a polynomial for small `x` (Cephes' `tanhf`), where the
/// quotient of exponentials would cancel.
#[inline(always)]
pub fn tanh(x: f32) -> f32 {
    let z = x * x;
    let mut p = -5.704_988_7e-3f32;
    p = p * z + 2.063_909e-2;
    p = p * z - 5.373_971_5e-2;
    p = p * z + 1.333_144_2e-1;
    p = p * z - 3.333_328e-1;
    let small = p * z * x + x;
    let large = (1.0 - 2.0 / (exp(2.0 * x.abs()) + 1.0)).copysign(x);
    if x.abs() < 0.625 { small } else { large }
}

/// `cap tanh(x / cap)`: close to `x` near zero, never beyond `cap`.
#[inline(always)]
pub fn soft_cap(x: f32, cap: f32) -> f32 {
    cap * tanh(x / cap)
}

/// Largest value; `-inf` of nothing.
#[inline(always)]
pub fn max(values: &[f32]) -> f32 {
    let mut lanes = [f32::NEG_INFINITY; 16];
    let chunks = values.chunks_exact(16);
    let rest = chunks.remainder();
    for chunk in chunks {
        for (lane, value) in lanes.iter_mut().zip(chunk) {
            *lane = if *value > *lane { *value } else { *lane };
        }
    }
    rest.iter()
        .chain(&lanes)
        .copied()
        .fold(f32::NEG_INFINITY, f32::max)
}

/// Replaces each value by `exp(value - shift)` and returns their sum.
#[inline(always)]
pub fn exp_shifted(values: &mut [f32], shift: f32) -> f32 {
    let mut lanes = [0.0f32; 16];
    let mut chunks = values.chunks_exact_mut(16);
    for chunk in &mut chunks {
        for (lane, value) in lanes.iter_mut().zip(chunk) {
            *value = exp(*value - shift);
            *lane += *value;
        }
    }
    let mut sum: f32 = lanes.iter().sum();
    for value in chunks.into_remainder() {
        *value = exp(*value - shift);
        sum += *value;
    }
    sum
}

/// Sum of products, in a fixed order of 16 lanes.
#[inline(always)]
pub fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut lanes = [0.0f32; 16];
    let (a16, b16) = (a.chunks_exact(16), b.chunks_exact(16));
    let rest: f32 = a16
        .remainder()
        .iter()
        .zip(b16.remainder())
        .map(|(x, y)| x * y)
        .sum();
    for (x, y) in a16.zip(b16) {
        for ((lane, x), y) in lanes.iter_mut().zip(x).zip(y) {
            *lane += x * y;
        }
    }
    lanes.iter().sum::<f32>() + rest
}

/// Defines a function that runs with the widest vectors that this machine has.
///
/// The body is compiled twice, for AVX2 and for any machine, and must call only functions that are
/// inlined. (A closure handed to a dispatcher does not serve: the compiler may leave it outside of
/// the vectorized function.) Both give the same bits: nothing is contracted or reordered.
#[macro_export]
macro_rules! vectorized {
    (
        $(#[$attribute:meta])*
        $visibility:vis fn $name:ident $(<$generic:ident: $bound:ident>)? (
            $($argument:ident: $type:ty),* $(,)?
        ) $(-> $result:ty)? $body:block
    ) => {
        $(#[$attribute])*
        $visibility fn $name $(<$generic: $bound>)? ($($argument: $type),*) $(-> $result)? {
            #[inline(always)]
            fn portable $(<$generic: $bound>)? ($($argument: $type),*) $(-> $result)? $body

            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx2,fma")]
                fn wide $(<$generic: $bound>)? ($($argument: $type),*) $(-> $result)? {
                    portable $(::<$generic>)? ($($argument),*)
                }
                if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                    // SAFETY: the machine has both.
                    return unsafe { wide $(::<$generic>)? ($($argument),*) };
                }
            }
            portable $(::<$generic>)? ($($argument),*)
        }
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_is_within_3_ulp_of_the_library() {
        for i in -8700..8800 {
            let x = i as f32 / 100.0;
            let (ours, exact) = (exp(x), (x as f64).exp());
            assert!(
                (ours as f64 - exact).abs() <= exact * 4e-7,
                "exp({x}) = {ours}, not {exact}"
            );
        }
        assert_eq!(exp(-1000.0), 0.0);
        assert_eq!(exp(f32::NEG_INFINITY), 0.0);
        assert!(exp(1000.0).is_finite());
    }

    #[test]
    fn tanh_is_within_4_ulp_of_the_library() {
        for i in -2000..2000 {
            let x = i as f32 / 100.0;
            let (ours, exact) = (tanh(x), (x as f64).tanh());
            assert!(
                (ours as f64 - exact).abs() <= exact.abs() * 5e-7,
                "tanh({x}) = {ours}, not {exact}"
            );
        }
        assert_eq!((tanh(1e30), tanh(f32::NEG_INFINITY)), (1.0, -1.0));
        assert!(tanh(f32::NAN).is_nan());
    }

    #[test]
    fn reductions_handle_odd_lengths() {
        let values: Vec<f32> = (0..37).map(|i| (i as f32 * 0.7).sin()).collect();
        assert_eq!(
            max(&values),
            values.iter().copied().fold(f32::MIN, f32::max)
        );
        let expected: f32 = values.iter().map(|v| v * v).sum();
        assert!((dot(&values, &values) - expected).abs() < 1e-5);
        let mut shifted = values.clone();
        let sum = exp_shifted(&mut shifted, 0.5);
        assert!((sum - values.iter().map(|v| (v - 0.5).exp()).sum::<f32>()).abs() < 1e-4);
    }
}
