//! A request as `on_auth` sees it: the inputs that the callback's export declares.

use http::{HeaderMap, HeaderName, HeaderValue, Method, header::AUTHORIZATION};
use plugin_api::{AuthCaller, Rejection, abi::serve::AuthAccess};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

/// A request whose sender is asked for.
#[derive(Clone, Copy, Debug)]
pub struct AuthSource<'r> {
    pub headers: &'r HeaderMap,
    pub method: &'r Method,
    /// Without the query.
    pub path: &'r str,
    pub client_address: Option<&'r str>,
    /// When the request came.
    pub accepted: Instant,
}

/// One thing that an authenticator's export declares as an input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum AuthInput {
    Method,
    Path,
    ClientAddress,
    Header(HeaderName),
}

impl AuthInput {
    /// The inputs with these names, which were checked when the plugin was inspected.
    pub(crate) fn all(names: &[String]) -> Arc<[Self]> {
        let input = |name: &String| match &**name {
            ":method" => Some(Self::Method),
            ":path" => Some(Self::Path),
            ":client_address" => Some(Self::ClientAddress),
            name => name.parse().ok().map(Self::Header),
        };
        names.iter().filter_map(input).collect()
    }

    /// The name that the export declares.
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Method => ":method",
            Self::Path => ":path",
            Self::ClientAddress => ":client_address",
            Self::Header(name) => name.as_str(),
        }
    }

    /// All values in a request, in its order.
    pub(crate) fn values<'r>(
        &self,
        source: AuthSource<'r>,
    ) -> impl Iterator<Item = &'r [u8]> + use<'r> {
        let (own, headers) = match self {
            Self::Method => (Some(source.method.as_str()), None),
            Self::Path => (Some(source.path), None),
            Self::ClientAddress => (source.client_address, None),
            Self::Header(name) => (None, Some(source.headers.get_all(name))),
        };
        let headers = headers.into_iter().flatten().map(HeaderValue::as_bytes);
        own.map(str::as_bytes).into_iter().chain(headers)
    }
}

/// What a hook says with its verdict.
#[derive(Debug, Default)]
pub(crate) enum AuthSaid {
    #[default]
    Nothing,
    Caller(Result<Box<AuthCaller>, String>),
    Refused(Rejection, Duration),
    Fault(String),
}

/// The inputs of one run of a hook, and what it said. It owns all, because the hook may run on
/// another thread, and longer than the request.
#[derive(Debug)]
pub(crate) struct AuthPayload {
    inputs: Arc<[AuthInput]>,
    /// Each with the index of its input.
    values: Vec<(usize, Box<[u8]>)>,
    pub(crate) said: AuthSaid,
}

impl AuthPayload {
    pub(crate) fn new(source: AuthSource<'_>, inputs: &Arc<[AuthInput]>) -> Self {
        let values = inputs.iter().enumerate().flat_map(|(index, input)| {
            input.values(source).map(move |value| (index, Box::from(value)))
        });
        Self { inputs: Arc::clone(inputs), values: values.collect(), said: AuthSaid::Nothing }
    }
}

/// A request with a token that no authenticator knows.
pub(crate) fn sample() -> AuthPayload {
    let headers =
        HeaderMap::from_iter([(AUTHORIZATION, HeaderValue::from_static("Bearer made-up-token"))]);
    let source = AuthSource {
        headers: &headers,
        method: &Method::POST,
        path: "/v1/chat/completions",
        client_address: Some("127.0.0.1"),
        accepted: Instant::now(),
    };
    let names = ["authorization", ":method", ":path", ":client_address"];
    AuthPayload::new(source, &AuthInput::all(&names.map(str::to_owned)))
}

impl AuthAccess for AuthPayload {
    fn input(&self, name: &str) -> Option<&[u8]> {
        let named =
            |(index, _): &&(usize, _)| self.inputs.get(*index).is_some_and(|it| it.name() == name);
        self.values.iter().find(named).map(|(_, value)| &**value)
    }

    fn input_count(&self) -> usize {
        self.values.len()
    }

    fn input_at(&self, index: usize) -> Option<(&str, &[u8])> {
        let (input, value) = self.values.get(index)?;
        Some((self.inputs.get(*input)?.name(), value))
    }

    fn caller(&mut self, json: &str) {
        let caller = serde_json::from_str(json).map(Box::new).map_err(|error| error.to_string());
        self.said = AuthSaid::Caller(caller);
    }

    fn refuse(&mut self, rejection: Rejection, keep_for: Duration) {
        self.said = AuthSaid::Refused(rejection, keep_for);
    }

    fn fault(&mut self, message: &str) {
        self.said = AuthSaid::Fault(message.to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hook_sees_the_inputs_that_its_export_declares_and_nothing_else() {
        let mut headers = HeaderMap::new();
        headers.append("authorization", HeaderValue::from_static("Bearer one"));
        headers.append("authorization", HeaderValue::from_static("Bearer two"));
        headers.append("x-other", HeaderValue::from_static("secret"));
        let source = AuthSource {
            headers: &headers,
            method: &Method::POST,
            path: "/v1/models",
            client_address: Some("10.0.0.1"),
            accepted: Instant::now(),
        };
        let payload = |names: &[&str]| {
            let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
            AuthPayload::new(source, &AuthInput::all(&names))
        };
        let some = payload(&["authorization", ":path", "x-missing"]);
        assert_eq!(some.input("authorization"), Some(&b"Bearer one"[..]));
        assert_eq!(some.input_at(1), Some(("authorization", &b"Bearer two"[..])));
        assert_eq!(some.input_at(2), Some((":path", &b"/v1/models"[..])));
        assert_eq!((some.input_count(), some.input_at(3)), (3, None));
        for absent in ["x-other", "x-missing", ":method", ":client_address", ""] {
            assert_eq!(some.input(absent), None, "{absent}");
        }
        let others = payload(&[":client_address", ":method"]);
        assert_eq!(others.input(":client_address"), Some(&b"10.0.0.1"[..]));
        assert_eq!(others.input(":method"), Some(&b"POST"[..]));
    }
}
