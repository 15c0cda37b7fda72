//! The command line itself: help, versions, usage errors, devices, formats.

use crate::run::{Place, ended};

#[test]
fn no_arguments_and_unknown_ones_are_usage_errors() {
    let place = Place::new();
    let run = place.slm(&[]);
    assert_eq!(run.code, 2);
    assert!(run.stderr.contains("Usage: slm"), "{}", run.stderr);
    let run = place.slm(&["doctr"]);
    assert_eq!(run.code, 2);
    assert!(run.stderr.contains("'doctor'"), "{}", run.stderr);
}

#[test]
fn a_device_that_is_unknown_or_not_there_is_a_usage_error() {
    let place = Place::new();
    place.slm(&["doctor", "--device", "gpu"]).fails(
        2,
        "error: unknown device `gpu`\nhint: use auto, cpu, flex, ndarray or cuda[:N]\n",
    );
    if cfg!(not(feature = "cuda")) {
        place.slm(&["doctor", "--device", "cuda:1"]).fails(
            2,
            "error: device `cuda:1` is not in this build\n\
             hint: build with `cargo build --release --features cuda`, or use `--device cpu`\n",
        );
    }
}

#[test]
fn the_doctor_reports_as_text_and_as_json() {
    let place = Place::new();
    let run = place.slm(&["doctor", "--device", "flex"]);
    assert!(
        run.succeeds().contains("device     flex\n"),
        "{}",
        run.stdout
    );
    assert_eq!(run.stderr, "");
    let run = place.slm(&["doctor", "--format", "json"]);
    let found: serde_json::Value = serde_json::from_str(run.succeeds()).unwrap();
    assert!(found["cores"].as_u64().unwrap() > 0);
    assert_eq!(found["models"], serde_json::json!([]));
}

#[test]
fn a_reader_that_goes_away_is_no_error_and_a_full_disk_is_one() {
    let place = Place::new();
    let mut gone = place.command(&["doctor"]);
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    gone.stdout(writer);
    assert_eq!(gone.status().unwrap().code(), Some(0));
    if let Ok(full) = std::fs::OpenOptions::new().write(true).open("/dev/full") {
        let run = place.command(&["doctor"]).stdout(full).output().unwrap();
        assert_eq!(run.status.code(), Some(1));
        let stderr = String::from_utf8(run.stderr).unwrap();
        assert!(
            stderr.starts_with("error: cannot write to stdout: No space left"),
            "{stderr}"
        );
    }
}

#[test]
fn every_command_explains_itself() {
    let place = Place::new();
    let help = ended(&mut place.command(&["--help"]));
    let commands: Vec<&str> = help
        .succeeds()
        .lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| *name != "help")
        .collect();
    assert!(commands.contains(&"doctor"), "{commands:?}");
    for command in commands {
        place.slm(&[command, "--help"]).succeeds();
    }
}

#[test]
fn a_terminal_view_says_what_it_cannot_show() {
    let place = Place::new();
    place.slm(&["tui"]).fails(
        1,
        "error: there is no report in `workspace/evals`\n\
         hint: run a recipe that evaluates, or give the path of a report or a run\n",
    );
    let run = place.slm(&["tui", "none.html"]);
    assert_eq!(run.code, 1);
    assert!(
        run.stderr.starts_with("error: ") && run.stderr.contains("none.html"),
        "{}",
        run.stderr
    );
}
