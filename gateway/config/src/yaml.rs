//! Parses YAML text into a tree with positions. Positions, anchors, aliases and merge keys come
//! from `saphyr-parser`'s events; `serde_yaml` decides the type of a plain scalar, with YAML 1.1's
//! `yes`/`no`/`on`/`off` in addition, as LiteLLM configs expect. Limits on size, depth and alias
//! expansion stop hostile files. `config::load` calls it; the meaning of keys is not known here.

use std::path::Path;
use std::sync::Arc;

use serde_json::{Number, Value};

use super::problem::{Problem, SourceLocation};

mod build;
#[cfg(test)]
mod tests;

/// Line and column, from 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) line: usize,
    pub(super) column: usize,
}

impl Mark {
    pub(super) fn place(self, file: &Arc<Path>, path: &str) -> SourceLocation {
        let file = Arc::clone(file);
        SourceLocation { file, line: self.line, column: self.column, path: path.to_owned() }
    }
}

/// One value of the file.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) mark: Mark,
    pub(super) kind: Kind,
}

#[derive(Clone, Debug)]
pub(super) enum Kind {
    Scalar(Scalar),
    Sequence(Vec<Node>),
    Mapping(Vec<Entry>),
}

/// One member of a mapping; keys are unique within it.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) mark: Mark,
    pub(super) value: Node,
}

/// A scalar's text, typed only on request: `master_key: 0123` must stay `0123`.
#[derive(Clone, Debug)]
pub(super) struct Scalar {
    pub(super) text: String,
    /// Neither quoted nor tagged as a string, so it may be something other than a string.
    pub(super) plain: bool,
}

/// A scalar's type, read as YAML.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Typed<'a> {
    Null,
    Bool(bool),
    Number(Number),
    Text(&'a str),
}

/// A file's root, and warnings about it.
#[derive(Debug)]
pub(super) struct Document {
    /// `None` for a file that contains only comments.
    pub(super) root: Option<Node>,
    pub(super) problems: Vec<Problem>,
}

/// Parses one document. The error is a syntax error or an exceeded limit.
pub(super) fn parse(file: &Arc<Path>, text: &str) -> Result<Document, Problem> {
    build::document(file, text)
}

impl Node {
    pub(super) fn is_null(&self) -> bool {
        matches!(&self.kind, Kind::Scalar(scalar) if scalar.typed() == Typed::Null)
    }

    /// Whether its text means true, without expanding variables.
    pub(super) fn is_true(&self) -> bool {
        matches!(&self.kind, Kind::Scalar(scalar) if scalar.typed() == Typed::Bool(true))
    }

    /// Whether its text means false, without expanding variables.
    pub(super) fn is_false(&self) -> bool {
        matches!(&self.kind, Kind::Scalar(scalar) if scalar.typed() == Typed::Bool(false))
    }

    pub(super) fn is_empty_list(&self) -> bool {
        matches!(&self.kind, Kind::Sequence(items) if items.is_empty())
    }

    /// The kind of the value, for `expected …, found …`. Never shows a value.
    pub(super) fn describe(&self) -> &'static str {
        match &self.kind {
            Kind::Sequence(_) => "a list",
            Kind::Mapping(_) => "a mapping",
            Kind::Scalar(scalar) => match scalar.typed() {
                Typed::Null => "nothing",
                Typed::Bool(_) => "a boolean",
                Typed::Number(_) => "a number",
                Typed::Text(_) => "text",
            },
        }
    }
}

impl Scalar {
    pub(super) fn typed(&self) -> Typed<'_> {
        if !self.plain {
            return Typed::Text(&self.text);
        }
        match self.text.as_str() {
            "yes" | "Yes" | "YES" | "on" | "On" | "ON" => return Typed::Bool(true),
            "no" | "No" | "NO" | "off" | "Off" | "OFF" => return Typed::Bool(false),
            "" => return Typed::Null,
            _ => {}
        }
        // Text that starts otherwise, or is longer than any number, is always a string; and `--- 5`
        // would be parsed as a new document.
        let may_be_typed = self.text.len() <= 64
            && !self.text.starts_with("--")
            && self.text.starts_with(|c: char| c.is_ascii_digit() || "+-.~nNtTfF".contains(c));
        if !may_be_typed {
            return Typed::Text(&self.text);
        }
        match serde_yaml::from_str::<Value>(&self.text) {
            Ok(Value::Null)
                if !self.text.starts_with('.') && !self.text.starts_with(['+', '-']) =>
            {
                Typed::Null
            }
            Ok(Value::Bool(truth)) => Typed::Bool(truth),
            Ok(Value::Number(number)) => Typed::Number(number),
            _ => Typed::Text(&self.text),
        }
    }
}
