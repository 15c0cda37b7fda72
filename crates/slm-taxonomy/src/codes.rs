//! The stable codes of all faults, with their severity and explanation.
//!
//! A code, once published, keeps its number and meaning. It knows nothing of files.

use serde::{Deserialize, Serialize};

/// How grave a fault is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The leaf cannot be used as it is.
    Error,
    /// The leaf can be used, but something is likely to be wrong.
    Warning,
}

impl Severity {
    /// `error` or `warning`.
    pub fn name(self) -> &'static str {
        match self {
            Severity::Error => "error",
            Severity::Warning => "warning",
        }
    }
}

macro_rules! codes {
    ($($name:ident = $id:literal $severity:ident $title:literal $text:literal;)*) => {
        /// What is wrong, as a stable code such as `SLM-T010`.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code {
            $(#[doc = $title] $name,)*
        }

        impl Code {
            /// Every code, in the order of its number.
            pub const ALL: &[Code] = &[$(Code::$name,)*];

            /// The code's identifier, such as `SLM-T010`.
            pub fn id(self) -> &'static str {
                match self { $(Code::$name => $id,)* }
            }

            /// The severity, outside of strict mode.
            pub fn severity(self) -> Severity {
                match self { $(Code::$name => Severity::$severity,)* }
            }

            /// The fault in a few words.
            pub fn title(self) -> &'static str {
                match self { $(Code::$name => $title,)* }
            }

            /// Why it is a fault and how to mend it.
            pub fn explanation(self) -> &'static str {
                match self { $(Code::$name => $text,)* }
            }
        }
    };
}

codes! {
    Unreadable = "SLM-T001" Error "a file or folder cannot be read"
        "The path does not exist, may not be read, or is larger than 4 MiB. Check the path and its permissions.";
    NotUtf8 = "SLM-T002" Error "a file is not UTF-8 text"
        "Taxonomy files are UTF-8. The place given is that of the first byte that is not. Save the file again as UTF-8 in your editor; old Windows editors often save as Latin-1.";
    Syntax = "SLM-T003" Error "the YAML is broken"
        "The text is not valid YAML, so nothing after this place can be read. Most often a text holds `: ` or begins with `-`, `*`, `&`, `[`, `{`, `!`, `%`, `@` or a quote. Put such a text in quotes, or write it as a block:\n\n    answer: |\n      Note: any text may stand here.";
    Limit = "SLM-T004" Error "the YAML is too large, too deep or repeats itself"
        "A leaf may nest 64 levels deep and hold 500,000 values and 16 MiB of text, with every alias `*name` expanded. A text that begins with many brackets must be quoted.";
    SeveralDocuments = "SLM-T005" Error "more than one YAML document in a file"
        "A `---` line in the middle of the file begins a second document. InstructLab reads one document per file. A line of dashes inside a text must be indented below its `key: |`.";
    DuplicateKey = "SLM-T006" Error "a key stands twice in one mapping"
        "YAML readers keep the last value and drop the others without a word, so text is lost. Often the `- ` of the next list entry is missing.";
    UnsupportedYaml = "SLM-T007" Error "a YAML feature that taxonomies do not use"
        "Only plain keys and the standard tags (`!!str` and the like) are read. A text that begins with `!` must be quoted, and a key must be a plain word.";
    Empty = "SLM-T008" Error "the file is empty"
        "The file holds no value. Write the leaf, or remove the file.";
    NothingToCheck = "SLM-T009" Error "no leaf at the path given"
        "The folder and the folders below hold no `qna.yaml`. Give the taxonomy's folder, one below it, or a `qna.yaml`.";

    UnknownKey = "SLM-T010" Error "a key that the schema does not have"
        "InstructLab refuses leaves with keys that it does not know. Check the spelling and the indentation. Additions of this project (output schema, labels, slots) live in `slm.yaml` beside the `qna.yaml`.";
    MissingKey = "SLM-T011" Error "a required key is missing"
        "Knowledge needs `version`, `created_by`, `domain`, `document_outline`, `seed_examples` and `document`; each seed example `context` and `questions_and_answers`. A skill needs `version`, `created_by`, `task_description` and `seed_examples`; each seed example `question` and `answer`.";
    WrongType = "SLM-T012" Error "a value of the wrong type"
        "The value is not of the type that the schema asks for. InstructLab reads YAML 1.1, where unquoted `yes`, `no`, `on`, `off`, `12`, `22:15` and `2024-05-01` are not text. Put them in quotes.";
    EmptyText = "SLM-T013" Error "a text is empty"
        "Every text of a leaf must say something: an empty question or answer would teach the model to say nothing.";
    Version = "SLM-T014" Error "a schema version that is not supported"
        "Knowledge must be of version 3, skills of version 3 or 2. To move a version 2 skill to 3, change the number; nothing else differs.";
    FewSeedExamples = "SLM-T015" Error "fewer than 5 seed examples"
        "InstructLab asks for at least 5 different seed examples. More, and more varied ones, give better training data; 20 and more are advisable for structured answers.";
    FewQuestions = "SLM-T016" Error "fewer than 3 questions on a context"
        "Each context of a knowledge leaf needs at least 3 different questions with their answers.";
    FewPatterns = "SLM-T017" Error "no document pattern"
        "`document.patterns` needs at least one glob, such as `*.md`, that selects the documents of the repository.";
    DuplicateSeed = "SLM-T018" Error "a seed example stands twice in the leaf"
        "Seed examples must differ. The comparison ignores case and the amount of white space.";
    DuplicateQuestion = "SLM-T019" Error "a question stands twice on one context"
        "Questions on one context must differ. The comparison ignores case and the amount of white space.";
    Contradiction = "SLM-T020" Warning "the same question with different answers"
        "Two seed examples ask the same of the same context and answer differently. The model cannot learn both. Keep the better answer, or make the questions differ.";
    DuplicateAcrossLeaves = "SLM-T021" Warning "a seed example stands in another leaf too"
        "The same question, context and answer in two leaves weighs twice in training, and may leak from the training into the test set.";
    MixedGrounding = "SLM-T022" Error "seed examples with and without context in one skill"
        "A skill is grounded (every seed example has a `context`) or freeform (none has). Add the missing contexts, or split the leaf in two.";

    FileName = "SLM-T023" Warning "a file whose name InstructLab ignores"
        "Only the exact name `qna.yaml`, in lower case, is read. Rename the file. The same holds for `slm.yaml` and `attribution.txt`.";
    FolderName = "SLM-T024" Warning "a folder name that breaks the naming rule"
        "Folder names of a taxonomy are written with lower-case letters, digits and underscores, such as `ticket_triage`.";
    OutsideTaxonomy = "SLM-T025" Warning "a leaf outside of the taxonomy's folders"
        "A leaf belongs below `knowledge`, `compositional_skills` or `foundational_skills`. Outside of them its kind is guessed: knowledge if it has a `document`, else a skill.";
    WrongBranch = "SLM-T026" Error "a leaf in the wrong branch of the taxonomy"
        "The leaf reads as knowledge but lies below a skill folder, or the other way round. Move it, or mend its keys.";

    AttributionMissing = "SLM-T030" Error "attribution.txt is missing"
        "Each leaf needs an `attribution.txt` beside its `qna.yaml` that says where its content comes from:\n\n    Title of work: ...\n    Link to work: ...\n    Revision: ...\n    License of the work: ...\n    Creator names: ...\n\nFor your own work, write `-` as the link.";
    AttributionEmpty = "SLM-T031" Error "attribution.txt is empty"
        "The file must say where the leaf's content comes from. See `SLM-T030` for its form.";
    AttributionIncomplete = "SLM-T032" Error "attribution.txt lacks a field"
        "Each work needs `Title of work`, `Link to work`, `License of the work` and `Creator names`, and knowledge also `Revision`. A second work begins with its own `Title of work`.";
    AttributionRevision = "SLM-T033" Warning "attribution.txt names no revision"
        "For a skill the revision of the source may be absent, but with it others can find what the leaf was written from. For your own work write a date.";

    Tab = "SLM-T040" Warning "a tab"
        "Tabs look different in each editor, and YAML forbids them in indentation. Use spaces.";
    TrailingSpace = "SLM-T041" Warning "white space at the end of a line"
        "InstructLab's own lint refuses it, and in a block (`|`) it becomes part of the text. Remove it.";
    OddSpace = "SLM-T042" Warning "an invisible or odd character"
        "No-break spaces, zero-width characters, direction marks and control characters come in by copying from documents. They look like nothing or like a space, but the model sees them. Replace or remove them.";
    LineEnding = "SLM-T043" Warning "a line ending that InstructLab's lint refuses"
        "Lines end with a line feed, not with CR LF, and so does the last line. Let your editor save with Unix line endings and a final newline.";

    LongContext = "SLM-T050" Warning "a context of more than 500 words"
        "InstructLab documents a limit of 500 words for a context. Longer ones may be cut off in synthesis and training. In strict mode this is an error.";
    LongQuestion = "SLM-T051" Warning "a question of more than 250 words"
        "InstructLab documents a limit of 250 words for a question. In strict mode this is an error.";
    LongAnswer = "SLM-T052" Warning "an answer of more than 250 words"
        "InstructLab documents a limit of 250 words for an answer. In strict mode this is an error.";
    LongLeaf = "SLM-T053" Warning "a skill of more than 2,300 words"
        "InstructLab documents a limit of about 2,300 words for a skill's file. In strict mode this is an error.";

    DocumentMissing = "SLM-T060" Error "the document is not there"
        "`document.path` names a file relative to the leaf's folder. The file does not exist or cannot be read.";
    DocumentChanged = "SLM-T061" Error "the document is not the one that was described"
        "The document's SHA-256 differs from `document.sha256`: it was changed since the seed examples were written. Check that they still hold, then write the new hash.";
    DocumentPath = "SLM-T062" Error "a document path that leads out of the leaf"
        "`document.path` must be relative and stay within the leaf's folder, so that the taxonomy can be copied.";
    DocumentHash = "SLM-T063" Error "not a SHA-256"
        "A SHA-256 is 64 hexadecimal digits, as `sha256sum FILE` prints it. In YAML put it in quotes.";
    DocumentForms = "SLM-T064" Error "two forms of document in one"
        "`document` is either `{repo, commit, patterns}` or `{path, sha256}`, not both.";
    DocumentUnreachable = "SLM-T065" Error "the document's repository or commit cannot be read"
        "`document.repo` is an address that `git clone` takes, or a folder here, and `document.commit` a commit of it. Folders are always looked into; repositories elsewhere only by `slm taxonomy check --documents`, which fetches their list of files.";
    PatternMatchesNothing = "SLM-T066" Error "a pattern that selects no document"
        "No file of the repository at the commit fits the pattern, so there is nothing to learn from. `*`, `?` and `[...]` stay within one folder, `**/` goes over any number of them, and upper and lower case differ.";
    DocumentFormat = "SLM-T067" Warning "a pattern that selects nothing InstructLab reads"
        "InstructLab reads Markdown (`.md`) and PDF (`.pdf`) and passes over other files in silence.";
    DocumentCommit = "SLM-T068" Warning "a commit that is not a hash"
        "A branch or tag may move, and the documents change while the seed examples stay. Write the commit's hash, as `git rev-parse HEAD` prints it.";

    ExtensionUnknownKey = "SLM-T070" Error "a key that slm.yaml does not have"
        "`slm.yaml` may hold `output`, `instruction`, `label_field`, `slots`, `paraphrases`, `parts` and `document`.";
    ExtensionValue = "SLM-T071" Error "a value in slm.yaml is missing or of the wrong type"
        "`docs/taxonomy.md` describes `slm.yaml` and the type of each value.";
    OutputType = "SLM-T072" Error "an unknown output type"
        "`output.type` is `json` (with `schema`), `label` (with `labels`), `calls` (with `tools`) or `text`.";
    Pointer = "SLM-T073" Error "a pointer to a field that the schema does not have"
        "`label_field` and the keys of `slots` are JSON pointers into the answer, such as `/category` or `/arguments/service`. The output schema must have that field.";
    Slot = "SLM-T074" Error "a slot that cannot be filled"
        "Each slot has exactly one of `values` (a list of texts), `pattern` (such as `INV-####`: `#` a digit, `@` an upper-case letter, `?` a lower-case letter), `kind`, and `cues` (for each value the phrases that say it; a phrase is swapped together with its value).";
    Paraphrases = "SLM-T075" Error "a paraphrase group that cannot be used"
        "Each group is a list of at least two different texts that may stand for one another.";
    Schema = "SLM-T076" Error "an output schema that contradicts itself"
        "The schema asks for something that no answer can give, such as a required field that `additionalProperties: false` forbids, or an unknown type.";
    SlotNotInText = "SLM-T077" Warning "a slot's value does not occur in the text"
        "The grammar teacher replaces a slot's value in the answer and in the question or context alike. Where the value does not occur there verbatim, it cannot be replaced, and the model cannot learn to copy it.";
    DuplicateLabel = "SLM-T078" Error "a label stands twice"
        "Labels must differ, since each stands for one class. Remove one, or give it its own name.";

    AnswerNotJson = "SLM-T080" Error "an answer is not JSON"
        "The leaf's output type asks for JSON answers. Write compact JSON in single quotes: `answer: '{\"category\":\"billing\"}'`.";
    AnswerSchema = "SLM-T081" Error "an answer does not fit the output schema"
        "The answer is JSON, but a field is missing, unknown, of the wrong type or not among the allowed values. Mend the answer or the schema.";
    AnswerLabel = "SLM-T082" Error "an answer is not one of the labels"
        "The leaf's answers must be exactly one of `output.labels`.";
    AnswerCall = "SLM-T083" Error "an answer is not a call of the tools"
        "The answer is a JSON call `{\"name\": ..., \"arguments\": {...}}`, or a list of them, of the functions in `output.tools`.";

    TooManyFaults = "SLM-T099" Error "more faults in a leaf than are listed"
        "Of one leaf the first 1,000 faults are listed, and the others counted. A file with so many is most often not a taxonomy file at all.";
}

impl Code {
    /// Whether strict mode turns the warning into an error.
    pub fn strict_is_error(self) -> bool {
        matches!(
            self,
            Code::LongContext | Code::LongQuestion | Code::LongAnswer | Code::LongLeaf
        )
    }

    /// The code of that identifier, in any case, with or without the `SLM-` before it.
    pub fn from_id(id: &str) -> Option<Code> {
        let wanted = id.trim().to_ascii_uppercase();
        let found = |code: &&Code| code.id() == wanted || code.id()[4..] == wanted;
        Code::ALL.iter().find(found).copied()
    }
}

/// The explanation of a code as text, or nothing for an unknown one.
pub fn explain(id: &str) -> Option<String> {
    let code = Code::from_id(id)?;
    let strict = if code.strict_is_error() {
        ", error in strict mode"
    } else {
        ""
    };
    Some(format!(
        "{}: {} ({}{strict})\n\n{}\n",
        code.id(),
        code.title(),
        code.severity().name(),
        code.explanation()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_are_unique_and_ordered() {
        let ids: Vec<&str> = Code::ALL.iter().map(|code| code.id()).collect();
        let mut sorted = ids.clone();
        sorted.sort();
        sorted.dedup();
        assert_eq!(ids, sorted);
        assert!(
            ids.iter()
                .all(|id| id.len() == 8 && id.starts_with("SLM-T"))
        );
    }

    #[test]
    fn every_code_is_explained() {
        for code in Code::ALL {
            let text = explain(code.id()).unwrap();
            assert!(text.len() > 60, "{text}");
        }
        assert_eq!(explain("t013"), explain("SLM-T013"));
        assert_eq!(explain("SLM-T999"), None);
    }
}
