//! The table of the answer.

#![expect(
    clippy::undocumented_unsafe_blocks,
    reason = "`tables` gives the reason for each kind of block"
)]

use super::{Table, edit, edit_text, edit_two, read};
use crate::abi::{EditResult, ReplyVt, View, serve::ReplyAccess};
use abi_stable::{prefix_type::WithMetadata, staticref};

text!(text: ReplyAccess);
optional_text!(json: ReplyAccess, finish_reason: ReplyAccess, completion: ReplyAccess);
edit_by_text!(set_json: ReplyAccess);
edit_by_pair!(set_header: ReplyAccess);

number!(
    ReplyAccess:
    prompt_tokens = usage[0],
    completion_tokens = usage[1],
    total_tokens = usage[2],
    duration_ns = durations[0],
    upstream_duration_ns = durations[1],
    first_token_ns = durations[2]
);
unsafe extern "C" fn status<T: ReplyAccess>(ctx: *const ()) -> u32 {
    unsafe { read::<T>(ctx) }.status().into()
}
unsafe extern "C" fn from_callback<T: ReplyAccess>(ctx: *const ()) -> u32 {
    u32::from(unsafe { read::<T>(ctx) }.from_callback())
}

impl<T: ReplyAccess> Table<T> {
    staticref! { pub(super) const REPLY: WithMetadata<ReplyVt> = WithMetadata::new(ReplyVt {
        status: status::<T>, json: json::<T>, set_json: set_json::<T>, text: text::<T>,
        set_header: set_header::<T>, finish_reason: finish_reason::<T>,
        prompt_tokens: prompt_tokens::<T>, completion_tokens: completion_tokens::<T>,
        total_tokens: total_tokens::<T>, duration_ns: duration_ns::<T>,
        upstream_duration_ns: upstream_duration_ns::<T>, first_token_ns: first_token_ns::<T>,
        from_callback: from_callback::<T>, completion: completion::<T>,
    }) }
}
