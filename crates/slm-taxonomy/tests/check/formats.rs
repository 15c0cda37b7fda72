//! The report in the formats of other programs.

use crate::fixture::{ATTRIBUTION, Taxonomy};
use serde_json::json;
use slm_taxonomy::{annotations, sarif};

fn faulty() -> Taxonomy {
    Taxonomy::new(&[
        (
            "compositional_skills/a b/qna.yaml",
            "version: 3\ncreated_by: é [x\nmore: |\n  a\n",
        ),
        ("compositional_skills/a b/attribution.txt", ATTRIBUTION),
        (
            "compositional_skills/c/qna.yaml",
            "version: 3\nversion: yes\n",
        ),
    ])
}

#[test]
fn github_shows_each_fault_at_its_line() {
    let taxonomy = faulty();
    let text = taxonomy.shortened(&annotations(&taxonomy.check()));
    let report = taxonomy.check();
    assert_eq!(text.lines().count(), report.diagnostics.len());
    let expected = "::error file=compositional_skills/c/qna.yaml,line=2,col=1,endColumn=7,title=SLM-T006::the key `version` stands twice in the same mapping%0Ahint: remove one; readers silently keep only the last\n";
    assert!(text.contains(expected), "{text}");
    let of_file = "::error file=compositional_skills/c/attribution.txt,title=SLM-T030::";
    assert!(text.contains(of_file), "{text}");
    let at = "(at `.more`)%0Ahint: ";
    assert!(text.contains(at), "{text}");
}

#[test]
fn sarif_has_rules_results_and_places() {
    let taxonomy = faulty();
    let report = taxonomy.check();
    let log = sarif(&report);
    let results = log["runs"][0]["results"].as_array().unwrap();
    assert_eq!(results.len(), report.diagnostics.len());
    for (result, diagnostic) in results.iter().zip(&report.diagnostics) {
        let index = result["ruleIndex"].as_u64().unwrap() as usize;
        let rule = &log["runs"][0]["tool"]["driver"]["rules"][index];
        assert_eq!(rule["id"], diagnostic.code);
        assert_eq!(result["ruleId"], diagnostic.code);
    }
    let unknown = results.iter().find(|r| r["ruleId"] == "SLM-T010").unwrap();
    let place = &unknown["locations"][0];
    assert_eq!(
        place["physicalLocation"]["region"],
        json!({"startLine": 3, "startColumn": 1, "endLine": 3, "endColumn": 5})
    );
    let uri = place["physicalLocation"]["artifactLocation"]["uri"]
        .as_str()
        .unwrap();
    assert!(
        uri.starts_with("file:///") && uri.ends_with("/a%20b/qna.yaml"),
        "{uri}"
    );
    assert_eq!(place["logicalLocations"][0]["fullyQualifiedName"], ".more");
    assert_eq!(
        (&log["version"], &unknown["level"]),
        (&json!("2.1.0"), &json!("error"))
    );
}
