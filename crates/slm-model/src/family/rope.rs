//! Rotary settings of a `config.json`: `rope_parameters`, also one per kind of layer, or the older
//! `rope_theta` and `rope_scaling`.
//!
//! Which key wins is as in transformers 5: `rope_scaling` before `rope_parameters`, a value inside
//! either before the same one beside it.

use serde_json::{Map, Value};

use super::fields::Fields;
use crate::error::{ModelError, Result};
use crate::rotary::{Llama3Scaling, LongRopeScaling, Rope, RopeScaling, YarnScaling};

/// What a family allows, and assumes where the config is silent.
pub(crate) struct RopeDefaults {
    /// Base of the frequencies.
    pub theta: f64,
    /// Base in layers with a sliding window.
    pub sliding_theta: f64,
    /// Whether only a part of each head may turn.
    pub partial: bool,
}

impl RopeDefaults {
    /// One base for all layers, whole heads.
    pub const PLAIN: Self = Self {
        theta: 10_000.0,
        sliding_theta: 10_000.0,
        partial: false,
    };
}

/// The ropes of layers with full attention and of those with a sliding window.
pub(crate) struct Ropes {
    /// Full attention.
    pub full: Rope,
    /// A sliding window.
    pub sliding: Rope,
}

/// Keys that rotary settings may have.
const KEYS: [&str; 17] = [
    "rope_type",
    "type",
    "rope_theta",
    "partial_rotary_factor",
    "factor",
    "low_freq_factor",
    "high_freq_factor",
    "original_max_position_embeddings",
    "attention_factor",
    "beta_fast",
    "beta_slow",
    "mscale",
    "mscale_all_dim",
    "truncate",
    "short_factor",
    "long_factor",
    "finetuned",
];

impl Fields<'_> {
    /// The ropes of a model whose heads are `head_dim` wide.
    ///
    /// # Errors
    /// When a type or a value is unknown or out of range.
    pub fn ropes(&self, head_dim: usize, defaults: &RopeDefaults) -> Result<Ropes> {
        let empty = Map::new();
        let parameters = self.object("rope_parameters")?;
        let scaling = self.object("rope_scaling")?.filter(|map| !map.is_empty());
        let one = |map: &Map<String, Value>, theta: f64| {
            let reader = RopeReader {
                fields: self,
                map,
                head_dim,
            };
            reader.read(theta, defaults.partial)
        };
        let theta = self.number_or("rope_theta", defaults.theta)?;
        let sliding_theta = match defaults.sliding_theta == defaults.theta {
            true => theta,
            false => self.number_or("rope_local_base_freq", defaults.sliding_theta)?,
        };
        let nested = |map: &&Map<String, Value>| {
            let kinds = ["full_attention", "sliding_attention"];
            !map.is_empty() && map.keys().all(|key| kinds.contains(&key.as_str()))
        };
        if let Some(kinds) = parameters.filter(nested) {
            let kind = |key: &str| match kinds.get(key) {
                None | Some(Value::Null) => Ok(&empty),
                Some(value) => value
                    .as_object()
                    .ok_or_else(|| self.wrong(format!("`rope_parameters.{key}` is not an object"))),
            };
            let mut full = kind("full_attention")?.clone();
            full.extend(scaling.cloned().unwrap_or_default());
            return Ok(Ropes {
                full: one(&full, theta)?,
                sliding: one(kind("sliding_attention")?, sliding_theta)?,
            });
        }
        let map = scaling.or(parameters).unwrap_or(&empty);
        let full = one(map, theta)?;
        // Where sliding layers have a base of their own, scaling is for the others.
        let sliding = match defaults.sliding_theta == defaults.theta {
            true => full.clone(),
            false => one(&empty, sliding_theta)?,
        };
        Ok(Ropes { full, sliding })
    }
}

/// Reads one set of rotary settings.
struct RopeReader<'a> {
    fields: &'a Fields<'a>,
    map: &'a Map<String, Value>,
    head_dim: usize,
}

impl RopeReader<'_> {
    fn read(&self, theta: f64, partial: bool) -> Result<Rope> {
        let known = |key: &&String| KEYS.contains(&key.as_str()) || self.map[*key].is_null();
        if let Some(key) = self.map.keys().find(|key| !known(key)) {
            return Err(self.fields.unsupported(
                &format!("rope setting {key}"),
                &self.map[key],
                &KEYS.join(", "),
            ));
        }
        let theta = self.number("rope_theta")?.unwrap_or(theta);
        if !(theta > 0.0 && theta.is_finite()) {
            return Err(self
                .fields
                .wrong(format!("`rope_theta` is {theta}, not a positive number")));
        }
        let width = self.width(partial)?;
        let scaling = self.scaling(width)?;
        let rope = Rope {
            width,
            theta,
            scaling,
        };
        let frequencies = rope.frequency_sets().concat();
        if !frequencies.iter().all(|f| f.is_finite()) || !rope.attention_factor().is_finite() {
            return Err(self
                .fields
                .wrong("the rotary settings give frequencies that are no numbers"));
        }
        Ok(rope)
    }

    /// How many elements of a head turn.
    fn width(&self, partial: bool) -> Result<usize> {
        let nested = self.number("partial_rotary_factor")?;
        let beside = self.fields.optional_number("partial_rotary_factor")?;
        let part = beside.or(nested).unwrap_or(1.0);
        if part != 1.0 && !partial {
            return Err(self
                .fields
                .unsupported("partial_rotary_factor", &part.into(), "1.0"));
        }
        let width = (self.head_dim as f64 * part) as usize;
        if !(0.0..=1.0).contains(&part) || width.next_multiple_of(2) > self.head_dim {
            return Err(self.fields.wrong(format!(
                "{part} of a `head_dim` of {} cannot be rotated in pairs",
                self.head_dim
            )));
        }
        Ok(width)
    }

    fn scaling(&self, width: usize) -> Result<RopeScaling> {
        let kind = ["rope_type", "type"]
            .iter()
            .find_map(|key| self.map.get(*key).filter(|value| !value.is_null()));
        let unknown = |value: &Value| {
            self.fields.unsupported(
                "rope_type",
                value,
                "default, linear, dynamic, llama3, yarn, longrope",
            )
        };
        let Some(kind) = kind else {
            return Ok(RopeScaling::Default);
        };
        match kind.as_str().ok_or_else(|| unknown(kind))? {
            // `dynamic` stretches behind `max_position_embeddings` only, where nothing runs.
            "default" | "dynamic" => Ok(RopeScaling::Default),
            "linear" => Ok(RopeScaling::Linear(self.needed("factor")?)),
            "llama3" => self.llama3().map(RopeScaling::Llama3),
            "yarn" if self.is_phi3() => self.longrope(width).map(RopeScaling::LongRope),
            "yarn" => self.yarn().map(RopeScaling::Yarn),
            "longrope" | "su" => self.longrope(width).map(RopeScaling::LongRope),
            _ => Err(unknown(kind)),
        }
    }

    /// Early Phi-3 configs say `yarn` or `su` where they mean `longrope`.
    fn is_phi3(&self) -> bool {
        self.fields.get("model_type").and_then(Value::as_str) == Some("phi3")
    }

    fn llama3(&self) -> Result<Llama3Scaling> {
        let scaling = Llama3Scaling {
            factor: self.needed("factor")?,
            low_freq_factor: self.needed("low_freq_factor")?,
            high_freq_factor: self.needed("high_freq_factor")?,
            original_max_position_embeddings: self.original()?,
        };
        if scaling.low_freq_factor == scaling.high_freq_factor {
            return Err(self
                .fields
                .wrong("`low_freq_factor` and `high_freq_factor` are equal"));
        }
        Ok(scaling)
    }

    fn yarn(&self) -> Result<YarnScaling> {
        let original = self.original()?;
        let factor = match self.positive("factor")? {
            Some(factor) => factor,
            None => self.context()? / original,
        };
        let (mscale, all) = (self.number("mscale")?, self.number("mscale_all_dim")?);
        let recommended = |weight| YarnScaling::recommended_factor(factor, weight);
        let attention_factor = match (self.number("attention_factor")?, mscale, all) {
            (Some(given), ..) => given,
            (None, Some(mscale), Some(all)) if mscale != 0.0 && all != 0.0 => {
                recommended(mscale) / recommended(all)
            }
            _ => recommended(1.0),
        };
        let truncate = match self.map.get("truncate") {
            None | Some(Value::Null) => true,
            Some(value) => value
                .as_bool()
                .ok_or_else(|| self.fields.wrong("rope's `truncate` is not true or false"))?,
        };
        let turns = |key, default| -> Result<f64> {
            let given = self.number(key)?.filter(|turns| *turns != 0.0);
            Ok(given.unwrap_or(default))
        };
        Ok(YarnScaling {
            factor,
            beta_fast: turns("beta_fast", 32.0)?,
            beta_slow: turns("beta_slow", 1.0)?,
            original_max_position_embeddings: original,
            truncate,
            attention_factor,
        })
    }

    fn longrope(&self, width: usize) -> Result<LongRopeScaling> {
        let original = self.original()?;
        let factor = match self.positive("factor")? {
            Some(factor) => factor,
            None => self.context()? / original,
        };
        let attention_factor = self
            .number("attention_factor")?
            .unwrap_or_else(|| LongRopeScaling::recommended_factor(factor, original));
        Ok(LongRopeScaling {
            short_factor: self.factors("short_factor", width)?,
            long_factor: self.factors("long_factor", width)?,
            original_max_position_embeddings: original as usize,
            attention_factor,
        })
    }

    /// A list of one positive factor per pair.
    fn factors(&self, key: &str, width: usize) -> Result<Vec<f64>> {
        let numbers = |value: &Value| -> Option<Vec<f64>> {
            value.as_array()?.iter().map(Value::as_f64).collect()
        };
        let factors = self.map.get(key).and_then(numbers).unwrap_or_default();
        if factors.len() != width.div_ceil(2) || !factors.iter().all(|f| *f > 0.0) {
            return Err(self.fields.wrong(format!(
                "rope's `{key}` is not a list of {} positive numbers",
                width.div_ceil(2)
            )));
        }
        Ok(factors)
    }

    /// The context before stretching: the model's own key, else the rope's, else the context.
    fn original(&self) -> Result<f64> {
        let key = "original_max_position_embeddings";
        match self.fields.optional_positive(key)? {
            Some(original) => Ok(original),
            None => match self.positive(key)? {
                Some(original) => Ok(original),
                None => self.context(),
            },
        }
    }

    fn context(&self) -> Result<f64> {
        self.fields
            .optional_positive("max_position_embeddings")?
            .ok_or_else(|| self.fields.wrong("`max_position_embeddings` is missing"))
    }

    fn number(&self, key: &str) -> Result<Option<f64>> {
        match self.map.get(key) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => value
                .as_f64()
                .map(Some)
                .ok_or_else(|| self.fields.wrong(format!("rope's `{key}` is not a number"))),
        }
    }

    fn positive(&self, key: &str) -> Result<Option<f64>> {
        match self.number(key)? {
            Some(number) if !(number > 0.0 && number.is_finite()) => Err(self
                .fields
                .wrong(format!("rope's `{key}` is {number}, not a positive number"))),
            number => Ok(number),
        }
    }

    fn needed(&self, key: &str) -> Result<f64> {
        self.positive(key)?.ok_or_else(|| self.missing(key))
    }

    fn missing(&self, key: &str) -> ModelError {
        self.fields.wrong(format!("rope scaling lacks `{key}`"))
    }
}
