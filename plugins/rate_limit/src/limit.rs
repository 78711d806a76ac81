//! One limit: which calls it takes in, and in which window each of them counts.

use crate::{pattern::Pattern, subjects::Subjects};
use plugin_api::CallView;
use std::{fmt, time::Duration};

/// What of a call a limit counts by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Subject {
    Provider,
    Model,
    Key,
}

/// A budget of calls.
#[derive(Debug)]
pub(crate) struct Limit {
    pub(crate) subject: Subject,
    pub(crate) pattern: Pattern,
    pub(crate) requests: u64,
    pub(crate) per: Duration,
    pub(crate) message: Option<String>,
    /// The window of everything the pattern takes in, made from the settings alone and without
    /// `requests`, so that a reload that changes only the number goes on with the same window.
    window: String,
    /// The windows of `each: true`.
    each: Option<Subjects>,
}

/// Which of a limit's windows: its own, or the one of a subject.
pub(crate) type WindowIndex = u16;

/// The limit's own window.
const OWN: WindowIndex = WindowIndex::MAX;

impl Limit {
    pub(crate) fn new(
        subject: Subject,
        pattern: Pattern,
        requests: u64,
        per: Duration,
        each: bool,
    ) -> Self {
        let window = format!("{subject} {pattern} {} ms", per.as_millis());
        let each = each.then(|| Subjects::new(&window));
        Self { subject, pattern, requests, per, message: None, window, each }
    }

    /// The window a call counts in; `None` when the limit does not take it in. Allocates only when
    /// a subject of an `each` limit is seen for the first time.
    pub(crate) fn window(&self, call: &CallView<'_>) -> Option<WindowIndex> {
        let subject = match self.subject {
            Subject::Provider => call.provider()?,
            Subject::Model => call.model(),
            Subject::Key => call.key_id(),
        };
        if !self.pattern.takes_in(subject) {
            return None;
        }
        match &self.each {
            None => Some(OWN),
            Some(_) if call.provider().is_none() => None,
            Some(subjects) => Some(subjects.index(subject).unwrap_or(OWN)),
        }
    }

    /// The name of a window this limit returned.
    pub(crate) fn name(&self, window: WindowIndex) -> &str {
        let of_subject = self.each.as_ref().and_then(|subjects| subjects.window(window));
        of_subject.unwrap_or(&self.window)
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Provider => "provider",
            Self::Model => "model",
            Self::Key => "key",
        })
    }
}

/// As a client reads it: `90 requests per 60 s for provider groq`.
impl fmt::Display for Limit {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { subject, pattern, requests, per, .. } = self;
        let noun = if *requests == 1 { "request" } else { "requests" };
        write!(out, "{requests} {noun} per {} s for ", per.as_secs_f64())?;
        if self.each.is_some() {
            return write!(out, "each {subject} of `{pattern}`");
        }
        write!(out, "{subject} `{pattern}`")
    }
}
