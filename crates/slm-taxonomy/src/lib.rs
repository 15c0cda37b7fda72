//! InstructLab taxonomy files: leaves, and diagnostics with their place in the file.

pub mod extension;
pub mod leaf;
pub mod source;
pub mod yaml;
