//! Messages of customers, sorted into labels and fields at once: a category by
//! what is said, an urgency by how it is said, and spans.

use serde_json::{Map, Value, json};

use crate::corpus::draft::{Draft, object};
use crate::corpus::naming::{Notation, field_names};
use crate::corpus::source::Source;
use crate::corpus::tasks::fields::null_rule;

/// A category: names for it and the symbol of what such customers say.
struct Category {
    names: [&'static str; 4],
    held_out: &'static str,
    symbol: &'static str,
}

const CATEGORIES: [Category; 8] = [
    Category {
        names: ["billing", "payment", "charges", "invoice"],
        held_out: "money_matters",
        symbol: "says_billing",
    },
    Category {
        names: ["shipping", "delivery", "logistics", "parcel"],
        held_out: "carriage",
        symbol: "says_shipping",
    },
    Category {
        names: ["login", "account", "access", "password"],
        held_out: "entry_trouble",
        symbol: "says_login",
    },
    Category {
        names: ["technical", "bug", "malfunction", "defect"],
        held_out: "device_fault",
        symbol: "says_technical",
    },
    Category {
        names: ["refund", "return", "money_back", "returns"],
        held_out: "giving_back",
        symbol: "says_refund",
    },
    Category {
        names: ["question", "information", "how_to", "inquiry"],
        held_out: "asking",
        symbol: "says_question",
    },
    Category {
        names: ["praise", "thanks", "compliment", "positive"],
        held_out: "gladness",
        symbol: "says_praise",
    },
    Category {
        names: ["cancellation", "cancel", "terminate", "churn"],
        held_out: "leaving",
        symbol: "says_cancel",
    },
];

/// How urgent it is: names for low, normal and high.
const URGENCY: [[&str; 3]; 4] = [
    ["low", "normal", "high"],
    ["low", "medium", "urgent"],
    ["minor", "normal", "critical"],
    ["p3", "p2", "p1"],
];
const HELD_URGENCY: [&str; 3] = ["someday", "usual", "instantly"];

/// A message, the labels to choose from, and the fields to copy.
pub(crate) fn write(draft: &mut Draft, source: &mut Source) {
    let count = 2 + source.below(4);
    let listed = source.sample(CATEGORIES.len(), count);
    let right = source.below(count);
    let level = source.below(3);
    let message = Message::draw(draft, source, CATEGORIES[listed[right]].symbol, level);
    let notation = *source.pick(&[
        &Notation::Snake,
        &Notation::Snake,
        &Notation::Label,
        &Notation::Plain,
    ]);
    let variant = source.below(4);
    let labels: Vec<String> = listed
        .iter()
        .map(|at| {
            notation.write(source.side(CATEGORIES[*at].names[variant], CATEGORIES[*at].held_out))
        })
        .collect();
    let key = source.side(
        ["category", "label", "topic", "queue"],
        ["drawer", "theme", "bin", "lane"],
    )[source.below(4)];
    let mut parts = vec![(
        key.to_string(),
        Value::from(labels[right].as_str()),
        Asked::OneOf(labels),
    )];
    if source.chance(60) {
        let usual = URGENCY[source.below(4)];
        let levels = source.side(usual, HELD_URGENCY);
        let key = source.side(
            ["priority", "urgency", "severity"],
            ["haste", "pressure", "speed"],
        )[source.below(3)];
        let shown = levels.iter().map(|level| level.to_string()).collect();
        parts.push((
            key.to_string(),
            Value::from(levels[level]),
            Asked::OneOf(shown),
        ));
    }
    let nulls = source.chance(50);
    add_spans(draft, source, &message, nulls, &mut parts);
    ask(draft, source, &message.text, nulls, parts);
}

/// What the prompt says of a key.
enum Asked {
    OneOf(Vec<String>),
    Text,
}

struct Message {
    text: String,
    slots: Vec<(&'static str, Option<String>)>,
}

impl Message {
    /// Sentences in random order: greeting, concern, order, urgency, contact.
    fn draw(draft: &Draft, source: &mut Source, concern: &str, level: usize) -> Self {
        let product = draft.say(source, "product");
        let said = draft.say(source, concern).replace('@', &product);
        let with_product = said.contains(&product);
        let mut slots = vec![("product", with_product.then_some(product))];
        let mut sentences = vec![sentence(&said)];
        for (key, symbol, chance) in [
            ("order_id", "mentions_order", 55),
            ("customer", "mentions_name", 20),
            ("email", "mentions_email", 20),
        ] {
            let kind = match key {
                "order_id" => "id",
                "customer" => "full_name",
                other => other,
            };
            let value = source.chance(chance).then(|| draft.say(source, kind));
            if let Some(value) = &value {
                sentences.push(sentence(&draft.say(source, symbol).replace('@', value)));
            }
            slots.push((key, value));
        }
        if level != 1 {
            sentences.push(sentence(&draft.say(
                source,
                if level == 0 {
                    "sounds_calm"
                } else {
                    "sounds_urgent"
                },
            )));
        }
        source.shuffle(&mut sentences);
        if source.chance(40) {
            sentences.insert(0, sentence(&draft.say(source, "greeting")));
        }
        Self {
            text: sentences.join(" "),
            slots,
        }
    }
}

/// With a capital and a full stop.
fn sentence(text: &str) -> String {
    let mut marks = text.chars();
    let first = marks.next().map(|mark| mark.to_ascii_uppercase());
    let whole: String = first.into_iter().chain(marks).collect();
    if whole.ends_with(['.', '?', '!', ',']) {
        whole
    } else {
        whole + "."
    }
}

fn add_spans(
    draft: &mut Draft,
    source: &mut Source,
    message: &Message,
    nulls: bool,
    parts: &mut Vec<(String, Value, Asked)>,
) {
    let mut asked: Vec<usize> = Vec::new();
    let mut values = Vec::new();
    for (key, value) in &message.slots {
        if let (Some(field), true) = (draft.book.field(key), source.chance(55)) {
            asked.push(field);
            values.push(value.clone());
        }
    }
    let names = field_names(draft.book, source, &asked);
    for (name, value) in names.into_iter().zip(values) {
        if parts.iter().any(|(other, _, _)| *other == name) {
            continue;
        }
        match value {
            Some(text) => {
                draft.copied(&text);
                parts.push((name, Value::from(text), Asked::Text));
            }
            None if nulls => parts.push((name, Value::Null, Asked::Text)),
            None => {}
        }
    }
}

fn ask(
    draft: &mut Draft,
    source: &mut Source,
    text: &str,
    nulls: bool,
    parts: Vec<(String, Value, Asked)>,
) {
    let as_schema = source.chance(40);
    let shown = if as_schema {
        let kind = if nulls {
            json!(["string", "null"])
        } else {
            json!("string")
        };
        let properties = parts.iter().map(|(key, _, asked)| {
            let property = match asked {
                Asked::OneOf(labels) => json!({ "enum": labels }),
                Asked::Text => json!({ "type": kind }),
            };
            (key.clone(), property)
        });
        json!({ "type": "object", "properties": object(properties) }).to_string()
    } else {
        let joint = *source.pick(&[&", ", &"/", &"|", &" or "]);
        let shown: Vec<String> = parts
            .iter()
            .map(|(key, _, asked)| match asked {
                Asked::OneOf(labels) => format!("{key} ({})", labels.join(joint)),
                Asked::Text => key.clone(),
            })
            .collect();
        let rule = if nulls {
            null_rule(draft, source)
        } else {
            String::new()
        };
        shown.join(", ") + &rule
    };
    let symbol = if as_schema {
        "ask_schema"
    } else {
        "ask_fields"
    };
    let question = draft.word(source, symbol, &[("@F", &shown), ("@T", text)]);
    let answer: Map<String, Value> = parts
        .into_iter()
        .map(|(key, value, _)| (key, value))
        .collect();
    draft.json_turn(question, &Value::Object(answer));
}
