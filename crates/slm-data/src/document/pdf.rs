//! The text of a PDF file, page by page.
//!
//! Does not know layout: columns and tables come out as the file orders their words.

use super::fault;
use crate::error::Result;
use lopdf::Document;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

/// The most that one stream of a file may unpack to, in bytes.
const LARGEST_STREAM_BYTES: usize = 64 << 20;
/// The most text that is taken from a file, in bytes.
const LARGEST_TEXT_BYTES: usize = 64 << 20;

/// The text of all pages; `pages` gets the place where each begins.
pub(super) fn text(path: &Path, bytes: &[u8], pages: &mut Vec<usize>) -> Result<String> {
    // The library promises no panic; a file that finds one must not end the program.
    let read = catch_unwind(AssertUnwindSafe(|| extract(path, bytes)));
    let (text, starts) = read.unwrap_or_else(|_| Err(unsound(path, "its structure is damaged")))?;
    *pages = starts;
    Ok(text)
}

fn unsound(path: &Path, why: &str) -> crate::error::DataError {
    fault(
        path,
        format!("not a sound PDF file: {why}"),
        "open it in a viewer and save it anew, or give its text as .md or .txt",
    )
}

fn extract(path: &Path, bytes: &[u8]) -> Result<(String, Vec<usize>)> {
    let document = Document::load_mem(bytes).map_err(|e| unsound(path, &e.to_string()))?;
    if document.is_encrypted() {
        return Err(fault(
            path,
            "the PDF file is encrypted",
            "save it without a password, or give its text as .md or .txt",
        ));
    }
    let (mut text, mut starts) = (String::new(), Vec::new());
    for page in document.get_pages().into_keys() {
        let found = document
            .extract_text_with_limit(&[page], LARGEST_STREAM_BYTES)
            .map_err(|e| unsound(path, &format!("page {page}: {e}")))?;
        starts.push(text.len());
        for line in found.lines() {
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text.push('\n');
        if text.len() > LARGEST_TEXT_BYTES {
            return Err(unsound(
                path,
                "it unpacks to more text than a document can have",
            ));
        }
    }
    match starts.is_empty() {
        true => Err(unsound(path, "it has no pages")),
        false => Ok((text, starts)),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::from_bytes;
    use lopdf::content::{Content, Operation};
    use lopdf::{Document, Object, Stream, dictionary};
    use std::path::Path;

    /// A PDF file with one page per text.
    pub fn file(texts: &[&str]) -> Vec<u8> {
        let mut document = Document::with_version("1.5");
        let tree = document.new_object_id();
        let font = document.add_object(dictionary! {
            "Type" => "Font", "Subtype" => "Type1", "BaseFont" => "Courier",
        });
        let resources = document.add_object(dictionary! {"Font" => dictionary! {"F1" => font}});
        let mut kids = Vec::new();
        for text in texts {
            let operations = vec![
                Operation::new("BT", vec![]),
                Operation::new("Tf", vec!["F1".into(), 12.into()]),
                Operation::new("Td", vec![50.into(), 700.into()]),
                Operation::new("Tj", vec![Object::string_literal(*text)]),
                Operation::new("ET", vec![]),
            ];
            let content = Content { operations }.encode().unwrap();
            let content = document.add_object(Stream::new(dictionary! {}, content));
            let page = document.add_object(dictionary! {
                "Type" => "Page", "Parent" => tree, "Contents" => content,
            });
            kids.push(page.into());
        }
        let count = kids.len() as i64;
        let pages = dictionary! {
            "Type" => "Pages", "Kids" => kids, "Count" => count, "Resources" => resources,
            "MediaBox" => vec![0.into(), 0.into(), 595.into(), 842.into()],
        };
        document.objects.insert(tree, Object::Dictionary(pages));
        let catalog = document.add_object(dictionary! {"Type" => "Catalog", "Pages" => tree});
        document.trailer.set("Root", catalog);
        let mut bytes = Vec::new();
        document.save_to(&mut bytes).unwrap();
        bytes
    }

    #[test]
    fn pages_are_read_in_order() {
        let bytes = file(&["Phoenix is a constellation.", "It lies in the south."]);
        let document = from_bytes(Path::new("p.pdf"), bytes).unwrap();
        assert_eq!(document.pages.len(), 2);
        assert!(
            document.text.starts_with("Phoenix is a constellation."),
            "{}",
            document.text
        );
        assert!(document.text[document.pages[1]..].starts_with("It lies in the south."));
    }

    #[test]
    fn a_pdf_without_text_and_a_cut_one_are_errors() {
        let message = from_bytes(Path::new("scan.pdf"), file(&[""]))
            .unwrap_err()
            .to_string();
        assert!(
            message.contains("scan.pdf: the document holds no text") && message.contains("OCR"),
            "{message}"
        );
        let bytes = file(&["Phoenix is a constellation."]);
        for cut in (0..bytes.len()).step_by(97) {
            let mut short = bytes[..cut].to_vec();
            short.splice(0..0, (cut == 0).then_some(b'x'));
            // Whatever comes out, it is an error with the name or some text; never a panic.
            if let Err(error) = from_bytes(Path::new("cut.pdf"), short) {
                assert!(error.to_string().starts_with("cut.pdf: "), "{error}");
            }
        }
    }
}
