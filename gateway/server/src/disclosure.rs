//! Decides what a failure discloses. Every failed call passes here once before callbacks, the log
//! or the client see it: secrets are masked, an upstream's texts are shortened, and the deployment
//! is named.

use super::response_headers;
use crate::app::App;
use callgate_call::{Call, Target};
use callgate_failure::Failure;
use callgate_secret::{Masking, Secrets, credentials, mask_one};
use plugin_api::FailureKind;
use std::borrow::Cow;

/// The longest message of an upstream that is passed on.
const MESSAGE: usize = 2048;

/// The longest type, code or parameter of an upstream that is passed on.
const NAME: usize = 256;

/// Prepares a failure of `call` for callbacks, log and client. `target` is the deployment the call
/// was for, if one was chosen.
pub(super) fn disclose(failure: &mut Failure, app: &App, call: &Call, target: Option<&Target>) {
    mask(failure, app, call, target);
    if failure.kind == FailureKind::UPSTREAM_STATUS {
        bound(failure);
        if let Some(target) = target {
            name_whose_key(failure, call, target);
        }
    }
    if let Some(target) = target {
        response_headers::add_deployment_headers(failure, app, call, target);
    }
}

/// Masks secrets only: for the text that an error hook has set since.
pub(super) fn mask(failure: &mut Failure, app: &App, call: &Call, target: Option<&Target>) {
    let by_callbacks = secrets_of_callbacks(call, target);
    for_each_text(failure, |text| {
        app.masking.mask_in_place(text);
        by_callbacks.mask_in_place(text);
        if let Some(token) = target.and_then(|it| it.token_source()?.present()) {
            mask_one(text, token.expose());
        }
        for key in credentials::sent_keys(&call.headers, call.key_header.as_ref()) {
            mask_one(text, key);
        }
    });
}

/// The secrets that callbacks set on this call for its upstream.
fn secrets_of_callbacks(call: &Call, target: Option<&Target>) -> Masking {
    let key = target.and_then(Target::callback_key);
    if key.is_none() && call.upstream_headers.is_empty() {
        return Masking::default();
    }
    let mut secrets = Secrets::default();
    if let Some(key) = key {
        secrets.add(key.expose());
    }
    for (name, value) in &call.upstream_headers {
        if let Ok(value) = value.to_str() {
            secrets.add_header(name.as_str(), value);
        }
    }
    secrets.masking()
}

fn for_each_text(failure: &mut Failure, mut change: impl FnMut(&mut String)) {
    let failure = &mut **failure;
    let texts = [&mut failure.param, &mut failure.cause, &mut failure.retry_after];
    texts.into_iter().flatten().for_each(&mut change);
    change(&mut failure.message);
    failure.upstream_request_id.iter_mut().for_each(&mut change);
    failure.headers.iter_mut().for_each(|(_, value)| change(value));
    // The gateway's own headers are borrowed and hold no secret.
    let names = std::iter::once(&mut failure.error_type).chain(&mut failure.code);
    for name in names {
        if let Cow::Owned(name) = name {
            change(name);
        }
    }
}

/// Shortens an upstream's texts, and escapes characters that terminals and logs act on.
fn bound(failure: &mut Failure) {
    let failure = &mut **failure;
    cut(&mut failure.message, MESSAGE, |c| matches!(c, '\n' | '\t'));
    let names = std::iter::once(&mut failure.error_type).chain(&mut failure.code);
    for name in names {
        if let Cow::Owned(name) = name {
            cut(name, NAME, |_| false);
        }
    }
    let others = [&mut failure.param, &mut failure.upstream_request_id];
    others.into_iter().flatten().for_each(|text| cut(text, NAME, |_| false));
}

fn cut(text: &mut String, bytes: usize, is_fine: impl Fn(char) -> bool) {
    if text.len() > bytes {
        text.truncate(text.floor_char_boundary(bytes - '…'.len_utf8()));
        text.push('…');
    }
    let acts = |c: char| (c.is_control() && !is_fine(c)) || matches!(c, '\u{2028}' | '\u{2029}');
    if text.contains(acts) {
        let escaped =
            |c: char| -> String { if acts(c) { c.escape_unicode().collect() } else { c.into() } };
        *text = text.chars().map(escaped).collect();
    }
}

/// Says whose key the upstream refused, so that a client with a valid key does not take the refusal
/// for its own.
fn name_whose_key(failure: &mut Failure, call: &Call, target: &Target) {
    let what = match failure.status {
        403 => "does not let the gateway's credentials do this",
        401 | 407 => REFUSED,
        // Google reports it with 400; upstreams that answer 200 report it with any status.
        _ if speaks_of_a_key(failure) => REFUSED,
        _ => return,
    };
    let (model, label) = (&call.requested_model, &target.deployment().label);
    failure.message =
        format!("the upstream of model `{model}` (`{label}`) {what}: {}", failure.message);
}

const REFUSED: &str = "refused the gateway's credentials, not yours";

fn speaks_of_a_key(failure: &Failure) -> bool {
    let known = ["invalid_api_key", "invalid_api_token", "authentication_error", "UNAUTHENTICATED"];
    let is_known = |text: &str| known.contains(&text);
    let message = failure.message.to_ascii_lowercase();
    let words = ["api key not valid", "invalid api key", "incorrect api key", "invalid_api_key"];
    is_known(failure.code_text())
        || is_known(&failure.error_type)
        || words.iter().any(|words| message.contains(words))
}

#[cfg(test)]
mod tests {
    use super::*;
    use callgate_providers::ErrorText;

    #[test]
    fn an_upstreams_words_are_bounded_and_act_on_nothing() {
        let said = ErrorText {
            message: format!("a\u{1b}[31m\n{}", "é".repeat(4000)),
            error_type: Some("t\nforged".to_owned()),
            code: Some("c\u{9b}".repeat(1000)),
            param: Some("\u{2028}".to_owned()),
        };
        let mut failure = Failure::of_upstream(500, said);
        bound(&mut failure);
        assert!(failure.message.starts_with("a\\u{1b}[31m\né"), "{}", failure.message);
        assert!(failure.message.ends_with('…') && failure.message.len() < MESSAGE + 16);
        assert_eq!(failure.error_type, "t\\u{a}forged");
        assert!(failure.code_text().starts_with("c\\u{9b}c") && failure.code_text().len() < 2048);
        assert_eq!(failure.param.as_deref(), Some("\\u{2028}"));
    }

    #[test]
    fn every_text_of_a_failure_is_masked() {
        let said = |text: &str| text.to_owned();
        let mut failure = Failure::of_upstream(
            401,
            ErrorText {
                message: said("m sk-upstream-000000"),
                error_type: Some(said("t:sk-upstream-000000")),
                code: Some(said("c:sk-upstream-000000")),
                param: Some(said("p:sk-upstream-000000")),
            },
        )
        .cause("sk-upstream-000000");
        failure.retry_after = Some(said("sk-upstream-000000"));
        failure.upstream_request_id = Some(said("sk-upstream-000000"));
        failure.headers.push((said("x-request-id"), said("sk-upstream-000000")));
        let mut secrets = Secrets::default();
        secrets.add("sk-upstream-000000");
        let masking = secrets.masking();
        for_each_text(&mut failure, |text| masking.mask_in_place(text));
        let shown = format!("{failure:?}");
        assert!(!shown.contains("000000"), "{shown}");
        assert_eq!(shown.matches("***").count(), 8, "{shown}");
    }
}
