//! ChatML: a default system message, `loop.first`, and `{% generation %}` in lines of its own.

use serde_json::{Value, json};

use super::*;

const PLAIN: &str = "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}{{ '<|im_start|>system
You are a helpful AI assistant<|im_end|>
' }}{% endif %}{{'<|im_start|>' + message['role'] + '
' + message['content'] + '<|im_end|>' + '
'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant
' }}{% endif %}";

/// With tags, comments and indentation over several lines.
const MARKED: &str = "{#- A comment with {% generation %} in it. -#}
{% for message in messages %}
    {% if message.role == 'assistant' %}
<|im_start|>assistant
        {% generation %}
{{ message.content }}<|im_end|>
        {% endgeneration %}
    {% else %}
<|im_start|>{{ message.role }}
{{ message.content }}<|im_end|>
    {% endif %}
{% endfor %}
{% if add_generation_prompt %}
<|im_start|>assistant
{% endif %}
";

#[test]
fn a_default_system_message_stands_before_the_first_turn() {
    assert_eq!(
        render(PLAIN, json!([["user", " hi "]]), Value::Null, true),
        "<|im_start|>system\nYou are a helpful AI assistant<|im_end|>\n\
         <|im_start|>user\n hi <|im_end|>\n<|im_start|>assistant\n"
    );
    assert_eq!(
        render(
            PLAIN,
            json!([["system", "s"], ["user", "u"]]),
            Value::Null,
            false
        ),
        "<|im_start|>system\ns<|im_end|>\n<|im_start|>user\nu<|im_end|>\n"
    );
}

#[test]
fn every_assistant_turn_is_learned_with_its_end_and_nothing_else() {
    let template = compiled(PLAIN, &[]);
    let messages = json!([
        ["system", "s"],
        ["user", "u"],
        ["assistant", "a"],
        ["user", "v"],
        ["assistant", "b\n"]
    ]);
    assert_eq!(
        learned(&template, &["<|im_end|>"], messages, Value::Null).unwrap(),
        [
            "<|im_start|>system\ns<|im_end|>\n<|im_start|>user\nu<|im_end|>\n<|im_start|>assistant\n{+a<|im_end|>+}\n\
          <|im_start|>user\nv<|im_end|>\n<|im_start|>assistant\n{+b\n<|im_end|>+}\n"
        ]
    );
}

#[test]
fn generation_tags_are_trimmed_as_other_tags_are() {
    let template = compiled(MARKED, &[]);
    let messages = json!([["user", "u"], ["assistant", "a"]]);
    assert!(template.has_generation_marks(&conversation(json!([]), Value::Null)));
    // The newline behind each tag and the spaces before it are gone, as `trim_blocks` and
    // `lstrip_blocks` have it; the one behind `<|im_end|>` is text, within the block.
    assert_eq!(
        learned(&template, &["<|im_end|>"], messages, Value::Null).unwrap(),
        ["<|im_start|>user\nu<|im_end|>\n<|im_start|>assistant\n{+a<|im_end|>\n+}"]
    );
    let prompt = render(MARKED, json!([["user", "u"]]), Value::Null, true);
    assert_eq!(
        prompt,
        "<|im_start|>user\nu<|im_end|>\n<|im_start|>assistant\n"
    );
}

#[test]
fn a_turn_that_is_not_to_be_learned_is_left_out_with_marks_and_without() {
    for source in [PLAIN, MARKED] {
        let ends = TurnEnds {
            stops: vec!["<|im_end|>".into()],
            specials: Vec::new(),
        };
        let mut chat = conversation(
            json!([
                ["system", "s"],
                ["user", "u"],
                ["assistant", "a"],
                ["user", "v"],
                ["assistant", "b"]
            ]),
            Value::Null,
        );
        chat.not_trained = vec![2];
        let rendered = render_turns(&compiled(source, &[]), &ends, &chat).unwrap();
        let spans: Vec<&str> = rendered[0]
            .spans
            .iter()
            .map(|span| rendered[0].text[span.clone()].trim_end())
            .collect();
        assert_eq!(spans, ["b<|im_end|>"]);
    }
}

#[test]
fn what_a_user_writes_is_never_taken_for_a_mark() {
    let template = compiled(MARKED, &[]);
    let text = "\u{F8F0}0\u{F8F1} {% generation %} \u{F8F2}0\u{F8F1}";
    let messages = json!([["user", text], ["assistant", text]]);
    assert_eq!(
        learned(&template, &["<|im_end|>"], messages, Value::Null).unwrap(),
        [format!(
            "<|im_start|>user\n{text}<|im_end|>\n<|im_start|>assistant\n{{+{text}<|im_end|>\n+}}"
        )]
    );
}
