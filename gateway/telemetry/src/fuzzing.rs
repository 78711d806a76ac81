//! Log lines, for fuzz targets.

use super::{
    escape::{cut, one_line},
    line,
};
use std::time::UNIX_EPOCH;
use tracing::Level;

/// A line in each format, with this message and a field with this text.
#[must_use]
pub fn lines(message: &str, field: &str) -> [Vec<u8>; 2] {
    let (mut json, mut pretty) = (Vec::new(), Vec::new());
    let fields = [("field", field)];
    line::plain_json((Level::INFO, "fuzz"), message, &fields, UNIX_EPOCH, &mut json);
    line::plain_pretty(Level::INFO, message, &fields, (UNIX_EPOCH, false), &mut pretty);
    [json, pretty]
}

/// The text as a line shows it, and its first characters.
#[must_use]
pub fn shown(text: &str, most: usize) -> [String; 2] {
    [one_line(text).into_owned(), cut(text, most).into_owned()]
}
