//! The check as a whole: what it prints, on what, and that nothing brings it down.

mod changed;
mod documents;
mod drafts;
mod every_code;
mod fixes;
mod fixture;
mod formats;
mod fuzz;
mod hostile;
mod own;
mod places;
mod rendered;
mod robust;
mod sample;
