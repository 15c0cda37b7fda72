//! Granite 4.0 nano (`granitemoehybrid`) with attention in every layer and no experts: Granite
//! whose MLP is called `shared_mlp`, gate and up in one.
//!
//! Mamba layers and experts are refused by name.

use super::fields::Fields;
use super::granite::{FACTORS, defaults, set_factors};
use super::rope::RopeDefaults;
use super::{Biases, Family};
use crate::config::ModelConfig;
use crate::error::Result;

/// Reads a config of the family.
pub(super) fn read(fields: &Fields<'_>) -> Result<ModelConfig> {
    let [a, b, c, d] = FACTORS;
    fields.refuse_options_but(&[
        "attention_bias",
        "position_embedding_type",
        "layer_types",
        a,
        b,
        c,
        d,
    ])?;
    let mut config = fields.shape(Family::GraniteMoeHybrid, defaults())?;
    refuse_other_layers(fields, config.num_hidden_layers)?;
    config.intermediate_size = fields
        .optional_size("shared_intermediate_size")?
        .unwrap_or(1024);
    config.modules.gate_up = &["shared_mlp.input_linear"];
    config.modules.down = "shared_mlp.output_linear";
    let attention = fields.flag_or("attention_bias", false)?;
    config.biases = Biases {
        qkv: attention,
        output: attention,
        mlp: false,
    };
    config.activation = fields.activation("hidden_act", config.activation)?;
    match fields.text("position_embedding_type")? {
        Some("rope") => {
            config.ropes = vec![fields.ropes(config.head_dim, &RopeDefaults::PLAIN)?.full];
        }
        // `nope`: no position embedding, as IBM writes it.
        Some("nope") | None => {}
        Some(other) => {
            return Err(fields.unsupported(
                "position_embedding_type",
                &other.into(),
                "rope, nope, null",
            ));
        }
    }
    set_factors(fields, &mut config)?;
    Ok(config)
}

/// Experts and state-space layers, which the class has by default.
fn refuse_other_layers(fields: &Fields<'_>, layers: usize) -> Result<()> {
    let experts = fields.optional_size("num_local_experts")?.unwrap_or(8);
    if experts > 0 {
        return Err(fields.unsupported("num_local_experts", &experts.into(), "0"));
    }
    match fields.layer_types(layers)? {
        Some(_) if fields.slides(layers)? => Err(fields.wrong("`layer_types` has sliding layers")),
        Some(_) => Ok(()),
        None => Err(fields.wrong(
            "`layer_types` is missing, which means `mamba` layers; only `attention` is supported",
        )),
    }
}
