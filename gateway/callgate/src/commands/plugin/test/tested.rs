//! What `plugin test` finds out about one request.

use super::http_rules::Requested;
use callgate_callbacks::{Change, DryRunOutcome};
use serde::Serialize;

/// The outcome of one request.
#[derive(Serialize)]
pub(super) struct Tested {
    pub(super) callbacks: Vec<Changed>,
    #[serde(flatten)]
    pub(super) outcome: DryRunOutcome,
    /// The hooks' changes of the upstream's reply.
    pub(super) answer_changes: Vec<Change>,
    /// Log lines by callbacks and about them.
    pub(super) log: Vec<String>,
    /// The callbacks' own requests, with `--http`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) http: Option<Vec<Requested>>,
    /// After the last request, the rules that answered nothing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) http_unused: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) unmet: Option<Vec<Change>>,
}

/// The changes by one callback's start hook.
#[derive(Serialize)]
pub(super) struct Changed {
    pub(super) callback: String,
    pub(super) changes: Vec<Change>,
}

impl Tested {
    pub(super) fn is_good(&self) -> bool {
        self.unmet.as_ref().is_none_or(Vec::is_empty) && self.outcome.verdict != "fault"
    }
}
