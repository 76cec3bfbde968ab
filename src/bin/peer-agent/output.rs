//! Prints on stdout.

use std::io::{self, Write};

use serde::Serialize;

/// Prints a line.
pub(crate) fn line(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{text}")
}

/// Prints a value as one line of JSON.
pub(crate) fn json(value: &impl Serialize) -> io::Result<()> {
    line(&serde_json::to_string(value)?)
}

/// Prints rows in columns that fit their widest cell.
pub(crate) fn table<const COLUMNS: usize>(
    titles: [&str; COLUMNS],
    rows: &[[String; COLUMNS]],
) -> io::Result<()> {
    let widths: [usize; COLUMNS] = std::array::from_fn(|index| {
        let cells = rows.iter().map(|row| row[index].chars().count());
        cells.max().unwrap_or(0).max(titles[index].len())
    });
    let mut stdout = io::stdout().lock();
    let titles = titles.map(str::to_owned);
    for row in std::iter::once(&titles).chain(rows) {
        let mut text = String::new();
        for (cell, width) in row.iter().zip(widths) {
            text.push_str(&format!("{cell:width$}  "));
        }
        writeln!(stdout, "{}", text.trim_end())?;
    }
    Ok(())
}

/// The cell for an optional value: `-` for `None`.
pub(crate) fn or_dash(text: Option<&String>) -> String {
    text.map_or_else(|| "-".to_owned(), Clone::clone)
}
