//! No code: the features that dependencies have when the whole workspace is built.
//!
//! Every room has this crate among its dev-dependencies, so that testing one room alone compiles no
//! dependency a second time with fewer features.
