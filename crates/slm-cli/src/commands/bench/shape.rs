//! Shapes of models by name, or from a `config.json`.
//!
//! Does not know weights.

use std::path::Path;

use anyhow::Result;
use slm_model::{LlamaShape, ModelConfig};

use crate::failure::Failure;

/// The shape called `name`, or that of the file or folder at that path.
///
/// # Errors
/// There is no such name or file, or the file is no config that is known here.
pub fn shape(name: &str) -> Result<ModelConfig> {
    if name == "smollm2-135m" {
        return Ok(LlamaShape::smollm2_135m().config()?);
    }
    let path = Path::new(name);
    if path.is_dir() {
        return Ok(ModelConfig::load(path)?);
    }
    if !path.is_file() {
        return Err(Failure::usage(format!("there is no shape `{name}`"))
            .hint("give `smollm2-135m`, or the path of a `config.json` or of a model's folder")
            .into());
    }
    let text = std::fs::read_to_string(path).map_err(|error| Failure::io("read", path, &error))?;
    let value = serde_json::from_str(&text)
        .map_err(|error| Failure::new(format!("{}: not valid JSON: {error}", path.display())))?;
    Ok(ModelConfig::from_json(&value, path)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_named_shape_has_its_published_size() {
        assert_eq!(shape("smollm2-135m").unwrap().parameters(), 134_515_008);
        assert!(
            shape("gpt-9")
                .unwrap_err()
                .to_string()
                .contains("no shape `gpt-9`")
        );
    }
}
