//! What both ends of the queue know: its messages, and what waits in it.

use crate::losses::Losses;
use plugin_api::Host;
use std::sync::{
    atomic::{AtomicBool, AtomicUsize},
    mpsc::SyncSender,
};

#[derive(Debug)]
pub(crate) enum Message {
    Line(Vec<u8>),
    /// Answered after all earlier lines are written.
    Flush(SyncSender<()>),
}

/// State that both ends share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) host: Host,
    pub(crate) losses: Losses,
    pub(crate) waiting_bytes: AtomicUsize,
    pub(crate) waiting_lines: AtomicUsize,
    /// The last write failed.
    pub(crate) failing: AtomicBool,
    /// No further line will come, so lines that cannot be written now are lost.
    pub(crate) ending: AtomicBool,
}
