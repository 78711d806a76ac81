//! The table of a failure.

#![expect(
    clippy::undocumented_unsafe_blocks,
    reason = "`tables` gives the reason for each kind of block"
)]

use super::{Table, edit, edit_text, edit_two, read};
use crate::abi::{
    EditResult, FailureVt, View,
    serve::{FailureAccess, edit_result},
};
use abi_stable::{prefix_type::WithMetadata, staticref};

text!(
    code: FailureAccess,
    message: FailureAccess,
    text: FailureAccess,
    error_type: FailureAccess
);
optional_text!(callback: FailureAccess);
edit_by_text!(set_message: FailureAccess, set_type: FailureAccess, set_code: FailureAccess);
edit_by_pair!(set_header: FailureAccess);
number!(
    FailureAccess:
    prompt_tokens = usage[0],
    completion_tokens = usage[1],
    total_tokens = usage[2],
    duration_ns = durations[0],
    upstream_duration_ns = durations[1],
    first_token_ns = durations[2]
);

unsafe extern "C" fn kind<T: FailureAccess>(ctx: *const ()) -> u32 {
    unsafe { read::<T>(ctx) }.kind().0
}
unsafe extern "C" fn status<T: FailureAccess>(ctx: *const ()) -> u32 {
    unsafe { read::<T>(ctx) }.status().into()
}
unsafe extern "C" fn set_status<T: FailureAccess>(ctx: *mut (), status: u32) -> EditResult {
    let status = u16::try_from(status).unwrap_or(u16::MAX);
    edit_result(unsafe { edit::<T>(ctx) }.set_status(status))
}
unsafe extern "C" fn sent<T: FailureAccess>(ctx: *const ()) -> u32 {
    u32::from(unsafe { read::<T>(ctx) }.sent())
}

impl<T: FailureAccess> Table<T> {
    staticref! { pub(super) const FAILURE: WithMetadata<FailureVt> = WithMetadata::new(FailureVt {
        kind: kind::<T>, status: status::<T>, code: code::<T>, message: message::<T>,
        set_status: set_status::<T>, set_message: set_message::<T>, sent: sent::<T>,
        text: text::<T>, prompt_tokens: prompt_tokens::<T>,
        completion_tokens: completion_tokens::<T>, total_tokens: total_tokens::<T>,
        duration_ns: duration_ns::<T>, upstream_duration_ns: upstream_duration_ns::<T>,
        first_token_ns: first_token_ns::<T>, callback: callback::<T>, error_type: error_type::<T>, set_type: set_type::<T>,
        set_code: set_code::<T>, set_header: set_header::<T>,
    }) }
}
