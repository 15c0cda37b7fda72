//! Files made to bring a reader down: bombs of anchors, nesting, quotes and keys.
//!
//! It knows nothing of what reads them.

/// Each file's text, with a name for it.
pub fn hostile() -> Vec<(&'static str, String)> {
    let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    let mut chain = String::from("a0: &a0 x\n");
    for n in 1..2000 {
        let before = n - 1;
        let items = vec![format!("*a{before}"); 10].join(", ");
        bomb += &format!("a{n}: &a{n} [{items}]\n");
        chain += &format!("a{n}: &a{n} [*a{before}]\n");
    }
    let text = "x".repeat(1_000_000);
    vec![
        ("alias bomb", bomb),
        ("alias chain", chain),
        (
            "text bomb",
            format!("a: &a {text}\nb: [{}]\n", vec!["*a"; 5000].join(", ")),
        ),
        ("self", "a: &a [*a]\n".into()),
        ("flow nesting", "[".repeat(200_000)),
        ("block nesting", "- ".repeat(200_000)),
        (
            "key nesting",
            (0..3000)
                .map(|n| format!("{}k:\n", " ".repeat(n)))
                .collect(),
        ),
        ("question marks", "? ".repeat(100_000)),
        ("anchors", "&a ".repeat(100_000)),
        ("braces", "{a: ".repeat(50_000)),
        ("long line", "a: ".to_string() + &text),
        ("many faults", "a: b: c\n".repeat(20_000)),
        ("quotes", "'".repeat(300_001)),
        ("brackets apart", "[]\n".repeat(100_000)),
        (
            "many keys",
            (0..50_000).map(|n| format!("k{n}: v\n")).collect(),
        ),
        ("same keys", "? a\n: b\n".repeat(50_000)),
        (
            "keys in one line",
            format!(
                "{{{}}}",
                (0..50_000)
                    .map(|n| format!("k{n}: é, "))
                    .collect::<String>()
            ),
        ),
        ("commas", "[".to_string() + &",".repeat(300_000)),
    ]
}
