//! `slm model pull`: a checkpoint from a hub into the workspace.
//!
//! Does not know the hub's protocol; that is `hub`'s.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::Result;
use clap::Args;
use serde_json::json;

use crate::commands::Context;
use crate::failure::Failure;
use crate::hub::{self, Client, Listing, Reference};
use crate::terminal::bytes;
use crate::workspace::{Kind, Manifest, Stage, run_stage};

/// The stage's name in manifests.
pub const STAGE: &str = "pull";

/// Arguments of `slm model pull`.
#[derive(Debug, Args)]
pub struct Pull {
    /// The model on the hub: `owner/model`, or `owner/model@revision`
    #[arg(value_name = "NAME[@REVISION]")]
    model: String,
}

impl Pull {
    /// Fetches the model and prints where it is.
    pub fn run(self, context: &Context) -> Result<()> {
        let reference = Reference::parse(&self.model)?;
        if context.offline {
            return Err(Failure::new(format!(
                "pulling `{reference}` needs a connection, which `--offline` forbids"
            ))
            .hint("run it without `--offline`, or copy the model's folder to the workspace's `models/`")
            .into());
        }
        let client = Client::from_environment()?;
        let lock = format!("models-{}", reference.name.replace('/', "-"));
        let _lock = context.workspace.lock(&lock)?;
        let artefact = context.workspace.artefact(Kind::Models, &reference.name);
        check_place(&artefact)?;
        let listing = client.list(&reference)?;
        listing.check(&reference.name)?;
        context.terminal.note(said(&client, &reference, &listing));
        // A branch may move on while files are fetched; a commit does not.
        let pinned = Reference {
            name: reference.name.clone(),
            revision: listing
                .commit
                .clone()
                .unwrap_or_else(|| reference.revision.clone()),
        };
        let files = listing.files.iter();
        let stage = Stage {
            name: STAGE,
            version: 1,
            artefact: artefact.clone(),
            inputs: Vec::new(),
            settings: json!({
                "endpoint": client.endpoint(),
                "model": reference.name,
                "revision": reference.revision,
                "commit": listing.commit,
                "checksums": files
                    .map(|file| json!([file.path, file.size, file.checksum.as_ref().map(ToString::to_string)]))
                    .collect::<Vec<_>>(),
            }),
            resumable: true,
        };
        run_stage(&context.terminal, &stage, |folder| {
            hub::fetch_all(&client, &pinned, &listing, folder, &context.terminal)?;
            remove_others(folder, &listing)
        })?;
        if context.terminal.is_json() {
            return context.terminal.json(&json!({
                "model": artefact,
                "revision": pinned.revision,
                "files": listing.files.len(),
                "bytes": listing.bytes(),
            }));
        }
        context.terminal.data(&artefact.display().to_string())
    }
}

/// A folder that was not pulled is its owner's.
fn check_place(artefact: &Path) -> Result<()> {
    let pulled = Manifest::read(artefact).is_some_and(|manifest| manifest.stage == STAGE);
    if !artefact.exists() || pulled {
        return Ok(());
    }
    Err(Failure::new(format!(
        "`{}` is there already, and was not pulled",
        artefact.display()
    ))
    .hint("move it away, or use another `--workspace DIR`")
    .into())
}

fn said(client: &Client, reference: &Reference, listing: &Listing) -> String {
    let mut text = format!(
        "pull: {reference} from {}: {} files, {}",
        client.endpoint(),
        listing.files.len(),
        bytes(listing.bytes())
    );
    if !listing.left_out.is_empty() {
        let names: Vec<String> = listing
            .left_out
            .iter()
            .take(5)
            .map(|name| format!("`{}`", name.escape_default()))
            .collect();
        let more = if listing.left_out.len() > 5 {
            ", ..."
        } else {
            ""
        };
        text.push_str(&format!(
            "; {} left out ({}{more})",
            listing.left_out.len(),
            names.join(", ")
        ));
    }
    text
}

/// Removes what an earlier attempt began and the listing does not have.
fn remove_others(folder: &Path, listing: &Listing) -> Result<()> {
    let wanted: BTreeSet<&str> = listing
        .files
        .iter()
        .map(|file| file.path.as_str())
        .collect();
    let entries = std::fs::read_dir(folder)
        .map_err(|error| Failure::io("read the folder", folder, &error))?;
    for path in entries.flatten().map(|entry| entry.path()) {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let beside = name.ends_with(".incomplete") || name.ends_with(".version");
        if path.is_file() && beside && !wanted.contains(name.as_ref()) {
            std::fs::remove_file(&path).ok();
        }
    }
    Ok(())
}
