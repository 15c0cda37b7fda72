//! Llama 3.x: `bos_token`, `strftime_now`, `namespace`-free tool lists with `tojson(indent=4)`,
//! calls written as JSON, and results under the role `ipython`.

use serde_json::{Value, json};

use super::*;

const TEMPLATE: &str = r#"{{- bos_token }}
{%- if not date_string is defined %}
    {%- if strftime_now is defined %}
        {%- set date_string = strftime_now("%d %b %Y") %}
    {%- else %}
        {%- set date_string = "26 Jul 2024" %}
    {%- endif %}
{%- endif %}
{%- if not tools is defined %}
    {%- set tools = none %}
{%- endif %}

{#- The system message is taken out, so that it stands where the header is. #}
{%- if messages[0]['role'] == 'system' %}
    {%- set system_message = messages[0]['content']|trim %}
    {%- set messages = messages[1:] %}
{%- else %}
    {%- set system_message = "" %}
{%- endif %}
{{- "<|start_header_id|>system<|end_header_id|>\n\n" }}
{%- if builtin_tools is defined or tools is not none %}
    {{- "Environment: ipython\n" }}
{%- endif %}
{{- "Today Date: " + date_string + "\n\n" }}
{%- if tools is not none %}
    {{- "You have access to the following functions.\n\n" }}
    {%- for t in tools %}
        {{- t | tojson(indent=4) }}
        {{- "\n\n" }}
    {%- endfor %}
{%- endif %}
{{- system_message }}
{{- "<|eot_id|>" }}
{%- for message in messages %}
    {%- if not (message.role == 'ipython' or message.role == 'tool' or 'tool_calls' in message) %}
        {{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n'+ message['content'] | trim + '<|eot_id|>' }}
    {%- elif 'tool_calls' in message %}
        {%- if not message.tool_calls|length == 1 %}
            {{- raise_exception("This model only supports single tool-calls at once!") }}
        {%- endif %}
        {%- set tool_call = message.tool_calls[0].function %}
        {{- '<|start_header_id|>assistant<|end_header_id|>\n\n' -}}
        {{- '{"name": "' + tool_call.name + '", ' }}
        {{- '"parameters": ' }}
        {{- tool_call.arguments | tojson }}
        {{- "}" }}
        {{- "<|eot_id|>" }}
    {%- elif message.role == "tool" or message.role == "ipython" %}
        {{- "<|start_header_id|>ipython<|end_header_id|>\n\n" }}
        {%- if message.content is mapping or message.content is iterable and message.content is not string %}
            {{- message.content | tojson }}
        {%- else %}
            {{- message.content }}
        {%- endif %}
        {{- "<|eot_id|>" }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|start_header_id|>assistant<|end_header_id|>\n\n' }}
{%- endif %}
"#;

#[test]
fn the_header_has_the_date_and_the_trimmed_system_message() {
    assert_eq!(
        render(
            TEMPLATE,
            json!([["system", " Be brief. "], ["user", "hi\n"]]),
            Value::Null,
            true
        ),
        "<s><|start_header_id|>system<|end_header_id|>\n\nToday Date: 26 Jul 2024\n\nBe brief.<|eot_id|>\
         <|start_header_id|>user<|end_header_id|>\n\nhi<|eot_id|>\
         <|start_header_id|>assistant<|end_header_id|>\n\n"
    );
}

#[test]
fn tools_are_indented_and_calls_and_results_have_their_turns() {
    let tool = r#"{
    "type": "function",
    "function": {
        "name": "weather",
        "description": "Today's <sky> & more",
        "parameters": {
            "type": "object",
            "properties": {
                "city": {
                    "type": "string"
                }
            },
            "required": [
                "city"
            ]
        }
    }
}"#;
    let template = compiled(TEMPLATE, &[]);
    assert_eq!(
        learned(&template, &["<|eot_id|>"], calling(), weather()).unwrap(),
        [format!(
            "<|start_header_id|>system<|end_header_id|>\n\nEnvironment: ipython\nToday Date: 26 Jul 2024\n\n\
             You have access to the following functions.\n\n{tool}\n\n<|eot_id|>\
             <|start_header_id|>user<|end_header_id|>\n\nRain in Köln?<|eot_id|>\
             <|start_header_id|>assistant<|end_header_id|>\n\n\
             {{+{{\"name\": \"weather\", \"parameters\": {{\"city\": \"Köln\"}}}}<|eot_id|>+}}\
             <|start_header_id|>ipython<|end_header_id|>\n\n{{\"rain\": true}}<|eot_id|>\
             <|start_header_id|>assistant<|end_header_id|>\n\n{{+Yes.<|eot_id|>+}}"
        )
        .replacen("<|start", "<s><|start", 1)]
    );
}

#[test]
fn two_calls_at_once_are_refused_in_the_templates_words() {
    let call = json!({"function": {"name": "f", "arguments": {}}});
    let messages = json!([["user", "u"], {"role": "assistant", "tool_calls": [call, call]}]);
    assert_eq!(
        refusal(TEMPLATE, messages),
        TemplateFault::Refused("This model only supports single tool-calls at once!".into())
    );
}
