//! The table of a stream that a callback produces: its writer is in the plugin, its reader in the
//! host.

#![expect(
    clippy::undocumented_unsafe_blocks,
    reason = "`ctx` comes from `lend_writer`, and the plugin's side drops it once, by `close`"
)]

use super::super::hosted::BoxFuture;
use crate::{
    HostError, HostErrorKind,
    abi::{RawReplyWriter, ReplyWriterVt, ReplyWriterVtRef},
};
use abi_stable::{prefix_type::WithMetadata, staticref, std_types::RString};
use async_ffi::{FfiFuture, FutureExt};

/// The host's side of the writer.
pub trait ReplySink: Send + Sync {
    /// Sends a part. The future completes once there was room for it.
    fn send(&self, part: ReplyPart) -> BoxFuture<Result<(), HostError>>;
}

/// A part of a stream that a callback produces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReplyPart {
    /// Text of the first choice.
    Text(String),
    /// A whole chunk as JSON.
    Chunk(String),
    /// The end.
    Finish {
        /// The finish reason; `None` if a chunk had it.
        reason: Option<String>,
        /// Prompt and completion tokens.
        usage: Option<(u64, u64)>,
    },
}

struct Writer;

pub(super) fn lend_writer(sink: Box<dyn ReplySink>) -> RawReplyWriter {
    let ctx = Box::into_raw(Box::new(sink)).cast();
    RawReplyWriter { ctx, vt: ReplyWriterVtRef(Writer::VT.as_prefix()) }
}

fn passed(ctx: *const (), part: ReplyPart) -> FfiFuture<u32> {
    let sent = unsafe { &*ctx.cast::<Box<dyn ReplySink>>() }.send(part);
    async move { sent.await.map_or_else(|error| error.kind.0, |()| 0) }.into_ffi()
}

unsafe extern "C" fn send(ctx: *const (), kind: u32, content: RString) -> FfiFuture<u32> {
    let part = match kind {
        0 => ReplyPart::Text(content.into()),
        1 => ReplyPart::Chunk(content.into()),
        _ => return std::future::ready(HostErrorKind::NOT_SUPPORTED.0).into_ffi(),
    };
    passed(ctx, part)
}

unsafe extern "C" fn finish(
    ctx: *const (),
    reason: RString,
    prompt: u64,
    completion: u64,
) -> FfiFuture<u32> {
    let reason = (!reason.is_empty()).then(|| reason.into());
    let is_known = prompt != u64::MAX && completion != u64::MAX;
    passed(ctx, ReplyPart::Finish { reason, usage: is_known.then_some((prompt, completion)) })
}

unsafe extern "C" fn close(ctx: *mut ()) {
    drop(unsafe { Box::from_raw(ctx.cast::<Box<dyn ReplySink>>()) });
}

impl Writer {
    staticref! { const VT: WithMetadata<ReplyWriterVt> =
    WithMetadata::new(ReplyWriterVt { send, finish, close }); }
}
