//! Adapters are used on the base that they were trained on, unless the user insists.
//!
//! Does not know how a base is told from another; that is slm-model's.

use std::path::Path;

use anyhow::Result;
use slm_model::lineage::{self, Fit};

use crate::commands::Context;
use crate::failure::Failure;

/// Refuses an adapter of another base; with `force`, warns instead. An adapter that does not say
/// what it was trained on, as those of PEFT, passes.
///
/// # Errors
/// The adapter is another base's, or one of the two cannot be read.
pub fn check_base(context: &Context, adapter: &Path, base: &Path, force: bool) -> Result<()> {
    if lineage::fit(adapter, base)? != Fit::Other {
        return Ok(());
    }
    let problem = format!(
        "the adapter `{}` was trained on other weights than those of `{}`",
        adapter.display(),
        base.display()
    );
    if force {
        context.terminal.warn(problem);
        return Ok(());
    }
    Err(Failure::new(problem)
        .hint("use the base that it was trained on; `--force` uses it on this one all the same")
        .into())
}
