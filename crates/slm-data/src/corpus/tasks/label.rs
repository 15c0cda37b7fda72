//! Choosing one of the labels that the prompt lists.

use serde_json::{Value, json};

use crate::corpus::draft::{Draft, object};
use crate::corpus::frame::{Frame, any_utterance};
use crate::corpus::invent::pseudo_word;
use crate::corpus::naming::{IntentStyle, Notation, field_names};
use crate::corpus::source::Source;

/// How labels are joined in a prompt.
fn join(source: &mut Source, labels: &[String]) -> String {
    labels.join(*source.pick(&[&", ", &", ", &" | ", &"; ", &"/", &" or "]))
}

/// The intent of the frame among others of the family: names and the right one.
fn intents(draft: &Draft, source: &mut Source, frame: &Frame) -> (Vec<usize>, IntentStyle) {
    let all = draft.book.family_intents(source.family);
    let mut listed = vec![frame.kind];
    let others = 1 + source.below(5);
    for at in source.sample(all.len(), others + 1) {
        if listed.len() <= others && !listed.contains(&all[at]) {
            listed.push(all[at]);
        }
    }
    source.shuffle(&mut listed);
    (listed, IntentStyle::draw(source))
}

/// The intent alone; intents are listed by name, at times with a definition.
pub(crate) fn intent(draft: &mut Draft, source: &mut Source) {
    let frame = any_utterance(draft.book, source);
    let (listed, style) = intents(draft, source, &frame);
    let known = &draft.book.intents;
    let defined = source.chance(25);
    let mut names = Vec::new();
    for kind in &listed {
        let name = style.write(&known[*kind]);
        names.push(if defined {
            format!("{name}: {}", source.pick(&known[*kind].descriptions))
        } else {
            name
        });
    }
    let labels = if defined {
        names.join("; ")
    } else {
        join(source, &names)
    };
    let question = draft.word(
        source,
        "ask_intent",
        &[("@L", &labels), ("@T", &frame.text)],
    );
    let answer = style.write(&known[frame.kind]);
    draft.copied(&answer);
    match source.below(4) {
        0 => draft.json_turn(format!("{question}\njson"), &json!({ "intent": answer })),
        _ => draft.turn(question, answer),
    }
}

/// Intent and slots, both listed in the prompt.
pub(crate) fn intent_slots(draft: &mut Draft, source: &mut Source) {
    let frame = any_utterance(draft.book, source);
    let (mut listed, style) = intents(draft, source, &frame);
    listed.truncate(4);
    if !listed.contains(&frame.kind) {
        listed[0] = frame.kind;
    }
    let known = &draft.book.intents;
    let mut fields: Vec<usize> = frame.slots.iter().map(|(field, _)| *field).collect();
    let absent: Vec<usize> = known[frame.kind]
        .fields
        .iter()
        .copied()
        .filter(|field| !fields.contains(field))
        .collect();
    let extra = source.below(3);
    fields.extend(
        source
            .sample(absent.len(), extra)
            .into_iter()
            .map(|at| absent[at]),
    );
    let names = field_names(draft.book, source, &fields);
    let slots: Vec<(String, Value)> = frame
        .slots
        .iter()
        .zip(&names)
        .map(|((_, text), name)| (name.clone(), Value::from(text.as_str())))
        .collect();
    let mut shown = names;
    source.shuffle(&mut shown);
    let intents: Vec<String> = listed
        .iter()
        .map(|kind| style.write(&known[*kind]))
        .collect();
    let marks = [
        ("@L", intents.join(", ")),
        ("@F", shown.join(", ")),
        ("@T", frame.text.clone()),
    ];
    let marks: Vec<(&str, &str)> = marks
        .iter()
        .map(|(mark, text)| (*mark, text.as_str()))
        .collect();
    let question = draft.word(source, "ask_intent_slots", &marks);
    frame.slots.iter().for_each(|(_, text)| draft.copied(text));
    let intent = style.write(&known[frame.kind]);
    draft.json_turn(
        question,
        &json!({ "intent": intent, "slots": object(slots) }),
    );
}

/// The domain, or the kind of an entity, among random others.
pub(crate) fn topic(draft: &mut Draft, source: &mut Source) {
    if source.chance(40) {
        return domain(draft, source);
    }
    let kinds = source.side(&TRAIN_KINDS[..], &HELD_KINDS[..]);
    let count = (2 + source.below(5)).min(kinds.len());
    let listed = source.sample(kinds.len(), count);
    let right = source.below(count);
    let (_, symbol) = kinds[listed[right]];
    let text = draft.say(source, symbol);
    let names: Vec<String> = listed.iter().map(|at| kinds[*at].0.to_string()).collect();
    choose(draft, source, &text, &names, right);
}

/// Kinds of thing that do not overlap, with the symbol that yields one.
const TRAIN_KINDS: [(&str, &str); 26] = [
    ("city", "city_known"),
    ("country", "country"),
    ("person", "full_name"),
    ("color", "color"),
    ("food", "dish"),
    ("music genre", "genre"),
    ("date", "date_calendar"),
    ("time", "clock_time"),
    ("email", "email"),
    ("phone number", "phone"),
    ("price", "price"),
    ("job", "job"),
    ("weather", "condition"),
    ("sport", "sport"),
    ("language", "language"),
    ("clothing", "clothes"),
    ("room", "room"),
    ("symptom", "symptom"),
    ("code", "id"),
    ("airline", "airline"),
    ("duration", "duration"),
    ("todo", "task_phrase"),
    ("complaint", "issue"),
    ("file", "file_name"),
    ("website", "url"),
    ("month", "month"),
];
const HELD_KINDS: [(&str, &str); 8] = [
    ("capital or town", "city_known"),
    ("human being", "full_name"),
    ("meal", "dish"),
    ("calendar date", "date_calendar"),
    ("mailbox", "email"),
    ("profession", "job"),
    ("trouble", "issue"),
    ("tongue", "language"),
];

fn domain(draft: &mut Draft, source: &mut Source) {
    let frame = any_utterance(draft.book, source);
    let intents = draft.book.family_intents(source.family);
    let mut names = vec![draft.book.intents[frame.kind].domain.to_string()];
    let others = 1 + source.below(5);
    for at in source.sample(intents.len(), others) {
        let domain = draft.book.intents[intents[at]].domain.to_string();
        if !names.contains(&domain) && !related(&domain, &names[0]) {
            names.push(domain);
        }
    }
    let right = names[0].clone();
    source.shuffle(&mut names);
    let right = names.iter().position(|name| *name == right).unwrap_or(0);
    choose(draft, source, &frame.text, &names, right);
}

/// Domains that share so much that a choice between them would be a guess.
fn related(one: &str, other: &str) -> bool {
    const GROUPS: [&[&str]; 8] = [
        &["film", "tv", "search", "reading", "media"],
        &["music", "audio", "events", "search"],
        &["tasks", "lists", "calendar", "clock", "notes"],
        &["shopping", "logistics", "lists", "food"],
        &["banking", "finance", "office"],
        &["support", "shopping", "office"],
        &["home", "health"],
        &["phone", "games", "messages", "search", "office", "notes"],
    ];
    GROUPS
        .iter()
        .any(|group| group.contains(&one) && group.contains(&other))
}

fn choose(draft: &mut Draft, source: &mut Source, text: &str, names: &[String], right: usize) {
    let notation = *source.pick(&[
        &Notation::Plain,
        &Notation::Snake,
        &Notation::Pascal,
        &Notation::Label,
    ]);
    let written: Vec<String> = names
        .iter()
        .map(|name| notation.write(&name.replace(' ', "_")))
        .collect();
    let labels = join(source, &written);
    let question = draft.word(source, "ask_label", &[("@L", &labels), ("@T", text)]);
    let answer = written[right].clone();
    draft.copied(&answer);
    if source.chance(20) {
        let key = source.pick(&["label", "category", "class", "type", "topic"]);
        draft.json_turn(
            format!("{question}\njson key: {key}"),
            &json!({ key: answer }),
        );
    } else {
        draft.turn(question, answer);
    }
}

/// Labels that the prompt defines by keywords; the text holds one of them.
pub(crate) fn keyword(draft: &mut Draft, source: &mut Source) {
    let count = 2 + source.below(3);
    let mut labels: Vec<(String, Vec<String>)> = Vec::new();
    while labels.len() < count {
        let name = if source.chance(50) {
            pseudo_word(source)
        } else {
            draft.say(source, "adj")
        };
        let words: Vec<String> = (0..1 + source.below(2))
            .map(|_| draft.say(source, "noun"))
            .collect();
        let taken = |word: &String| {
            labels
                .iter()
                .any(|(other, known)| other == word || known.contains(word))
        };
        if !taken(&name) && !words.iter().any(taken) {
            labels.push((name, words));
        }
    }
    let right = source.below(count);
    let words = &labels[right].1;
    let sign = words[source.below(words.len())].clone();
    let mut text = String::new();
    for _ in 0..12 {
        let before = draft.say(source, "filler");
        let after = draft.say(source, "filler");
        text = format!("{before} the {sign} {after}");
        let stray = |word: &String| *word != sign && text.split(' ').any(|other| other == word);
        if !labels.iter().flat_map(|(_, known)| known).any(stray) {
            break;
        }
    }
    let style = source.below(3);
    let rules: Vec<String> = labels
        .iter()
        .map(|(name, words)| match style {
            0 => format!("{name}: {}", words.join(", ")),
            1 => format!("{name} if it says {}", words.join(" or ")),
            _ => format!("{} -> {name}", words.join("/")),
        })
        .collect();
    let rules = rules.join("; ");
    let question = draft.word(source, "ask_label", &[("@L", &rules), ("@T", &text)]);
    draft.copied(&labels[right].0);
    draft.turn(question, labels[right].0.clone());
}
