//! Which files a model has on a hub, and which of them are fetched.
//!
//! Only files that cannot run anything: weights as safetensors, JSON, templates, vocabularies
//! and texts about the model. Does not know connections.

use std::path::{Component, Path};

use serde_json::Value;

use super::checksum::Checksum;
use crate::failure::Failure;

/// A file on a hub.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteFile {
    /// Relative to the model's folder, with `/`.
    pub path: String,
    /// In bytes, where the hub says it.
    pub size: Option<u64>,
    /// Where the hub gives one.
    pub checksum: Option<Checksum>,
}

/// What a hub says of a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing {
    /// The commit that the revision stands for, where the hub says it.
    pub commit: Option<String>,
    /// The files to fetch.
    pub files: Vec<RemoteFile>,
    /// The names of the others.
    pub left_out: Vec<String>,
}

/// Endings of files that are fetched.
const SAFE_ENDINGS: [&str; 5] = [".safetensors", ".json", ".jinja", ".model", ".txt"];

/// How the names of texts about a model begin; their ending is `.md`, `.txt` or none.
const SAFE_NAMES: [&str; 5] = ["README", "LICENSE", "LICENCE", "NOTICE", "USE_POLICY"];

impl Listing {
    /// Reads the answer to `/api/models/NAME/revision/REVISION?blobs=true`.
    ///
    /// # Errors
    /// It is no such answer, or a name in it would leave the model's folder.
    pub fn read(body: &Value) -> Result<Self, Failure> {
        let odd = |what: &str| {
            Failure::new(format!("the hub's list of files {what}"))
                .hint("check `HF_ENDPOINT`; nothing was fetched")
        };
        let siblings = body["siblings"]
            .as_array()
            .ok_or_else(|| odd("has no `siblings`"))?;
        let mut listing = Self {
            commit: body["sha"]
                .as_str()
                .filter(|sha| sha.bytes().all(|byte| byte.is_ascii_hexdigit()) && sha.len() >= 7)
                .map(str::to_owned),
            files: Vec::new(),
            left_out: Vec::new(),
        };
        for sibling in siblings {
            let path = sibling["rfilename"]
                .as_str()
                .ok_or_else(|| odd("has a file without a name"))?;
            if !stays_inside(path) {
                return Err(odd(&format!(
                    "names `{}`, which lies outside the model's folder",
                    path.escape_default()
                )));
            }
            match is_safe(path) {
                true => listing.files.push(file(path, sibling)),
                false => listing.left_out.push(path.to_owned()),
            }
        }
        listing.leave_out_second_weights();
        listing
            .files
            .sort_by(|left, right| left.path.cmp(&right.path));
        listing
            .files
            .dedup_by(|right, left| left.path == right.path);
        Ok(listing)
    }

    /// Some models carry their weights twice, the second time for their makers' own programs.
    fn leave_out_second_weights(&mut self) {
        let is_second = |file: &RemoteFile| {
            file.path.starts_with("consolidated") && file.path.ends_with(".safetensors")
        };
        let has_first = self
            .files
            .iter()
            .any(|file| file.path.starts_with("model") && file.path.ends_with(".safetensors"));
        if has_first {
            let second = self.files.extract_if(.., |file| is_second(file));
            self.left_out.extend(second.map(|file| file.path));
        }
    }

    /// Bytes of all files, as far as the hub says them.
    pub fn bytes(&self) -> u64 {
        self.files.iter().filter_map(|file| file.size).sum()
    }

    /// Refuses a model that has no weights that could be read.
    ///
    /// # Errors
    /// There is no safetensors file.
    pub fn check(&self, name: &str) -> Result<(), Failure> {
        let is_safetensors = |file: &RemoteFile| file.path.ends_with(".safetensors");
        if self.files.iter().any(is_safetensors) {
            return Ok(());
        }
        let unsafe_weights = [".bin", ".pt", ".pth", ".ckpt", ".h5", ".msgpack", ".gguf"];
        let is_unsafe = |path: &&String| unsafe_weights.iter().any(|end| path.ends_with(end));
        let what = match self.left_out.iter().find(is_unsafe) {
            Some(other) => format!("only others, such as `{other}`"),
            None => "nor any other weights that are known here".to_owned(),
        };
        Err(
            Failure::new(format!("`{name}` has no weights as safetensors, {what}")).hint(
                "look on the hub for a copy with `model.safetensors`; formats that can run code when \
                 they are opened are never fetched",
            ),
        )
    }
}

fn file(path: &str, sibling: &Value) -> RemoteFile {
    let large = &sibling["lfs"];
    let checksum = |value: &Value| value.as_str().and_then(Checksum::parse);
    let sha256 = checksum(&large["sha256"]).or_else(|| checksum(&large["oid"]));
    RemoteFile {
        path: path.to_owned(),
        size: large["size"].as_u64().or_else(|| sibling["size"].as_u64()),
        // The git hash of a large file is that of a pointer to it.
        checksum: match large.is_object() {
            true => sha256,
            false => checksum(&sibling["blobId"]),
        },
    }
}

/// Whether a name of the hub's stays inside the model's folder, on any system.
fn stays_inside(path: &str) -> bool {
    !path.is_empty()
        && path.len() < 512
        && !path.contains(['\\', ':'])
        && !path.chars().any(char::is_control)
        && !path.split('/').any(str::is_empty)
        && Path::new(path)
            .components()
            .all(|part| matches!(part, Component::Normal(_)))
        // `a/./b` is normal to `components`.
        && !path.split('/').any(|part| part == "." || part == "..")
}

fn is_safe(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    let folder = &path[..path.len() - name.len()];
    if name.starts_with('.') {
        return false;
    }
    if folder == "additional_chat_templates/" {
        return name.ends_with(".jinja");
    }
    // The manifest in a model's folder is ours.
    if !folder.is_empty() || name == crate::workspace::MANIFEST_FILE {
        return false;
    }
    let about = SAFE_NAMES.iter().any(|begin| {
        let ending = name.to_ascii_uppercase();
        let ending = ending.strip_prefix(begin);
        ending.is_some_and(|ending| ["", ".MD", ".TXT"].contains(&ending))
    });
    about || SAFE_ENDINGS.iter().any(|ending| name.ends_with(ending))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_files_that_can_run_nothing_are_fetched() {
        let names = [
            "config.json",
            "model-00001-of-00002.safetensors",
            "model.safetensors.index.json",
            "README.md",
            "LICENSE",
            "license.txt",
            "tokenizer.model",
            "merges.txt",
            "chat_template.jinja",
            "additional_chat_templates/tool_use.jinja",
        ];
        let others = [
            "pytorch_model.bin",
            "model.pt",
            "weights.pkl",
            "modeling.py",
            ".gitattributes",
            "onnx/model.onnx",
            "original/params.json",
            "manifest.json",
            "model.gguf",
            "additional_chat_templates/x.py",
            "consolidated.safetensors",
            "README.py",
            "a.JSON.exe",
        ];
        let siblings: Vec<Value> = names
            .iter()
            .chain(&others)
            .map(|name| json!({"rfilename": name}))
            .collect();
        let listing = Listing::read(&json!({ "siblings": siblings })).unwrap();
        let mut expected: Vec<&str> = names.to_vec();
        expected.sort_unstable();
        let found: Vec<&str> = listing
            .files
            .iter()
            .map(|file| file.path.as_str())
            .collect();
        assert_eq!(found, expected);
        assert_eq!(listing.left_out.len(), others.len());
        assert!(listing.check("m").is_ok());
    }

    #[test]
    fn names_that_leave_the_folder_are_refused() {
        let names = [
            "../x.json",
            "/etc/x.json",
            "a/../../x.json",
            "..\\x.json",
            "C:x.json",
            "a//b.json",
            "./x.json",
            "a/./b.json",
            "x\u{0}.json",
            "",
        ];
        for name in names {
            let error = Listing::read(&json!({"siblings": [{"rfilename": name}]})).unwrap_err();
            assert!(
                error.to_string().contains("outside the model's folder"),
                "{name}: {error}"
            );
        }
        assert!(Listing::read(&json!({"error": "x"})).is_err());
    }

    #[test]
    fn sizes_and_checksums_are_those_of_the_content() {
        let (sha, git) = ("a".repeat(64), "b".repeat(40));
        let listing = Listing::read(&json!({"sha": git, "siblings": [
            {"rfilename": "model.safetensors", "size": 9, "blobId": git, "lfs": {"sha256": sha, "size": 9, "pointerSize": 1}},
            {"rfilename": "config.json", "size": 3, "blobId": git},
        ]}))
        .unwrap();
        assert_eq!(listing.commit.as_deref(), Some(git.as_str()));
        assert_eq!(listing.bytes(), 12);
        assert_eq!(listing.files[0].checksum, Some(Checksum::GitBlob(git)));
        assert_eq!(listing.files[1].checksum, Some(Checksum::Sha256(sha)));
    }

    #[test]
    fn a_model_without_safetensors_is_refused_by_what_it_has() {
        let listing = Listing::read(
            &json!({"siblings": [{"rfilename": "pytorch_model.bin"}, {"rfilename": "config.json"}]}),
        );
        let error = listing.unwrap().check("a/b").unwrap_err().to_string();
        assert_eq!(
            error,
            "`a/b` has no weights as safetensors, only others, such as `pytorch_model.bin`"
        );
    }
}
