//! The YAML as a tree of spans: the start and end of each value in the text, with aliases
//! unresolved. The config's reader (`yaml`) resolves them and keeps only where values begin.

use saphyr_parser::{Event, Parser, ScalarStyle, Span};

/// One value and its span, in bytes.
#[derive(Debug)]
pub(super) struct Spanned {
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) shape: NodeShape,
    /// It has an anchor or a tag, or is an alias.
    pub(super) is_marked: bool,
}

#[derive(Debug)]
pub(super) enum NodeShape {
    Scalar(String),
    Sequence(Vec<Spanned>),
    Mapping(Vec<(Spanned, Spanned)>),
    Alias,
}

impl Spanned {
    /// The value of a key; of duplicates the last, as in the config's reader.
    pub(super) fn member(&self, name: &str) -> Option<&Self> {
        self.pair(name).map(|(_, value)| value)
    }

    /// The key and value of a member.
    pub(super) fn pair(&self, name: &str) -> Option<(&Self, &Self)> {
        let NodeShape::Mapping(members) = &self.shape else { return None };
        let found = members.iter().rev().find(|(key, _)| key.text() == Some(name));
        found.map(|(key, value)| (key, value))
    }

    pub(super) fn text(&self) -> Option<&str> {
        match &self.shape {
            NodeShape::Scalar(text) => Some(text),
            _ => None,
        }
    }

    /// Whether a collection is written with brackets.
    pub(super) fn is_flow(&self, text: &str) -> bool {
        text.get(self.start..).is_some_and(|rest| rest.starts_with(['[', '{']))
    }

    /// The text of a value, if it is on one line.
    pub(super) fn source<'t>(&self, text: &'t str) -> Option<&'t str> {
        let source = text.get(self.start..self.end)?;
        (!source.is_empty() && !source.contains('\n')).then_some(source)
    }
}

/// A collection that is still open.
struct OpenCollection {
    start: usize,
    is_marked: bool,
    is_mapping: bool,
    items: Vec<Spanned>,
}

/// The tree of the first document; `None` if there is none. `yaml` has already read the config and
/// enforced its limits.
pub(super) fn read(text: &str) -> Result<Option<Spanned>, String> {
    let plain = text.trim_start_matches('\u{feff}');
    let mark = text.len() - plain.len();
    let offsets: Vec<usize> =
        plain.char_indices().map(|(at, _)| at + mark).chain([text.len()]).collect();
    let byte = |index: usize| offsets.get(index).copied().unwrap_or(text.len());
    let (mut open, mut root): (Vec<OpenCollection>, _) = (Vec::new(), None);
    let mut parser = Parser::new_from_str(plain);
    while let Some(event) = parser.next_event() {
        let (event, span) = event.map_err(|error| error.to_string())?;
        let Some(done) = step(event, span, &byte, &mut open, text) else { continue };
        match open.last_mut() {
            Some(parent) => parent.items.push(done),
            None => root = root.or(Some(done)),
        }
    }
    Ok(root)
}

fn step(
    event: Event<'_>,
    span: Span,
    byte: &dyn Fn(usize) -> usize,
    open: &mut Vec<OpenCollection>,
    text: &str,
) -> Option<Spanned> {
    let (start, end) = (byte(span.start.index()), byte(span.end.index()));
    let mut begin = |anchor: usize, tagged: bool, is_mapping| {
        open.push(OpenCollection {
            start,
            is_marked: anchor > 0 || tagged,
            is_mapping,
            items: Vec::new(),
        });
        None
    };
    match event {
        Event::SequenceStart(anchor, tag) => begin(anchor, tag.is_some(), false),
        Event::MappingStart(anchor, tag) => begin(anchor, tag.is_some(), true),
        Event::SequenceEnd | Event::MappingEnd => open.pop().map(|done| done.close(end)),
        Event::Alias(_) => Some(Spanned { start, end, shape: NodeShape::Alias, is_marked: true }),
        Event::Scalar(value, style, anchor, tag) => {
            let written = text.get(start..end).unwrap_or_default();
            // A plain scalar's span may include blanks after it.
            let end =
                if style == ScalarStyle::Plain { start + written.trim_end().len() } else { end };
            let is_marked = anchor > 0 || tag.is_some();
            let shape = NodeShape::Scalar(value.into_owned());
            Some(Spanned { start, end, shape, is_marked })
        }
        _ => None,
    }
}

impl OpenCollection {
    fn close(self, end: usize) -> Spanned {
        let Self { start, is_marked, is_mapping, items } = self;
        let shape = if is_mapping {
            let (mut members, mut items) = (Vec::new(), items.into_iter());
            while let (Some(key), Some(value)) = (items.next(), items.next()) {
                members.push((key, value));
            }
            NodeShape::Mapping(members)
        } else {
            NodeShape::Sequence(items)
        };
        Spanned { start, end, shape, is_marked }
    }
}
