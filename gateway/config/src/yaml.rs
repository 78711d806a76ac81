//! YAML text → a tree that remembers where everything stands. Positions, anchors, aliases and merge
//! keys come from `saphyr-parser`'s events; what type a plain scalar has is `serde_yaml`'s answer,
//! with YAML 1.1's `yes`/`no`/`on`/`off` on top, as the configs of the field expect.
//! Hostile files are bounded: size, depth, and what aliases blow up to. `config::load` calls it;
//! what the keys mean is not known here.

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

/// A scalar's text, typed only when asked: `master_key: 0123` must stay `0123`.
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

/// A file's root and what was odd about it.
#[derive(Debug)]
pub(super) struct Document {
    /// `None` for a file that holds nothing but comments.
    pub(super) root: Option<Node>,
    pub(super) problems: Vec<Problem>,
}

/// Parses one document. The error is the syntax error, or the bound that was met.
pub(super) fn parse(file: &Arc<Path>, text: &str) -> Result<Document, Problem> {
    build::document(file, text)
}

impl Node {
    pub(super) fn is_null(&self) -> bool {
        matches!(&self.kind, Kind::Scalar(scalar) if scalar.typed() == Typed::Null)
    }

    /// Whether it reads as true without looking at variables.
    pub(super) fn is_true(&self) -> bool {
        matches!(&self.kind, Kind::Scalar(scalar) if scalar.typed() == Typed::Bool(true))
    }

    /// Whether it reads as false without looking at variables.
    pub(super) fn is_false(&self) -> bool {
        matches!(&self.kind, Kind::Scalar(scalar) if scalar.typed() == Typed::Bool(false))
    }

    pub(super) fn is_empty_list(&self) -> bool {
        matches!(&self.kind, Kind::Sequence(items) if items.is_empty())
    }

    /// What this is, for `expected …, found …`. Never shows a value.
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
        // Nothing that starts otherwise, or is longer than any number, has a type of its own; and
        // `--- 5` would be read as a document of its own.
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
