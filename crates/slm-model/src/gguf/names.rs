//! What llama.cpp calls models and tensors, and in which order it has their rows.

use crate::config::ModelConfig;
use crate::family::Family;

/// A model as llama.cpp knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Architecture {
    /// `general.architecture`.
    pub name: &'static str,
    /// The family here.
    pub family: Family,
    /// Whether rotation pairs neighbours, so that the rows of query and key heads are interleaved.
    pub interleaved: bool,
}

/// All that are written and read; a name that stands twice is read as the first. Mistral's are
/// written as Llama's, which they equal, and Granite 4's without other layers as Granite's.
pub const ARCHITECTURES: [Architecture; 9] = [
    architecture("llama", Family::Llama, true),
    architecture("llama", Family::Mistral, true),
    architecture("qwen2", Family::Qwen2, false),
    architecture("qwen3", Family::Qwen3, false),
    architecture("granite", Family::Granite, true),
    architecture("granite", Family::GraniteMoeHybrid, true),
    architecture("phi3", Family::Phi3, false),
    architecture("gemma2", Family::Gemma2, false),
    architecture("gemma3", Family::Gemma3, false),
];

const fn architecture(name: &'static str, family: Family, interleaved: bool) -> Architecture {
    Architecture {
        name,
        family,
        interleaved,
    }
}

/// A tensor there, or the rows of one of ours that are a tensor of its own there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// llama.cpp's name, such as `blk.0.attn_q.weight`.
    pub name: String,
    /// Shape `[out, in]` or `[width]`.
    pub shape: Vec<usize>,
    /// Which of our tensor's rows it has.
    pub rows: Rows,
}

/// Which rows of a tensor, and in which order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rows {
    /// All as they are.
    All,
    /// Those of so many heads of a width, whose rotation pairs neighbours.
    Interleaved(usize, usize),
    /// So many from the first of these numbers on.
    From(usize, usize),
}

impl Rows {
    /// Where each row comes from in our tensor; none where all are as they are.
    pub fn order(self) -> Option<Vec<usize>> {
        match self {
            Self::All => None,
            Self::Interleaved(heads, width) => Some(interleaved(heads, width)),
            Self::From(first, count) => Some((first..first + count).collect()),
        }
    }
}

/// What becomes of the tensor `name` of the shape `shape`.
pub fn parts(
    config: &ModelConfig,
    architecture: Architecture,
    name: &str,
    shape: &[usize],
) -> Vec<Part> {
    let whole = |theirs: String, rows| Part {
        name: theirs,
        shape: shape.to_vec(),
        rows,
    };
    let tables = [
        ("model.embed_tokens.weight", "token_embd.weight"),
        ("model.norm.weight", "output_norm.weight"),
        ("lm_head.weight", "output.weight"),
    ];
    if let Some((_, theirs)) = tables.iter().find(|(ours, _)| *ours == name) {
        return vec![whole((*theirs).to_owned(), Rows::All)];
    }
    let inside = name
        .strip_prefix("model.layers.")
        .and_then(|rest| rest.split_once('.'))
        .and_then(|(layer, rest)| Some((layer, rest.rsplit_once('.')?)));
    let Some((layer, (module, suffix))) = inside else {
        return Vec::new();
    };
    let named = |theirs: &str| format!("blk.{layer}.{theirs}.{suffix}");
    // Granite 4's gate and up projections are one tensor; Granite's, as it is written, are two.
    if config.family == Family::GraniteMoeHybrid && config.modules.gate_up == [module] {
        let half = shape[0] / 2;
        let part = |(theirs, first): (&str, usize)| Part {
            name: named(theirs),
            shape: [&[half], &shape[1..]].concat(),
            rows: Rows::From(first, half),
        };
        return [("ffn_gate", 0), ("ffn_up", half)].map(part).to_vec();
    }
    let theirs = of_module(config, module);
    let heads = match theirs {
        Some("attn_q") => Some(config.num_attention_heads),
        Some("attn_k") => Some(config.num_key_value_heads),
        _ => None,
    };
    let rows = match heads.filter(|_| architecture.interleaved) {
        Some(heads) => Rows::Interleaved(heads, config.head_dim),
        None => Rows::All,
    };
    theirs
        .map(|theirs| whole(named(theirs), rows))
        .into_iter()
        .collect()
}

fn of_module(config: &ModelConfig, module: &str) -> Option<&'static str> {
    let modules = &config.modules;
    let norms = [
        (Some(modules.attention_norm), "attn_norm"),
        (modules.attention_output_norm, "post_attention_norm"),
        (Some(modules.mlp_norm), "ffn_norm"),
        (modules.mlp_output_norm, "post_ffw_norm"),
        (modules.head_norms.map(|[query, _]| query), "attn_q_norm"),
        (modules.head_norms.map(|[_, key]| key), "attn_k_norm"),
        (Some(modules.output), "attn_output"),
        (Some(modules.down), "ffn_down"),
    ];
    let several: [(&[&str], &[&str]); 2] = match (modules.qkv, modules.gate_up) {
        (qkv @ [_], gate_up) => [(qkv, &["attn_qkv"]), (gate_up, &["ffn_up"])],
        (qkv, gate_up) => [
            (qkv, &["attn_q", "attn_k", "attn_v"]),
            (gate_up, &["ffn_gate", "ffn_up"]),
        ],
    };
    let linears = several
        .into_iter()
        .flat_map(|(ours, theirs)| ours.iter().copied().map(Some).zip(theirs.iter().copied()));
    let mut all = norms.into_iter().chain(linears);
    all.find(|(ours, _)| *ours == Some(module))
        .map(|(_, theirs)| theirs)
}

/// Where the rows of heads whose rotation pairs neighbours come from.
fn interleaved(heads: usize, width: usize) -> Vec<usize> {
    let from = |row: usize| {
        let (head, place) = (row / width, row % width);
        head * width + place % 2 * (width / 2) + place / 2
    };
    (0..heads * width).map(from).collect()
}

/// The order that undoes another.
pub fn inverse(order: &[usize]) -> Vec<usize> {
    let mut inverse = vec![0; order.len()];
    for (to, from) in order.iter().enumerate() {
        inverse[*from] = to;
    }
    inverse
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(more: serde_json::Value) -> ModelConfig {
        let mut json = serde_json::json!({"model_type": "llama", "vocab_size": 8,
            "hidden_size": 16, "intermediate_size": 8, "num_hidden_layers": 13,
            "num_attention_heads": 2});
        for (key, value) in more.as_object().unwrap() {
            json[key] = value.clone();
        }
        ModelConfig::from_json(&json, std::path::Path::new("here")).unwrap()
    }

    fn names(config: &ModelConfig, family: Family, name: &str) -> Vec<String> {
        let architecture = ARCHITECTURES.into_iter().find(|a| a.family == family);
        let parts = parts(config, architecture.unwrap(), name, &[16, 16]);
        parts.into_iter().map(|part| part.name).collect()
    }

    #[test]
    fn names_and_orders_are_those_of_llama_cpp() {
        let llama = config(serde_json::json!({}));
        let cases = [
            ("model.embed_tokens.weight", Some("token_embd.weight")),
            (
                "model.layers.12.self_attn.q_proj.bias",
                Some("blk.12.attn_q.bias"),
            ),
            (
                "model.layers.0.post_attention_layernorm.weight",
                Some("blk.0.ffn_norm.weight"),
            ),
            ("model.layers.0.mlp.experts.weight", None),
        ];
        for (ours, theirs) in cases {
            let theirs: Vec<String> = theirs.map(str::to_owned).into_iter().collect();
            assert_eq!(names(&llama, Family::Llama, ours), theirs);
        }
        let rows = |family: Family, name: &str| {
            let architecture = ARCHITECTURES.into_iter().find(|a| a.family == family);
            parts(&llama, architecture.unwrap(), name, &[16, 16])[0]
                .rows
                .order()
        };
        let order = rows(Family::Llama, "model.layers.0.self_attn.q_proj.weight").unwrap();
        assert_eq!(order[..9], [0, 4, 1, 5, 2, 6, 3, 7, 8]);
        let back = inverse(&order);
        assert!((0..16).all(|row| order[back[row]] == row));
        assert_eq!(
            rows(Family::Llama, "model.layers.0.self_attn.v_proj.weight"),
            None
        );
        assert_eq!(
            rows(Family::Qwen2, "model.layers.0.self_attn.q_proj.weight"),
            None
        );
    }

    #[test]
    fn layers_that_are_laid_out_otherwise_have_their_names() {
        let gemma = config(serde_json::json!({"model_type": "gemma2", "head_dim": 8,
            "num_key_value_heads": 1, "sliding_window": 4}));
        let norms = [
            ("post_attention_layernorm", "post_attention_norm"),
            ("pre_feedforward_layernorm", "ffn_norm"),
            ("post_feedforward_layernorm", "post_ffw_norm"),
        ];
        for (ours, theirs) in norms {
            let ours = format!("model.layers.1.{ours}.weight");
            let theirs = format!("blk.1.{theirs}.weight");
            assert_eq!(names(&gemma, Family::Gemma2, &ours), [theirs]);
        }
        let phi = config(serde_json::json!({"model_type": "phi3"}));
        let joined = [
            ("self_attn.qkv_proj", "attn_qkv"),
            ("mlp.gate_up_proj", "ffn_up"),
        ];
        for (ours, theirs) in joined {
            let ours = format!("model.layers.1.{ours}.weight");
            let theirs = format!("blk.1.{theirs}.weight");
            assert_eq!(names(&phi, Family::Phi3, &ours), [theirs]);
        }
        let granite = config(serde_json::json!({"model_type": "granitemoehybrid",
            "num_key_value_heads": 2, "num_local_experts": 0, "shared_intermediate_size": 8,
            "layer_types": vec!["attention"; 13], "embedding_multiplier": 1.0,
            "attention_multiplier": 1.0, "residual_multiplier": 1.0, "logits_scaling": 1.0}));
        let hybrid = ARCHITECTURES.into_iter();
        let hybrid = hybrid
            .clone()
            .find(|a| a.family == Family::GraniteMoeHybrid)
            .unwrap();
        let name = "model.layers.0.shared_mlp.input_linear.weight";
        let both = parts(&granite, hybrid, name, &[16, 16]);
        assert_eq!(both[0].name, "blk.0.ffn_gate.weight");
        assert_eq!(both[1].name, "blk.0.ffn_up.weight");
        assert_eq!(both[1].rows.order(), Some((8..16).collect()));
        assert_eq!(both[1].shape, [8, 16]);
    }
}
