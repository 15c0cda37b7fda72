//! `slm doctor`: what this machine offers, to read before asking for help.
//!
//! Looks and reports; does not judge or change anything.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::Result;
use clap::Args;
use serde_json::{Value, json};
use slm_model::Device;

use super::Context;
use crate::terminal::bytes;

/// No arguments of its own.
#[derive(Debug, Args)]
pub struct Doctor {}

impl Doctor {
    /// Prints the findings.
    pub fn run(self, context: &Context) -> Result<()> {
        let findings = Findings::look(context);
        if context.terminal.is_json() {
            context.terminal.json(&findings.as_json())
        } else {
            context.terminal.data(&findings.as_text())
        }
    }
}

struct Findings {
    device: Device,
    devices: Vec<&'static str>,
    cores: usize,
    memory_bytes: Option<u64>,
    memory_available_bytes: Option<u64>,
    disk_free_bytes: Option<u64>,
    simd: Vec<&'static str>,
    workspace: String,
    models: Vec<String>,
}

impl Findings {
    fn look(context: &Context) -> Self {
        let root = context.workspace.root();
        Self {
            device: context.device,
            devices: devices_built_in(),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            memory_bytes: memory_field("MemTotal:"),
            memory_available_bytes: memory_field("MemAvailable:"),
            disk_free_bytes: disk_free_bytes(root),
            simd: simd(),
            workspace: root.display().to_string(),
            models: models(&root.join("models")),
        }
    }

    fn as_json(&self) -> Value {
        json!({
            "version": env!("CARGO_PKG_VERSION"),
            "device": self.device.to_string(),
            "devices": self.devices,
            "cores": self.cores,
            "memory_bytes": self.memory_bytes,
            "memory_available_bytes": self.memory_available_bytes,
            "disk_free_bytes": self.disk_free_bytes,
            "simd": self.simd,
            "workspace": self.workspace,
            "models": self.models,
        })
    }

    fn as_text(&self) -> String {
        let size = |count: Option<u64>| count.map_or("unknown".to_owned(), bytes);
        let list = |items: Vec<String>| match items.is_empty() {
            true => "none".to_owned(),
            false => items.join(", "),
        };
        let strings = |items: &[&str]| items.iter().map(|&item| item.to_owned()).collect();
        let lines = [
            ("version", env!("CARGO_PKG_VERSION").to_owned()),
            ("device", self.device.to_string()),
            ("devices", list(strings(&self.devices))),
            ("cores", self.cores.to_string()),
            (
                "memory",
                format!(
                    "{}, {} available",
                    size(self.memory_bytes),
                    size(self.memory_available_bytes)
                ),
            ),
            ("simd", list(strings(&self.simd))),
            ("workspace", self.workspace.clone()),
            ("disk free", size(self.disk_free_bytes)),
            ("models", list(self.models.clone())),
        ];
        lines
            .iter()
            .map(|(label, value)| format!("{label:<10} {value}\n"))
            .collect()
    }
}

fn devices_built_in() -> Vec<&'static str> {
    let mut devices = vec!["flex", "ndarray"];
    if cfg!(feature = "cuda") {
        devices.push("cuda");
    }
    devices
}

fn memory_field(label: &str) -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find(|line| line.starts_with(label))?;
    let kibibytes: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kibibytes * 1024)
}

/// Free space where the workspace is, or will be, as the system's `df` says.
fn disk_free_bytes(root: &Path) -> Option<u64> {
    let absolute = std::path::absolute(root).ok()?;
    let existing = absolute.ancestors().find(|path| path.exists())?;
    let output = Command::new("df").arg("-Pk").arg(existing).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let kibibytes: u64 = text
        .lines()
        .nth(1)?
        .split_whitespace()
        .nth(3)?
        .parse()
        .ok()?;
    Some(kibibytes * 1024)
}

#[cfg(target_arch = "x86_64")]
fn simd() -> Vec<&'static str> {
    let mut found = Vec::new();
    let mut look = |name: &'static str, present: bool| {
        if present {
            found.push(name);
        }
    };
    look("avx2", is_x86_feature_detected!("avx2"));
    look("fma", is_x86_feature_detected!("fma"));
    look("f16c", is_x86_feature_detected!("f16c"));
    look("avx512f", is_x86_feature_detected!("avx512f"));
    look("avx512vnni", is_x86_feature_detected!("avx512vnni"));
    found
}

#[cfg(target_arch = "aarch64")]
fn simd() -> Vec<&'static str> {
    vec!["neon"]
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn simd() -> Vec<&'static str> {
    Vec::new()
}

/// Folders that hold a `config.json`, by name.
fn models(folder: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Vec::new();
    };
    let mut names: Vec<String> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.join("config.json").is_file())
        .filter_map(|path| Some(path.file_name()?.to_string_lossy().into_owned()))
        .collect();
    names.sort();
    names
}
