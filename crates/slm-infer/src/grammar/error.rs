//! Why a constraint cannot be enforced.

/// A constraint that is refused; says where and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GrammarError {
    /// A keyword of a schema.
    #[error(
        "the schema's `{keyword}` at `{place}` cannot be enforced: {problem}\nhint: change or remove it, or ask leniently: then the rest is enforced and answers are validated after"
    )]
    Keyword {
        /// The keyword.
        keyword: String,
        /// JSON pointer of the subschema that has it; `#` is the whole.
        place: String,
        /// What is wrong.
        problem: String,
    },
    /// A constraint other than a schema.
    #[error("the {kind} cannot be enforced: {problem}\nhint: {hint}")]
    Constraint {
        /// What it is, as `regular expression`.
        kind: &'static str,
        /// What is wrong.
        problem: String,
        /// What to do.
        hint: &'static str,
    },
    /// A tokenizer whose tokens have no known bytes.
    #[error(
        "the model's tokenizer does not say which bytes its tokens stand for\nhint: only byte-level and byte-fallback tokenizers can be constrained"
    )]
    Tokenizer,
}
