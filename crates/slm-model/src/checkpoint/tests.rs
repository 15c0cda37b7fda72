//! Damaged and hostile files, and that no bytes panic.

use std::path::Path;

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;

/// A safetensors file of a header and `body` bytes of zeros.
fn file(header: &str, body: usize) -> Vec<u8> {
    let mut data = (header.len() as u64).to_le_bytes().to_vec();
    data.extend(header.as_bytes());
    data.resize(data.len() + body, 0);
    data
}

fn folder(files: &[(&str, &[u8])]) -> TempDir {
    let room = tempfile::tempdir().unwrap();
    for (name, data) in files {
        std::fs::write(room.path().join(name), data).unwrap();
    }
    room
}

fn refusal(files: &[(&str, &[u8])]) -> String {
    let room = folder(files);
    let opened = Checkpoint::open(room.path());
    opened.err().expect("the checkpoint is refused").to_string()
}

const ONE: &str = r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#;

#[test]
fn damaged_headers_are_refused() {
    let cases: [(Vec<u8>, &str); 10] = [
        (vec![], "header too small"),
        (file(ONE, 7), "not a whole safetensors file"),
        (file(ONE, 9), "not a whole safetensors file"),
        (file(ONE, 8)[..20].to_vec(), "not a whole safetensors file"),
        (
            u64::MAX.to_le_bytes().to_vec(),
            "not a whole safetensors file",
        ),
        (
            (1u64 << 40).to_le_bytes().to_vec(),
            "not a whole safetensors file",
        ),
        (file("[]", 0), "not a whole safetensors file"),
        (
            file(
                r#"{"a":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}}"#,
                8,
            ),
            "not a whole safetensors file",
        ),
        (
            file(
                r#"{"a":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,8]}}"#,
                8,
            ),
            "not a whole safetensors file",
        ),
        (
            file(
                r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#,
                8,
            ),
            "tensor `a` is there twice",
        ),
    ];
    for (data, expected) in cases {
        let message = refusal(&[("model.safetensors", &data)]);
        assert!(
            message.to_lowercase().contains(expected) && message.contains("hint: "),
            "expected {expected}: {message}"
        );
    }
}

#[test]
fn an_index_that_lies_is_refused() {
    let shard = file(ONE, 8);
    let index = "model.safetensors.index.json";
    let with = |text: &str| {
        refusal(&[
            (index, text.as_bytes()),
            ("one.safetensors", &shard),
            ("two.safetensors", &shard),
        ])
    };
    let cases = [
        ("{", "not valid JSON"),
        ("{}", "`weight_map` is missing"),
        (r#"{"weight_map": {}}"#, "`weight_map` names no tensor"),
        (
            r#"{"weight_map": {"a": 3}}"#,
            "names no file for tensor `a`",
        ),
        (
            r#"{"weight_map": {"a": "three.safetensors"}}"#,
            "shard `three.safetensors` is listed but not there",
        ),
        (
            r#"{"weight_map": {"a": "../one.safetensors"}}"#,
            "leaves the folder",
        ),
        (
            r#"{"weight_map": {"a": "/etc/passwd"}}"#,
            "leaves the folder",
        ),
        (r#"{"weight_map": {"a": ".."}}"#, "leaves the folder"),
        (r#"{"weight_map": {"a": ""}}"#, "leaves the folder"),
        (
            r#"{"weight_map": {"a": "one.safetensors", "b": "two.safetensors"}}"#,
            "tensor `a` is there twice",
        ),
        (
            r#"{"weight_map": {"b": "one.safetensors"}}"#,
            "tensor `b` is not in",
        ),
    ];
    for (text, expected) in cases {
        let message = with(text);
        assert!(message.contains(expected), "{text}: {message}");
    }
    let room = folder(&[
        (index, br#"{"weight_map": {"a": "one.safetensors"}}"#),
        ("one.safetensors", &shard),
    ]);
    let whole = Checkpoint::open(room.path()).unwrap();
    assert_eq!(whole.read("a", &[2]).unwrap(), [0.0, 0.0]);
}

#[test]
fn shapes_and_formats_must_be_those_asked_for() {
    let header = r#"{"a":{"dtype":"I8","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"F16","shape":[1],"data_offsets":[2,4]},"c.weight_packed":{"dtype":"I8","shape":[0],"data_offsets":[4,4]}}"#;
    let room = folder(&[("model.safetensors", &file(header, 4))]);
    let checkpoint = Checkpoint::open(room.path()).unwrap();
    let message =
        |name: &str, shape: &[usize]| checkpoint.read(name, shape).unwrap_err().to_string();
    assert!(message("a", &[2]).contains("is stored as I8"));
    assert!(message("b", &[2]).contains("has shape [1], the config asks for [2]"));
    assert!(message("z", &[1]).contains("tensor `z` is missing"));
    assert!(message("c.weight", &[1]).contains("the model is quantized"));
    assert_eq!(checkpoint.read("b", &[1]).unwrap(), [0.0]);
}

#[test]
fn long_tensors_are_streamed_whole() {
    // More than is released at once, and not a multiple of it.
    let count = (4 << 20) / 4 * 2 + 12_345;
    let values: Vec<f32> = (0..count).map(|i| i as f32 / 100.0).collect();
    let room = tempfile::tempdir().unwrap();
    for (stored, _) in StoredType::NAMES {
        let exact = stored == StoredType::F32;
        let path = room.path().join("model.safetensors");
        write_tables(
            &path,
            [("a".to_string(), vec![count], values.as_slice())].into_iter(),
            stored,
        )
        .unwrap();
        let checkpoint = Checkpoint::open(room.path()).unwrap();
        assert_eq!(checkpoint.stored_type(), stored);
        for _ in 0..2 {
            let read = checkpoint.read("a", &[count]).unwrap();
            let same = |(a, b): (&f32, &f32)| (a - b).abs() <= b * 0.004;
            assert!(read.iter().zip(&values).all(same));
            assert_eq!(read == values, exact);
        }
        let mut stream = checkpoint.stream("a", &[count]).unwrap();
        let mut out = vec![0.0; 1000];
        stream.read(&mut out);
        stream.read(&mut out);
        assert_eq!(out[..24] == values[1000..1024], exact);
        assert_eq!(stream.left(), count - 2000);
    }
    let wrong = write_tables(
        Path::new("nowhere"),
        [("a".to_string(), vec![3], [1.0].as_slice())].into_iter(),
        StoredType::F32,
    );
    assert!(wrong.unwrap_err().to_string().contains("1 values for [3]"));
}

/// A header entry with numbers that may or may not go together.
fn entry() -> impl Strategy<Value = String> {
    let number = prop_oneof![0u64..40, any::<u64>()];
    let dtype = prop_oneof![
        Just("F32"),
        Just("F16"),
        Just("BF16"),
        Just("I4"),
        Just("X")
    ];
    (
        "[a-c]",
        dtype,
        prop::collection::vec(number.clone(), 0..4),
        number.clone(),
        number,
    )
        .prop_map(|(name, dtype, shape, start, end)| {
            format!(
                r#""{name}":{{"dtype":"{dtype}","shape":{shape:?},"data_offsets":[{start},{end}]}}"#
            )
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    /// Any bytes are opened or refused; what opens is read within the file.
    #[test]
    fn no_bytes_panic(data in prop::collection::vec(any::<u8>(), 0..200)) {
        try_to_read(&data);
    }

    #[test]
    fn no_header_panics(
        entries in prop::collection::vec(entry(), 0..4),
        body in 0usize..64,
        length in prop_oneof![4 => Just(None), 1 => any::<u64>().prop_map(Some)],
    ) {
        let mut data = file(&format!("{{{}}}", entries.join(",")), body);
        if let Some(length) = length {
            data[..8].copy_from_slice(&length.to_le_bytes());
        }
        try_to_read(&data);
    }

    /// A whole file with one byte changed.
    #[test]
    fn no_damage_panics(at in 0usize..70, byte in any::<u8>()) {
        let mut data = file(ONE, 8);
        let at = at % data.len();
        data[at] = byte;
        try_to_read(&data);
    }

    #[test]
    fn no_index_panics(text in "\\{\"weight_map\": ?[\\[\\]{}\":,a-c./0-9n]{0,40}\\}?") {
        let room = folder(&[("model.safetensors.index.json", text.as_bytes())]);
        let _ = Checkpoint::open(room.path());
    }
}

fn try_to_read(data: &[u8]) {
    let room = folder(&[("model.safetensors", data)]);
    let Ok(checkpoint) = Checkpoint::open(room.path()) else {
        return;
    };
    let tensors: Vec<(String, Vec<usize>)> = checkpoint
        .tensors()
        .map(|(name, shape)| (name.to_string(), shape.to_vec()))
        .collect();
    for (name, shape) in tensors {
        let _ = checkpoint.read(&name, &shape);
        assert!(checkpoint.raw(&name).is_some());
    }
}
