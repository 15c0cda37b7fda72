//! The language itself: how values are written, loop controls, what is defined, line breaks.

use serde_json::{Value, json};

use super::*;

fn text(source: &str) -> String {
    let messages = json!([
        {"role": "user", "content": "hi", "ok": true, "none": null, "n": 3, "x": 0.5, "l": ["a", 1], "d": {"k": "v"}}
    ]);
    render(source, messages, Value::Null, false)
}

#[test]
fn values_are_written_as_python_writes_them() {
    let cases = [
        ("{{ messages[0].ok }} {{ messages[0].none }}", "True None"),
        (
            "{{ messages[0].n }} {{ messages[0].x }} {{ 4 / 2 }}",
            "3 0.5 2.0",
        ),
        (
            "{{ messages[0].l }} {{ messages[0].d }}",
            "['a', 1] {'k': 'v'}",
        ),
        (
            "{{ messages[0].d | string }}|{{ messages[0].ok | string }}",
            "{'k': 'v'}|True",
        ),
        ("{{ messages[0].l | join('-') }}", "a-1"),
        ("{{ nothing }}|{{ messages[0].nothing }}", "|"),
        (
            "{{ messages[0].d | tojson }} {{ messages | length }}",
            "{\"k\": \"v\"} 1",
        ),
        (
            "{{ messages[0].l | tojson(separators=(',', ':')) }}",
            "[\"a\",1]",
        ),
        (
            "{{ 'é' | tojson }} {{ 'é' | tojson(ensure_ascii=true) }}",
            "\"é\" \"\\u00e9\"",
        ),
    ];
    for (source, expected) in cases {
        assert_eq!(text(source), expected, "{source}");
    }
}

#[test]
fn lists_and_texts_are_cut_and_asked_as_in_python() {
    let cases = [
        ("{{ 'abc'[::-1] }}{{ 'abc'[-1] }}{{ 'abc'[:-1] }}", "cbacab"),
        (
            "{{ ' a '.strip() }}{{ 'a,b'.split(',')[1] }}{{ 'ab'.upper() }}",
            "abAB",
        ),
        ("{{ 'x' in 'xyz' }} {{ 'a' not in ['b'] }}", "True True"),
        (
            "{{ 'a-b-c'.rsplit('-', 1)[0] }} {{ 'ab'.removeprefix('a') }}",
            "a-b b",
        ),
        ("{{ 'a' if messages[0].role == 'user' else 'b' }}", "a"),
        (
            "{% for k, v in messages[0].d.items() %}{{ k }}={{ v }}{% endfor %}",
            "k=v",
        ),
        (
            "{% for k, v in messages[0].d | items %}{{ k ~ '=' ~ v }}{% endfor %}",
            "k=v",
        ),
        (
            "{{ messages[0].get('zzz', 'none') }} {{ messages[0].content | capitalize }}",
            "none Hi",
        ),
        (
            "{{ tools is defined }} {{ tools is none }} {{ documents is none }}",
            "True True True",
        ),
        (
            "{{ bos_token is defined }} {{ unk_token is defined }}",
            "True False",
        ),
        ("{{ messages | map(attribute='role') | list }}", "['user']"),
        (
            "{{ messages | rejectattr('role', 'equalto', 'user') | list | length }}",
            "0",
        ),
        (
            "{{ [3, 1, 2] | sort | first }} {{ [1, 2] | last }} {{ -7 // 2 }} {{ 7 % 4 }}",
            "1 2 -4 3",
        ),
        ("{{ 'a\nb' | indent(2) }}", "a\n  b"),
    ];
    for (source, expected) in cases {
        assert_eq!(text(source), expected, "{source}");
    }
}

#[test]
fn loops_can_be_left_and_carry_state_in_a_namespace() {
    assert_eq!(
        text(
            "{% for i in range(6) %}{% if i == 1 %}{% continue %}{% elif i == 4 %}{% break %}{% endif %}{{ i }}{% endfor %}"
        ),
        "023"
    );
    assert_eq!(
        text(
            "{% set ns = namespace(found=false) %}{% for m in messages %}{% set ns.found = true %}{% endfor %}{{ ns.found }}"
        ),
        "True"
    );
    assert_eq!(
        text(
            "{% for m in [1, 2, 3] %}{{ loop.previtem }}<{{ m }}{% if not loop.last %}<{{ loop.nextitem }} {% endif %}{% endfor %}"
        ),
        "<1<2 1<2<3 2<3"
    );
}

#[test]
fn lines_of_tags_leave_nothing_and_line_breaks_are_line_feeds() {
    assert_eq!(
        text("{% if true %}\r\n  a\r\n  {% endif %}\r\nb\r\n"),
        "  a\nb"
    );
    assert_eq!(text("a\n   {# gone #}\nb\n\n"), "a\nb\n");
    assert_eq!(text("x{%+ if true +%}\ny{% endif %}"), "x\ny");
}

#[test]
fn faults_have_words_and_lines_and_end() {
    let failed = |source: &str| match refusal(source, json!([["user", "u"]])) {
        TemplateFault::Failed(words) => words,
        TemplateFault::Refused(words) => panic!("refused: {words}"),
    };
    assert!(failed("\n{{ messages[0].content + 1 }}").contains("line 2 of the template"));
    assert!(failed("{{ undefined_thing | tojson }}").contains("undefined"));
    assert!(failed("{% for i in range(100000) %}{% for j in range(100000) %}{{ j }}{% endfor %}{% endfor %}")
        .contains("fuel"));
    let templates = BTreeMap::from([("default".to_owned(), "{% if %}".to_owned())]);
    assert!(ChatTemplate::compile(templates, Vec::new()).is_err());
}

#[test]
fn a_template_for_tools_serves_conversations_with_tools() {
    let templates = BTreeMap::from([
        ("default".to_owned(), "plain".to_owned()),
        (
            "tool_use".to_owned(),
            "tools: {{ tools | length }}".to_owned(),
        ),
    ]);
    let template = ChatTemplate::compile(templates, Vec::new()).unwrap();
    let rendered = |tools: Value| {
        template
            .render(&conversation(json!([]), tools), false)
            .unwrap()
            .0
    };
    assert_eq!(rendered(Value::Null), "plain");
    assert_eq!(rendered(weather()), "tools: 1");
}
