//! Mistral: turns that must alternate, the system message and the tools at the last question,
//! `selectattr`, ids of nine characters, and keys written one by one.

use serde_json::{Value, json};

use super::*;

const TEMPLATE: &str = r#"{%- if messages[0]["role"] == "system" %}
    {%- set system_message = messages[0]["content"] %}
    {%- set loop_messages = messages[1:] %}
{%- else %}
    {%- set loop_messages = messages %}
{%- endif %}
{%- if not tools is defined %}
    {%- set tools = none %}
{%- endif %}
{%- set user_messages = loop_messages | selectattr("role", "equalto", "user") | list %}
{%- set ns = namespace() %}
{%- set ns.index = 0 %}
{%- for message in loop_messages %}
    {%- if not (message.role == "tool" or message.role == "tool_results" or (message.tool_calls is defined and message.tool_calls is not none)) %}
        {%- if (message["role"] == "user") != (ns.index % 2 == 0) %}
            {{- raise_exception("After the optional system message, conversation roles must alternate user/assistant/user/assistant/...") }}
        {%- endif %}
        {%- set ns.index = ns.index + 1 %}
    {%- endif %}
{%- endfor %}
{{- bos_token }}
{%- for message in loop_messages %}
    {%- if message["role"] == "user" %}
        {%- if tools is not none and (message == user_messages[-1]) %}
            {{- "[AVAILABLE_TOOLS] [" }}
            {%- for tool in tools %}
                {%- set tool = tool.function %}
                {{- '{"type": "function", "function": {' }}
                {%- for key, val in tool.items() if key != "return" %}
                    {%- if val is string %}
                        {{- '"' + key + '": "' + val + '"' }}
                    {%- else %}
                        {{- '"' + key + '": ' + val|tojson }}
                    {%- endif %}
                    {%- if not loop.last %}
                        {{- ", " }}
                    {%- endif %}
                {%- endfor %}
                {{- "}}" }}
                {%- if not loop.last %}
                    {{- ", " }}
                {%- else %}
                    {{- "]" }}
                {%- endif %}
            {%- endfor %}
            {{- "[/AVAILABLE_TOOLS]" }}
        {%- endif %}
        {%- if loop.last and system_message is defined %}
            {{- "[INST] " + system_message + "\n\n" + message["content"] + "[/INST]" }}
        {%- else %}
            {{- "[INST] " + message["content"] + "[/INST]" }}
        {%- endif %}
    {%- elif message.tool_calls is defined and message.tool_calls is not none %}
        {{- "[TOOL_CALLS] [" }}
        {%- for tool_call in message.tool_calls %}
            {%- set out = tool_call.function|tojson %}
            {{- out[:-1] }}
            {%- if not tool_call.id is defined or tool_call.id|length != 9 %}
                {{- raise_exception("Tool call IDs should be alphanumeric strings with length 9!") }}
            {%- endif %}
            {{- ', "id": "' + tool_call.id + '"}' }}
            {%- if not loop.last %}
                {{- ", " }}
            {%- else %}
                {{- "]" + eos_token }}
            {%- endif %}
        {%- endfor %}
    {%- elif message["role"] == "assistant" %}
        {{- " " + message["content"]|trim + eos_token}}
    {%- elif message["role"] == "tool_results" or message["role"] == "tool" %}
        {%- if message.content is defined and message.content.content is defined %}
            {%- set content = message.content.content %}
        {%- else %}
            {%- set content = message.content %}
        {%- endif %}
        {{- '[TOOL_RESULTS] {"content": ' + content|string + ", " }}
        {{- '"call_id": "' + message.tool_call_id + '"}[/TOOL_RESULTS]' }}
    {%- else %}
        {{- raise_exception("Only user and assistant roles are supported, with the exception of an initial optional system message!") }}
    {%- endif %}
{%- endfor %}
"#;

const TOOL: &str = r#"[AVAILABLE_TOOLS] [{"type": "function", "function": {"name": "weather", "description": "Today's <sky> & more", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}}][/AVAILABLE_TOOLS]"#;

#[test]
fn calls_keep_their_ids_and_results_name_them() {
    let template = compiled(TEMPLATE, &[]);
    assert_eq!(
        learned(&template, &["</s>"], calling(), weather()).unwrap(),
        [format!(
            "<s>{TOOL}[INST] Rain in Köln?[/INST]\
             {{+[TOOL_CALLS] [{{\"name\": \"weather\", \"arguments\": {{\"city\": \"Köln\"}}, \"id\": \"call00001\"}}]</s>+}}\
             [TOOL_RESULTS] {{\"content\": {{\"rain\": true}}, \"call_id\": \"call00001\"}}[/TOOL_RESULTS]\
             {{+ Yes.</s>+}}"
        )]
    );
}

#[test]
fn a_system_message_at_the_last_question_gives_earlier_turns_texts_of_their_own() {
    let template = compiled(TEMPLATE, &[]);
    let messages = json!([
        ["system", "S"],
        ["user", "u"],
        ["assistant", "a"],
        ["user", "v"],
        ["assistant", "b"]
    ]);
    // The question is the last message only while nothing follows it, so the conversation with
    // its answers shows the system message nowhere, as transformers renders it too. Each turn
    // is learned behind the prompt that it is asked with.
    assert_eq!(
        learned(&template, &["</s>"], messages, Value::Null).unwrap(),
        [
            "<s>[INST] S\n\nu[/INST]{+ a</s>+}",
            "<s>[INST] u[/INST] a</s>[INST] S\n\nv[/INST]{+ b</s>+}"
        ]
    );
    let messages = json!([
        ["user", "u"],
        ["assistant", " a "],
        ["user", "v"],
        ["assistant", "b"]
    ]);
    assert_eq!(
        learned(&template, &["</s>"], messages.clone(), Value::Null).unwrap(),
        ["<s>[INST] u[/INST]{+ a</s>+}[INST] v[/INST]{+ b</s>+}"]
    );
    assert_eq!(
        learned(&template, &["</s>"], messages, weather()).unwrap(),
        [
            format!("<s>{TOOL}[INST] u[/INST]{{+ a</s>+}}"),
            format!("<s>[INST] u[/INST] a</s>{TOOL}[INST] v[/INST]{{+ b</s>+}}")
        ]
    );
}

#[test]
fn roles_that_do_not_alternate_are_refused() {
    let TemplateFault::Refused(words) = refusal(TEMPLATE, json!([["user", "u"], ["user", "v"]]))
    else {
        panic!("the template refuses");
    };
    assert!(
        words.starts_with("After the optional system message"),
        "{words}"
    );
}
