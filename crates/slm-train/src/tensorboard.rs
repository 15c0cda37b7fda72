//! A run's figures as TensorBoard reads them: event files of TFRecords.
//!
//! A record is its length (u64), the masked CRC-32C of that, the bytes, and their masked CRC-32C,
//! all little-endian (tensorflow/core/lib/io/record_writer.h); the bytes are an `Event` message of
//! tensorflow/core/util/event.proto, written by hand. Does not know what a step is.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use slm_model::ModelError;

use crate::error::Result;
use crate::events::Event;

/// An event file that grows while a run goes on.
pub struct Board {
    file: File,
    path: PathBuf,
}

impl Board {
    /// Begins a file of its own below `dir`, so that a resumed run appends to no torn record.
    /// Points of an earlier process behind `step` are taken back, as TensorBoard does for a
    /// session that begins there.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn create(dir: &Path, step: u64) -> Result<Self> {
        std::fs::create_dir_all(dir).map_err(|e| ModelError::io("write", dir, e))?;
        let time = now();
        let (whole, part) = (time as u64, (time.fract() * 1e6) as u32);
        let name = format!(
            "events.out.tfevents.{whole}.slm.{}.{part:06}",
            std::process::id()
        );
        let path = dir.join(name);
        let file = File::create(&path).map_err(|e| ModelError::io("write", &path, e))?;
        let mut board = Self { file, path };
        board.append(&version_event(time))?;
        if step > 0 {
            board.append(&session_event(time, step + 1))?;
        }
        Ok(board)
    }

    /// Writes the figures of an event, if it has any.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&mut self, event: &Event) -> Result<()> {
        match event {
            Event::Step {
                step,
                loss,
                learning_rate,
                gradient_norm,
                tokens_per_second,
                ..
            } => {
                let values = [
                    ("train/loss", *loss),
                    ("train/learning_rate", *learning_rate),
                    ("train/gradient_norm", *gradient_norm),
                    ("train/tokens_per_second", *tokens_per_second),
                ];
                self.append(&scalar_event(now(), *step, &values))
            }
            Event::Evaluation { step, loss } => {
                self.append(&scalar_event(now(), *step, &[("validation/loss", *loss)]))
            }
            _ => Ok(()),
        }
    }

    fn append(&mut self, message: &[u8]) -> Result<()> {
        self.file
            .write_all(&record(message))
            .map_err(|e| ModelError::io("write", &self.path, e).into())
    }
}

fn now() -> f64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0.0, |time| time.as_secs_f64())
}

/// A TFRecord.
fn record(data: &[u8]) -> Vec<u8> {
    let length = (data.len() as u64).to_le_bytes();
    let mut out = Vec::with_capacity(data.len() + 16);
    out.extend(length);
    out.extend(masked_crc(&length).to_le_bytes());
    out.extend(data);
    out.extend(masked_crc(data).to_le_bytes());
    out
}

/// CRC-32C, rotated right by 15 bits plus a constant, so that a checksum of data that holds
/// checksums stays good.
fn masked_crc(data: &[u8]) -> u32 {
    crc32c(data).rotate_right(15).wrapping_add(0xa282_ead8)
}

/// CRC-32C (Castagnoli), reflected, bit by bit; records are short.
fn crc32c(data: &[u8]) -> u32 {
    let mut crc = !0u32;
    for byte in data {
        crc ^= *byte as u32;
        for _ in 0..8 {
            let carry = crc & 1;
            crc = (crc >> 1) ^ (carry * 0x82f6_3b78);
        }
    }
    !crc
}

/// `Event { wall_time = 1, file_version = 3 }`, the first of a file.
fn version_event(time: f64) -> Vec<u8> {
    let mut out = Message::default();
    out.double(1, time);
    out.bytes(3, b"brain.Event:2");
    out.0
}

/// `Event { wall_time = 1, step = 2, session_log = 7 { status = 1: START } }`.
fn session_event(time: f64, step: u64) -> Vec<u8> {
    let mut session = Message::default();
    session.varint(1, 1);
    let mut out = Message::default();
    out.double(1, time);
    out.varint(2, step);
    out.bytes(7, &session.0);
    out.0
}

/// `Event { wall_time = 1, step = 2, summary = 5 { value = 1 { tag = 1, simple_value = 2 } } }`.
fn scalar_event(time: f64, step: u64, values: &[(&str, f64)]) -> Vec<u8> {
    let mut summary = Message::default();
    for (tag, value) in values {
        let mut entry = Message::default();
        entry.bytes(1, tag.as_bytes());
        entry.float(2, *value as f32);
        summary.bytes(1, &entry.0);
    }
    let mut out = Message::default();
    out.double(1, time);
    out.varint(2, step);
    out.bytes(5, &summary.0);
    out.0
}

/// A protocol buffer message as it is written: tag and wire type before each field.
#[derive(Default)]
struct Message(Vec<u8>);

impl Message {
    fn key(&mut self, field: u64, wire_type: u64) {
        self.number(field << 3 | wire_type);
    }

    /// Seven bits a byte, the lowest first, the top bit where more follow.
    fn number(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    fn varint(&mut self, field: u64, value: u64) {
        self.key(field, 0);
        self.number(value);
    }

    fn double(&mut self, field: u64, value: f64) {
        self.key(field, 1);
        self.0.extend(value.to_le_bytes());
    }

    fn bytes(&mut self, field: u64, value: &[u8]) {
        self.key(field, 2);
        self.number(value.len() as u64);
        self.0.extend(value);
    }

    fn float(&mut self, field: u64, value: f32) {
        self.key(field, 5);
        self.0.extend(value.to_le_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_castagnolis() {
        // Test vectors of RFC 3720, B.4.
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(crc32c(&[0xff; 32]), 0x62a8_ab43);
        let rising: Vec<u8> = (0..32).collect();
        assert_eq!(crc32c(&rising), 0x46dd_794e);
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
    }

    #[test]
    fn a_scalar_has_the_bytes_of_the_format() {
        let bytes = scalar_event(1.5, 300, &[("a", 0.25)]);
        let expected = [
            &[0x09, 0, 0, 0, 0, 0, 0, 0xf8, 0x3f][..], // wall_time = 1.5
            &[0x10, 0xac, 0x02],                       // step = 300
            &[0x2a, 0x0a],                             // summary of 10 bytes
            &[0x0a, 0x08],                             // value of 8 bytes
            &[0x0a, 0x01, b'a'],                       // tag = "a"
            &[0x15, 0, 0, 0x80, 0x3e],                 // simple_value = 0.25
        ]
        .concat();
        assert_eq!(bytes, expected);
    }

    #[test]
    fn a_record_frames_its_data_with_both_checksums() {
        let out = record(b"abc");
        assert_eq!(out.len(), 8 + 4 + 3 + 4);
        assert_eq!(out[..8], [3, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(out[8..12], masked_crc(&out[..8]).to_le_bytes());
        assert_eq!(out[15..], masked_crc(b"abc").to_le_bytes());
        // The first record of every file that TensorFlow writes is 24 bytes long, and their
        // length has this checksum.
        let first = record(&version_event(0.0));
        assert_eq!(
            first[..12],
            [24, 0, 0, 0, 0, 0, 0, 0, 0xa3, 0x7f, 0x4b, 0x22]
        );
    }

    #[test]
    fn a_file_begins_with_its_version_and_grows_by_records() {
        let dir = tempfile::tempdir().unwrap();
        let mut board = Board::create(dir.path(), 4).unwrap();
        let event = Event::Evaluation { step: 5, loss: 2.0 };
        board.write(&event).unwrap();
        board.write(&Event::Checkpoint { step: 5 }).unwrap();
        let entry = std::fs::read_dir(dir.path())
            .unwrap()
            .next()
            .unwrap()
            .unwrap();
        assert!(entry.file_name().to_string_lossy().contains("tfevents"));
        let data = std::fs::read(entry.path()).unwrap();
        let (mut at, mut records) = (0, Vec::new());
        while at < data.len() {
            let length = u64::from_le_bytes(data[at..at + 8].try_into().unwrap()) as usize;
            assert_eq!(
                data[at..at + 16 + length],
                record(&data[at + 12..at + 12 + length])
            );
            records.push(&data[at + 12..at + 12 + length]);
            at += 16 + length;
        }
        assert_eq!(records.len(), 3);
        assert!(records[0].ends_with(b"brain.Event:2"));
        assert!(
            records[1].ends_with(&[0x10, 5, 0x3a, 2, 8, 1]),
            "{:?}",
            records[1]
        );
        assert!(
            records[2].ends_with(&[0x15, 0, 0, 0, 0x40]),
            "{:?}",
            records[2]
        );
    }
}
