//! Reads a report's data back from its HTML, and puts reviews into it.

use serde::de::DeserializeOwned;

use super::packed::Packed;
use super::{Embedded, RESULTS, REVIEWS, SAMPLES, opening, reviews_block};
use crate::error::EvalError;
use crate::review::{Review, Reviews};

/// How our pages begin.
const PAGE: &str = "<!doctype html>\n";

/// Reads results, samples and reviews back from a report's HTML.
///
/// # Errors
/// A file that is no report, was cut off, was damaged, or is of another version.
pub fn extract(html: &str) -> Result<Embedded, EvalError> {
    let results = parsed(html, RESULTS, "results")?;
    let packed: Packed = parsed(html, SAMPLES, "samples")?;
    let reviews: Vec<Review> = parsed(html, REVIEWS, "reviews")?;
    let mut known = Reviews::default();
    known.extend(reviews);
    Ok(Embedded {
        results,
        samples: packed
            .unpack()
            .map_err(|error| unreadable("samples", error))?,
        reviews: known,
    })
}

fn parsed<T: DeserializeOwned>(html: &str, id: &str, what: &str) -> Result<T, EvalError> {
    serde_json::from_str(block(html, id)?).map_err(|error| unreadable(what, error))
}

fn unreadable(what: &str, error: impl std::fmt::Display) -> EvalError {
    EvalError::invalid(
        format!("the report's {what} cannot be read: {error}"),
        "the file is damaged or was made by another version; make it again with `slm eval report`",
    )
}

/// The report with these reviews in place of those that it holds.
///
/// # Errors
/// A file that is no report, was cut off, or is of a version without reviews.
pub fn with_reviews(html: &str, reviews: &Reviews) -> Result<String, EvalError> {
    let old = block(html, REVIEWS)?;
    let start = old.as_ptr() as usize - html.as_ptr() as usize;
    Ok(format!(
        "{}{}{}",
        &html[..start],
        reviews_block(reviews),
        &html[start + old.len()..]
    ))
}

fn block<'a>(html: &'a str, id: &str) -> Result<&'a str, EvalError> {
    let opening = opening(id);
    let Some(start) = html.find(&opening).map(|at| at + opening.len()) else {
        return Err(match id {
            RESULTS if !is_half_a_page(html) => EvalError::invalid(
                "this file holds no evaluation results",
                "give a report.html that `slm eval` wrote, or its results.json",
            ),
            _ => cut_off(),
        });
    };
    html[start..]
        .find("</script>")
        .map(|length| &html[start..start + length])
        .ok_or_else(cut_off)
}

fn is_half_a_page(html: &str) -> bool {
    html.starts_with(PAGE) && !html.trim_end().ends_with("</html>")
}

fn cut_off() -> EvalError {
    EvalError::invalid(
        "the report is cut off: its data does not end",
        "copy it again, or make it again with `slm eval report`",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_report_or_half_of_one_is_told() {
        let error = extract("<html></html>").unwrap_err().to_string();
        assert!(error.contains("no evaluation results"), "{error}");
        let error = extract("<!doctype html>\n<html><head>")
            .unwrap_err()
            .to_string();
        assert!(error.contains("cut off"), "{error}");
        let half = "<script type=\"application/json\" id=\"slm-results\">{\"task\":";
        let error = extract(half).unwrap_err().to_string();
        assert!(error.contains("cut off"), "{error}");
    }
}
