//! Writes conversations to a Parquet file, reads them back, and says how fast that was:
//! `cargo run --release -p slm-table --example speed -- ROWS FILE`.

use std::path::Path;
use std::time::Instant;

use serde_json::json;
use slm_table::{Row, TableReader, TableWriter};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let rows: usize = arguments.next().ok_or("ROWS is missing")?.parse()?;
    let file = arguments.next().ok_or("FILE is missing")?;
    let path = Path::new(&file);
    let begun = Instant::now();
    let mut writer = TableWriter::create(path)?;
    for number in 0..rows {
        writer.write(&row(number))?;
    }
    writer.finish()?;
    let written = begun.elapsed().as_secs_f64();
    let begun = Instant::now();
    let mut read = 0;
    for (number, found) in TableReader::open(path)?.enumerate() {
        if found? != row(number) {
            return Err(format!("row {} came back as another", number + 1).into());
        }
        read += 1;
    }
    let read_seconds = begun.elapsed().as_secs_f64();
    println!(
        "{read} rows, {} bytes; {:.0} rows/s written, {:.0} rows/s read and compared",
        std::fs::metadata(path)?.len(),
        rows as f64 / written,
        rows as f64 / read_seconds
    );
    Ok(())
}

fn row(number: usize) -> Row {
    let question = format!(
        "Ticket {number}: the invoice {} is overdue",
        number * 7919 % 10_007
    );
    let answer = format!("{{\"category\":\"billing\",\"number\":{number}}}");
    let row = json!({
        "id": format!("row-{number}"),
        "messages": [
            {"role": "user", "content": question},
            {"role": "assistant", "content": answer},
        ],
        "metadata": json!({"leaf": "skills/triage", "seed": number % 50}).to_string(),
    });
    row.as_object().cloned().unwrap_or_default()
}
