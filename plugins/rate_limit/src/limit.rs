//! A limit: which calls it applies to, and in which window each of them counts.

use crate::windows_by_key::{KeyName, WindowIndex, WindowsByKey};
use plugin_api::{Admission, CallView, Clock, Counters, Pattern, in_lower_case};
use std::{fmt, time::Duration};

/// The property of a call that a limit counts by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum LimitKey {
    Provider,
    Model,
    Key,
}

/// A limit.
#[derive(Debug)]
pub(crate) struct Limit {
    pub(crate) subject: LimitKey,
    pub(crate) pattern: Pattern,
    pub(crate) requests: u64,
    pub(crate) per: Duration,
    pub(crate) message: Option<String>,
    /// The window's name. It is made from the settings without `requests`, so that a new instance
    /// finds the same window even if the number has changed.
    window: String,
    /// The windows of `each: true`.
    each: Option<WindowsByKey>,
}

/// The limit's own window.
const OWN: WindowIndex = WindowIndex::MAX;

impl Limit {
    pub(crate) fn new(
        subject: LimitKey,
        pattern: Pattern,
        requests: u64,
        per: Duration,
        each: bool,
    ) -> Self {
        let window = format!("{subject} {pattern} {} ms", per.as_millis());
        let each = each.then(|| WindowsByKey::new(&window, per));
        Self { subject, pattern, requests, per, message: None, window, each }
    }

    /// Takes a place, or returns `None` if the limit does not apply to the call. Allocates only if
    /// a subject of an `each` limit is new, or a model's name has capitals.
    pub(crate) fn admit(
        &self,
        call: &CallView<'_>,
        counters: Counters,
        clock: Clock,
    ) -> Option<(WindowIndex, Admission)> {
        let name = match self.subject {
            LimitKey::Provider => call.provider()?,
            LimitKey::Key => call.key_id(),
            LimitKey::Model => return self.admit_model(call, counters, clock),
        };
        if !self.pattern.matches(name) {
            return None;
        }
        self.count(call, &KeyName::certain(name), counters, clock)
    }

    /// Takes a place for a model. A model counts by its public name, so that all spellings of it
    /// share a budget. The pattern may also match the requested name, or the wildcard that serves
    /// it.
    fn admit_model(
        &self,
        call: &CallView<'_>,
        counters: Counters,
        clock: Clock,
    ) -> Option<(WindowIndex, Admission)> {
        let public = in_lower_case(call.public_model());
        let group = call.model_group().map(in_lower_case);
        let matches = |name: &str| self.pattern.matches(name);
        if !matches(&public)
            && !group.as_deref().is_some_and(matches)
            && !matches(&in_lower_case(call.model()))
        {
            return None;
        }
        let wildcard = group.as_deref().filter(|group| group.contains('*'));
        self.count(call, &KeyName { name: &public, made_up: wildcard }, counters, clock)
    }

    fn count(
        &self,
        call: &CallView<'_>,
        subject: &KeyName<'_>,
        counters: Counters,
        clock: Clock,
    ) -> Option<(WindowIndex, Admission)> {
        let ask = |window: &str| counters.admit(window, self.requests, self.per);
        let Some(subjects) = &self.each else { return Some((OWN, ask(&self.window))) };
        // Validation refuses a call that nothing serves.
        call.provider()?;
        let found = subjects.of(subject, clock.monotonic(), |index, window| (index, ask(window)));
        Some(found.unwrap_or_else(|| (OWN, ask(&self.window))))
    }

    /// Gives a place back.
    pub(crate) fn release(&self, window: WindowIndex, ticket: u64, counters: Counters) {
        match (&self.each, window) {
            (Some(subjects), index) if index != OWN => {
                subjects.at(index, |window| counters.release(window, ticket));
            }
            _ => counters.release(&self.window, ticket),
        }
    }
}

impl fmt::Display for LimitKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Provider => "provider",
            Self::Model => "model",
            Self::Key => "key",
        })
    }
}

impl Limit {
    /// Returns the verb for a sentence about the limit.
    pub(crate) fn verb(&self) -> &'static str {
        if self.requests == 1 { "is" } else { "are" }
    }
}

/// Writes the limit for a client: `90 requests per 60 s for provider groq`.
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
