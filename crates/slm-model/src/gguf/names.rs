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

/// All that are written and read; Mistral's are written as Llama's, which they equal.
pub const ARCHITECTURES: [Architecture; 5] = [
    architecture("llama", Family::Llama, true),
    architecture("llama", Family::Mistral, true),
    architecture("qwen2", Family::Qwen2, false),
    architecture("qwen3", Family::Qwen3, false),
    architecture("granite", Family::Granite, true),
];

const fn architecture(name: &'static str, family: Family, interleaved: bool) -> Architecture {
    Architecture {
        name,
        family,
        interleaved,
    }
}

const BLOCK: [(&str, &str); 11] = [
    ("self_attn.q_proj", "attn_q"),
    ("self_attn.k_proj", "attn_k"),
    ("self_attn.v_proj", "attn_v"),
    ("self_attn.o_proj", "attn_output"),
    ("self_attn.q_norm", "attn_q_norm"),
    ("self_attn.k_norm", "attn_k_norm"),
    ("mlp.gate_proj", "ffn_gate"),
    ("mlp.up_proj", "ffn_up"),
    ("mlp.down_proj", "ffn_down"),
    ("input_layernorm", "attn_norm"),
    ("post_attention_layernorm", "ffn_norm"),
];

/// llama.cpp's name of a tensor, such as `blk.0.attn_q.weight`.
pub fn of(name: &str) -> Option<String> {
    let tables = [
        ("model.embed_tokens.weight", "token_embd.weight"),
        ("model.norm.weight", "output_norm.weight"),
        ("lm_head.weight", "output.weight"),
    ];
    if let Some((_, theirs)) = tables.iter().find(|(ours, _)| *ours == name) {
        return Some((*theirs).to_owned());
    }
    let (layer, rest) = name.strip_prefix("model.layers.")?.split_once('.')?;
    let (module, suffix) = rest.rsplit_once('.')?;
    let (_, theirs) = BLOCK.iter().find(|(ours, _)| *ours == module)?;
    Some(format!("blk.{layer}.{theirs}.{suffix}"))
}

/// Where a row of a query or key projection in llama.cpp's order comes from; none for other
/// tensors, whose rows are the same.
pub fn row_order(config: &ModelConfig, interleaved: bool, name: &str) -> Option<Vec<usize>> {
    let head = |module: &str| {
        let suffixes = [".weight", ".bias"].iter();
        suffixes
            .into_iter()
            .any(|suffix| name.ends_with(&format!("{module}{suffix}")))
    };
    let heads = match (head("q_proj"), head("k_proj")) {
        (true, _) => config.num_attention_heads,
        (_, true) => config.num_key_value_heads,
        _ => return None,
    };
    let (width, half) = (config.head_dim, config.head_dim / 2);
    let from = |row: usize| {
        let (head, place) = (row / width, row % width);
        head * width + place % 2 * half + place / 2
    };
    interleaved.then(|| (0..heads * width).map(from).collect())
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

    #[test]
    fn names_and_orders_are_those_of_llama_cpp() {
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
            assert_eq!(of(ours).as_deref(), theirs);
        }
        let json = serde_json::json!({"model_type": "llama", "vocab_size": 8, "hidden_size": 16,
            "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2});
        let config = ModelConfig::from_json(&json, std::path::Path::new("here")).unwrap();
        let order = row_order(&config, true, "model.layers.0.self_attn.q_proj.weight").unwrap();
        assert_eq!(order[..9], [0, 4, 1, 5, 2, 6, 3, 7, 8]);
        let back = inverse(&order);
        assert!((0..16).all(|row| order[back[row]] == row));
        assert_eq!(
            row_order(&config, true, "model.layers.0.self_attn.v_proj.weight"),
            None
        );
        assert_eq!(
            row_order(&config, false, "model.layers.0.self_attn.q_proj.weight"),
            None
        );
    }
}
