//! Plain text tables, columns aligned. Used by the benchmark's report and the budget's.

use std::fmt::{self, Formatter};

/// Between two columns.
const GAP: &str = "  ";

/// The first column to the left, the others to the right.
pub(crate) fn table(formatter: &mut Formatter<'_>, rows: &[Vec<String>]) -> fmt::Result {
    let columns = rows.iter().map(Vec::len).max().unwrap_or_default();
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|text| text.chars().count()).max()
    };
    let widths: Vec<_> = (0..columns).map(|column| width(column).unwrap_or_default()).collect();
    for row in rows {
        for (column, (text, width)) in row.iter().zip(&widths).enumerate() {
            match column {
                0 => write!(formatter, "{GAP}{text:<width$}")?,
                _ => write!(formatter, "{GAP}{text:>width$}")?,
            }
        }
        writeln!(formatter)?;
    }
    Ok(())
}
