//! What answers cost: prices per token of endpoints, and a model of serving on one's own
//! machine.
//!
//! Every figure comes from a price table that the user keeps (`prices.yaml`) and from tokens
//! and speeds that were measured; nothing is assumed where either lacks. Does not know quality.

mod prices;

use serde::{Deserialize, Serialize};

pub use prices::{Price, Prices, Serving};

use crate::results::{Role, SystemResult};

const DAYS_OF_YEAR: f64 = 365.25;
const SECONDS_OF_HOUR: f64 = 3600.0;
const JOULES_OF_KILOWATT_HOUR: f64 = 3.6e6;

/// What one system's answers cost.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SystemCost {
    /// The system.
    pub system: String,
    /// How it is paid for.
    pub paid: Paid,
    /// Cost of 1,000 answers: by tokens for an endpoint; for one's own machine at the volume of
    /// the price table, with its fixed costs.
    pub per_thousand: f64,
}

/// How a system is paid for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Paid {
    /// By tokens.
    Tokens {
        /// Mean tokens of a prompt.
        input: f64,
        /// Mean tokens of an answer.
        output: f64,
        /// Where the prices are from.
        source: String,
    },
    /// As the answers themselves say.
    Told {
        /// Answers that say what they cost.
        answers: usize,
    },
    /// By machine and power.
    Machine {
        /// Machines that the volume of the price table takes.
        #[serde(default = "one_machine")]
        machines: f64,
        /// Fixed cost of a day of one: its price over its years, and upkeep.
        fixed_per_day: f64,
        /// Power of 1,000 answers.
        power_per_thousand: f64,
        /// Answers of one in a day's serving hours at the measured speed.
        capacity_per_day: f64,
    },
}

fn one_machine() -> f64 {
    1.0
}

/// One's own machine against an endpoint.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BreakEven {
    /// The system on one's own machine.
    pub own: String,
    /// The system behind an endpoint.
    pub endpoint: String,
    /// Answers a day from which one's own machine is cheaper; none where its power alone costs
    /// more than the endpoint.
    pub volume_per_day: Option<f64>,
    /// Whether one machine can give that many.
    pub within_capacity: bool,
    /// Days until what was saved at the price table's volume pays for the machine and what was
    /// spent once; none where nothing is saved.
    pub payback_days: Option<f64>,
}

/// The costs of an evaluation's systems.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Costs {
    /// The currency of all amounts.
    pub currency: String,
    /// The day of the prices.
    pub dated: String,
    /// Answers a day that the costs are for.
    pub answers_per_day: f64,
    /// The systems of which a cost is known.
    pub systems: Vec<SystemCost>,
    /// Each own system against each endpoint.
    pub break_even: Vec<BreakEven>,
    /// Systems without a cost, and why.
    pub unknown: Vec<String>,
}

impl Costs {
    /// The cost of 1,000 answers of a system.
    pub fn per_thousand(&self, system: &str) -> Option<f64> {
        self.systems
            .iter()
            .find(|cost| cost.system == system)
            .map(|cost| cost.per_thousand)
    }
}

/// The costs of systems: by tokens where the table has a price under the system's name, as the
/// answers say where they do, and as served on one's own machine otherwise, except the frontier
/// model, which is not one's own.
pub fn costs(prices: &Prices, systems: &[SystemResult]) -> Costs {
    let mut found = Costs {
        currency: prices.currency.clone(),
        dated: prices.dated.clone(),
        answers_per_day: prices.answers_per_day,
        ..Costs::default()
    };
    for system in systems {
        let cost = match prices.models.get(&system.name) {
            Some(price) => by_tokens(system, price),
            None => match told(system) {
                Some(cost) => Ok(cost),
                None if system.info.role == Some(Role::Frontier) => Err(
                    "no price by that name in the price table, nor do its answers say what they cost"
                        .into(),
                ),
                None => by_machine(system, prices),
            },
        };
        match cost {
            Ok(cost) => found.systems.push(cost),
            Err(why) => found.unknown.push(format!("{}: {why}", system.name)),
        }
    }
    let known = |name: &&String| systems.iter().any(|system| system.name == **name);
    for name in prices.models.keys().filter(|name| !known(name)) {
        let why = "the price table names it, and no system here is called so";
        found.unknown.push(format!("{name}: {why}"));
    }
    found.break_even = break_even(prices, &found.systems);
    found
}

/// The mean of what answers say they cost; none where none does.
fn told(system: &SystemResult) -> Option<SystemCost> {
    let paid = system.paid.filter(|_| system.paid_answers > 0)?;
    Some(SystemCost {
        system: system.name.clone(),
        per_thousand: 1e3 * paid / system.paid_answers as f64,
        paid: Paid::Told {
            answers: system.paid_answers,
        },
    })
}

/// (input · price_in + output · price_out) / 1,000,000 · 1,000, over mean tokens of an answer.
fn by_tokens(system: &SystemResult, price: &Price) -> Result<SystemCost, String> {
    let answers = system.token_answers as f64;
    let (Some(input), Some(output)) = (system.input_tokens, system.output_tokens) else {
        return Err("its answers do not say how many tokens they took".into());
    };
    if answers == 0.0 {
        return Err("its answers do not say how many tokens they took".into());
    }
    let (input, output) = (input as f64 / answers, output as f64 / answers);
    Ok(SystemCost {
        system: system.name.clone(),
        per_thousand: (input * price.input_per_million + output * price.output_per_million) / 1e3,
        paid: Paid::Tokens {
            input,
            output,
            source: price.source.clone(),
        },
    })
}

fn by_machine(system: &SystemResult, prices: &Prices) -> Result<SystemCost, String> {
    let Some(serving) = &prices.serving else {
        return Err("no price by that name, and no `serving` to run it on".into());
    };
    let Some(seconds) = seconds_per_answer(system) else {
        return Err("no price by that name, and its speed was not measured".into());
    };
    let fixed_per_day =
        serving.hardware_price / (serving.years * DAYS_OF_YEAR) + serving.upkeep_per_day;
    let power = serving.watts * seconds / JOULES_OF_KILOWATT_HOUR * serving.price_per_kilowatt_hour;
    let capacity_per_day = serving.hours_per_day * SECONDS_OF_HOUR / seconds;
    let machines = (prices.answers_per_day / capacity_per_day).ceil();
    Ok(SystemCost {
        system: system.name.clone(),
        per_thousand: 1e3 * (machines * fixed_per_day / prices.answers_per_day + power),
        paid: Paid::Machine {
            machines,
            fixed_per_day,
            power_per_thousand: 1e3 * power,
            capacity_per_day,
        },
    })
}

/// Seconds of the machine for one answer: measured tokens per second of many answers together
/// where known, otherwise the median latency of an answer alone.
fn seconds_per_answer(system: &SystemResult) -> Option<f64> {
    let batched = || {
        let tokens = system.output_tokens? as f64 / system.token_answers.max(1) as f64;
        Some(tokens / system.info.tokens_per_second?)
    };
    let seconds = batched().or_else(|| Some(system.latency_ms?.p50 / 1e3))?;
    (seconds > 0.0 && seconds.is_finite()).then_some(seconds)
}

/// Volume V where V · endpoint = fixed + V · power, of one machine.
fn break_even(prices: &Prices, systems: &[SystemCost]) -> Vec<BreakEven> {
    let Some(serving) = &prices.serving else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for own in systems {
        let Paid::Machine {
            machines,
            fixed_per_day,
            power_per_thousand,
            capacity_per_day,
        } = own.paid
        else {
            continue;
        };
        for endpoint in systems
            .iter()
            .filter(|other| !matches!(other.paid, Paid::Machine { .. }))
        {
            let saved = (endpoint.per_thousand - power_per_thousand) / 1e3;
            let volume = (saved > 0.0).then(|| fixed_per_day / saved);
            let a_day = prices.answers_per_day * saved - machines * serving.upkeep_per_day;
            found.push(BreakEven {
                own: own.system.clone(),
                endpoint: endpoint.system.clone(),
                volume_per_day: volume,
                within_capacity: volume.is_some_and(|volume| volume <= capacity_per_day),
                payback_days: payback(serving, machines * serving.hardware_price, a_day),
            });
        }
    }
    found
}

/// The first day t on which what was saved, `a_day` · t, has paid for what was spent once and for
/// the machines up to then, of which new ones are bought whenever their years are over; none where
/// they wear out faster than they save.
fn payback(serving: &Serving, hardware: f64, a_day: f64) -> Option<f64> {
    if a_day <= 0.0 {
        return None;
    }
    let life = serving.years * DAYS_OF_YEAR;
    let first = (hardware + serving.spent_once) / a_day;
    if first <= life {
        return Some(first);
    }
    // What a set of machines leaves over in its life pays for what was spent once.
    let left = a_day * life - hardware;
    let sets = (serving.spent_once / left).ceil();
    (left > 0.0).then(|| (sets * hardware + serving.spent_once) / a_day)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::{Latency, SystemInfo};

    fn prices() -> Prices {
        Prices {
            dated: "2026-01-31".into(),
            currency: "EUR".into(),
            answers_per_day: 10_000.0,
            models: [(
                "large".to_string(),
                Price {
                    input_per_million: 2.0,
                    output_per_million: 10.0,
                    source: "their page".into(),
                },
            )]
            .into(),
            serving: Some(Serving {
                hardware_price: 1461.0,
                years: 4.0,
                watts: 90.0,
                price_per_kilowatt_hour: 0.4,
                hours_per_day: 10.0,
                upkeep_per_day: 1.0,
                spent_once: 539.0,
            }),
        }
    }

    fn systems() -> Vec<SystemResult> {
        let large = SystemResult {
            name: "large".into(),
            input_tokens: Some(40_000),
            output_tokens: Some(5_000),
            token_answers: 100,
            ..SystemResult::default()
        };
        let small = SystemResult {
            name: "small".into(),
            output_tokens: Some(4_000),
            token_answers: 100,
            info: SystemInfo {
                tokens_per_second: Some(40.0),
                ..SystemInfo::default()
            },
            ..SystemResult::default()
        };
        vec![large, small]
    }

    #[test]
    fn costs_by_hand() {
        let found = costs(&prices(), &systems());
        // 400 in · 2 + 50 out · 10 = 1300 millionths an answer.
        assert!((found.per_thousand("large").unwrap() - 1.3).abs() < 1e-12);
        // 1461 / 1461 days + 1 = 2 a day, 0.2 of 1,000 answers; 90 W for 1 s at 0.4: 0.01.
        assert!((found.per_thousand("small").unwrap() - 0.21).abs() < 1e-12);
        let Paid::Machine {
            capacity_per_day, ..
        } = found.systems[1].paid
        else {
            panic!()
        };
        assert_eq!(capacity_per_day, 36_000.0);
    }

    #[test]
    fn break_even_and_payback_by_hand() {
        let found = &costs(&prices(), &systems()).break_even[0];
        // 2 / (0.0013 − 0.00001) answers a day.
        assert!((found.volume_per_day.unwrap() - 1_550.387_6).abs() < 1e-3);
        assert!(found.within_capacity);
        // 2000 / (10,000 · 0.00129 − 1) days.
        assert!((found.payback_days.unwrap() - 2000.0 / 11.9).abs() < 1e-9);
    }

    #[test]
    fn a_volume_beyond_one_machine_takes_several() {
        let mut prices = prices();
        prices.answers_per_day = 80_000.0;
        let found = costs(&prices, &systems());
        // 36,000 a day each: three machines, 6 a day for 80,000 answers, and 0.01 of power.
        assert!((found.per_thousand("small").unwrap() - 0.085).abs() < 1e-12);
        // (3 · 1461 + 539) / (80,000 · 0.00129 − 3) days.
        let days = found.break_even[0].payback_days.unwrap();
        assert!((days - 4922.0 / 100.2).abs() < 1e-9, "{days}");
    }

    #[test]
    fn machines_that_wear_out_are_paid_for_again() {
        let serving = prices().serving.unwrap();
        // 1461 days of 1.1 leave 146.1 of a machine, so 539 take four of them.
        let days = payback(&serving, 1461.0, 1.1).unwrap();
        assert!((days - (4.0 * 1461.0 + 539.0) / 1.1).abs() < 1e-9, "{days}");
        assert!(days > 3.0 * 1461.0 && days <= 4.0 * 1461.0);
        assert_eq!(payback(&serving, 1461.0, 0.99), None);
        assert_eq!(payback(&serving, 1461.0, 4.0), Some(500.0));
    }

    #[test]
    fn a_frontier_model_is_not_priced_as_ones_own_machine() {
        let (mut prices, mut systems) = (prices(), systems());
        systems[0].info.role = Some(Role::Frontier);
        systems[0].info.tokens_per_second = Some(40.0);
        let price = prices.models.remove("large").unwrap();
        prices.models.insert("lage".into(), price);
        let found = costs(&prices, &systems);
        assert_eq!(found.per_thousand("large"), None);
        assert!(found.unknown[0].starts_with("large: no price by that name"));
        assert!(found.unknown[1].starts_with("lage: the price table names it"));
        (systems[0].paid, systems[0].paid_answers) = (Some(0.5), 100);
        let found = costs(&prices, &systems);
        assert_eq!(found.per_thousand("large"), Some(5.0));
        assert_eq!(found.break_even.len(), 1);
    }

    #[test]
    fn a_machine_that_never_pays_says_so() {
        let mut prices = prices();
        prices.models.get_mut("large").unwrap().input_per_million = 0.0;
        prices.models.get_mut("large").unwrap().output_per_million = 0.1;
        let found = &costs(&prices, &systems()).break_even[0];
        assert_eq!((found.volume_per_day, found.payback_days), (None, None));
        prices.answers_per_day = 100.0;
        assert_eq!(costs(&prices, &systems()).break_even[0].payback_days, None);
    }

    #[test]
    fn what_was_not_measured_is_told_and_not_guessed() {
        let mut systems = systems();
        systems[0].output_tokens = None;
        systems[1].info.tokens_per_second = None;
        let found = costs(&prices(), &systems);
        assert!(found.systems.is_empty());
        assert_eq!(found.unknown.len(), 2);
        systems[1].latency_ms = Some(Latency {
            p50: 2000.0,
            p90: 0.0,
            n: 1,
        });
        let Paid::Machine {
            capacity_per_day, ..
        } = costs(&prices(), &systems).systems[0].paid
        else {
            panic!()
        };
        assert_eq!(capacity_per_day, 18_000.0);
    }
}
