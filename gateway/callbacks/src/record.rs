//! Records real calls of one callback, for a later replay: the input of each hook, its verdict and
//! its edits.
//!
//! `chain` takes images of the call and of the hook's data before and after a hook; `images` has
//! them, as cheap copies. A call's record ends when the last copy of the call is dropped. It then
//! goes to the thread of `folder`, which turns it into JSON, masks its secrets and writes it.

mod call_record;
mod folder;
mod images;
mod json;
mod recorder;

pub(crate) use call_record::{Begun, CallRecord, HookVerdict};
pub use folder::RecordReport;
pub(crate) use images::EventImage;
pub(crate) use json::{FORMAT, VERSION, chunk_of, failure_of, figures_of, text_of};
pub(crate) use recorder::Recorder;
