//! Round trips, and files that are damaged.

use super::*;
use proptest::prelude::*;
use serde_json::{Value, json};
use std::path::PathBuf;

fn row(value: Value) -> Row {
    value.as_object().unwrap().clone()
}

fn written(rows: &[Value]) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("new/rows.parquet");
    let mut writer = TableWriter::create(&path).unwrap();
    for value in rows {
        writer.write(&row(value.clone())).unwrap();
    }
    assert_eq!(writer.finish().unwrap(), rows.len());
    (folder, path)
}

fn read(path: &Path) -> Vec<Value> {
    let rows = TableReader::open(path).unwrap();
    rows.map(|row| Value::Object(row.unwrap())).collect()
}

#[test]
fn rows_come_back_as_they_were() {
    let rows = [
        json!({"id": "a", "messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "ä\u{1f600}"}]}),
        json!({"id": "b", "messages": [], "n": 9_007_199_254_740_993_i64, "x": 0.1, "yes": false}),
        json!({"messages": [{"role": "tool", "content": "", "name": "f"}], "n": -1, "deep": [[{"a": [1, 2]}], []]}),
        json!({"mixed": "[1]", "deep": [[{"a": []}]]}),
    ];
    let (_folder, path) = written(&rows);
    assert_eq!(read(&path), rows);
    let reader = TableReader::open(&path).unwrap();
    assert_eq!(reader.rows(), 4);
    let names: Vec<&str> = reader.columns().collect();
    assert_eq!(names, ["id", "messages", "n", "x", "yes", "deep", "mixed"]);
}

#[test]
fn nulls_are_absent_and_mixed_types_are_json() {
    let (_folder, path) = written(&[
        json!({"a": null, "b": {"x": 1, "y": null}, "c": 1, "d": {}}),
        json!({"a": "t", "b": {"y": "z"}, "c": [true], "d": {}}),
    ]);
    assert_eq!(
        read(&path),
        [
            json!({"b": {"x": 1}, "c": "1", "d": "{}"}),
            json!({"a": "t", "b": {"y": "z"}, "c": "[true]", "d": "{}"}),
        ]
    );
}

#[test]
fn many_rows_are_several_row_groups_and_each_can_be_gone_to() {
    let rows: Vec<Value> = (0..70_000)
        .map(|n| json!({"n": n, "t": format!("row {n}")}))
        .collect();
    let (_folder, path) = written(&rows);
    assert_eq!(read(&path), rows);
    let mut one = TableReader::open(&path).unwrap();
    for row in [
        0, 1, 32_768, 40_000, 80_000, 39_999, 69_999, 5, 70_000, 69_998, 69_998,
    ] {
        let expected = (row < 70_000).then_some(row as u64);
        let mut fresh = TableReader::open(&path).unwrap();
        for reader in [&mut one, &mut fresh] {
            reader.go_to(row);
            let next = reader.next().map(|row| row.unwrap()["n"].as_u64().unwrap());
            assert_eq!(next, expected);
            if next.is_some() {
                assert_eq!(reader.row(), row + 1);
            }
        }
    }
    one.go_to(32_767);
    let next: Vec<Value> = one.take(2).map(|row| row.unwrap()["n"].clone()).collect();
    assert_eq!(next, [32_767, 32_768]);
}

#[test]
fn the_same_rows_give_the_same_bytes_and_an_unfinished_file_none() {
    let rows = [json!({"a": 1, "b": "x"}), json!({"a": 2})];
    let (_first, a) = written(&rows);
    let (folder, b) = written(&rows);
    assert_eq!(std::fs::read(a).unwrap(), std::fs::read(&b).unwrap());
    let mut writer = TableWriter::create(&b).unwrap();
    writer.write(&row(json!({"z": 1}))).unwrap();
    drop(writer);
    assert_eq!(read(&b), rows);
    let left = std::fs::read_dir(folder.path().join("new"))
        .unwrap()
        .count();
    assert_eq!(left, 1);
}

#[test]
fn a_table_without_rows_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("none.parquet");
    let error = TableWriter::create(&path).unwrap().finish().unwrap_err();
    assert!(error.to_string().contains("no rows"), "{error}");
    assert!(!path.exists());
}

#[test]
fn what_is_no_parquet_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rows.parquet");
    for bytes in [
        &b""[..],
        b"PAR1",
        b"{\"text\": \"not a table, but long enough\"}\n",
    ] {
        std::fs::write(&path, bytes).unwrap();
        let error = TableReader::open(&path).err().unwrap().to_string();
        assert!(
            error.contains("rows.parquet: not a Parquet file"),
            "{error}"
        );
        assert!(error.contains("\nhint: "), "{error}");
    }
    let error = TableReader::open(Path::new("/nonexistent.parquet"))
        .err()
        .unwrap();
    assert!(matches!(error, TableError::Io { .. }));
}

fn fixture(name: &str) -> PathBuf {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/parquet");
    fixtures.join(name)
}

/// Written by pyarrow 26: three row groups, snappy, dictionaries.
#[test]
fn what_pyarrow_writes_is_read() {
    let rows = read(&fixture("pyarrow-snappy.parquet"));
    assert_eq!(
        rows[0],
        json!({"id": "r0", "messages": [{"role": "user", "content": "q0 ß"}, {"role": "assistant", "content": "x"}],
               "source": "web", "score": 1.0, "count": 1, "small": -1,
               "when": "2024-01-01 12:00:00", "day": "2024-01-01",
               "image": [137, 80, 78, 71, 255, 0], "price": "1.25", "scores": [{"key": "a", "value": 0.5}],
               "vector": [1, 2], "flag": true})
    );
    assert_eq!(rows.len(), 5);
    assert_eq!(rows[4]["count"], 9_223_372_036_854_775_808_u64);
    assert_eq!(
        (&rows[3]["image"], &rows[3]["scores"]),
        (&json!(""), &json!([]))
    );
    for absent in ["source", "score"] {
        assert_eq!(rows[3].get(absent), None);
    }
    assert_eq!(rows[4]["messages"][1]["content"], "aaaax");
    let ids = |name: &str| -> Vec<Value> {
        read(&fixture(name))
            .into_iter()
            .map(|row| row["id"].clone())
            .collect()
    };
    let expected = ["r0", "r1", "r2", "r3", "r4"];
    assert_eq!(ids("pyarrow-v2-gzip.parquet"), expected);
    assert_eq!(ids("pyarrow-lz4.parquet"), expected);
}

#[test]
fn what_pandas_and_datasets_write_is_read() {
    assert_eq!(
        read(&fixture("pandas-alpaca.parquet"))[1],
        json!({"instruction": "j", "input": "n", "output": "p"})
    );
    assert_eq!(
        read(&fixture("datasets-sharegpt.parquet"))[2],
        json!({"conversations": [{"from": "human", "value": "q"}, {"from": "gpt", "value": "x"}], "system": "s"})
    );
}

#[test]
fn a_compression_that_is_not_built_in_is_named() {
    let error = drain(&fixture("pyarrow-brotli.parquet")).unwrap_err();
    assert!(
        error.contains("column `id` of row group 1 cannot be read"),
        "{error}"
    );
    assert!(error.contains("Brotli"), "{error}");
    assert!(
        error.contains("hint: write the file again with the compression"),
        "{error}"
    );
}

/// Reads to the end or to the first error.
fn drain(path: &Path) -> std::result::Result<usize, String> {
    let reader = TableReader::open(path).map_err(|error| error.to_string())?;
    let mut rows = 0;
    for row in reader {
        row.map_err(|error| error.to_string())?;
        rows += 1;
    }
    Ok(rows)
}

#[test]
fn a_file_cut_short_or_altered_is_an_error_and_never_a_panic() {
    let rows: Vec<Value> = (0..50)
        .map(|n| json!({"id": n, "t": [{"role": "user", "content": format!("{n}")}], "x": 0.5}))
        .collect();
    let (_folder, path) = written(&rows);
    let whole = std::fs::read(&path).unwrap();
    let file = path.to_string_lossy().into_owned();
    let is_refused = |bytes: &[u8]| {
        std::fs::write(&path, bytes).unwrap();
        let error = drain(&path).err();
        assert!(error.iter().all(|error| error.contains(&file)), "{error:?}");
        error.is_some()
    };
    for length in (0..whole.len()).step_by(7) {
        assert!(is_refused(&whole[..length]), "{length} bytes were read");
    }
    // Every byte, a bit of it turned; sizes that no longer agree must not become memory.
    let mut refused = 0;
    for at in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[at] ^= [0x01, 0x10, 0x40][at % 3];
        refused += usize::from(is_refused(&bytes));
    }
    assert!(refused > 20, "{refused}");
}

fn cell() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        "[a-zß\" ]{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec(("[a-d]", inner), 1..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever the rows are, each cell comes back as it was or as its JSON.
    #[test]
    fn any_rows_survive(rows in prop::collection::vec(prop::collection::vec(("[p-s]", cell()), 1..4), 1..8)) {
        let rows: Vec<Value> = rows
            .into_iter()
            .map(|cells| Value::Object(cells.into_iter().collect()))
            .collect();
        let (_folder, path) = written(&rows);
        let back = read(&path);
        prop_assert_eq!(back.len(), rows.len());
        for (row, back) in rows.iter().zip(&back) {
            let cells = row.as_object().unwrap();
            prop_assert_eq!(cells.len(), back.as_object().unwrap().len());
            for (name, cell) in cells {
                prop_assert!(same(cell, &back[name]), "{} became {}", cell, back[name]);
            }
        }
    }
}

/// Equal, where any part of `back` may be the JSON of what it was.
fn same(cell: &Value, back: &Value) -> bool {
    if cell == back || back.as_str() == Some(&cell.to_string()) {
        return true;
    }
    match (cell, back) {
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len()
                && a.iter()
                    .all(|(name, a)| b.get(name).is_some_and(|b| same(a, b)))
        }
        _ => false,
    }
}
