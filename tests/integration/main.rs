//! The `slm` binary from the outside: what it prints, what it writes, how it ends.

mod arguments;
mod repository;
mod run;
