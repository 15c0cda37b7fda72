//! The flows that come with slm.

use super::read::parse_flow;
use super::spec::Flow;
use crate::error::{DataError, Result};
use std::path::Path;

/// The shipped flows: name and text.
pub const SHIPPED: [(&str, &str); 6] = [
    ("knowledge", include_str!("shipped/knowledge.yaml")),
    ("freeform", include_str!("shipped/freeform.yaml")),
    ("grounded", include_str!("shipped/grounded.yaml")),
    ("structured", include_str!("shipped/structured.yaml")),
    ("adversarial", include_str!("shipped/adversarial.yaml")),
    ("near-miss", include_str!("shipped/near-miss.yaml")),
];

/// The shipped flow of a name.
///
/// # Errors
/// There is none of that name.
pub fn shipped_flow(name: &str) -> Result<Flow> {
    let names = SHIPPED.map(|(name, _)| name);
    let found = SHIPPED.iter().find(|(known, _)| *known == name);
    let (name, text) = found.ok_or_else(|| {
        let hint = slm_taxonomy::nearest(name, names).map_or_else(
            || {
                format!(
                    "the shipped flows are {}; a flow of your own is a path that ends in .yaml",
                    names.join(", ")
                )
            },
            |near| format!("did you mean `{near}`?"),
        );
        DataError::settings(format!("there is no flow `{name}`"), hint)
    })?;
    parse_flow(Path::new(&format!("{name}.yaml")), text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shipped_flow_is_sound() {
        for (name, _) in SHIPPED {
            let flow = shipped_flow(name).unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(flow.metadata.name, name);
            assert!(!flow.metadata.description.is_empty() && flow.hash.len() == 64);
        }
        let message = shipped_flow("knowlege").unwrap_err().to_string();
        assert!(message.contains("did you mean `knowledge`?"), "{message}");
    }
}
