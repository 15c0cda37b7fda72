//! The built-in teacher: varies seed examples by rule, seeded and offline.
//!
//! It knows no language beyond its lists: what it makes are the seeds' own
//! sentences with other values, other wording and other noise.

use super::answer::AnswerChecker;
use super::cues::{Cues, swap_cues};
use super::draft::Draft;
use super::noise::{change_case, change_punctuation, mistype};
use super::parts::vary_parts;
use super::passages::{carry, distract, reorder};
use super::phrases::Phrases;
use super::rounds::{Attempted, Made, Number, UNUSABLE_SEED};
use super::seed::SeedLeaf;
use super::slots::{FieldPools, Template, plain};
use super::surface::occurrences;
use super::taking::Taking;
use super::text::Text;
use super::values::RowDraw;
use super::wording::{frame, greet, swap_contraction, swap_paraphrases, thank};
use super::{Request, Shortfall, Take, Teacher};
use crate::error::{DataError, Result};
use crate::hash::fnv1a;
use crate::sample::Sample;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::Value;
use slm_taxonomy::{Output, Slot, SlotKind};
use std::collections::BTreeMap;

/// How often each operation is tried, from 0 to 1.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs)]
pub struct Rates {
    pub substitution: f64,
    pub cue: f64,
    pub paraphrase: f64,
    pub contraction: f64,
    pub greeting: f64,
    pub thanks: f64,
    pub frame: f64,
    pub case: f64,
    pub punctuation: f64,
    pub typo: f64,
    pub reorder: f64,
    pub distractor: f64,
    pub carrier: f64,
    pub omission: f64,
    pub exchange: f64,
    pub shift: f64,
}

impl Default for Rates {
    fn default() -> Self {
        Self {
            substitution: 0.85,
            cue: 0.9,
            paraphrase: 0.5,
            contraction: 0.2,
            greeting: 0.2,
            thanks: 0.15,
            frame: 0.5,
            case: 0.15,
            punctuation: 0.15,
            typo: 0.1,
            reorder: 0.25,
            distractor: 0.25,
            carrier: 0.1,
            omission: 0.35,
            exchange: 0.6,
            shift: 0.5,
        }
    }
}

/// The built-in teacher.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct GrammarTeacher {
    /// How often each operation is tried.
    pub rates: Rates,
}

/// Draws of a value before a slot is left as it is.
const DRAWS_PER_SLOT: usize = 6;

impl Teacher for GrammarTeacher {
    fn name(&self) -> &str {
        "grammar"
    }

    fn offer(
        &self,
        leaf: &SeedLeaf,
        request: &Request,
        take: &mut Take<'_>,
    ) -> Result<Option<Shortfall>> {
        let mut made = Made::new(Taking::new(take, request.rows));
        let (workshop, unusable) = Workshop::open(self, leaf, request)?;
        for (sample, fault) in unusable {
            made.drop(&sample, UNUSABLE_SEED, Some(fault))?;
        }
        made.by_rounds(workshop.templates.len(), |number| workshop.attempt(number))?;
        Ok(made.shortfall(leaf))
    }
}

/// One leaf, prepared.
struct Workshop<'a> {
    teacher: &'a GrammarTeacher,
    leaf: &'a SeedLeaf,
    request: &'a Request,
    checker: AnswerChecker,
    templates: Vec<Template>,
    pools: FieldPools,
    paraphrases: Vec<Phrases>,
    cues: Vec<Cues>,
}

/// A seed that no row can be made from: a row that stands for it, and why.
type Unusable = Vec<(Sample, String)>;

impl<'a> Workshop<'a> {
    /// The leaf's templates, and the seeds that give none.
    fn open(
        teacher: &'a GrammarTeacher,
        leaf: &'a SeedLeaf,
        request: &'a Request,
    ) -> Result<(Self, Unusable)> {
        let checker = AnswerChecker::new(&leaf.name, &leaf.output)?;
        let mut templates = Vec::new();
        let mut unusable = Unusable::new();
        for seed in &leaf.seeds {
            for pair in 0..seed.pairs.len() {
                match Template::new(leaf, &checker, seed, pair) {
                    Ok(template) => templates.push(template),
                    Err(fault) => {
                        let id = format!("{}-s{:03}-p{pair}", leaf.name, seed.index);
                        let row = Sample::pair(id, "", "")
                            .with("leaf", leaf.name.clone())
                            .with("seed", seed.index);
                        unusable.push((row, fault));
                    }
                }
            }
        }
        if templates.is_empty() {
            let first = unusable.first().map(|(row, fault)| {
                let seed = row.seed().unwrap_or_default();
                format!("seed {seed}: {fault}")
            });
            return Err(DataError::settings(
                format!(
                    "no seed of leaf `{}` can be used: {}",
                    leaf.name,
                    first.as_deref().unwrap_or("it has none")
                ),
                "mend the seed's answer or `output` in the leaf's `slm.yaml`",
            ));
        }
        let mut pools = FieldPools::new();
        // A free text's answer is no field: that of another question never fits.
        if matches!(leaf.output, Output::Json { .. } | Output::Calls { .. }) {
            templates.iter().for_each(|t| t.add_to_pools(&mut pools));
        }
        let phrases = |group: &Vec<String>| Phrases::new(group.iter().map(String::as_str));
        let workshop = Self {
            teacher,
            leaf,
            request,
            checker,
            templates,
            pools,
            paraphrases: leaf.paraphrases.iter().map(phrases).collect(),
            cues: Cues::of(&leaf.slots),
        };
        Ok((workshop, unusable))
    }

    /// Makes a row from a template, and looks for faults in it. The same number makes the same
    /// row.
    fn attempt(&self, Number { template, attempt }: Number) -> Attempted {
        let own = &self.templates[template];
        let row_seed = self.row_seed(own, attempt);
        let mut rng = ChaCha8Rng::seed_from_u64(row_seed);
        // The first row of each seed is the seed itself.
        let draft = match attempt {
            0 => Draft::from(own),
            _ => self.vary(own, &mut rng),
        };
        Attempted {
            template,
            fault: self.fault(own, &draft),
            sample: self.sample(own, &draft, row_seed),
        }
    }

    /// 53 bits, so that the number survives every JSON reader.
    fn row_seed(&self, template: &Template, attempt: u64) -> u64 {
        let name = format!(
            "{}\u{0}{}\u{0}{}",
            self.leaf.name, template.seed, template.pair
        );
        let mut rng = ChaCha8Rng::seed_from_u64(self.request.seed ^ fnv1a(name.as_bytes()));
        rng.set_word_pos(u128::from(attempt) * 2);
        rng.random::<u64>() >> 11
    }

    fn vary(&self, own: &Template, rng: &mut ChaCha8Rng) -> Draft {
        let rates = &self.teacher.rates;
        let mut draft = self.substitute(own, rng);
        if let Some(parts) = &self.leaf.parts {
            let others = (own, self.templates.as_slice());
            let fits = |answer: &Value| self.checker.check(answer).is_ok();
            let rates = [rates.omission, rates.exchange, rates.shift];
            vary_parts(&mut draft, parts, others, fits, rates, rng);
        }
        self.move_sentences(own, &mut draft, rng);
        let said = swap_cues(&mut draft, &self.cues, rates.cue, rng);
        draft.note("cue", said);
        let groups = &self.paraphrases;
        let mut changed = swap_paraphrases(&mut draft.question, groups, rates.paraphrase, rng);
        if let Some(context) = &mut draft.context {
            changed |= swap_paraphrases(context, groups, rates.paraphrase, rng);
        }
        draft.note("paraphrase", changed);
        self.reword(own, &mut draft, rng);
        draft
    }

    /// New values for the slots. Dates change all or none, since they move
    /// together.
    fn substitute(&self, own: &Template, rng: &mut ChaCha8Rng) -> Draft {
        let rate = self.teacher.rates.substitution;
        let draw = RowDraw::new(self.request.side, rng);
        let with_dates = rng.random_bool(rate);
        let mut new = Vec::new();
        for n in 0..own.slots.len() {
            let is_date = matches!(own.slots[n].hint, Some(Slot::Kind(SlotKind::DateIso)));
            let chosen = rng.random_bool(rate);
            if if is_date { with_dates } else { chosen } {
                let value = (0..DRAWS_PER_SLOT).find_map(|_| own.draw(n, &self.pools, &draw, rng));
                new.extend(value.map(|value| (n, value)));
            }
        }
        let made = if new.is_empty() {
            None
        } else {
            own.substitute(&new)
        };
        let Some(mut draft) = made else {
            return Draft::from(own);
        };
        draft.note("substitution", true);
        draft.substitutions = new
            .iter()
            .map(|(n, v)| (plain(&own.slots[*n].old), plain(v)))
            .collect();
        draft
    }

    /// Sentences move or are borrowed only where that cannot change the answer.
    fn move_sentences(&self, own: &Template, draft: &mut Draft, rng: &mut ChaCha8Rng) {
        let rates = &self.teacher.rates;
        match self.leaf.output {
            Output::Text if own.context.is_some() => {
                let moved = rng.random_bool(rates.reorder) && reorder(draft, rng);
                draft.note("reorder", moved);
                let added =
                    rng.random_bool(rates.distractor) && distract(draft, &self.templates, rng);
                draft.note("distractor", added);
            }
            Output::Json { .. } | Output::Label { .. } if own.context.is_none() => {
                let added =
                    rng.random_bool(rates.carrier) && carry(draft, own, &self.templates, rng);
                draft.note("carrier", added);
            }
            _ => {}
        }
    }

    /// Wording and noise. A skill with free text may be about the very wording
    /// (translate, count, correct), so there only a greeting is added.
    fn reword(&self, own: &Template, draft: &mut Draft, rng: &mut ChaCha8Rng) {
        let rates = &self.teacher.rates;
        let wording_matters =
            self.leaf.output == Output::Text && !self.leaf.knowledge && own.context.is_none();
        let tried = |rate: f64, rng: &mut ChaCha8Rng| rng.random_bool(rate);
        if !wording_matters {
            let asks = draft.question.join().trim_end().ends_with('?');
            let contraction =
                tried(rates.contraction, rng) && swap_contraction(&mut draft.question, rng);
            draft.note("contraction", contraction);
            let punctuation =
                tried(rates.punctuation, rng) && change_punctuation(&mut draft.question, rng);
            draft.note("punctuation", punctuation);
            let framed = self.leaf.output == Output::Text && asks && tried(rates.frame, rng);
            let framed = framed && frame(&mut draft.question, own.context.is_some(), rng);
            draft.note("frame", framed);
        }
        let greeting = tried(rates.greeting, rng) && greet(&mut draft.question, rng);
        draft.note("greeting", greeting);
        if !wording_matters {
            let thanks = tried(rates.thanks, rng) && thank(&mut draft.question, rng);
            draft.note("thanks", thanks);
            let case = tried(rates.case, rng) && change_case(&mut draft.question, rng);
            draft.note("case", case);
            let typo = tried(rates.typo, rng) && mistype(draft, rng);
            draft.note("typo", typo);
        }
    }

    /// Checks a row as if somebody else had made it.
    fn fault(&self, own: &Template, draft: &Draft) -> Option<(&'static str, String)> {
        let written = self.checker.write(&draft.answer);
        let read = match self.checker.parse(&written) {
            Ok(read) if read == draft.answer => read,
            Ok(_) => return Some(("the answer changes when written and read", written)),
            Err(fault) => return Some(("the answer cannot be read", fault)),
        };
        if let Err(fault) = self.checker.check(&read) {
            return Some(("the answer does not fit the output", fault));
        }
        let text = format!(
            "{}\n{}",
            draft.question.join(),
            draft.context.as_ref().map(Text::join).unwrap_or_default()
        );
        for slot in &own.slots {
            let was_shown = slot.is_shown();
            let now = slot.pointers.first().and_then(|p| draft.answer.pointer(p));
            // A value that was left out with its part is nowhere.
            let now = now.filter(|value| !(was_shown && value.is_null()));
            if was_shown && now.is_some_and(|v| occurrences(&text, v).is_empty()) {
                return Some((
                    "a value of the answer is missing in the text",
                    format!("{now:?}"),
                ));
            }
            let replaced = now.is_some_and(|v| *v != slot.old);
            if replaced && !occurrences(&text, &slot.old).is_empty() {
                return Some(("a replaced value is still in the text", plain(&slot.old)));
            }
        }
        None
    }

    /// The row; its id lacks the number.
    fn sample(&self, own: &Template, draft: &Draft, row_seed: u64) -> Sample {
        let context = draft.context.as_ref().map(Text::join);
        let (prompt, instruction_bytes) =
            self.leaf.prompt(context.as_deref(), &draft.question.join());
        let pair = if own.pair > 0 {
            format!("p{}", own.pair)
        } else {
            String::new()
        };
        let id = format!("{}-s{:03}{pair}-", self.leaf.name, own.seed);
        let mut sample = Sample::pair(id, prompt, self.checker.write(&draft.answer))
            .with("leaf", self.leaf.name.clone())
            .with("seed", own.seed)
            .with("teacher", self.teacher.name())
            .with("operations", draft.operations.clone())
            .with("rng_seed", row_seed);
        let mut extra: BTreeMap<&str, Value> = BTreeMap::new();
        if draft.seeds.len() > 1 {
            extra.insert(
                "seeds",
                draft.seeds.iter().copied().collect::<Vec<_>>().into(),
            );
        }
        if instruction_bytes > 0 {
            extra.insert("instruction_bytes", instruction_bytes.into());
        }
        if let Some(label) = self.leaf.label_of(&draft.answer) {
            extra.insert("label", label.into());
        }
        for (key, value) in extra {
            sample = sample.with(key, value);
        }
        if let Output::Calls { tools } = &self.leaf.output {
            sample.tools = Some(tools.clone().into());
        }
        sample
    }
}
