//! What to do about a YAML syntax error, by the parser's words.
//!
//! It knows the messages of the parser, and nothing of the file.

/// A message for people and a hint, for one of the parser's messages.
pub fn for_message(message: &str) -> (String, &'static str) {
    let known = KNOWN.iter().find(|(part, _, _)| message.contains(part));
    match known {
        Some((_, said, hint)) => (said.to_string(), hint),
        None => (
            format!("this is not valid YAML: {message}"),
            "mend the syntax here, or on the lines just above",
        ),
    }
}

/// Part of the parser's message, what we say, and the hint.
const KNOWN: &[(&str, &str, &str)] = &[
    (
        "invalid indentation in quoted scalar",
        "a quote that is not closed, or whose text is not indented",
        "close the quote, or indent the lines that belong to it",
    ),
    (
        "illegal placement of ':'",
        "a `:` cannot stand here; a list `[...]` or mapping `{...}` above may not be closed",
        "add the missing `]` or `}`, or quote a text that begins with `[` or `{`",
    ),
    (
        "unexpected character",
        "the text begins with a character that YAML reserves",
        "put the text in quotes",
    ),
    (
        "must be followed by a valid YAML whitespace",
        "the `:` of a key is followed by a tab, where YAML wants a space",
        "replace the tab with a space",
    ),
    (
        "mapping values are not allowed",
        "a `:` followed by a space is read as a second key here",
        "put the whole value in quotes, or write it as a block: `key: |` with the text indented below",
    ),
    (
        "simple key expect",
        "a key without its `:`, or text that is not indented below its key",
        "write `key: value`, and indent text that belongs to the line above",
    ),
    (
        "simple key expected",
        "a key without its `:`, or text that is not indented below its key",
        "write `key: value`, and indent text that belongs to the line above",
    ),
    (
        "did not find expected key",
        "a key was expected here",
        "give all keys of one mapping the same indentation, and indent text below its key",
    ),
    (
        "did not find expected '-'",
        "this line stands neither below a `- ` entry nor level with its keys",
        "align it with the first key of its entry, or begin it with `- `",
    ),
    (
        "tab",
        "a tab is used where YAML allows only spaces",
        "replace the tab with spaces",
    ),
    (
        "found unexpected end of stream",
        "a quote is opened and never closed",
        "close the quote, or double it (`''`) where it is part of the text",
    ),
    (
        "trailing content after double-quoted",
        "text follows the closing quote",
        "write inner quotes as `\\\"`, or use a block: `key: |`",
    ),
    (
        "unknown escape character",
        "an unknown escape after `\\` in a double-quoted text",
        "write `\\\\` for a backslash, or use single quotes",
    ),
    (
        "wrongly indented line in block scalar",
        "a line of this block is indented less than its first line",
        "indent all lines of the block alike",
    ),
    (
        "block sequence entries are not allowed",
        "a list entry `- ` cannot stand here",
        "put the list on its own lines below the key, or quote a text that begins with `- `",
    ),
    (
        "while parsing node, found unknown anchor",
        "an alias `*name` without its anchor `&name`; text that begins with `*` must be quoted",
        "quote the text",
    ),
    (
        "while scanning an anchor or alias",
        "text that begins with `*` or `&` must be quoted",
        "quote the text",
    ),
    (
        "invalid indentation",
        "the indentation does not fit the lines above",
        "indent with the same number of spaces as the neighbouring lines",
    ),
    (
        "expected next token",
        "the text begins with a character that YAML reserves",
        "put the text in quotes",
    ),
    (
        "while parsing a flow",
        "a list `[...]` or mapping `{...}` is not closed",
        "add the missing `]`, `}` or `,`, or quote a text that begins with `[` or `{`",
    ),
    (
        "recursion limit",
        "brackets are nested too deeply",
        "nest no deeper than a taxonomy needs: 64 levels are allowed",
    ),
];
