//! The check as a whole: what it prints, on what, and that nothing brings it down.

mod changed;
mod every_code;
mod fixture;
mod own;
mod rendered;
mod robust;
mod sample;
