//! The book of the corpus: word lists, value grammar, fields, intents and
//! passages, read once from the lexicon files built into the program.
//!
//! Knows the files' notation; knows no task.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use super::Family;
use super::grammar::{Choice, Node};
use super::invent::{INVENTIONS, Invention};
use super::list::List;
use super::source::Source;
use super::template::{Names, parse};

const LISTS: [&str; 6] = [
    include_str!("lexicon/words.txt"),
    include_str!("lexicon/people.txt"),
    include_str!("lexicon/places.txt"),
    include_str!("lexicon/media.txt"),
    include_str!("lexicon/food.txt"),
    include_str!("lexicon/things.txt"),
];
const RULES: [&str; 2] = [
    include_str!("lexicon/values.txt"),
    include_str!("lexicon/prompts.txt"),
];
const FIELDS: &str = include_str!("lexicon/fields.txt");
const INTENTS: [&str; 3] = [
    include_str!("lexicon/intents_media.txt"),
    include_str!("lexicon/intents_life.txt"),
    include_str!("lexicon/intents_work.txt"),
];
const PASSAGES: &str = include_str!("lexicon/passages.txt");

/// What `$name` stands for.
#[derive(Debug)]
pub(crate) enum Symbol {
    /// An entry of a list.
    List(List),
    /// An expansion of templates; `title` puts it in title case.
    Rule { choice: Choice, title: bool },
    /// A string made by rule.
    Invention(Invention),
}

/// A field: a meaning with its names and the values it takes.
#[derive(Debug)]
pub(crate) struct Field {
    /// Its global name, used where no schema is given.
    pub(crate) key: &'static str,
    /// Symbol of its values.
    pub(crate) symbol: usize,
    /// Whether its values may be anything (and are invented at times).
    pub(crate) open: bool,
    /// Names in schemas of the training family; the key is one.
    pub(crate) names: Vec<&'static str>,
    /// Names in schemas of the held-out family.
    pub(crate) held_names: Vec<&'static str>,
    /// What it means, in words.
    pub(crate) descriptions: Vec<&'static str>,
}

/// An intent and the ways of saying it.
#[derive(Debug, Default)]
pub(crate) struct Intent {
    /// Its global name, in Pascal case.
    pub(crate) name: &'static str,
    /// Its domain.
    pub(crate) domain: &'static str,
    /// Whether it belongs to the held-out family.
    pub(crate) held_out: bool,
    /// What it is, in words.
    pub(crate) descriptions: Vec<&'static str>,
    /// Imperative beginnings, to which an opener may be put.
    pub(crate) commands: Choice,
    /// Other beginnings: questions, statements, ellipses.
    pub(crate) statements: Choice,
    /// Optional phrases at the end, each at most once.
    pub(crate) tails: Vec<Choice>,
    /// Those of the tails that may also stand first.
    pub(crate) movable: Vec<usize>,
    /// All fields that may occur.
    pub(crate) fields: Vec<usize>,
    /// How often it comes up: intents with more ways of speaking do more often.
    weight: usize,
}

/// A kind of short document, with questions to it.
#[derive(Debug, Default)]
pub(crate) struct Passage {
    /// Whether it belongs to the held-out family.
    pub(crate) held_out: bool,
    /// Sentences, in order.
    pub(crate) sentences: Vec<Choice>,
    /// Questions: the field that answers, and wordings.
    pub(crate) questions: Vec<(usize, Choice)>,
}

/// Everything that the corpus is made of.
#[derive(Debug, Default)]
pub(crate) struct Book {
    /// Lists, rules and inventions.
    pub(crate) symbols: Vec<Symbol>,
    index: BTreeMap<&'static str, usize>,
    /// Fields, by number.
    pub(crate) fields: Vec<Field>,
    /// Intents, by number.
    pub(crate) intents: Vec<Intent>,
    /// Intents of each family.
    pub(crate) train_intents: Vec<usize>,
    /// Intents of the held-out family.
    pub(crate) held_intents: Vec<usize>,
    /// The families' intents, each as often as its weight says.
    train_draws: Vec<usize>,
    held_draws: Vec<usize>,
    /// Kinds of passage.
    pub(crate) passages: Vec<Passage>,
    /// The symbol of invented phrases.
    pub(crate) invented: Option<usize>,
    /// Faults of the files, for the tests.
    pub(crate) problems: Vec<String>,
}

/// The one book.
pub(crate) fn book() -> &'static Book {
    static BOOK: OnceLock<Book> = OnceLock::new();
    BOOK.get_or_init(Book::read)
}

impl Book {
    fn read() -> Self {
        let mut book = Self::default();
        book.read_lists();
        book.read_rules();
        book.invented = book.symbol("invented");
        book.read_fields();
        for file in INTENTS {
            book.read_intents(file);
        }
        book.finish_intents();
        book.read_passages();
        book
    }

    /// The number of a symbol.
    pub(crate) fn symbol(&self, name: &str) -> Option<usize> {
        self.index.get(name).copied()
    }

    /// The number of a field.
    pub(crate) fn field(&self, key: &str) -> Option<usize> {
        self.fields.iter().position(|field| field.key == key)
    }

    /// The intents that a family may use.
    pub(crate) fn family_intents(&self, family: Family) -> &[usize] {
        match family {
            Family::Train => &self.train_intents,
            Family::HeldOut => &self.held_intents,
        }
    }

    /// One of the family's intents, by weight.
    pub(crate) fn draw_intent(&self, source: &mut Source, family: Family) -> usize {
        let draws = match family {
            Family::Train => &self.train_draws,
            Family::HeldOut => &self.held_draws,
        };
        draws.get(source.below(draws.len())).copied().unwrap_or(0)
    }

    fn add(&mut self, name: &'static str, symbol: Symbol) {
        if self.index.insert(name, self.symbols.len()).is_some() {
            self.problems.push(format!("symbol `{name}` twice"));
        }
        self.symbols.push(symbol);
    }

    fn read_lists(&mut self) {
        for (name, kind) in INVENTIONS {
            self.add(name, Symbol::Invention(kind));
        }
        for section in LISTS.iter().flat_map(|file| file.split("== ")) {
            let Some((name, body)) = section.split_once('\n') else {
                continue;
            };
            let mut seen = BTreeMap::new();
            let entries = body
                .split([',', '\n'])
                .map(str::trim)
                .filter(|entry| !entry.is_empty());
            let unique = entries
                .filter(|entry| seen.insert(*entry, ()).is_none())
                .collect();
            self.add(name.trim(), Symbol::List(List::new(unique)));
        }
    }

    /// `name = a | b`, `name^ = ...` for title case. Names come first, so that
    /// a rule may use one that is defined below it.
    fn read_rules(&mut self) {
        let mut rules = Vec::new();
        for line in RULES
            .iter()
            .flat_map(|file| file.lines())
            .filter(|line| !skipped(line))
        {
            let Some((name, body)) = line.split_once(" = ") else {
                self.problems.push(format!("no rule: `{line}`"));
                continue;
            };
            rules.push((self.symbols.len(), body));
            let title = name.ends_with('^');
            self.add(
                name.trim_end_matches('^'),
                Symbol::Rule {
                    choice: Choice::default(),
                    title,
                },
            );
        }
        for (at, body) in rules {
            let read = self.template(body);
            if let Some(Symbol::Rule { choice, .. }) = self.symbols.get_mut(at) {
                *choice = read;
            }
        }
    }

    fn template(&mut self, text: &str) -> Choice {
        let mut problems = Vec::new();
        let choice = parse(
            text,
            &mut Names {
                symbol: &|name| self.symbol(name),
                field: &|name| self.field(name),
                problems: &mut problems,
            },
        );
        let place = |fault| format!("{fault} in `{text}`");
        self.problems.extend(problems.into_iter().map(place));
        choice
    }

    /// `key | symbol | names | descriptions`; `*` behind the symbol: open
    /// class; `!` before a name: held-out.
    fn read_fields(&mut self) {
        for line in FIELDS.lines().filter(|line| !skipped(line)) {
            let mut parts = line.split('|').map(str::trim);
            let (Some(key), Some(symbol), Some(names)) = (parts.next(), parts.next(), parts.next())
            else {
                self.problems.push(format!("no field: `{line}`"));
                continue;
            };
            let open = symbol.ends_with('*');
            let Some(symbol) = self.symbol(symbol.trim_end_matches('*')) else {
                self.problems
                    .push(format!("unknown symbol in field `{key}`"));
                continue;
            };
            let listed = names
                .split(',')
                .map(str::trim)
                .filter(|name| !name.is_empty());
            let (held, train): (Vec<_>, Vec<_>) = listed.partition(|name| name.starts_with('!'));
            let held_names = held
                .iter()
                .map(|name| name.trim_start_matches('!'))
                .collect();
            let names = [key, key].into_iter().chain(train).collect();
            let descriptions = parts
                .next()
                .unwrap_or(key)
                .split(';')
                .map(str::trim)
                .collect();
            self.fields.push(Field {
                key,
                symbol,
                open,
                names,
                held_names,
                descriptions,
            });
        }
    }

    /// `@ Name | domain | descriptions`, then lines `= command`,
    /// `? statement`, `+ tail`, `^ movable tail`.
    fn read_intents(&mut self, file: &'static str) {
        for line in file.lines().filter(|line| !skipped(line)) {
            let (mark, body) = line.split_at(1);
            if mark == "@" {
                let mut parts = body.split('|').map(str::trim);
                let name = parts.next().unwrap_or_default();
                self.intents.push(Intent {
                    name: name.trim_start_matches('!'),
                    held_out: name.starts_with('!'),
                    domain: parts.next().unwrap_or_default(),
                    descriptions: parts
                        .next()
                        .unwrap_or_default()
                        .split(';')
                        .map(str::trim)
                        .collect(),
                    ..Intent::default()
                });
                continue;
            }
            let choice = self.template(body);
            let Some(intent) = self.intents.last_mut() else {
                continue;
            };
            intent.weight += usize::from(matches!(mark, "=" | "?"));
            match mark {
                "=" => intent.commands.append(choice),
                "?" => intent.statements.append(choice),
                "+" => intent.tails.push(choice),
                "^" => {
                    intent.movable.push(intent.tails.len());
                    intent.tails.push(choice);
                }
                _ => self.problems.push(format!("no intent line: `{line}`")),
            }
        }
    }

    fn finish_intents(&mut self) {
        for (at, intent) in self.intents.iter_mut().enumerate() {
            let mut fields = Vec::new();
            let mut see = |node: &Node| match node {
                Node::Field(field) if !fields.contains(field) => fields.push(*field),
                _ => {}
            };
            intent.commands.visit(&mut see);
            intent.statements.visit(&mut see);
            intent.tails.iter().for_each(|tail| tail.visit(&mut see));
            intent.fields = fields;
            let side = if intent.held_out {
                &mut self.held_intents
            } else {
                &mut self.train_intents
            };
            side.push(at);
            let times = (intent.weight / 2).clamp(1, 5);
            let drawn = if intent.held_out {
                &mut self.held_draws
            } else {
                &mut self.train_draws
            };
            drawn.extend(std::iter::repeat_n(at, times));
        }
    }

    /// `@ name`, then `. sentence` and `? field: question | question`.
    fn read_passages(&mut self) {
        for line in PASSAGES.lines().filter(|line| !skipped(line)) {
            let (mark, body) = line.split_at(1);
            let body = body.trim();
            if mark == "@" {
                let held_out = body.starts_with('!');
                self.passages.push(Passage {
                    held_out,
                    ..Passage::default()
                });
                continue;
            }
            let (field, text) = match (mark, body.split_once(':')) {
                ("?", Some((key, text))) => (self.field(key.trim()), text),
                _ => (None, body),
            };
            let choice = self.template(text);
            let Some(passage) = self.passages.last_mut() else {
                continue;
            };
            match (mark, field) {
                (".", _) => passage.sentences.push(choice),
                ("?", Some(field)) => passage.questions.push((field, choice)),
                _ => self.problems.push(format!("no passage line: `{line}`")),
            }
        }
    }
}

fn skipped(line: &str) -> bool {
    line.trim().is_empty() || line.starts_with('#')
}
