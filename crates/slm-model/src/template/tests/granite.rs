//! Granite: a default system message with the date, tools in a turn of their own, macros,
//! and filters over lists of messages.

use serde_json::{Value, json};

use super::*;

const TEMPLATE: &str = r#"{%- macro turn(role, text, end=true) -%}
<|start_of_role|>{{ role }}<|end_of_role|>{{ text }}{% if end %}<|end_of_text|>
{% endif %}
{%- endmacro -%}
{%- if messages[0]['role'] == 'system' %}
    {%- set system_message = messages[0]['content'] %}
    {%- set loop_messages = messages[1:] %}
{%- else %}
    {%- set system_message = "Knowledge Cutoff Date: April 2024.\nToday's Date: " + strftime_now('%B %d, %Y') + ".\nYou are Granite." %}
    {%- if tools and documents %}
        {%- set system_message = system_message + " Use both." %}
    {%- elif tools %}
        {%- set system_message = system_message + " You may call tools." %}
    {%- endif %}
    {%- set loop_messages = messages %}
{%- endif %}
{{- turn('system', system_message) }}
{%- if tools %}
    {{- '<|start_of_role|>tools<|end_of_role|>' }}
    {{- tools | tojson(indent=4) }}
    {{- '<|end_of_text|>\n' }}
{%- endif %}
{%- for message in loop_messages %}
    {%- if message['role'] == 'assistant' and message.get('tool_calls') %}
        {{- turn('assistant', '<|tool_call|>' + (message['tool_calls'] | map(attribute='function') | list | tojson)) }}
    {%- else %}
        {{- turn(message['role'], message['content'] | default('', true)) }}
    {%- endif %}
    {%- if loop.last and add_generation_prompt %}
        {{- '<|start_of_role|>assistant<|end_of_role|>' }}
    {%- endif %}
{%- endfor %}"#;

#[test]
fn the_default_system_message_has_the_date() {
    assert_eq!(
        render(TEMPLATE, json!([["user", "u"]]), Value::Null, true),
        "<|start_of_role|>system<|end_of_role|>Knowledge Cutoff Date: April 2024.\nToday's Date: July 26, 2024.\n\
         You are Granite.<|end_of_text|>\n<|start_of_role|>user<|end_of_role|>u<|end_of_text|>\n\
         <|start_of_role|>assistant<|end_of_role|>"
    );
}

#[test]
fn calls_are_a_list_behind_their_mark() {
    let template = compiled(TEMPLATE, &[]);
    let mut messages = calling();
    messages
        .as_array_mut()
        .unwrap()
        .insert(0, json!(["system", "S"]));
    assert_eq!(
        learned(
            &template,
            &["<|end_of_text|>"],
            messages,
            json!([{"name": "f", "on": [true]}])
        )
        .unwrap(),
        ["<|start_of_role|>system<|end_of_role|>S<|end_of_text|>\n\
          <|start_of_role|>tools<|end_of_role|>[\n    {\n        \"name\": \"f\",\n        \"on\": [\n            true\n        ]\n    }\n]<|end_of_text|>\n\
          <|start_of_role|>user<|end_of_role|>Rain in Köln?<|end_of_text|>\n\
          <|start_of_role|>assistant<|end_of_role|>{+<|tool_call|>[{\"name\": \"weather\", \"arguments\": {\"city\": \"Köln\"}}]<|end_of_text|>+}\n\
          <|start_of_role|>tool<|end_of_role|>{\"rain\": true}<|end_of_text|>\n\
          <|start_of_role|>assistant<|end_of_role|>{+Yes.<|end_of_text|>+}\n"]
    );
}
