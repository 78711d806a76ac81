//! The accessor tables over any type that implements the `…Access` traits.
//!
//! A pointer in a handle is always made here, from a live `&mut T`, for a table of the same `T`;
//! that is the proof behind every cast below.

use super::{CallAccess, ChunkAccess, Edited, FailureAccess, ReplyAccess, edit_result};
use crate::{
    EditError, Rejection, Reply, Route,
    abi::{
        CallHandle, CallVt, CallVtRef, ChunkHandle, ChunkVt, ChunkVtRef, EditResult, FailureHandle,
        FailureVt, FailureVtRef, RawRejection, RawReply, RawRoute, ReplyHandle, ReplyVt,
        ReplyVtRef, View, ViewPair,
    },
};
use abi_stable::{prefix_type::WithMetadata, staticref};
use std::{marker::PhantomData, time::Duration};

/// Lends a value as a handle for as long as the borrow lasts.
macro_rules! lend {
    ($name:ident, $access:ident, $handle:ident, $vt:ident) => {
        pub(super) fn $name<T: $access>(value: &mut T) -> $handle {
            $handle {
                ctx: std::ptr::from_mut(value).cast(),
                vt: $vt(Table::<T>::$vt.as_prefix()),
            }
        }
    };
}
lend!(lend_call, CallAccess, CallHandle, CallVtRef);
lend!(lend_chunk, ChunkAccess, ChunkHandle, ChunkVtRef);
lend!(lend_reply, ReplyAccess, ReplyHandle, ReplyVtRef);
lend!(lend_failure, FailureAccess, FailureHandle, FailureVtRef);

struct Table<T>(PhantomData<T>);

unsafe fn read<'a, T>(ctx: *const ()) -> &'a T {
    // SAFETY: `ctx` was made by `lend_*` from a `&mut T` that outlives the hook.
    unsafe { &*ctx.cast::<T>() }
}

unsafe fn edit<'a, T>(ctx: *mut ()) -> &'a mut T {
    // SAFETY: as above; the author's side holds the only view (`&mut`), so no other is alive.
    unsafe { &mut *ctx.cast::<T>() }
}

fn edit_text(view: View, edit: impl FnOnce(&str) -> Edited) -> EditResult {
    // SAFETY: argument views live until the accessor returns.
    match unsafe { view.text() } {
        Some(text) => edit_result(edit(text)),
        None => EditResult::NOT_UTF8,
    }
}

fn edit_two(one: View, two: View, edit: impl FnOnce(&str, &str) -> Edited) -> EditResult {
    edit_text(one, |one| match unsafe { two.text() } {
        Some(two) => edit(one, two),
        None => Err(EditError::NotUtf8),
    })
}

/// Table entries that return text, and nothing but call the trait.
macro_rules! text {
    ($($name:ident: $access:ident),*) => {$(
        unsafe extern "C" fn $name<T: $access>(ctx: *const ()) -> View {
            View::of(unsafe { read::<T>(ctx) }.$name().as_bytes())
        }
    )*};
}

/// As [`text!`], for values that may be absent.
macro_rules! optional_text {
    ($($name:ident: $access:ident),*) => {$(
        unsafe extern "C" fn $name<T: $access>(ctx: *const ()) -> View {
            View::of_option(unsafe { read::<T>(ctx) }.$name())
        }
    )*};
}

/// Entries that take one text and return an edit's outcome.
macro_rules! edit_by_text {
    ($($name:ident: $access:ident),*) => {$(
        unsafe extern "C" fn $name<T: $access>(ctx: *mut (), text: View) -> EditResult {
            edit_text(text, |text| unsafe { edit::<T>(ctx) }.$name(text))
        }
    )*};
}

/// Entries that take a name and a value.
macro_rules! edit_by_pair {
    ($($name:ident: $access:ident),*) => {$(
        unsafe extern "C" fn $name<T: $access>(ctx: *mut (), name: View, value: View) -> EditResult {
            edit_two(name, value, |name, value| unsafe { edit::<T>(ctx) }.$name(name, value))
        }
    )*};
}

mod call {
    use super::*;

    text!(id: CallAccess, requested_model: CallAccess, model: CallAccess, key_id: CallAccess);
    optional_text!(provider: CallAccess, upstream_model: CallAccess, api_base: CallAccess);
    edit_by_text!(set_model: CallAccess, remove_upstream_header: CallAccess, remove_param: CallAccess);
    edit_by_pair!(set_upstream_header: CallAccess, set_param: CallAccess, set_metadata: CallAccess);

    pub(super) unsafe extern "C" fn endpoint<T: CallAccess>(ctx: *const ()) -> u32 {
        unsafe { read::<T>(ctx) }.endpoint().0
    }
    pub(super) unsafe extern "C" fn stream<T: CallAccess>(ctx: *const ()) -> u32 {
        u32::from(unsafe { read::<T>(ctx) }.stream())
    }
    pub(super) unsafe extern "C" fn set_route<T: CallAccess>(
        ctx: *mut (),
        route: RawRoute,
    ) -> EditResult {
        let parts = [route.provider, route.model, route.api_base, route.api_key];
        if parts.iter().any(|part| unsafe { part.bytes().is_some() && part.text().is_none() }) {
            return EditResult::NOT_UTF8;
        }
        let [provider, model, api_base, api_key] = parts.map(|part| unsafe { part.text() });
        edit_result(unsafe { edit::<T>(ctx) }.set_route(Route {
            provider,
            model,
            api_base,
            api_key,
        }))
    }
    pub(super) unsafe extern "C" fn header<T: CallAccess>(ctx: *const (), name: View) -> View {
        View::of_option(unsafe { name.text().and_then(|name| read::<T>(ctx).header(name)) })
    }
    pub(super) unsafe extern "C" fn header_count<T: CallAccess>(ctx: *const ()) -> usize {
        unsafe { read::<T>(ctx) }.header_count()
    }
    pub(super) unsafe extern "C" fn header_at<T: CallAccess>(
        ctx: *const (),
        index: usize,
    ) -> ViewPair {
        let pair = unsafe { read::<T>(ctx) }.header_at(index);
        ViewPair {
            name: View::of_option(pair.map(|(name, _)| name)),
            value: View::of_option(pair.map(|(_, value)| value)),
        }
    }
    pub(super) unsafe extern "C" fn param<T: CallAccess>(ctx: *const (), path: View) -> View {
        View::of_option(unsafe { path.text().and_then(|path| read::<T>(ctx).param(path)) })
    }
    pub(super) unsafe extern "C" fn message_count<T: CallAccess>(ctx: *const ()) -> usize {
        unsafe { read::<T>(ctx) }.message_count()
    }
    pub(super) unsafe extern "C" fn message_role<T: CallAccess>(
        ctx: *const (),
        index: usize,
    ) -> View {
        View::of_option(unsafe { read::<T>(ctx) }.message_role(index))
    }
    pub(super) unsafe extern "C" fn message_text<T: CallAccess>(
        ctx: *const (),
        index: usize,
    ) -> View {
        View::of_option(unsafe { read::<T>(ctx) }.message_text(index))
    }
    pub(super) unsafe extern "C" fn message_json<T: CallAccess>(
        ctx: *const (),
        index: usize,
    ) -> View {
        View::of_option(unsafe { read::<T>(ctx) }.message_json(index))
    }
    pub(super) unsafe extern "C" fn set_message_text<T: CallAccess>(
        ctx: *mut (),
        index: usize,
        text: View,
    ) -> EditResult {
        edit_text(text, |text| unsafe { edit::<T>(ctx) }.set_message_text(index, text))
    }
    pub(super) unsafe extern "C" fn set_message_json<T: CallAccess>(
        ctx: *mut (),
        index: usize,
        json: View,
    ) -> EditResult {
        edit_text(json, |json| unsafe { edit::<T>(ctx) }.set_message_json(index, json))
    }
    pub(super) unsafe extern "C" fn insert_message<T: CallAccess>(
        ctx: *mut (),
        index: usize,
        role: View,
        text: View,
    ) -> EditResult {
        edit_two(role, text, |role, text| {
            unsafe { edit::<T>(ctx) }.insert_message(index, role, text)
        })
    }
    pub(super) unsafe extern "C" fn remove_message<T: CallAccess>(
        ctx: *mut (),
        index: usize,
    ) -> EditResult {
        edit_result(unsafe { edit::<T>(ctx) }.remove_message(index))
    }
    pub(super) unsafe extern "C" fn body<T: CallAccess>(ctx: *const ()) -> View {
        View::of(unsafe { read::<T>(ctx) }.body())
    }
    pub(super) unsafe extern "C" fn replace_body<T: CallAccess>(
        ctx: *mut (),
        body: View,
    ) -> EditResult {
        let body = unsafe { body.bytes() }.unwrap_or_default();
        edit_result(unsafe { edit::<T>(ctx) }.replace_body(body))
    }
    pub(super) unsafe extern "C" fn metadata<T: CallAccess>(ctx: *const (), key: View) -> View {
        View::of_option(unsafe { key.text().and_then(|key| read::<T>(ctx).metadata(key)) })
    }
    pub(super) unsafe extern "C" fn local<T: CallAccess>(ctx: *const ()) -> View {
        View::of(unsafe { read::<T>(ctx) }.local())
    }
    pub(super) unsafe extern "C" fn set_local<T: CallAccess>(
        ctx: *mut (),
        note: View,
    ) -> EditResult {
        let note = unsafe { note.bytes() }.unwrap_or_default();
        edit_result(unsafe { edit::<T>(ctx) }.set_local(note))
    }
    pub(super) unsafe extern "C" fn remaining_ms<T: CallAccess>(ctx: *const ()) -> u64 {
        unsafe { read::<T>(ctx) }.remaining_ms().unwrap_or(u64::MAX)
    }
    pub(super) unsafe extern "C" fn cancelled<T: CallAccess>(ctx: *const ()) -> u32 {
        u32::from(unsafe { read::<T>(ctx) }.cancelled())
    }
    pub(super) unsafe extern "C" fn reject<T: CallAccess>(ctx: *mut (), raw: RawRejection) {
        unsafe { edit::<T>(ctx).reject(owned_rejection(raw)) }
    }
    pub(super) unsafe extern "C" fn reply<T: CallAccess>(ctx: *mut (), raw: RawReply) {
        let content = lossy(raw.content);
        let reply = if raw.is_json == 0 { Reply::Text(content) } else { Reply::Json(content) };
        unsafe { edit::<T>(ctx).reply(reply) }
    }
    pub(super) unsafe extern "C" fn fault<T: CallAccess>(ctx: *mut (), message: View) {
        unsafe { edit::<T>(ctx).fault(&lossy(message)) }
    }

    unsafe fn owned_rejection(raw: RawRejection) -> Rejection {
        let headers = if raw.headers.is_null() {
            &[]
        } else {
            // SAFETY: the plugin's side passes a slice that lives until the accessor returns.
            unsafe { std::slice::from_raw_parts(raw.headers, raw.headers_len) }
        };
        Rejection {
            status: u16::try_from(raw.status).unwrap_or(u16::MAX),
            code: unsafe { raw.code.bytes() }.map(|_| lossy(raw.code)),
            message: lossy(raw.message),
            retry_after: (raw.retry_after_ms != u64::MAX)
                .then(|| Duration::from_millis(raw.retry_after_ms)),
            headers: headers.iter().map(|pair| (lossy(pair.name), lossy(pair.value))).collect(),
        }
    }

    fn lossy(view: View) -> String {
        String::from_utf8_lossy(unsafe { view.bytes() }.unwrap_or_default()).into_owned()
    }

    impl<T: CallAccess> Table<T> {
        staticref! { const CALL: WithMetadata<CallVt> = WithMetadata::new(CallVt {
            id: id::<T>, endpoint: endpoint::<T>, stream: stream::<T>,
            requested_model: requested_model::<T>, model: model::<T>, set_model: set_model::<T>,
            provider: provider::<T>, upstream_model: upstream_model::<T>, api_base: api_base::<T>,
            set_route: set_route::<T>, set_upstream_header: set_upstream_header::<T>,
            remove_upstream_header: remove_upstream_header::<T>, header: header::<T>,
            header_count: header_count::<T>, header_at: header_at::<T>, param: param::<T>,
            set_param: set_param::<T>, remove_param: remove_param::<T>,
            message_count: message_count::<T>, message_role: message_role::<T>,
            message_text: message_text::<T>, message_json: message_json::<T>,
            set_message_text: set_message_text::<T>, set_message_json: set_message_json::<T>,
            insert_message: insert_message::<T>, remove_message: remove_message::<T>,
            body: body::<T>, replace_body: replace_body::<T>, key_id: key_id::<T>,
            metadata: metadata::<T>, set_metadata: set_metadata::<T>, local: local::<T>,
            set_local: set_local::<T>, remaining_ms: remaining_ms::<T>, cancelled: cancelled::<T>,
            reject: reject::<T>, reply: reply::<T>, fault: fault::<T>,
        }) }
        #[allow(non_upper_case_globals)]
        pub(super) const CallVtRef: abi_stable::sabi_types::StaticRef<WithMetadata<CallVt>> = Self::CALL;
    }
}

mod chunk {
    use super::*;

    text!(json: ChunkAccess, text: ChunkAccess);
    edit_by_text!(set_json: ChunkAccess, set_text: ChunkAccess);

    unsafe extern "C" fn index<T: ChunkAccess>(ctx: *const ()) -> u64 {
        unsafe { read::<T>(ctx) }.index()
    }
    unsafe extern "C" fn drop_chunk<T: ChunkAccess>(ctx: *mut ()) -> EditResult {
        edit_result(unsafe { edit::<T>(ctx) }.drop_chunk())
    }

    impl<T: ChunkAccess> Table<T> {
        staticref! { const CHUNK: WithMetadata<ChunkVt> = WithMetadata::new(ChunkVt {
            index: index::<T>, json: json::<T>, text: text::<T>, set_json: set_json::<T>,
            set_text: set_text::<T>, drop_chunk: drop_chunk::<T>,
        }) }
        #[allow(non_upper_case_globals)]
        pub(super) const ChunkVtRef: abi_stable::sabi_types::StaticRef<WithMetadata<ChunkVt>> = Self::CHUNK;
    }
}

mod reply {
    use super::*;

    text!(text: ReplyAccess);
    optional_text!(json: ReplyAccess, finish_reason: ReplyAccess);
    edit_by_text!(set_json: ReplyAccess);
    edit_by_pair!(set_header: ReplyAccess);

    macro_rules! number {
        ($($name:ident = $method:ident[$index:literal]),*) => {$(
            unsafe extern "C" fn $name<T: ReplyAccess>(ctx: *const ()) -> u64 {
                unsafe { read::<T>(ctx) }.$method()[$index].unwrap_or(u64::MAX)
            }
        )*};
    }
    number!(
        prompt_tokens = usage[0], completion_tokens = usage[1], total_tokens = usage[2],
        duration_ns = durations[0], upstream_duration_ns = durations[1],
        first_token_ns = durations[2]
    );
    unsafe extern "C" fn status<T: ReplyAccess>(ctx: *const ()) -> u32 {
        unsafe { read::<T>(ctx) }.status().into()
    }
    unsafe extern "C" fn from_callback<T: ReplyAccess>(ctx: *const ()) -> u32 {
        u32::from(unsafe { read::<T>(ctx) }.from_callback())
    }

    impl<T: ReplyAccess> Table<T> {
        staticref! { const REPLY: WithMetadata<ReplyVt> = WithMetadata::new(ReplyVt {
            status: status::<T>, json: json::<T>, set_json: set_json::<T>, text: text::<T>,
            set_header: set_header::<T>, finish_reason: finish_reason::<T>,
            prompt_tokens: prompt_tokens::<T>, completion_tokens: completion_tokens::<T>,
            total_tokens: total_tokens::<T>, duration_ns: duration_ns::<T>,
            upstream_duration_ns: upstream_duration_ns::<T>, first_token_ns: first_token_ns::<T>,
            from_callback: from_callback::<T>,
        }) }
        #[allow(non_upper_case_globals)]
        pub(super) const ReplyVtRef: abi_stable::sabi_types::StaticRef<WithMetadata<ReplyVt>> = Self::REPLY;
    }
}

mod failure {
    use super::*;

    text!(code: FailureAccess, message: FailureAccess, text: FailureAccess);
    optional_text!(callback: FailureAccess);
    edit_by_text!(set_message: FailureAccess);

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
    unsafe extern "C" fn duration_ns<T: FailureAccess>(ctx: *const ()) -> u64 {
        unsafe { read::<T>(ctx) }.duration_ns()
    }

    impl<T: FailureAccess> Table<T> {
        staticref! { const FAILURE: WithMetadata<FailureVt> = WithMetadata::new(FailureVt {
            kind: kind::<T>, status: status::<T>, code: code::<T>, message: message::<T>,
            set_status: set_status::<T>, set_message: set_message::<T>, sent: sent::<T>,
            text: text::<T>, duration_ns: duration_ns::<T>, callback: callback::<T>,
        }) }
        #[allow(non_upper_case_globals)]
        pub(super) const FailureVtRef: abi_stable::sabi_types::StaticRef<WithMetadata<FailureVt>> = Self::FAILURE;
    }
}
