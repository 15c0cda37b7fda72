//! The report as one self-contained HTML file.
//!
//! Does not know scoring; sections render parts, this file puts them together.

use super::embed;
use super::escape;
use super::format;
use super::policy::policy;
use super::sections;
use crate::results::Results;
use crate::rows::Row;
use crate::score::System;
use crate::task::Task;

const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("script.js");

/// The whole report. It loads nothing, runs only its own script (by hash), and
/// carries results and samples as JSON that [`extract`](super::extract) reads back.
pub fn html(results: &Results, task: &Task, rows: &[Row], systems: &[System]) -> String {
    let data = embed::elements(results, task, rows, systems);
    let body: Vec<String> = [
        header(results),
        sections::verdict(results),
        sections::gates(results),
        sections::overview(results),
        sections::forest(results),
        sections::head_to_head(results),
        sections::regression(results),
        sections::costs(results),
        sections::routing(results),
        sections::confidence(results),
        sections::cost(results),
        sections::failures(results),
        sections::fields(results),
        sections::labels(results),
        sections::confusion(results),
        sections::slices(results),
        sections::robustness(results),
        sections::leakage(results),
        samples_section(results),
        sections::method(results),
    ]
    .into_iter()
    .filter(|section| !section.is_empty())
    .collect();
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"{}\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"referrer\" content=\"no-referrer\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <title>{} \u{b7} evaluation</title>\n<style>{STYLE}</style>\n</head>\n<body>\n\
         <a class=\"skip\" href=\"#samples\">Skip to the samples</a>\n<main>\n{}\n</main>\n\
         {data}<script>{SCRIPT}</script>\n</body>\n</html>\n",
        policy(STYLE, SCRIPT),
        escape::html(&results.task),
        body.join("\n"),
    )
}

fn header(results: &Results) -> String {
    let description = results
        .description
        .as_deref()
        .map(|text| format!("<p class=\"lead\">{}</p>", escape::html(text)))
        .unwrap_or_default();
    let systems = results.systems.len();
    format!(
        "<header><p class=\"eyebrow\">Evaluation</p><h1>{}</h1>{description}\
         <p class=\"facts\"><span>{} samples</span><span>{systems} system{}</span>\
         <span>95% intervals</span></p></header>",
        escape::html(&results.task),
        format::thousands(results.samples),
        if systems == 1 { "" } else { "s" },
    )
}

/// The frame of the sample table, which the script fills.
fn samples_section(results: &Results) -> String {
    if results.samples == 0 || results.systems.is_empty() {
        return String::new();
    }
    let options: String = results
        .systems
        .iter()
        .enumerate()
        .map(|(index, system)| {
            format!(
                "<option value=\"{index}\">{}</option>",
                escape::html(&system.name)
            )
        })
        .collect();
    format!(
        "<section id=\"samples\" tabindex=\"-1\"><h2>Samples</h2>\
         <noscript><p class=\"aside\">The sample table needs JavaScript; everything above does not.</p></noscript>\
         <form class=\"controls\" id=\"controls\" autocomplete=\"off\">\
         <label><span>Show</span><select id=\"filter\">\
         <option value=\"all\">all samples</option>\
         <option value=\"failures\">failures of the system</option>\
         <option value=\"right\">right answers of the system</option>\
         <option value=\"unjudged\">missing, cut off, refused or unparsable</option>\
         <option value=\"disagreements\">disagreements between systems</option>\
         <option value=\"all-wrong\">wrong for every system</option>\
         <option value=\"reviewed\">reviewed by people</option></select></label>\
         <label><span>System</span><select id=\"system\">{options}</select></label>\
         <label><span>Tag</span><select id=\"tag\"><option value=\"\">any</option></select></label>\
         <label class=\"grow\"><span>Search</span><input id=\"search\" type=\"search\" placeholder=\"text in prompt, target, answers or id\"></label>\
         </form><p id=\"count\" class=\"aside\" role=\"status\"></p>\
         <div class=\"scroll\"><table id=\"list\" class=\"samples\"><thead></thead><tbody></tbody></table></div>\
         <nav class=\"pager\" id=\"pager\" aria-label=\"Pages of samples\"><button type=\"button\" id=\"previous\">Previous</button>\
         <span id=\"page\"></span><button type=\"button\" id=\"next\">Next</button></nav>\
         <p class=\"aside keys\"><kbd>/</kbd> search, <kbd>j</kbd> <kbd>k</kbd> move, <kbd>Enter</kbd> open, \
         <kbd>[</kbd> <kbd>]</kbd> page, <kbd>Esc</kbd> close</p>\
         <dialog id=\"detail\" aria-label=\"Sample\"><div id=\"detail-body\"></div></dialog></section>"
    )
}

#[cfg(test)]
mod tests;
