//! Business papers (invoices, orders, tickets, forms) laid out as labelled
//! lines, with line items, answered by a random schema.

use serde_json::{Map, Value, json};

use crate::corpus::draft::Draft;
use crate::corpus::grammar::field_value;
use crate::corpus::naming::{Notation, field_name, field_names};
use crate::corpus::source::Source;
use crate::corpus::tasks::fields::null_rule;

/// A kind of paper: its title and the fields that it may show.
struct Paper {
    title: &'static str,
    fields: &'static [&'static str],
    items: bool,
}

const TRAIN: [Paper; 8] = [
    Paper {
        title: "Invoice",
        fields: &[
            "invoice_number",
            "company",
            "customer",
            "date",
            "deadline",
            "total",
            "tax",
            "currency",
            "address",
            "email",
        ],
        items: true,
    },
    Paper {
        title: "Order",
        fields: &[
            "order_id",
            "customer",
            "date",
            "address",
            "phone",
            "total",
            "status",
            "tracking_number",
        ],
        items: true,
    },
    Paper {
        title: "Support ticket",
        fields: &[
            "ticket_id",
            "customer",
            "email",
            "product",
            "serial_number",
            "issue",
            "priority",
            "status",
            "department",
        ],
        items: false,
    },
    Paper {
        title: "Receipt",
        fields: &["company", "date", "time", "total", "tax", "currency"],
        items: true,
    },
    Paper {
        title: "Booking",
        fields: &[
            "booking_code",
            "customer",
            "hotel",
            "room_type",
            "check_in",
            "nights",
            "price",
            "phone",
        ],
        items: false,
    },
    Paper {
        title: "Contact",
        fields: &[
            "customer",
            "job_title",
            "company",
            "email",
            "phone",
            "address",
            "url",
        ],
        items: false,
    },
    Paper {
        title: "Shipment",
        fields: &[
            "tracking_number",
            "company",
            "weight",
            "origin",
            "destination",
            "date",
            "status",
        ],
        items: false,
    },
    Paper {
        title: "Incident",
        fields: &[
            "ticket_id",
            "host",
            "environment",
            "error_code",
            "version",
            "assignee",
            "priority",
            "time",
        ],
        items: false,
    },
];
const HELD_OUT: [Paper; 3] = [
    Paper {
        title: "Vet card",
        fields: &[
            "pet_name", "customer", "symptom", "medicine", "dosage", "date", "phone",
        ],
        items: false,
    },
    Paper {
        title: "Lease",
        fields: &[
            "customer", "address", "price", "check_in", "duration", "bank", "email",
        ],
        items: false,
    },
    Paper {
        title: "Packing slip",
        fields: &["membership", "company", "destination", "weight", "deadline"],
        items: true,
    },
];

struct Line {
    field: usize,
    text: String,
}

/// A paper and a request for some of its fields.
pub(crate) fn write(draft: &mut Draft, source: &mut Source) {
    let papers = source.side(&TRAIN[..], &HELD_OUT[..]);
    let paper = &papers[source.below(papers.len())];
    let lines = lines(draft, source, paper);
    let items = if paper.items && source.chance(45) {
        items(draft, source)
    } else {
        Vec::new()
    };
    let text = layout(draft, source, paper, &lines, &items);
    let nulls = source.chance(40);
    let fields = asked(draft, source, paper, &lines, nulls);
    let names = field_names(draft.book, source, &fields);
    let mut answer = Map::new();
    for (field, name) in fields.iter().zip(&names) {
        let value = match lines.iter().find(|line| line.field == *field) {
            Some(line) => {
                draft.copied(&line.text);
                Value::from(line.text.as_str())
            }
            None => Value::Null,
        };
        answer.insert(name.clone(), value);
    }
    let mut shown: Vec<Value> = names
        .iter()
        .map(|name| Value::from(name.as_str()))
        .collect();
    if !items.is_empty() && source.chance(80) {
        add_items(draft, source, &items, &mut answer, &mut shown);
    }
    let mut list = show(source, &shown);
    if nulls {
        list.push_str(&null_rule(draft, source));
    }
    let question = draft.word(source, "ask_document", &[("@F", &list), ("@T", &text)]);
    draft.json_turn(question, &Value::Object(answer));
}

/// Some of the fields that are shown; with `nulls` also some that are not.
fn asked(
    draft: &Draft,
    source: &mut Source,
    paper: &Paper,
    lines: &[Line],
    nulls: bool,
) -> Vec<usize> {
    let mut fields: Vec<usize> = lines.iter().map(|line| line.field).collect();
    source.shuffle(&mut fields);
    fields.truncate(1 + source.below(lines.len().min(5)));
    if nulls {
        let absent = |field: &usize| lines.iter().all(|line| line.field != *field);
        let missing: Vec<usize> = paper
            .fields
            .iter()
            .filter_map(|key| draft.book.field(key))
            .filter(absent)
            .collect();
        let count = source.below(3);
        fields.extend(
            source
                .sample(missing.len(), count)
                .into_iter()
                .map(|at| missing[at]),
        );
        source.shuffle(&mut fields);
    }
    fields
}

fn lines(draft: &Draft, source: &mut Source, paper: &Paper) -> Vec<Line> {
    let count = 3 + source.below(paper.fields.len().min(6) - 2);
    let mut order = source.sample(paper.fields.len(), count);
    if source.chance(60) {
        order.sort_unstable();
    }
    order
        .into_iter()
        .filter_map(|at| draft.book.field(paper.fields[at]))
        .map(|field| Line {
            field,
            text: field_value(draft.book, source, field),
        })
        .collect()
}

/// Name, quantity, price of each item.
fn items(draft: &Draft, source: &mut Source) -> Vec<(String, i64, String)> {
    (0..1 + source.below(3))
        .map(|_| {
            (
                draft.say(source, "product_plain"),
                source.between(1, 40),
                draft.say(source, "decimal"),
            )
        })
        .collect()
}

fn layout(
    draft: &Draft,
    source: &mut Source,
    paper: &Paper,
    lines: &[Line],
    items: &[(String, i64, String)],
) -> String {
    let notation = *source.pick(&[
        &Notation::Label,
        &Notation::Label,
        &Notation::Plain,
        &Notation::Snake,
        &Notation::Pascal,
    ]);
    let joint = *source.pick(&[&": ", &": ", &": ", &" - ", &"  ", &" = "]);
    let end = *source.pick(&[&"\n", &"\n", &"\n", &", ", &" | "]);
    let mut out = Vec::new();
    if source.chance(60) {
        out.push(if source.chance(50) {
            paper.title.to_string()
        } else {
            paper.title.to_uppercase()
        });
    }
    for line in lines {
        let label = notation.write(&field_name(draft.book, source, line.field));
        out.push(format!("{label}{joint}{}", line.text));
    }
    let style = source.below(3);
    for (name, count, price) in items {
        out.push(match style {
            0 => format!("{count} x {name} {price}"),
            1 => format!("{name} ({count}) @ {price}"),
            _ => format!("- {name}, qty {count}, {price}"),
        });
    }
    out.join(end)
}

/// Asks for the items: names only, or objects with numbers.
fn add_items(
    draft: &mut Draft,
    source: &mut Source,
    items: &[(String, i64, String)],
    answer: &mut Map<String, Value>,
    shown: &mut Vec<Value>,
) {
    let key = source.side(
        ["items", "lines", "products", "positions"],
        ["wares", "entries", "goods_list", "rows"],
    );
    let key = source.pick(&key);
    if answer.contains_key(key) {
        return;
    }
    items.iter().for_each(|(name, _, _)| draft.copied(name));
    if source.chance(35) {
        let names = items
            .iter()
            .map(|(name, _, _)| Value::from(name.as_str()))
            .collect();
        answer.insert(key.to_string(), Value::Array(names));
        shown.push(json!({ key: ["string"] }));
        return;
    }
    let keys = *source.pick(&[
        &["name", "quantity", "price"],
        &["item", "qty", "unit_price"],
        &["description", "count", "amount"],
    ]);
    let with_price = source.chance(60);
    let rows = items.iter().map(|(name, count, price)| {
        let mut row = json!({ keys[0]: name, keys[1]: count });
        if let (true, Ok(price)) = (with_price, price.parse::<f64>()) {
            row[keys[2]] = json!(price);
        }
        row
    });
    answer.insert(key.to_string(), Value::Array(rows.collect()));
    let mut shape = json!({ keys[0]: "string", keys[1]: "integer" });
    if with_price {
        shape[keys[2]] = json!("number");
    }
    shown.push(json!({ key: [shape] }));
}

fn show(source: &mut Source, shown: &[Value]) -> String {
    if source.chance(40) {
        let mut whole = Map::new();
        for part in shown {
            match part {
                Value::Object(inner) => whole.extend(inner.clone()),
                Value::String(name) => {
                    whole.insert(name.clone(), json!("string"));
                }
                _ => {}
            }
        }
        return Value::Object(whole).to_string();
    }
    let parts: Vec<String> = shown
        .iter()
        .map(|part| match part {
            Value::Object(inner) => {
                let written: Vec<String> = inner
                    .iter()
                    .map(|(key, shape)| format!("{key}: {shape}"))
                    .collect();
                written.join(", ")
            }
            other => other.as_str().unwrap_or_default().to_string(),
        })
        .collect();
    parts.join(", ")
}
