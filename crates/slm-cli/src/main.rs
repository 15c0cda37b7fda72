//! The `slm` binary.
fn main() {}
