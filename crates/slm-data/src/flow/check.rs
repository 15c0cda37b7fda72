//! Whether a flow's blocks fit together, found out before anything runs.
//!
//! Does not know files or rows.

use super::spec::*;
use std::collections::{BTreeMap, BTreeSet};

/// What is wrong with a block.
pub(super) struct Fault {
    /// The block's name; empty for the flow itself.
    pub block: String,
    pub message: String,
    pub hint: String,
}

/// All faults of a flow whose blocks could be read.
pub(super) fn check(metadata: &Metadata, blocks: &[Block]) -> Vec<Fault> {
    let mut checker = Checker {
        blocks,
        faults: Vec::new(),
        names: BTreeSet::new(),
    };
    let given = &metadata.dataset_requirements;
    let mut known: BTreeSet<&str> = given
        .required_columns
        .iter()
        .chain(&given.optional_columns)
        .map(String::as_str)
        .collect();
    if blocks.is_empty() {
        checker.fault("", "the flow has no blocks", "give it at least one");
    }
    for (n, block) in blocks.iter().enumerate() {
        checker.name(block);
        for column in &block.inputs {
            checker.column(n, column, &known);
        }
        checker.step(block);
        known.extend(block.outputs.iter().map(String::as_str));
    }
    for column in &metadata.output_columns {
        if !known.contains(column.as_str()) {
            let hint = suggestion(column, &known);
            checker.fault(
                "",
                &format!("no block makes the output column `{column}`"),
                &hint,
            );
        }
        if !["question", "answer", "context"].contains(&column.as_str()) {
            let message = format!("`{column}` is no output column that becomes a row");
            checker.fault("", &message, "the output columns are `question`, `answer` and perhaps `context`; copy yours to these with `transform`");
        }
    }
    for needed in ["question", "answer"] {
        if !metadata
            .output_columns
            .iter()
            .any(|column| column == needed)
        {
            checker.fault(
                "",
                &format!("`metadata.output_columns` lacks `{needed}`"),
                "the output columns are `question`, `answer` and perhaps `context`",
            );
        }
    }
    checker.faults
}

struct Checker<'a> {
    blocks: &'a [Block],
    faults: Vec<Fault>,
    names: BTreeSet<&'a str>,
}

impl<'a> Checker<'a> {
    fn fault(&mut self, block: &str, message: &str, hint: &str) {
        self.faults.push(Fault {
            block: block.to_owned(),
            message: message.to_owned(),
            hint: hint.to_owned(),
        });
    }

    fn name(&mut self, block: &'a Block) {
        if block.name.trim().is_empty() {
            self.fault(
                "",
                "a block has an empty `block_name`",
                "name it by what it does",
            );
        } else if !self.names.insert(&block.name) {
            self.fault(
                &block.name,
                "there is another block of this name",
                "block names are unique, so that the ledger can tell them",
            );
        }
        if !(0.0..=1.0).contains(&block.min_share) {
            self.fault(
                &block.name,
                &format!("`min_share: {}` is no share", block.min_share),
                "give a number from 0 to 1",
            );
        }
        if !(block.expected.is_finite() && block.expected > 0.0) {
            self.fault(
                &block.name,
                &format!("`expected_rows: {}` is no number of rows", block.expected),
                "give how many rows come out for each that goes in, such as 0.8",
            );
        }
    }

    /// A column must be there from the start or made by a block before.
    fn column(&mut self, n: usize, column: &str, known: &BTreeSet<&str>) {
        if known.contains(column) {
            return;
        }
        let name = &self.blocks[n].name;
        let maker = (n..self.blocks.len())
            .find(|m| self.blocks[*m].outputs.iter().any(|made| made == column));
        let (message, hint) = match maker {
            None => (
                format!(
                    "it reads the column `{column}`, which no block before it makes and `dataset_requirements` does not list"
                ),
                suggestion(column, known),
            ),
            Some(m) if m == n || self.needs(m, n) => (
                format!(
                    "it reads the column `{column}` that block `{}` makes from what this block makes: a cycle",
                    self.blocks[m].name
                ),
                "let one of the two read a column that is there before both".to_owned(),
            ),
            Some(m) => (
                format!(
                    "it reads the column `{column}`, which block `{}` makes only later",
                    self.blocks[m].name
                ),
                format!("move block `{}` before this one", self.blocks[m].name),
            ),
        };
        self.fault(name, &message, &hint);
    }

    /// Whether a block depends on another's output, through any number of blocks.
    fn needs(&self, from: usize, on: usize) -> bool {
        let mut makers: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for (n, block) in self.blocks.iter().enumerate() {
            for column in &block.outputs {
                makers.entry(column).or_default().push(n);
            }
        }
        let (mut open, mut seen) = (vec![from], BTreeSet::from([from]));
        while let Some(n) = open.pop() {
            let sources = self.blocks[n]
                .inputs
                .iter()
                .filter_map(|column| makers.get(column.as_str()))
                .flatten();
            for &source in sources {
                if source == on {
                    return true;
                }
                if seen.insert(source) {
                    open.push(source);
                }
            }
        }
        false
    }

    fn step(&mut self, block: &Block) {
        let (inputs, outputs) = (block.inputs.len(), block.outputs.len());
        let wants: (&str, bool) = match &block.step {
            Step::Generate(_) => ("one output column", outputs == 1),
            Step::Judge(_) => ("at most one output column, for the verdict", outputs <= 1),
            Step::Parse(_) => (
                "one input column and an output column at least",
                inputs == 1 && outputs > 0,
            ),
            Step::Filter(_) => (
                "an input column at least, and no output column",
                inputs > 0 && outputs == 0,
            ),
            Step::Deduplicate(_) => (
                "an input column at least, and no output column",
                inputs > 0 && outputs == 0,
            ),
            Step::Sample(_) => ("no columns", inputs == 0 && outputs == 0),
            Step::Transform(Transform::Copy) => (
                "as many input as output columns",
                inputs == outputs && inputs > 0,
            ),
            Step::Transform(Transform::Set { .. }) => (
                "no input column and an output column at least",
                inputs == 0 && outputs > 0,
            ),
            Step::Transform(Transform::Flatten) => (
                "an input column at least, and two output columns: value and name",
                inputs > 0 && outputs == 2,
            ),
            Step::Transform(Transform::Template { .. } | Transform::Concat { .. }) => {
                ("one output column", outputs == 1)
            }
            Step::Transform(_) => (
                "one input and one output column",
                inputs == 1 && outputs == 1,
            ),
        };
        if !wants.1 {
            self.fault(
                &block.name,
                &format!(
                    "it has {inputs} input and {outputs} output columns, and wants {}",
                    wants.0
                ),
                "mend `input_cols` or `output_cols`",
            );
        }
        match &block.step {
            Step::Generate(generate) => {
                self.variables(block, &generate.prompt);
                self.asking(block, &generate.asking);
                if generate.n == 0 {
                    self.fault(&block.name, "`n: 0` asks for nothing", "give 1 or more");
                }
            }
            Step::Judge(judge) => {
                self.variables(block, &judge.prompt);
                self.asking(block, &judge.asking);
                self.verdicts(block, judge);
            }
            Step::Transform(Transform::Template { template }) => self.variables(block, template),
            Step::Parse(parse) => self.parse(block, parse),
            Step::Sample(sample) => self.sample(block, sample),
            Step::Filter(filter) => self.filter(block, filter),
            Step::Deduplicate(it) if !(it.similarity > 0.0 && it.similarity <= 1.0) => {
                self.fault(
                    &block.name,
                    &format!("`similarity: {}` is no similarity", it.similarity),
                    "give a number above 0 and at most 1",
                );
            }
            _ => {}
        }
    }

    fn variables(&mut self, block: &Block, prompt: &super::prompt::Prompt) {
        for variable in prompt.variables() {
            if !block.inputs.contains(&variable) {
                let known: BTreeSet<&str> = block.inputs.iter().map(String::as_str).collect();
                let hint = format!(
                    "{}, or add it to `input_cols`",
                    suggestion(&variable, &known)
                );
                self.fault(
                    &block.name,
                    &format!("its prompt names `{variable}`, which is not among its input columns"),
                    &hint,
                );
            }
        }
    }

    fn asking(&mut self, block: &Block, asking: &Asking) {
        if asking.max_tokens == 0 || !(0.0..=2.0).contains(&asking.temperature) {
            let message = format!(
                "`max_tokens: {}` and `temperature: {}` are impossible",
                asking.max_tokens, asking.temperature
            );
            self.fault(
                &block.name,
                &message,
                "give 1 token or more, and a temperature from 0 to 2",
            );
        }
    }

    fn verdicts(&mut self, block: &Block, judge: &Judge) {
        if judge.verdict_pattern.captures_len() != 2 {
            self.fault(
                &block.name,
                "`verdict_pattern` has not exactly one group",
                "put brackets around the verdict, such as `Answer: (YES|NO)`",
            );
        }
        if judge.accept.is_empty()
            || judge
                .accept
                .iter()
                .any(|verdict| !judge.verdicts.contains(verdict))
        {
            self.fault(
                &block.name,
                "`accept` is empty or holds what is no verdict",
                "list all verdicts in `verdicts`, and those that let a row through in `accept`",
            );
        }
    }

    fn parse(&mut self, block: &Block, parse: &Parse) {
        let ways = [
            !parse.start_tags.is_empty(),
            parse.parsing_pattern.is_some(),
            parse.json,
        ];
        if ways.iter().filter(|way| **way).count() != 1 {
            self.fault(
                &block.name,
                "it parses in no way, or in several",
                "give one of `start_tags` with `end_tags`, `parsing_pattern`, or `json: true`",
            );
        } else if ways[0]
            && (parse.start_tags.len() != block.outputs.len()
                || parse.end_tags.len() != block.outputs.len())
        {
            self.fault(
                &block.name,
                "it has not one start and one end tag for each output column",
                "an end tag may be empty: then the next start tag ends the text",
            );
        } else if parse.start_tags.iter().any(String::is_empty) {
            self.fault(
                &block.name,
                "a start tag is empty",
                "name the mark before the text, such as `[QUESTION]`",
            );
        } else if let Some(text) = &parse.parsing_pattern {
            match super::pattern::Pattern::new(text) {
                Err((message, hint)) => self.fault(&block.name, &message, &hint),
                Ok(pattern) if pattern.groups() != block.outputs.len() => {
                    self.fault(
                        &block.name,
                        "`parsing_pattern` has not one group for each output column",
                        "use `(?:...)` for groups that are no column",
                    );
                }
                Ok(_) => {}
            }
        }
    }

    fn sample(&mut self, block: &Block, sample: &Sampling) {
        let sound = match (sample.rows, sample.share) {
            (Some(rows), None) => rows > 0,
            (None, Some(share)) => share > 0.0 && share <= 1.0,
            _ => false,
        };
        if !sound {
            self.fault(
                &block.name,
                "it says in no way, or in several, how much to keep",
                "give `rows`, at least 1, or `share`, above 0 and at most 1",
            );
        }
    }

    fn filter(&mut self, block: &Block, filter: &Filter) {
        use Operation::*;
        let sound = match filter.operation {
            Lt | Le | Gt | Ge | MinWords | MaxWords => {
                super::blocks::number(&filter.filter_value).is_some()
            }
            In => filter.filter_value.is_array(),
            Contains | NotContains => filter.filter_value.is_string(),
            FitsOutput | NoPersonalData => filter.filter_value.is_null(),
            Eq | Ne => !filter.filter_value.is_null(),
        };
        if !sound {
            self.fault(&block.name, "`filter_value` does not suit the operation", "numbers for comparisons and words, a list for `in`, text for `contains`, none for `fits_output` and `no_personal_data`");
        }
    }
}

fn suggestion(word: &str, known: &BTreeSet<&str>) -> String {
    match slm_taxonomy::nearest(word, known.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None if known.is_empty() => {
            "there are no columns; list them in `metadata.dataset_requirements.required_columns`"
                .to_owned()
        }
        None => format!(
            "there are {}",
            known.iter().copied().collect::<Vec<_>>().join(", ")
        ),
    }
}
