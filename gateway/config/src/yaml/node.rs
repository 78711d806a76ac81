//! The tree of a YAML file, with positions. Scalars are typed on request.

use crate::problem::{Problem, SourceLocation};
use serde_json::{Number, Value};
use std::{path::Path, sync::Arc};

/// Line and column, from 1, and the file among those of a config.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) line: usize,
    pub(crate) column: usize,
    /// 0 for the config itself, else the number of an included file.
    pub(crate) file: u16,
}

impl Mark {
    /// `files` has the config and the files that it includes.
    pub(crate) fn place(self, files: &[Arc<Path>], path: &str) -> SourceLocation {
        let file = files.get(usize::from(self.file)).or(files.first());
        let file = file.map_or_else(|| Arc::from(Path::new("")), Arc::clone);
        SourceLocation { file, line: self.line, column: self.column, path: path.to_owned() }
    }
}

/// One value of the file.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) mark: Mark,
    pub(crate) kind: Kind,
}

#[derive(Clone, Debug)]
pub(crate) enum Kind {
    Scalar(Scalar),
    Sequence(Vec<Node>),
    Mapping(Vec<Entry>),
}

/// One member of a mapping; keys are unique within it.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) mark: Mark,
    pub(crate) value: Node,
}

/// A scalar's text, typed only on request: `master_key: 0123` must stay `0123`.
#[derive(Clone, Debug)]
pub(crate) struct Scalar {
    pub(crate) text: String,
    /// Neither quoted nor tagged as a string, so it may be something other than a string.
    pub(crate) plain: bool,
}

/// A scalar's type, read as YAML.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Typed<'a> {
    Null,
    Bool(bool),
    Number(Number),
    Text(&'a str),
}

/// A file's root, and warnings about it.
#[derive(Debug)]
pub(crate) struct Document {
    /// `None` for a file that contains only comments.
    pub(crate) root: Option<Node>,
    pub(crate) problems: Vec<Problem>,
}

impl Node {
    /// Says in which file of the config it is. Recursion is shallow, because the tree is bounded.
    pub(crate) fn is_in_file(&mut self, file: u16) {
        self.mark.file = file;
        match &mut self.kind {
            Kind::Scalar(_) => {}
            Kind::Sequence(items) => items.iter_mut().for_each(|item| item.is_in_file(file)),
            Kind::Mapping(entries) => entries.iter_mut().for_each(|entry| {
                entry.mark.file = file;
                entry.value.is_in_file(file);
            }),
        }
    }

    pub(crate) fn is_null(&self) -> bool {
        matches!(&self.kind, Kind::Scalar(scalar) if scalar.typed() == Typed::Null)
    }

    /// Whether its text means true, without expanding variables.
    pub(crate) fn is_true(&self) -> bool {
        matches!(&self.kind, Kind::Scalar(scalar) if scalar.typed() == Typed::Bool(true))
    }

    /// Whether its text means false, without expanding variables.
    pub(crate) fn is_false(&self) -> bool {
        matches!(&self.kind, Kind::Scalar(scalar) if scalar.typed() == Typed::Bool(false))
    }

    pub(crate) fn is_empty_list(&self) -> bool {
        matches!(&self.kind, Kind::Sequence(items) if items.is_empty())
    }

    /// The kind of the value, for `expected …, found …`. Never shows a value.
    pub(crate) fn describe(&self) -> &'static str {
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
    pub(crate) fn typed(&self) -> Typed<'_> {
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
