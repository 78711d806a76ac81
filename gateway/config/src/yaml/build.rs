//! Builds `Node`s from parser events, with its own stack instead of recursion. Aliases are replaced
//! by copies of their anchors, and merge keys are resolved when a mapping ends; both within a
//! budget.

use super::{
    flow_indent::Moved,
    node::{Document, Entry, Kind, Mark, Node, Scalar},
};
use crate::{
    problem::{Problem, SourceLocation},
    quote::quoted,
};
use saphyr_parser::{Event, Marker, Parser, ScalarStyle, ScanError, Span, Tag};
use std::{borrow::Cow, collections::HashMap, path::Path, slice, sync::Arc};

/// A config of a thousand deployments is well under 1 MiB.
const MAX_BYTES: usize = 4 << 20;
const MAX_DEPTH: usize = 64;
/// The most keys of one mapping; each is compared with those before it.
const MAX_KEYS: usize = 4096;
/// The bytes, roughly, that all aliases and merge keys together may copy.
const MAX_COPIED: usize = 16 << 20;

/// Parses one document. The error is a syntax error or an exceeded limit.
pub(crate) fn parse(file: &Arc<Path>, text: &str) -> Result<Document, Problem> {
    if text.len() > MAX_BYTES {
        let found = format!("expected at most {MAX_BYTES} bytes, found {}", text.len());
        return Err(Problem::error(SourceLocation::whole_file(file), found));
    }
    let end = end_of(text);
    let mut text = Cow::Borrowed(text.trim_start_matches('\u{feff}'));
    let mut moved = Moved::default();
    loop {
        match parse_once(file, &text, end, &moved)? {
            Ok(document) => return Ok(document),
            Err(error) if moved.moves(&mut text, &error) => {}
            Err(error) => return Err(syntax_error(file, &error, end, &moved)),
        }
    }
}

/// Parses the text from the start; an error of the parser may be one that `Moved` can avoid.
fn parse_once(
    file: &Arc<Path>,
    text: &str,
    end: Mark,
    moved: &Moved,
) -> Result<Result<Document, ScanError>, Problem> {
    let mut builder = Builder::new(file, end, moved);
    let mut parser = Parser::new_from_str(text);
    while let Some(event) = parser.next_event() {
        match event {
            Ok((event, span)) => builder.event(event, span)?,
            Err(error) => return Ok(Err(error)),
        }
    }
    Ok(Ok(Document { root: builder.root, problems: builder.problems }))
}

fn syntax_error(file: &Arc<Path>, error: &ScanError, end: Mark, moved: &Moved) -> Problem {
    let mark = moved.put_back(mark_of(error.marker(), end));
    let problem = Problem::error(
        mark.place(slice::from_ref(file), ""),
        format!("not valid YAML: {}", error.info()),
    );
    if error.info().contains("tab") {
        return problem.remedy("indent with spaces");
    }
    problem
}

/// The position as people count it. The parser counts one more line if the last one has no line
/// end.
fn mark_of(marker: &Marker, end: Mark) -> Mark {
    if marker.line() > end.line {
        return end;
    }
    Mark { line: marker.line(), column: marker.col() + 1, file: 0 }
}

/// The position after the last character.
fn end_of(text: &str) -> Mark {
    let breaks = text.bytes().filter(|byte| matches!(byte, b'\n' | b'\r')).count();
    let last = text.rsplit(['\n', '\r']).next().unwrap_or_default();
    Mark {
        line: 1 + breaks - text.matches("\r\n").count(),
        column: last.chars().count() + 1,
        file: 0,
    }
}

/// A finished node, and the cost of copying it.
#[derive(Clone)]
struct Built {
    node: Node,
    height: usize,
    weight: usize,
}

/// A collection that is still open.
struct OpenCollection {
    mark: Mark,
    anchor: usize,
    height: usize,
    weight: usize,
    content: Content,
}

enum Content {
    Sequence(Vec<Node>),
    /// The members so far, the merged ones, and the key whose value comes next.
    Mapping {
        entries: Vec<Entry>,
        merged: Vec<Entry>,
        key: Option<Key>,
    },
}

struct Key {
    text: String,
    mark: Mark,
    merge: bool,
}

struct Builder<'f> {
    file: &'f Arc<Path>,
    end: Mark,
    moved: &'f Moved,
    open: Vec<OpenCollection>,
    anchors: HashMap<usize, Built>,
    copied: usize,
    documents: usize,
    root: Option<Node>,
    problems: Vec<Problem>,
}

impl<'f> Builder<'f> {
    fn new(file: &'f Arc<Path>, end: Mark, moved: &'f Moved) -> Self {
        Self {
            file,
            end,
            moved,
            open: Vec::new(),
            anchors: HashMap::new(),
            copied: 0,
            documents: 0,
            root: None,
            problems: Vec::new(),
        }
    }

    fn event(&mut self, event: Event<'_>, span: Span) -> Result<(), Problem> {
        let mark = self.moved.put_back(mark_of(&span.start, self.end));
        match event {
            Event::DocumentStart(_) => self.start_document(mark),
            Event::Scalar(text, style, anchor, tag) => {
                let plain =
                    style == ScalarStyle::Plain && self.plain_by_tag(mark, tag.as_deref())?;
                let weight = 32 + text.len();
                let scalar = Scalar { text: text.into_owned(), plain };
                let node = Node { mark, kind: Kind::Scalar(scalar) };
                self.add(Built { node, height: 0, weight }, anchor)
            }
            Event::SequenceStart(anchor, tag) => {
                self.push(mark, anchor, tag.as_deref(), Content::Sequence(Vec::new()))
            }
            Event::MappingStart(anchor, tag) => {
                let content =
                    Content::Mapping { entries: Vec::new(), merged: Vec::new(), key: None };
                self.push(mark, anchor, tag.as_deref(), content)
            }
            Event::SequenceEnd | Event::MappingEnd => self.pop(),
            Event::Alias(anchor) => self.alias(mark, anchor),
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => Ok(()),
        }
    }

    fn start_document(&mut self, mark: Mark) -> Result<(), Problem> {
        self.documents += 1;
        if self.documents > 1 {
            let text = "expected one YAML document, found a second";
            return Err(self.error(mark, text).remedy("remove the `---` between them"));
        }
        Ok(())
    }

    /// Whether a plain scalar with this tag may be something other than a string.
    fn plain_by_tag(&self, mark: Mark, tag: Option<&Tag>) -> Result<bool, Problem> {
        match tag {
            None => Ok(true),
            Some(tag) if tag.is_yaml_core_schema() => Ok(tag.suffix != "str"),
            Some(tag) => Err(self.error(mark, format!("tags such as `{tag}` are not supported"))),
        }
    }

    fn push(
        &mut self,
        mark: Mark,
        anchor: usize,
        tag: Option<&Tag>,
        content: Content,
    ) -> Result<(), Problem> {
        self.plain_by_tag(mark, tag)?;
        if self.open.len() >= MAX_DEPTH {
            return Err(self.too_deep(mark));
        }
        self.open.push(OpenCollection { mark, anchor, height: 0, weight: 32, content });
        Ok(())
    }

    fn pop(&mut self) -> Result<(), Problem> {
        let Some(open) = self.open.pop() else { return Ok(()) };
        let kind = match open.content {
            Content::Sequence(items) => Kind::Sequence(items),
            Content::Mapping { mut entries, merged, .. } => {
                for entry in merged {
                    if !entries.iter().any(|own| own.key == entry.key) {
                        entries.push(entry);
                    }
                }
                Kind::Mapping(entries)
            }
        };
        let node = Node { mark: open.mark, kind };
        self.add(Built { node, height: open.height + 1, weight: open.weight }, open.anchor)
    }

    fn alias(&mut self, mark: Mark, anchor: usize) -> Result<(), Problem> {
        let Some(built) = self.anchors.get(&anchor) else {
            return Err(self.error(mark, "this alias is inside its own anchor"));
        };
        if self.open.len() + built.height > MAX_DEPTH {
            return Err(self.too_deep(mark));
        }
        let built = built.clone();
        self.spend(built.weight, mark)?;
        self.add(built, 0)
    }

    fn spend(&mut self, weight: usize, mark: Mark) -> Result<(), Problem> {
        self.copied += weight;
        if self.copied <= MAX_COPIED {
            return Ok(());
        }
        Err(self.error(mark, format!("aliases blow this file up beyond {MAX_COPIED} bytes")))
    }

    /// Adds a finished node under a key, as a key, to a list, or as the root.
    fn add(&mut self, built: Built, anchor: usize) -> Result<(), Problem> {
        if anchor > 0 {
            self.spend(built.weight, built.node.mark)?;
            self.anchors.insert(anchor, built.clone());
        }
        let Some(open) = self.open.last_mut() else {
            self.root = Some(built.node);
            return Ok(());
        };
        open.height = open.height.max(built.height);
        open.weight += built.weight;
        match &mut open.content {
            Content::Sequence(items) => items.push(built.node),
            Content::Mapping { entries, merged, key } => match key.take() {
                None if entries.len() >= MAX_KEYS => {
                    return Err(too_many_keys(self.file, &built.node));
                }
                None => *key = Some(as_key(self.file, built.node)?),
                Some(key) if key.merge => merge(self.file, merged, built.node)?,
                Some(key) => self.problems.extend(insert(self.file, entries, key, built.node)),
            },
        }
        Ok(())
    }

    fn too_deep(&self, mark: Mark) -> Problem {
        self.error(mark, format!("nested deeper than {MAX_DEPTH} levels"))
    }

    fn error(&self, mark: Mark, text: impl Into<String>) -> Problem {
        Problem::error(mark.place(slice::from_ref(self.file), ""), text)
    }
}

fn too_many_keys(file: &Arc<Path>, node: &Node) -> Problem {
    let text = format!("a mapping may hold at most {MAX_KEYS} keys");
    Problem::error(node.mark.place(slice::from_ref(file), ""), text)
}

fn as_key(file: &Arc<Path>, node: Node) -> Result<Key, Problem> {
    match node.kind {
        Kind::Scalar(scalar) => {
            let merge = scalar.plain && scalar.text == "<<";
            Ok(Key { text: scalar.text, mark: node.mark, merge })
        }
        Kind::Sequence(_) | Kind::Mapping(_) => {
            let text = format!("expected text as a key, found {}", node.describe());
            Err(Problem::error(node.mark.place(slice::from_ref(file), ""), text))
        }
    }
}

/// The last of several equal keys wins, as in other parsers, but with a warning.
fn insert(file: &Arc<Path>, entries: &mut Vec<Entry>, key: Key, value: Node) -> Option<Problem> {
    let entry = Entry { key: key.text, mark: key.mark, value };
    let Some(earlier) = entries.iter_mut().find(|earlier| earlier.key == entry.key) else {
        entries.push(entry);
        return None;
    };
    let text = format!(
        "`{}` was already given on line {}; this later one is used",
        quoted(&entry.key),
        earlier.mark.line
    );
    let problem = Problem::warning(entry.mark.place(slice::from_ref(file), ""), text)
        .remedy("remove one of them");
    *earlier = entry;
    Some(problem)
}

/// Of several merged mappings, the first that has a key wins.
fn merge(file: &Arc<Path>, merged: &mut Vec<Entry>, value: Node) -> Result<(), Problem> {
    let mark = value.mark;
    match value.kind {
        Kind::Mapping(entries) => {
            for entry in entries {
                if merged.len() < MAX_KEYS && !merged.iter().any(|earlier| earlier.key == entry.key)
                {
                    merged.push(entry);
                }
            }
            Ok(())
        }
        Kind::Sequence(items) if items.iter().all(|it| matches!(it.kind, Kind::Mapping(_))) => {
            items.into_iter().try_for_each(|item| merge(file, merged, item))
        }
        Kind::Sequence(_) | Kind::Scalar(_) => {
            let text = "expected a mapping or a list of mappings after `<<`";
            Err(Problem::error(mark.place(slice::from_ref(file), ""), text))
        }
    }
}
