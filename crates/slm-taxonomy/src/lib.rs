//! InstructLab taxonomy files: leaves, and diagnostics with their place in the file.
