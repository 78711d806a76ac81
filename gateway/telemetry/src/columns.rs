//! Text in columns, for people: output of the tools, and the callbacks at startup.

/// Rows below their headings, with two spaces between columns; ends with a newline.
pub fn table<const N: usize>(headings: [&str; N], rows: &[[String; N]]) -> String {
    let headings = headings.map(str::to_owned);
    let lines = || std::iter::once(&headings).chain(rows);
    let widths: [usize; N] = std::array::from_fn(|column| {
        lines().map(|line| line[column].chars().count()).max().unwrap_or_default()
    });
    let mut text = String::new();
    for line in lines() {
        let cells = line.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}"));
        text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        text.push('\n');
    }
    text
}

/// `name  value` lines, the values aligned; lines without a value are left out.
pub fn facts(lines: &[(&str, Option<String>)]) -> String {
    let there = || lines.iter().filter_map(|(name, value)| Some((*name, value.as_ref()?)));
    let width = there().map(|(name, _)| name.chars().count()).max().unwrap_or_default();
    there().map(|(name, value)| format!("{name:<width$}  {value}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::{facts, table};

    #[test]
    fn columns_are_aligned() {
        let rows = [["ä".to_owned(), "long".to_owned()], ["bcd".to_owned(), String::new()]];
        assert_eq!(table(["x", "y"], &rows), "x    y\nä    long\nbcd\n");
        let lines = [("a", Some("1".to_owned())), ("bcd", None), ("ef", Some("2".to_owned()))];
        assert_eq!(facts(&lines), "a   1\nef  2\n");
    }
}
