//! Gemma, which has no system role and calls the assistant `model`, and Phi-3, which closes a
//! conversation with one more token than a turn.

use serde_json::{Value, json};

use super::*;

const GEMMA: &str = "{{ bos_token }}{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}{% for message in messages %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif %}{% if (message['role'] == 'assistant') %}{% set role = 'model' %}{% else %}{% set role = message['role'] %}{% endif %}{{ '<start_of_turn>' + role + '
' + message['content'] | trim + '<end_of_turn>
' }}{% endfor %}{% if add_generation_prompt %}{{'<start_of_turn>model
'}}{% endif %}";

const PHI3: &str = "{% for message in messages %}{% if message['role'] == 'system' and message['content'] %}{{'<|system|>
' + message['content'] + '<|end|>
'}}{% elif message['role'] == 'user' %}{{'<|user|>
' + message['content'] + '<|end|>
'}}{% elif message['role'] == 'assistant' %}{{'<|assistant|>
' + message['content'] + '<|end|>
'}}{% endif %}{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>
' }}{% else %}{{ eos_token }}{% endif %}";

#[test]
fn gemma_refuses_a_system_message_in_its_own_words() {
    assert_eq!(
        refusal(GEMMA, json!([["system", "s"], ["user", "u"]])),
        TemplateFault::Refused("System role not supported".into())
    );
}

#[test]
fn gemma_learns_the_models_turns() {
    let template = compiled(GEMMA, &[("bos_token", "<bos>"), ("eos_token", "<eos>")]);
    let messages = json!([
        ["user", " u "],
        ["assistant", "a "],
        ["user", "v"],
        ["assistant", "b"]
    ]);
    assert_eq!(
        learned(
            &template,
            &["<end_of_turn>", "<eos>"],
            messages,
            Value::Null
        )
        .unwrap(),
        [
            "<bos><start_of_turn>user\nu<end_of_turn>\n<start_of_turn>model\n{+a<end_of_turn>+}\n\
          <start_of_turn>user\nv<end_of_turn>\n<start_of_turn>model\n{+b<end_of_turn>+}\n"
        ]
    );
}

#[test]
fn phi3_learns_every_turn_in_one_text_although_it_ends_in_another_way() {
    let template = compiled(PHI3, &[("eos_token", "<|endoftext|>")]);
    let messages = json!([
        ["user", "u"],
        ["assistant", "a"],
        ["user", "v"],
        ["assistant", "b"]
    ]);
    assert_eq!(
        learned(
            &template,
            &["<|end|>", "<|endoftext|>"],
            messages,
            Value::Null
        )
        .unwrap(),
        [
            "<|user|>\nu<|end|>\n<|assistant|>\n{+a<|end|>+}\n<|user|>\nv<|end|>\n\
          <|assistant|>\n{+b<|end|>+}\n<|endoftext|>"
        ]
    );
}

#[test]
fn a_conversation_that_begins_with_the_assistant_is_refused() {
    let template = compiled(PHI3, &[]);
    assert_eq!(
        learned(&template, &[], json!([["assistant", "a"]]), Value::Null),
        Err(SpanFault::NotIncremental { turn: 0 })
    );
}
