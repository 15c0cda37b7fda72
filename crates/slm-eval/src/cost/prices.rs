//! The price table: a YAML file that the user keeps up to date.
//!
//! Holds no price of its own. Does not know what is bought.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::{EvalError, Problem};

/// Prices of one endpoint's model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Price {
    /// Price of a million tokens of prompts.
    pub input_per_million: f64,
    /// Price of a million tokens of answers.
    pub output_per_million: f64,
    /// Where the prices are from.
    pub source: String,
}

impl Price {
    /// What an answer of so many tokens costs.
    pub fn of(&self, input_tokens: u64, output_tokens: u64) -> f64 {
        (input_tokens as f64 * self.input_per_million
            + output_tokens as f64 * self.output_per_million)
            / 1e6
    }
}

/// A machine of one's own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Serving {
    /// What the machine costs.
    pub hardware_price: f64,
    /// How long it serves.
    pub years: f64,
    /// Power while it answers.
    pub watts: f64,
    /// Price of a kilowatt hour.
    pub price_per_kilowatt_hour: f64,
    /// Hours of a day in which it answers.
    #[serde(default = "all_day")]
    pub hours_per_day: f64,
    /// Hosting and care, by day.
    #[serde(default)]
    pub upkeep_per_day: f64,
    /// What was spent once to get there: data, training, people.
    #[serde(default)]
    pub spent_once: f64,
}

fn all_day() -> f64 {
    24.0
}

/// The price table.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Prices {
    /// The day on which the prices were looked up.
    pub dated: String,
    /// The currency of every amount.
    pub currency: String,
    /// Answers a day that costs are reckoned for.
    pub answers_per_day: f64,
    /// Prices by the name of the system.
    #[serde(default)]
    pub models: BTreeMap<String, Price>,
    /// The machine that local systems run on.
    #[serde(default)]
    pub serving: Option<Serving>,
}

impl Prices {
    /// Reads and checks a price table.
    ///
    /// # Errors
    /// A file that cannot be read or is no price table, and every amount that cannot be.
    pub fn load(path: &Path) -> Result<Self, EvalError> {
        let text =
            std::fs::read_to_string(path).map_err(|source| EvalError::reading(path, source))?;
        let prices: Self = serde_yaml::from_str(&text).map_err(|error| {
            let (line, column) = error.location().map_or((0, 0), |at| (at.line(), at.column()));
            let hint = "a price table needs `dated`, `currency`, `answers_per_day`, and `models` or `serving`; see evals/README.md";
            EvalError::Problems(vec![Problem::new(path, line, error.to_string(), hint).at_column(column)])
        })?;
        let problems = prices.problems();
        EvalError::unless_empty(
            problems
                .into_iter()
                .map(|message| {
                    Problem::new(
                        path,
                        0,
                        message,
                        "write an amount of 0 or more, and days, hours, years and answers above 0",
                    )
                })
                .collect(),
        )?;
        Ok(prices)
    }

    fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if !is_day(&self.dated) {
            problems.push(format!(
                "`dated` is `{}`, no day as in 2026-01-31",
                self.dated
            ));
        }
        let mut check = |name: String, value: f64, positive: bool| {
            if !value.is_finite() || value < 0.0 || (positive && value == 0.0) {
                problems.push(format!("`{name}` is {value}"));
            }
        };
        check("answers_per_day".into(), self.answers_per_day, true);
        for (name, price) in &self.models {
            check(
                format!("models.{name}.input_per_million"),
                price.input_per_million,
                false,
            );
            check(
                format!("models.{name}.output_per_million"),
                price.output_per_million,
                false,
            );
        }
        if let Some(serving) = &self.serving {
            for (name, value, positive) in [
                ("hardware_price", serving.hardware_price, false),
                ("years", serving.years, true),
                ("watts", serving.watts, false),
                (
                    "price_per_kilowatt_hour",
                    serving.price_per_kilowatt_hour,
                    false,
                ),
                ("hours_per_day", serving.hours_per_day, true),
                ("upkeep_per_day", serving.upkeep_per_day, false),
                ("spent_once", serving.spent_once, false),
            ] {
                check(format!("serving.{name}"), value, positive);
            }
        }
        problems
    }
}

/// Whether a text is a day as RFC 3339 writes it, as far as its digits go.
fn is_day(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let number = |part: &str, width: usize, range: std::ops::RangeInclusive<u16>| {
        part.len() == width && part.parse().is_ok_and(|n: u16| range.contains(&n))
    };
    matches!(parts[..], [year, month, day]
        if number(year, 4, 1..=9999) && number(month, 2, 1..=12) && number(day, 2, 1..=31))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str) -> Result<Prices, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("prices.yaml");
        std::fs::write(&path, text).unwrap();
        Prices::load(&path).map_err(|error| error.to_string())
    }

    #[test]
    fn a_table_reads_and_faults_are_told() {
        let table = "dated: 2026-01-31\ncurrency: EUR\nanswers_per_day: 500\nmodels:\n  big: {input_per_million: 2, output_per_million: 8, source: x}\n";
        assert_eq!(load(table).unwrap().models["big"].output_per_million, 8.0);
        let error = load(&table.replace("500", "0").replace(" 8", " -8")).unwrap_err();
        assert!(error.contains("`answers_per_day` is 0"), "{error}");
        assert!(
            error.contains("`models.big.output_per_million` is -8"),
            "{error}"
        );
        let error = load("dated: x\ncurency: EUR\n").unwrap_err();
        assert!(
            error.contains("prices.yaml:") && error.contains("hint:"),
            "{error}"
        );
    }
}
