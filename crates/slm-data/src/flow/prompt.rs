//! Prompts: Jinja templates with bounded steps, without files, and without undefined variables.
//!
//! Does not know who is asked.

use crate::sample::hex;
use minijinja::{Environment, UndefinedBehavior};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;

/// Instructions that one template may run.
const FUEL: u64 = 200_000;
/// The longest template, in bytes.
const LONGEST_TEMPLATE: usize = 64 << 10;

/// One message of a prompt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PromptMessage {
    /// `system`, `user` or `assistant`.
    pub role: String,
    /// For a prompt of a flow, a Jinja template.
    pub content: String,
}

/// A prompt that compiles.
#[derive(Debug)]
pub struct Prompt {
    messages: Vec<PromptMessage>,
    environment: Environment<'static>,
    /// SHA-256 over its messages.
    pub hash: String,
}

impl Prompt {
    /// Compiles a prompt.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn new(messages: Vec<PromptMessage>) -> Result<Self, String> {
        if messages.is_empty() {
            return Err("the prompt has no messages".into());
        }
        // No loader is set: whatever `file_tag` may miss finds nothing.
        let mut environment = Environment::new();
        environment.set_fuel(Some(FUEL));
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        let mut digest = Sha256::new();
        for (n, message) in messages.iter().enumerate() {
            if !["system", "user", "assistant"].contains(&message.role.as_str()) {
                return Err(format!(
                    "`{}` is no role: give system, user or assistant",
                    message.role
                ));
            }
            if message.content.len() > LONGEST_TEMPLATE {
                return Err(format!(
                    "message {} of the prompt has more than {LONGEST_TEMPLATE} bytes",
                    n + 1
                ));
            }
            if let Some(tag) = file_tag(&message.content) {
                return Err(format!(
                    "message {} of the prompt has `{{% {tag} %}}`, and prompts reach no other files: write what it names into the prompt",
                    n + 1
                ));
            }
            digest.update(format!("{}\0{}\0", message.role, message.content));
            environment
                .add_template_owned(n.to_string(), message.content.clone())
                .map_err(|e| {
                    format!("message {} of the prompt is no Jinja template: {e}", n + 1)
                })?;
        }
        let hash = hex(&digest.finalize());
        Ok(Self {
            messages,
            environment,
            hash,
        })
    }

    /// The variables that its templates read and nothing in them sets.
    pub fn variables(&self) -> BTreeSet<String> {
        let globals: BTreeSet<String> = self
            .environment
            .globals()
            .map(|(name, _)| name.to_owned())
            .collect();
        let read = (0..self.messages.len())
            .filter_map(|n| self.environment.get_template(&n.to_string()).ok());
        read.flat_map(|template| template.undeclared_variables(false))
            .filter(|name| !globals.contains(name))
            .collect()
    }

    /// The messages with the values of these columns.
    ///
    /// # Errors
    /// A template fails on them, in words.
    pub fn render(&self, columns: &Map<String, Value>) -> Result<Vec<PromptMessage>, String> {
        let render = |(n, message): (usize, &PromptMessage)| {
            let template = self.environment.get_template(&n.to_string());
            let content = template
                .and_then(|template| template.render(columns))
                .map_err(|e| format!("message {} of the prompt: {e}", n + 1))?;
            Ok(PromptMessage {
                role: message.role.clone(),
                content: content.trim().to_owned(),
            })
        };
        self.messages.iter().enumerate().map(render).collect()
    }
}

/// The first of a template's tags that takes in another file. What stands in comments, in
/// expressions and in raw text is none.
fn file_tag(template: &str) -> Option<&str> {
    let mut rest = template;
    while let Some(at) = rest.find(['{']) {
        rest = &rest[at + 1..];
        let (end, skipped) = match rest.as_bytes().first() {
            Some(b'#') => ("#}", 1),
            Some(b'{') => ("}}", 1),
            Some(b'%') => ("%}", 1),
            _ => continue,
        };
        let is_tag = end == "%}";
        let length = rest[skipped..].find(end)?;
        let inside = rest[skipped..skipped + length].trim_start_matches(['-', '+']);
        rest = &rest[skipped + length + end.len()..];
        if !is_tag {
            continue;
        }
        match inside
            .split_whitespace()
            .next()
            .map(|w| w.trim_end_matches('-'))
        {
            Some("raw") => rest = rest.find("endraw").map_or("", |end| &rest[end..]),
            Some(tag @ ("include" | "import" | "from" | "extends")) => return Some(tag),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prompt(template: &str) -> Result<Prompt, String> {
        Prompt::new(vec![PromptMessage {
            role: "user".into(),
            content: template.into(),
        }])
    }

    fn render(template: &str) -> Result<String, String> {
        let columns = Map::from_iter([("name".to_owned(), Value::from("Ada"))]);
        Ok(prompt(template)?.render(&columns)?.remove(0).content)
    }

    #[test]
    fn variables_are_known_before_anything_runs() {
        let prompt = prompt("{% for i in range(n) %}{{ i }} {{ loop.index }} {{ name }}{% endfor %}{% set x = 1 %}{{ x }}").unwrap();
        assert_eq!(
            prompt.variables(),
            BTreeSet::from(["n".to_owned(), "name".to_owned()])
        );
    }

    #[test]
    fn steps_are_bounded_and_files_out_of_reach() {
        assert_eq!(render(" Hello {{ name }}! "), Ok("Hello Ada!".into()));
        let endless =
            "{% for i in range(9999) %}{% for j in range(9999) %}x{% endfor %}{% endfor %}";
        assert!(
            render(endless).unwrap_err().contains("fuel"),
            "{:?}",
            render(endless)
        );
        for tag in ["include", "import", "from", "extends"] {
            let template = format!("Hello {{{{ name }}}} {{%- {tag} '/etc/passwd' %}}");
            let fault = prompt(&template).unwrap_err();
            let named = format!("message 1 of the prompt has `{{% {tag} %}}`");
            assert!(fault.contains(&named), "{fault}");
        }
        for (template, said) in [
            ("{# {% include 'x' %} #}a", "a"),
            (
                "{% raw %}{% include 'x' %}{% endraw %}",
                "{% include 'x' %}",
            ),
            ("{{ '{%' }} include %}", "{% include %}"),
            ("{ include } {", "{ include } {"),
        ] {
            assert_eq!(render(template), Ok(said.into()), "{template}");
        }
        assert!(render("{{ nobody }}").unwrap_err().contains("undefined"));
        assert!(
            prompt("{% if %}")
                .unwrap_err()
                .contains("no Jinja template")
        );
        assert!(Prompt::new(vec![]).is_err());
    }
}
