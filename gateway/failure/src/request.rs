//! Failures that the client can fix: its request is wrong.

use super::{Failure, Reason};
use plugin_api::FailureKind;
use std::{fmt::Display, time::Duration};

/// The part of a foreign web page's request that is refused without a master key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Foreign<'a> {
    Host(&'a str),
    Origin(&'a str),
    /// A page that hides its origin, but is marked as cross-site.
    Site,
}

/// Errors in the head.
impl Failure {
    /// Bytes that hyper could not read as a request, with the status that hyper chose.
    pub fn malformed_http(status: u16) -> Self {
        match status {
            414 => Self::of(
                Reason::UrlTooLong,
                "the request's URL is longer than this gateway accepts",
            ),
            431 => Self::of(
                Reason::HeadTooLarge,
                "the request's head is longer than 64 KiB or has more than 100 headers",
            ),
            _ => Self::unread(
                status,
                "the request is not well-formed HTTP/1.1: its first line, a header or the length it \
                 gives cannot be read",
            ),
        }
    }

    pub fn tls_instead_of_http(status: u16) -> Self {
        Self::unread(
            status,
            "expected plain HTTP, found a TLS handshake: the gateway does not serve HTTPS; call it \
             by `http://`, or put a proxy in front that ends TLS",
        )
    }

    pub fn http2(status: u16) -> Self {
        Self::unread(status, "expected HTTP/1.1, found HTTP/2: the gateway speaks HTTP/1.1 only")
    }

    /// Hyper chose the status.
    fn unread(status: u16, text: &str) -> Self {
        Self::with_status(FailureKind::INVALID, status, text)
    }

    pub fn no_host() -> Self {
        Self::invalid("an HTTP/1.1 request needs a `Host` header, and this one has none")
    }

    pub fn several_hosts() -> Self {
        Self::invalid("expected one `Host` header, found more than one; send one")
    }

    pub fn malformed_host() -> Self {
        Self::invalid(
            "the `Host` header is not a host with an optional port: expected `name`, `name:port` \
             or `[address]:port`",
        )
    }

    pub fn transfer_coding() -> Self {
        Self::invalid(
            "expected `Transfer-Encoding: chunked` or `Content-Length`, found another transfer \
             coding or several; a compressed body is announced by `Content-Encoding`",
        )
    }

    pub fn headers_too_large(max: usize) -> Self {
        let text = format!(
            "the request headers are larger than this gateway's limit of {max} bytes \
             (`callgate.limits.max_header_bytes`)"
        );
        Self::of(Reason::HeadTooLarge, text)
    }

    pub fn foreign(what: Foreign<'_>) -> Self {
        const ORIGINS: &str = "callgate.cors.allow_origins";
        let (reason, what, setting) = match what {
            Foreign::Host(host) => (
                Reason::ForeignHost,
                format!("the host `{host}` is not this machine"),
                "callgate.allow_hosts",
            ),
            Foreign::Origin(origin) => {
                (Reason::ForeignOrigin, format!("the origin `{origin}` is foreign"), ORIGINS)
            }
            Foreign::Site => {
                (Reason::ForeignOrigin, "a web page of another site sent this".to_owned(), ORIGINS)
            }
        };
        let text = format!(
            "this gateway has no master key, so it serves programs of this machine and no foreign \
             web pages, and {what}; set `general_settings.master_key`, or list it in `{setting}`"
        );
        Self::of(reason, text)
    }

    /// A CORS preflight from a page that may not call.
    pub fn foreign_preflight() -> Self {
        Self::of(
            Reason::ForeignOrigin,
            "the pages of this origin may not call this gateway; list it in \
             `callgate.cors.allow_origins`",
        )
    }

    pub fn no_master_key() -> Self {
        Self::of(
            Reason::NoMasterKey,
            "this path is for holders of a key with the scope `admin`, and this gateway has no key; \
             set `general_settings.master_key`, or list a key in `callgate.keys`",
        )
    }

    pub fn no_key() -> Self {
        Self::unauthorized("Authentication Error, No api key passed in.")
    }

    pub fn malformed_key() -> Self {
        Self::unauthorized(
            "Authentication Error, Malformed API Key passed in. Ensure Key has `Bearer ` prefix.",
        )
    }

    pub fn wrong_key() -> Self {
        Self::unauthorized("Authentication Error, Invalid API key passed in.")
    }

    /// `key_id` is the name of the key.
    pub fn expired_key(key_id: &str) -> Self {
        let text =
            format!("Authentication Error, the key `{key_id}` has expired; ask for a new one");
        Self::of(Reason::ExpiredKey, text).error_type("expired_key").param("None")
    }

    /// With the type and the words of LiteLLM.
    pub fn model_not_for_key(model: &str, allowed: &[String]) -> Self {
        let text = format!(
            "key not allowed to access model. This key can only access models={}. Tried to access \
             {model}",
            allowed.join(", ")
        );
        Self::of(Reason::ModelNotForKey, text).error_type("key_model_access_denied").param("model")
    }

    /// `scope` is the one that the path needs.
    pub fn missing_scope(scope: &str) -> Self {
        let text = format!(
            "this key may not use this path, which needs the scope `{scope}`; add it to the key's \
             `scopes`, or use another key"
        );
        Self::of(Reason::MissingScope, text)
    }

    /// `param` is the text "None", as in LiteLLM, because clients compare these bodies.
    fn unauthorized(message: &str) -> Self {
        Self::of(Reason::Unauthorized, message).error_type("auth_error").param("None")
    }

    pub fn unknown_path(path: &str) -> Self {
        let text = format!("Not Found: this gateway does not serve `{path}`");
        Self::of(Reason::UnknownPath, text)
    }

    pub fn wrong_method(allowed: &str, found: &str) -> Self {
        let text = format!("Method Not Allowed: expected one of {allowed}, found {found}");
        Self::of(Reason::WrongMethod, text)
    }

    pub fn model_not_found(id: &str) -> Self {
        let text = format!("The model `{id}` does not exist or is not accessible");
        Self::of(Reason::ModelNotFound, text).param("model")
    }

    pub fn malformed_model_path() -> Self {
        Self::invalid(
            "expected the model's name in the path as percent-encoded UTF-8, found something else; \
             write `%` as `%25`",
        )
        .param("model")
    }

    pub fn loop_detected() -> Self {
        Self::of(
            Reason::LoopDetected,
            "this call has been through this gateway before: an `api_base` in its config leads \
             back to it",
        )
    }
}

/// Errors in the body's bytes.
impl Failure {
    pub fn body_too_slow(limit: Duration) -> Self {
        let seconds = limit.as_secs_f64();
        let text = format!("the request body did not arrive within {seconds} s");
        Self::of(Reason::BodyTooSlow, text)
    }

    pub fn body_too_large(max: usize) -> Self {
        let text = format!(
            "the request body is larger than this gateway's limit of {max} bytes \
             (`callgate.limits.max_body_bytes`)"
        );
        Self::of(Reason::BodyTooLarge, text)
    }

    pub fn body_framing() -> Self {
        Self::invalid("the framing of the request body is not valid HTTP/1.1")
    }

    /// A content coding that is not supported.
    pub fn body_coding(error: &impl Display) -> Self {
        let text = format!("the request body has {error}");
        Self::of(Reason::RequestCoding, text).param("request_body")
    }

    /// A body that does not match its content coding.
    pub fn miscoded_body(error: &impl Display) -> Self {
        Self::invalid(format!("the request body has {error}")).param("request_body")
    }

    pub fn not_json(error: &impl Display) -> Self {
        Self::invalid(format!("Invalid JSON payload: {error}")).param("request_body")
    }

    /// JSON of another type than the gateway accepts, with the reader's error.
    pub fn unfit_body(error: &impl Display) -> Self {
        Self::invalid(error.to_string()).param("request_body")
    }
}

/// Errors in the body's members. Clients compare the texts, so LiteLLM's are kept.
impl Failure {
    /// The client's error, with the given text.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::of(Reason::Invalid, message)
    }

    /// `path` is that of the call below `/v1`, as in LiteLLM's texts.
    pub fn unknown_model(path: &str, name: &str) -> Self {
        Self::invalid(format!(
            "{path}: Invalid model name passed in model={name}. Call `/v1/models` to \
             view available models for your key."
        ))
    }

    pub fn model_too_long(max: usize) -> Self {
        Self::invalid(format!("'model' must be at most {max} bytes long.")).param("model")
    }

    pub fn model_not_text() -> Self {
        Self::invalid("'model' must be a string.").error_type("bad_request_error").param("model")
    }

    /// The call at `path` needs the parameter `name`.
    pub fn missing_parameter(path: &str, name: &str) -> Self {
        Self::invalid(format!("{path}: Missing required parameter: '{name}'.")).param(name)
    }

    pub fn messages_not_array() -> Self {
        Self::invalid("'messages' must be an array.").param("messages")
    }

    /// What is to be embedded or judged is of no kind that an upstream could take.
    pub fn unusable_input(found: &str) -> Self {
        let text = format!(
            "'input' must be a string or an array of strings, tokens or parts that is not empty, \
             found {found}."
        );
        Self::invalid(text).param("input")
    }

    pub fn stream_not_boolean() -> Self {
        Self::invalid("'stream' must be a boolean.").param("stream")
    }

    pub fn two_models() -> Self {
        Self::invalid("the form has the field `model` more than once; send it once").param("model")
    }

    pub fn form_without_file() -> Self {
        Self::invalid("Missing required parameter: 'file'. The form has no part with a `filename`.")
            .param("file")
    }

    pub fn form_with_stream() -> Self {
        Self::invalid("streams of such calls are not supported; leave out `stream`").param("stream")
    }

    /// A stream that a callback wants to judge as a whole, of a kind that cannot be put together.
    pub fn stream_cannot_be_held(path: &str) -> Self {
        Self::invalid(format!(
            "{path}: a callback of this gateway judges whole answers, and of such a call it cannot \
             do that to a stream; ask without `stream`"
        ))
        .param("stream")
    }

    pub fn malformed_timeout() -> Self {
        Self::invalid("'timeout' must be a number of seconds above 0.").param("timeout")
    }

    /// `names` are parameters that a reasoning model refuses, at least one.
    pub fn not_for_reasoning(model: &str, names: &[&str]) -> Self {
        let quoted: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
        let listed = match quoted.split_last() {
            Some((last, [])) => last.clone(),
            Some((last, before)) => format!("{} and {last}", before.join(", ")),
            None => String::new(),
        };
        let failure = Self::invalid(format!(
            "model `{model}` does not take {listed} with this value, because it reasons; leave it \
             out, set `drop_params: true` (in `litellm_settings`, the deployment's \
             `litellm_params` or the request) to drop it, or list it in `allowed_openai_params` of \
             the deployment"
        ));
        match names.first() {
            Some(name) => failure.param(*name),
            None => failure,
        }
    }

    pub fn extra_body_not_object() -> Self {
        Self::invalid("`extra_body` must be an object").param("extra_body")
    }

    /// A member with which the client would choose the upstream or its key.
    pub fn credentials_in_body(name: &str) -> Self {
        let text = format!("Rejected Request: {name} is not allowed in request body.");
        Self::of(Reason::Unauthorized, text).error_type("auth_error").param(name)
    }
}

impl From<callgate_json::Ambiguity> for Failure {
    fn from(ambiguity: callgate_json::Ambiguity) -> Self {
        Self::invalid(format!("{ambiguity}.")).param(ambiguity.path)
    }
}
