//! The table of the live call.

#![expect(
    clippy::undocumented_unsafe_blocks,
    reason = "`tables` gives the reason for each kind of block"
)]

use super::{Table, edit, edit_text, edit_two, read, reply_writer::lend_writer};
use crate::{
    Rejection, Reply, Route,
    abi::{
        CallVt, EditResult, RawRejection, RawReply, RawReplyWriter, RawRoute, View, ViewPair,
        serve::{CallAccess, edit_result},
    },
};
use abi_stable::{prefix_type::WithMetadata, staticref, std_types::ROption};
use std::time::Duration;

text!(id: CallAccess, requested_model: CallAccess, model: CallAccess, key_id: CallAccess);
optional_text!(provider: CallAccess, upstream_model: CallAccess, api_base: CallAccess);
edit_by_text!(set_model: CallAccess, remove_upstream_header: CallAccess, remove_param: CallAccess);
edit_by_pair!(set_upstream_header: CallAccess, set_param: CallAccess, set_metadata: CallAccess, set_reply_header: CallAccess);

unsafe extern "C" fn endpoint<T: CallAccess>(ctx: *const ()) -> u32 {
    unsafe { read::<T>(ctx) }.endpoint().0
}
unsafe extern "C" fn stream<T: CallAccess>(ctx: *const ()) -> u32 {
    u32::from(unsafe { read::<T>(ctx) }.stream())
}
unsafe extern "C" fn set_route<T: CallAccess>(ctx: *mut (), route: RawRoute) -> EditResult {
    let parts = [route.provider, route.model, route.api_base, route.api_key];
    if parts.iter().any(|part| unsafe { part.bytes().is_some() && part.text().is_none() }) {
        return EditResult::NOT_UTF8;
    }
    let [provider, model, api_base, api_key] = parts.map(|part| unsafe { part.text() });
    edit_result(unsafe { edit::<T>(ctx) }.set_route(Route { provider, model, api_base, api_key }))
}
unsafe extern "C" fn header<T: CallAccess>(ctx: *const (), name: View) -> View {
    View::of_option(unsafe { name.text().and_then(|name| read::<T>(ctx).header(name)) })
}
unsafe extern "C" fn header_count<T: CallAccess>(ctx: *const ()) -> usize {
    unsafe { read::<T>(ctx) }.header_count()
}
unsafe extern "C" fn header_at<T: CallAccess>(ctx: *const (), index: usize) -> ViewPair {
    let pair = unsafe { read::<T>(ctx) }.header_at(index);
    ViewPair {
        name: View::of_option(pair.map(|(name, _)| name)),
        value: View::of_option(pair.map(|(_, value)| value)),
    }
}
unsafe extern "C" fn param<T: CallAccess>(ctx: *const (), path: View) -> View {
    View::of_option(unsafe { path.text().and_then(|path| read::<T>(ctx).param(path)) })
}
unsafe extern "C" fn message_count<T: CallAccess>(ctx: *const ()) -> usize {
    unsafe { read::<T>(ctx) }.message_count()
}
unsafe extern "C" fn message_role<T: CallAccess>(ctx: *const (), index: usize) -> View {
    View::of_option(unsafe { read::<T>(ctx) }.message_role(index))
}
unsafe extern "C" fn message_text<T: CallAccess>(ctx: *const (), index: usize) -> View {
    View::of_option(unsafe { read::<T>(ctx) }.message_text(index))
}
unsafe extern "C" fn message_json<T: CallAccess>(ctx: *const (), index: usize) -> View {
    View::of_option(unsafe { read::<T>(ctx) }.message_json(index))
}
unsafe extern "C" fn set_message_text<T: CallAccess>(
    ctx: *mut (),
    index: usize,
    text: View,
) -> EditResult {
    edit_text(text, |text| unsafe { edit::<T>(ctx) }.set_message_text(index, text))
}
unsafe extern "C" fn set_message_json<T: CallAccess>(
    ctx: *mut (),
    index: usize,
    json: View,
) -> EditResult {
    edit_text(json, |json| unsafe { edit::<T>(ctx) }.set_message_json(index, json))
}
unsafe extern "C" fn insert_message<T: CallAccess>(
    ctx: *mut (),
    index: usize,
    role: View,
    text: View,
) -> EditResult {
    edit_two(role, text, |role, text| unsafe { edit::<T>(ctx) }.insert_message(index, role, text))
}
unsafe extern "C" fn remove_message<T: CallAccess>(ctx: *mut (), index: usize) -> EditResult {
    edit_result(unsafe { edit::<T>(ctx) }.remove_message(index))
}
unsafe extern "C" fn body<T: CallAccess>(ctx: *const ()) -> View {
    View::of(unsafe { read::<T>(ctx) }.body())
}
unsafe extern "C" fn replace_body<T: CallAccess>(ctx: *mut (), body: View) -> EditResult {
    let body = unsafe { body.bytes() }.unwrap_or_default();
    edit_result(unsafe { edit::<T>(ctx) }.replace_body(body))
}
unsafe extern "C" fn metadata<T: CallAccess>(ctx: *const (), key: View) -> View {
    View::of_option(unsafe { key.text().and_then(|key| read::<T>(ctx).metadata(key)) })
}
unsafe extern "C" fn local<T: CallAccess>(ctx: *const ()) -> View {
    View::of(unsafe { read::<T>(ctx) }.local())
}
unsafe extern "C" fn set_local<T: CallAccess>(ctx: *mut (), note: View) -> EditResult {
    let note = unsafe { note.bytes() }.unwrap_or_default();
    edit_result(unsafe { edit::<T>(ctx) }.set_local(note))
}
unsafe extern "C" fn remaining_ms<T: CallAccess>(ctx: *const ()) -> u64 {
    unsafe { read::<T>(ctx) }.remaining_ms().unwrap_or(u64::MAX)
}
unsafe extern "C" fn cancelled<T: CallAccess>(ctx: *const ()) -> u32 {
    u32::from(unsafe { read::<T>(ctx) }.cancelled())
}
unsafe extern "C" fn reject<T: CallAccess>(ctx: *mut (), raw: RawRejection) {
    unsafe { edit::<T>(ctx).reject(owned_rejection(raw)) }
}
unsafe extern "C" fn reply<T: CallAccess>(ctx: *mut (), raw: RawReply) {
    let content = lossy(raw.content);
    let reply = match raw.is_json {
        0 => Reply::Text(content),
        1 => Reply::Json(content),
        form => {
            let message =
                format!("expected a reply of form 0 or 1, found {form}; update the gateway");
            return unsafe { edit::<T>(ctx).fault(&message) };
        }
    };
    unsafe { edit::<T>(ctx).reply(reply) }
}
unsafe extern "C" fn reply_stream<T: CallAccess>(ctx: *mut ()) -> ROption<RawReplyWriter> {
    unsafe { edit::<T>(ctx) }.reply_stream().map(lend_writer).into()
}
unsafe extern "C" fn fault<T: CallAccess>(ctx: *mut (), message: View) {
    unsafe { edit::<T>(ctx).fault(&lossy(message)) }
}

pub(super) unsafe fn owned_rejection(raw: RawRejection) -> Rejection {
    let headers = if raw.headers.is_null() {
        &[]
    } else {
        // SAFETY: the plugin's side passes a slice that is valid until the accessor returns.
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

pub(super) fn lossy(view: View) -> String {
    String::from_utf8_lossy(unsafe { view.bytes() }.unwrap_or_default()).into_owned()
}

impl<T: CallAccess> Table<T> {
    staticref! { pub(super) const CALL: WithMetadata<CallVt> = WithMetadata::new(CallVt {
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
        reject: reject::<T>, reply: reply::<T>, fault: fault::<T>, set_reply_header: set_reply_header::<T>,
        reply_stream: reply_stream::<T>,
    }) }
}

#[cfg(all(test, feature = "testing"))]
mod tests {
    use super::super::lend_call;
    use crate::{
        abi::{RawReply, Verdict, View},
        testing::{Outcome, TestCall},
    };

    #[test]
    fn an_answer_in_a_form_of_a_later_minor_is_a_fault() {
        for (is_json, is_answer) in [(0, true), (1, true), (2, false)] {
            let mut call = TestCall::chat("m");
            let handle = lend_call(&mut call);
            let raw = RawReply { is_json, content: View::of(b"{}") };
            unsafe { (handle.vt.reply())(handle.ctx, raw) };
            let outcome = call.outcome(Verdict::REPLY);
            assert_eq!(matches!(outcome, Outcome::Reply(_)), is_answer, "{is_json}: {outcome:?}");
            assert!(is_answer || matches!(outcome, Outcome::Fault(_)), "{outcome:?}");
        }
    }
}
