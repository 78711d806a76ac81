//! Applies a rule to a whole text, or to the pieces of a streamed text.

use crate::{denial::Denial, growth::with_spare, prefix::open_end, preset::Preset};
use plugin_api::limits;
use regex_automata::{Input, meta};
use regex_syntax::{ParserBuilder, hir::Hir};
use std::fmt;

/// The memory limit for a compiled expression. A rule has up to two.
const SIZE_LIMIT: usize = 4 << 20;

/// The memory limit for the cache of one expression's search.
const CACHE_LIMIT: usize = 2 << 20;

/// How deep an expression may nest, because compiling it recurses.
const NEST_LIMIT: u32 = 100;

/// A compiled rule.
#[derive(Debug)]
pub(crate) struct Rule {
    found: meta::Regex,
    /// For streamed text: finds where a match may have begun, see [`open_end`].
    open: Option<meta::Regex>,
    /// The length of the longest match, in bytes; `usize::MAX` if it is unbounded.
    longest: usize,
    preset: Option<Preset>,
    action: Action,
}

/// What to do with a match.
#[derive(Debug, Clone)]
pub(crate) enum Action {
    Deny(Denial),
    Mask(String),
}

/// The text of a stream that a rule holds back.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct KeptText {
    /// The character before `text`, for patterns that look behind. It was sent already.
    pub(crate) before: Option<char>,
    /// The text that could still become a match.
    pub(crate) text: String,
}

/// A pattern that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum PatternError {
    Syntax(String),
    Empty,
    TooLong { longest: Option<usize>, hold_back: usize },
    TooLarge,
}

impl fmt::Display for PatternError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Syntax(why) => write!(out, "expected a regular expression: {why}"),
            Self::Empty => out.write_str(
                "expected a pattern that matches at least one character, found one that matches \
                 empty text; write `+` for `*`",
            ),
            Self::TooLong { longest, hold_back } => {
                write!(
                    out,
                    "expected a pattern for replies whose matches have at most `hold_back` \
                     ({hold_back}) bytes, found one "
                )?;
                match longest {
                    Some(longest) => write!(out, "of up to {longest} bytes")?,
                    None => out.write_str("without a bound")?,
                }
                out.write_str(
                    "; bound its repetitions (`{1,64}` for `+`), use `(?-u:\\w)` for ASCII alone, \
                     raise `hold_back`, or write `on: [prompt]`",
                )
            }
            Self::TooLarge => write!(
                out,
                "expected a pattern that compiles to at most {SIZE_LIMIT} bytes, found a larger \
                 one; make its repetitions shorter or use `(?-u:…)` for ASCII alone"
            ),
        }
    }
}

impl std::error::Error for PatternError {}

impl Rule {
    /// Compiles a rule. `hold_back` limits its matches in streams; it is `None` for a rule that
    /// sees whole texts only.
    pub(crate) fn new(
        pattern: &str,
        preset: Option<Preset>,
        action: Action,
        hold_back: Option<usize>,
    ) -> Result<Self, PatternError> {
        let mut parser = ParserBuilder::new().nest_limit(NEST_LIMIT).build();
        let hir = parser.parse(pattern).map_err(|error| PatternError::Syntax(reason(&error)))?;
        if hir.properties().minimum_len() == Some(0) {
            return Err(PatternError::Empty);
        }
        let longest = hir.properties().maximum_len();
        let open = match hold_back {
            None => None,
            Some(hold_back) if longest.is_none_or(|longest| longest > hold_back) => {
                return Err(PatternError::TooLong { longest, hold_back });
            }
            Some(_) => Some(compiled(&open_end(&hir))?),
        };
        let longest = longest.unwrap_or(usize::MAX);
        Ok(Self { found: compiled(&hir)?, open, longest, preset, action })
    }

    /// Returns a whole text with its matches masked, in at most `room` bytes, or `None` if there
    /// are no matches.
    pub(crate) fn whole(&self, text: &str, room: usize) -> Result<Option<String>, Denial> {
        if self.found.find(text).is_none() {
            return Ok(None);
        }
        let mut out = String::with_capacity(with_spare(text.len()));
        self.cut(text, 0, true, (&mut out, room))?;
        Ok((out != text).then_some(out))
    }

    /// Returns whether a match spans one of these places, which are in order.
    pub(crate) fn finds_over(&self, text: &str, places: &[usize]) -> bool {
        let mut from = 0;
        while let Some((begin, end)) = self.find(text, from, text.len()) {
            let next = places.partition_point(|place| *place <= begin);
            if places.get(next).is_some_and(|place| *place < end) {
                return true;
            }
            from = end;
        }
        false
    }

    /// Returns the error of a rule that denies.
    pub(crate) fn denial(&self) -> Option<Denial> {
        match &self.action {
            Action::Deny(denial) => Some(denial.clone()),
            Action::Mask(_) => None,
        }
    }

    /// Takes the next piece of a text. Returns the part that can be sent, masked, or all of it if
    /// `last`.
    pub(crate) fn next(
        &self,
        kept: &mut KeptText,
        piece: &str,
        last: bool,
    ) -> Result<String, Denial> {
        let mut text = String::with_capacity(kept.text.len() + piece.len() + 4);
        text.extend(kept.before);
        let start = text.len();
        text.push_str(&kept.text);
        text.push_str(piece);
        let mut out = String::with_capacity(text.len());
        let end = self.cut(&text, start, last, (&mut out, limits::ANSWER))?;
        let (gone, rest) = text.split_at(end);
        *kept = KeptText { before: gone.chars().next_back(), text: rest.to_owned() };
        Ok(out)
    }

    /// Writes `text[start..]` to `out`, masked, up to the place where a match may have begun, and
    /// returns that place. The text before `start` is only for patterns that look behind. `room` is
    /// the maximum length of `out`.
    fn cut(
        &self,
        text: &str,
        start: usize,
        last: bool,
        (out, room): (&mut String, usize),
    ) -> Result<usize, Denial> {
        let mut from = start;
        loop {
            let end = if last { text.len() } else { self.open_from(text, from) };
            let Some((begin, stop)) = self.find(text, from, end) else {
                if end - from > room.saturating_sub(out.len()) {
                    return Err(Denial::too_large());
                }
                out.push_str(&text[from..end]);
                return Ok(end);
            };
            match &self.action {
                Action::Deny(denial) => return Err(denial.clone()),
                Action::Mask(replacement) => {
                    out.push_str(&text[from..begin]);
                    out.push_str(replacement);
                    if out.len() > room {
                        return Err(Denial::too_large());
                    }
                }
            }
            from = stop;
        }
    }

    /// Returns the first match that begins in `from..end`. Later text cannot change it, because no
    /// match that begins before `end` is still open.
    fn find(&self, text: &str, mut from: usize, end: usize) -> Option<(usize, usize)> {
        loop {
            let found = self.found.search(&Input::new(text).range(from..))?;
            if found.start() >= end {
                return None;
            }
            let meant =
                self.preset.map_or(found.len(), |preset| preset.meant(&text[found.range()]));
            if meant > 0 {
                return Some((found.start(), found.start() + meant));
            }
            from = found.start() + text[found.start()..].chars().next().map_or(1, char::len_utf8);
        }
    }

    /// Returns the first place where a match may have begun that later text completes.
    fn open_from(&self, text: &str, from: usize) -> usize {
        let Some(open) = &self.open else { return text.len() };
        let mut reach = text.len().saturating_sub(self.longest).max(from);
        while !text.is_char_boundary(reach) {
            reach += 1;
        }
        open.search(&Input::new(text).range(reach..)).map_or(text.len(), |found| found.start())
    }
}

fn compiled(hir: &Hir) -> Result<meta::Regex, PatternError> {
    let limits = meta::Config::new()
        .nfa_size_limit(Some(SIZE_LIMIT))
        .hybrid_cache_capacity(CACHE_LIMIT)
        .utf8_empty(true);
    let built = meta::Builder::new().configure(limits).build_from_hir(hir);
    built.map_err(|_| PatternError::TooLarge)
}

/// Returns the parser's reason on one line. Its own text has several, with a drawing.
fn reason(error: &regex_syntax::Error) -> String {
    match error {
        regex_syntax::Error::Parse(error) => {
            format!("{} at character {}", error.kind(), error.span().start.column)
        }
        regex_syntax::Error::Translate(error) => {
            format!("{} at character {}", error.kind(), error.span().start.column)
        }
        _ => "it cannot be read".to_owned(),
    }
}
