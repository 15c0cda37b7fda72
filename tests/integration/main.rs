//! The `slm` binary from the outside: what it prints, what it writes, how it ends.

mod arguments;
mod bad_input;
mod data;
mod eval;
mod flows;
mod frontier;
mod hub;
mod instructlab;
mod model;
mod overlap;
mod pipeline;
mod quantize;
mod repository;
mod rival;
mod run;
mod server;
mod taxonomy;
mod teachers;
mod training;
