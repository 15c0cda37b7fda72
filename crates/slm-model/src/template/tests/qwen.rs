//! Qwen2.5 and Qwen3: tools in the system turn, calls in `<tool_call>`, runs of results in one
//! user turn, and thinking that is dropped from earlier turns.

use serde_json::{Value, json};

use super::*;

const QWEN2: &str = r#"{%- if tools %}
    {{- '<|im_start|>system\n' }}
    {%- if messages[0]['role'] == 'system' %}
        {{- messages[0]['content'] }}
    {%- else %}
        {{- 'You are Qwen.' }}
    {%- endif %}
    {{- "\n\n# Tools\n\n<tools>" }}
    {%- for tool in tools %}
        {{- "\n" }}
        {{- tool | tojson }}
    {%- endfor %}
    {{- "\n</tools><|im_end|>\n" }}
{%- else %}
    {%- if messages[0]['role'] == 'system' %}
        {{- '<|im_start|>system\n' + messages[0]['content'] + '<|im_end|>\n' }}
    {%- else %}
        {{- '<|im_start|>system\nYou are Qwen.<|im_end|>\n' }}
    {%- endif %}
{%- endif %}
{%- for message in messages %}
    {%- if (message.role == "user") or (message.role == "system" and not loop.first) or (message.role == "assistant" and not message.tool_calls) %}
        {{- '<|im_start|>' + message.role + '\n' + message.content + '<|im_end|>' + '\n' }}
    {%- elif message.role == "assistant" %}
        {{- '<|im_start|>' + message.role }}
        {%- if message.content %}
            {{- '\n' + message.content }}
        {%- endif %}
        {%- for tool_call in message.tool_calls %}
            {%- if tool_call.function is defined %}
                {%- set tool_call = tool_call.function %}
            {%- endif %}
            {{- '\n<tool_call>\n{"name": "' }}
            {{- tool_call.name }}
            {{- '", "arguments": ' }}
            {{- tool_call.arguments | tojson }}
            {{- '}\n</tool_call>' }}
        {%- endfor %}
        {{- '<|im_end|>\n' }}
    {%- elif message.role == "tool" %}
        {%- if (loop.index0 == 0) or (messages[loop.index0 - 1].role != "tool") %}
            {{- '<|im_start|>user' }}
        {%- endif %}
        {{- '\n<tool_response>\n' }}
        {{- message.content }}
        {{- '\n</tool_response>' }}
        {%- if loop.last or (messages[loop.index0 + 1].role != "tool") %}
            {{- '<|im_end|>\n' }}
        {%- endif %}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\n' }}
{%- endif %}
"#;

const QWEN3: &str = r#"{%- if messages[0].role == 'system' %}
    {{- '<|im_start|>system\n' + messages[0].content + '<|im_end|>\n' }}
{%- endif %}
{%- set ns = namespace(multi_step_tool=true, last_query_index=messages|length - 1) %}
{%- for message in messages[::-1] %}
    {%- set index = (messages|length - 1) - loop.index0 %}
    {%- if ns.multi_step_tool and message.role == "user" and message.content is string and not(message.content.startswith('<tool_response>') and message.content.endswith('</tool_response>')) %}
        {%- set ns.multi_step_tool = false %}
        {%- set ns.last_query_index = index %}
    {%- endif %}
{%- endfor %}
{%- for message in messages %}
    {%- if message.content is string %}
        {%- set content = message.content %}
    {%- else %}
        {%- set content = '' %}
    {%- endif %}
    {%- if (message.role == "user") or (message.role == "system" and not loop.first) %}
        {{- '<|im_start|>' + message.role + '\n' + content + '<|im_end|>' + '\n' }}
    {%- elif message.role == "assistant" %}
        {%- set reasoning_content = '' %}
        {%- if message.reasoning_content is string %}
            {%- set reasoning_content = message.reasoning_content %}
        {%- else %}
            {%- if '</think>' in content %}
                {%- set reasoning_content = content.split('</think>')[0].rstrip('\n').split('<think>')[-1].lstrip('\n') %}
                {%- set content = content.split('</think>')[-1].lstrip('\n') %}
            {%- endif %}
        {%- endif %}
        {%- if loop.index0 > ns.last_query_index %}
            {%- if loop.last or (not loop.last and reasoning_content) %}
                {{- '<|im_start|>' + message.role + '\n<think>\n' + reasoning_content.strip('\n') + '\n</think>\n\n' + content.lstrip('\n') }}
            {%- else %}
                {{- '<|im_start|>' + message.role + '\n' + content }}
            {%- endif %}
        {%- else %}
            {{- '<|im_start|>' + message.role + '\n' + content }}
        {%- endif %}
        {%- if message.tool_calls %}
            {%- for tool_call in message.tool_calls %}
                {%- if (loop.first and content) or (not loop.first) %}
                    {{- '\n' }}
                {%- endif %}
                {%- if tool_call.function %}
                    {%- set tool_call = tool_call.function %}
                {%- endif %}
                {{- '<tool_call>\n{"name": "' + tool_call.name + '", "arguments": ' }}
                {%- if tool_call.arguments is string %}
                    {{- tool_call.arguments }}
                {%- else %}
                    {{- tool_call.arguments | tojson }}
                {%- endif %}
                {{- '}\n</tool_call>' }}
            {%- endfor %}
        {%- endif %}
        {{- '<|im_end|>\n' }}
    {%- elif message.role == "tool" %}
        {{- '<|im_start|>user\n<tool_response>\n' + content + '\n</tool_response><|im_end|>\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\n' }}
    {%- if enable_thinking is defined and enable_thinking is false %}
        {{- '<think>\n\n</think>\n\n' }}
    {%- endif %}
{%- endif %}"#;

#[test]
fn qwen2_writes_tools_calls_and_results() {
    let template = compiled(QWEN2, &[]);
    // The prompt ends with a line feed that a call's turn has too, so calls are learned as well.
    assert_eq!(
        learned(&template, &["<|im_end|>"], calling(), weather()).unwrap(),
        [format!(
            "<|im_start|>system\nYou are Qwen.\n\n# Tools\n\n<tools>\n{WEATHER}\n</tools><|im_end|>\n\
             <|im_start|>user\nRain in Köln?<|im_end|>\n<|im_start|>assistant\n\
             {{+<tool_call>\n{{\"name\": \"weather\", \"arguments\": {{\"city\": \"Köln\"}}}}\n</tool_call><|im_end|>+}}\n\
             <|im_start|>user\n<tool_response>\n{{\"rain\": true}}\n</tool_response><|im_end|>\n\
             <|im_start|>assistant\n{{+Yes.<|im_end|>+}}\n"
        )]
    );
}

#[test]
fn qwen2_puts_several_results_into_one_turn() {
    let messages = json!([["user", "u"], ["tool", "1"], ["tool", "2"], ["user", "v"]]);
    assert_eq!(
        render(QWEN2, messages, Value::Null, false),
        "<|im_start|>system\nYou are Qwen.<|im_end|>\n<|im_start|>user\nu<|im_end|>\n\
         <|im_start|>user\n<tool_response>\n1\n</tool_response>\n<tool_response>\n2\n</tool_response><|im_end|>\n\
         <|im_start|>user\nv<|im_end|>\n"
    );
}

#[test]
fn qwen3_thinks_in_the_last_turn_only() {
    let answer = "<think>\nhm\n</think>\n\nfour";
    let messages = json!([["user", "2+2?"], ["assistant", answer], ["user", "sure?"]]);
    assert_eq!(
        render(QWEN3, messages, Value::Null, true),
        "<|im_start|>user\n2+2?<|im_end|>\n<|im_start|>assistant\nfour<|im_end|>\n\
         <|im_start|>user\nsure?<|im_end|>\n<|im_start|>assistant\n"
    );
    let messages = json!([["user", "2+2?"], {"role": "assistant", "content": "four", "reasoning_content": "\nhm\n"}]);
    assert_eq!(
        render(QWEN3, messages, Value::Null, false),
        "<|im_start|>user\n2+2?<|im_end|>\n<|im_start|>assistant\n<think>\nhm\n</think>\n\nfour<|im_end|>\n"
    );
}

#[test]
fn qwen3_turns_are_each_learned_as_they_are_generated() {
    let template = compiled(QWEN3, &[]);
    let messages = json!([
        ["user", "a?"],
        ["assistant", "<think>\nx\n</think>\n\na"],
        ["user", "b?"],
        ["assistant", "b"]
    ]);
    // The first turn thinks when it is generated, and no more once the second follows.
    assert_eq!(
        learned(&template, &["<|im_end|>"], messages, Value::Null).unwrap(),
        [
            "<|im_start|>user\na?<|im_end|>\n<|im_start|>assistant\n{+<think>\nx\n</think>\n\na<|im_end|>+}\n",
            "<|im_start|>user\na?<|im_end|>\n<|im_start|>assistant\na<|im_end|>\n<|im_start|>user\nb?<|im_end|>\n\
             <|im_start|>assistant\n{+<think>\n\n</think>\n\nb<|im_end|>+}\n"
        ]
    );
}

#[test]
fn qwen3_keeps_thinking_between_calls_of_the_last_question() {
    let call = json!([{"function": {"name": "f", "arguments": "{\"x\": 1}"}}]);
    let messages = json!([
        ["user", "u"],
        {"role": "assistant", "content": "", "reasoning_content": "call f", "tool_calls": call},
        ["tool", "7"],
        ["assistant", "seven"]
    ]);
    let template = compiled(QWEN3, &[]);
    assert_eq!(
        learned(&template, &["<|im_end|>"], messages, Value::Null).unwrap(),
        ["<|im_start|>user\nu<|im_end|>\n<|im_start|>assistant\n\
          {+<think>\ncall f\n</think>\n\n<tool_call>\n{\"name\": \"f\", \"arguments\": {\"x\": 1}}\n</tool_call><|im_end|>+}\n\
          <|im_start|>user\n<tool_response>\n7\n</tool_response><|im_end|>\n\
          <|im_start|>assistant\n{+<think>\n\n</think>\n\nseven<|im_end|>+}\n"]
    );
}

#[test]
fn a_prompt_that_opens_the_thinking_which_history_lacks_is_refused() {
    // As distilled reasoning models have it: the prompt ends with `<think>`, a turn does not
    // begin with it.
    let source = "{% for m in messages %}{% if m.role == 'user' %}<|user|>{{ m.content }}{% else %}\
        <|assistant|>{{ m.content.split('</think>')[-1] }}{{ eos_token }}{% endif %}{% endfor %}\
        {% if add_generation_prompt %}<|assistant|><think>\n{% endif %}";
    let template = compiled(source, &[]);
    let messages = json!([["user", "u"], ["assistant", "<think>\nx</think>a"]]);
    assert_eq!(
        learned(&template, &["</s>"], messages, Value::Null),
        Err(SpanFault::NotIncremental { turn: 1 })
    );
}
