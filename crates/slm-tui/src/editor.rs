//! A text in the user's editor.
//!
//! Does not know the terminal: whoever calls gives it to the editor and takes it again.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::PathBuf;
use std::process::Command;

/// The file that the editor is given; gone when this is.
struct Draft(PathBuf);

impl Drop for Draft {
    fn drop(&mut self) {
        std::fs::remove_file(&self.0).ok();
    }
}

/// The editor's command: `VISUAL`, `EDITOR`, or `vi`.
pub fn command() -> String {
    ["VISUAL", "EDITOR"]
        .iter()
        .filter_map(|name| std::env::var(name).ok())
        .find(|command| !command.trim().is_empty())
        .unwrap_or_else(|| "vi".into())
}

/// Opens the text in an editor, which may come with arguments, and returns it as saved. A line
/// feed that the editor put at the end of a text without one is taken off.
///
/// # Errors
/// Why there is no new text, in words for the reader.
pub fn edit(command: &str, text: &str) -> Result<String, String> {
    let draft = write(text).map_err(|error| format!("no file for the editor: {error}"))?;
    let status = Command::new("sh")
        .arg("-c")
        .arg(format!("{command} \"$1\""))
        .args(["sh".as_ref(), draft.0.as_os_str()])
        .status()
        .map_err(|error| format!("`{command}` did not start: {error}; set EDITOR"))?;
    match status.code() {
        Some(0) => {}
        Some(127) => return Err(format!("`{command}` was not found; set EDITOR")),
        _ => {
            return Err(format!(
                "`{command}` ended with {status}; nothing was changed"
            ));
        }
    }
    let bytes =
        std::fs::read(&draft.0).map_err(|error| format!("the editor's file is gone: {error}"))?;
    let mut edited = String::from_utf8(bytes)
        .map_err(|_| "the editor's file is not UTF-8; nothing was changed".to_owned())?;
    if edited.ends_with('\n') && !text.ends_with('\n') {
        edited.pop();
    }
    Ok(edited)
}

/// A file that only its owner may read: rows may hold what is not for everyone.
fn write(text: &str) -> std::io::Result<Draft> {
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |since| since.as_nanos());
    let name = format!("slm-answer-{}-{now}.txt", std::process::id());
    let path = std::env::temp_dir().join(name);
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&path)?;
    let draft = Draft(path);
    file.write_all(text.as_bytes())?;
    Ok(draft)
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn the_text_comes_back_as_the_editor_saved_it() {
        assert_eq!(
            edit("sed -i s/old/new/", "an old\nanswer"),
            Ok("an new\nanswer".into())
        );
        assert_eq!(edit("printf 'a\\n' >", "x"), Ok("a".into()));
        assert_eq!(edit("printf 'a\\n' >", "x\n"), Ok("a\n".into()));
    }

    #[test]
    fn an_editor_that_fails_changes_nothing() {
        let failed = |command: &str| edit(command, "x").unwrap_err();
        assert!(failed("false").contains("nothing was changed"));
        assert!(failed("no-such-editor").contains("set EDITOR"));
        assert!(failed("printf '\\377' >").contains("not UTF-8"));
        assert!(failed("rm").contains("is gone"));
    }
}
