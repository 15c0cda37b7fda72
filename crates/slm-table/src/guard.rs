//! Calls of polars on bytes that may be damaged: its reader meets some faults with a panic,
//! which is an error here.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::Once;

thread_local! {
    static GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// Runs `work`; a panic in it becomes the text of an error, and prints nothing.
pub fn guarded<T, E: ToString>(work: impl FnOnce() -> Result<T, E>) -> Result<T, String> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = take_hook();
        set_hook(Box::new(move |panic| {
            if !GUARDED.get() {
                before(panic);
            }
        }));
    });
    let outer = GUARDED.replace(true);
    // What `work` had borrowed is dropped or never read again after a panic.
    let done = catch_unwind(AssertUnwindSafe(work));
    GUARDED.set(outer);
    match done {
        Ok(done) => done.map_err(|error| error.to_string()),
        Err(panic) => Err(panic
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| panic.downcast_ref::<&str>().copied())
            .unwrap_or("the reader gave up")
            .to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_an_error_with_its_text() {
        let number = 7;
        let done: Result<(), String> = guarded(|| -> Result<(), String> { panic!("at {number}") });
        assert_eq!(done, Err("at 7".to_owned()));
        assert_eq!(guarded(|| Err::<(), _>("no")), Err("no".to_owned()));
        assert_eq!(guarded(|| Ok::<_, String>(3)), Ok(3));
    }
}
