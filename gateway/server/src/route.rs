//! The paths of the server, and the methods of each. Model names in paths may be percent-encoded or
//! plain, and may contain slashes.

use super::call_paths;
use axum::http::Method;
use callgate_failure::Failure;
use callgate_providers::CallKind;

/// The endpoint of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Route<'p> {
    /// A call of a model; some paths name the model, still encoded.
    Call(CallKind, Option<&'p str>),
    Models,
    /// One model, its name still encoded.
    Model(&'p str),
    /// The entries of `model_list`.
    ModelInfo,
    /// Which of them can be called.
    Health,
    Callbacks,
    ActiveCallbacks,
    Alive,
    Ready,
    Metrics,
    /// Reloads of the config.
    Reload,
    Root,
}

/// Who may use an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    /// Everybody.
    Open,
    /// Holders of a key with the scope `calls`.
    Calls,
    /// Holders of a key with the scope `metrics` or `admin`.
    Reports,
    /// Holders of a key with the scope `admin`; nobody if the config sets no key.
    Admin,
    /// As `Reports` if `litellm_settings.require_auth_for_metrics_endpoint` is on, otherwise
    /// everybody.
    AsMetricsAreSet,
}

impl<'p> Route<'p> {
    pub(super) fn of(path: &'p str) -> Option<Self> {
        if let Some((_, kind)) = call_paths::named(path) {
            return Some(Self::Call(kind, None));
        }
        Some(match path {
            "/v1/models" | "/models" => Self::Models,
            "/v1/model/info" | "/model/info" => Self::ModelInfo,
            "/health" => Self::Health,
            "/callbacks" => Self::Callbacks,
            "/active/callbacks" => Self::ActiveCallbacks,
            "/health/liveliness" | "/health/liveness" => Self::Alive,
            "/health/readiness" => Self::Ready,
            "/metrics" | "/metrics/" => Self::Metrics,
            "/admin/reload" => Self::Reload,
            "/" => Self::Root,
            _ if path.ends_with('/') => return None,
            _ => return Self::with_model(path),
        })
    }

    fn with_model(path: &'p str) -> Option<Self> {
        for prefix in ["/v1/models/", "/models/"] {
            if let Some(name) = path.strip_prefix(prefix) {
                return Some(Self::Model(name));
            }
        }
        let (kind, model) = call_paths::with_model(path)?;
        Some(Self::Call(kind, Some(model)))
    }

    /// Who may use the endpoint. Only endpoints that show nothing of the config, its models or its
    /// calls are open.
    pub(super) fn access(self) -> Access {
        match self {
            Self::Alive | Self::Ready | Self::Root => Access::Open,
            Self::Metrics => Access::AsMetricsAreSet,
            Self::Reload => Access::Admin,
            Self::Callbacks | Self::ActiveCallbacks => Access::Reports,
            Self::Call(..) | Self::Models | Self::Model(_) => Access::Calls,
            Self::ModelInfo | Self::Health => Access::Calls,
        }
    }

    /// The methods of the endpoint, in the form of the `Allow` header.
    pub(super) fn allow(self) -> &'static str {
        match self {
            Self::Call(..) => "POST, OPTIONS",
            Self::Reload => "GET, HEAD, POST, OPTIONS",
            _ => "GET, HEAD, OPTIONS",
        }
    }

    pub(super) fn takes(self, method: &Method) -> bool {
        match self {
            Self::Call(..) => *method == Method::POST,
            Self::Reload if *method == Method::POST => true,
            _ => *method == Method::GET || *method == Method::HEAD,
        }
    }
}

/// The path without trailing slashes, for a redirect as LiteLLM makes it. Only for paths that are
/// served: others could be made to lead to another host.
pub(super) fn without_slash(path: &str) -> Option<&str> {
    let trimmed = path.trim_end_matches('/');
    let shorter = trimmed.len() < path.len() && !trimmed.is_empty();
    (shorter && Route::of(trimmed).is_some()).then_some(trimmed)
}

/// Decodes a model name from a path.
pub(super) fn decoded(name: &str) -> Result<String, Failure> {
    let wrong = Failure::malformed_model_path;
    let mut bytes = Vec::with_capacity(name.len());
    let mut rest = name.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let (digits, after) = rest.split_at_checked(2).ok_or_else(wrong)?;
        let digit = |at: usize| digits.get(at).and_then(|it| char::from(*it).to_digit(16));
        let (Some(high), Some(low)) = (digit(0), digit(1)) else { return Err(wrong()) };
        bytes.push((high * 16 + low) as u8);
        rest = after;
    }
    String::from_utf8(bytes).map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_distinguished() {
        for (path, route) in [
            ("/", Some(Route::Root)),
            ("//", None),
            ("/v1/chat/completions", Some(Route::Call(CallKind::Chat, None))),
            ("/v1/chat/completions/", None),
            ("/engines/m/chat/completions", Some(Route::Call(CallKind::Chat, Some("m")))),
            ("/engines/v/m/chat/completions", Some(Route::Call(CallKind::Chat, Some("v/m")))),
            ("/engines/v%2Fm/chat/completions", Some(Route::Call(CallKind::Chat, Some("v%2Fm")))),
            ("/engines/v/m/embeddings", Some(Route::Call(CallKind::Embeddings, Some("v/m")))),
            ("/engines/embeddings", None),
            ("/engines//chat/completions", None),
            ("/engines/chat/completions", Some(Route::Call(CallKind::Completions, Some("chat")))),
            (
                "/openai/deployments/m/chat/completions",
                Some(Route::Call(CallKind::Chat, Some("m"))),
            ),
            (
                "/openai/deployments/m/completions",
                Some(Route::Call(CallKind::Completions, Some("m"))),
            ),
            ("/v1/models", Some(Route::Models)),
            ("/v1/models/v/m", Some(Route::Model("v/m"))),
            ("/models/%FF", Some(Route::Model("%FF"))),
            ("/v1/models/", None),
            ("/metrics/", Some(Route::Metrics)),
            ("/admin/reload", Some(Route::Reload)),
            ("/admin", None),
            ("/v1/embeddings", Some(Route::Call(CallKind::Embeddings, None))),
            ("/v2/rerank", Some(Route::Call(CallKind::Rerank, None))),
            ("/v3/rerank", None),
        ] {
            assert_eq!(Route::of(path), route, "{path}");
        }
    }

    #[test]
    fn every_path_but_the_open_ones_needs_the_key() {
        let open = ["/", "/health/liveliness", "/health/liveness", "/health/readiness"];
        let models =
            ["/v1/models", "/models", "/v1/models/m", "/models/m", "/v1/model/info", "/health"];
        let azure = ["/engines/m/chat/completions", "/openai/deployments/m/chat/completions"];
        let calls =
            models.iter().chain(&azure).copied().chain(call_paths::NAMED.map(|(path, _)| path));
        let calls = calls.map(|path| (path, Access::Calls));
        let reports = ["/callbacks", "/active/callbacks"].map(|path| (path, Access::Reports));
        let metrics = ["/metrics", "/metrics/"].map(|path| (path, Access::AsMetricsAreSet));
        let open = open.map(|path| (path, Access::Open));
        let admin = [("/admin/reload", Access::Admin)];
        let all = calls.chain(reports).chain(admin).chain(open).chain(metrics);
        for (path, access) in all {
            assert_eq!(Route::of(path).map(Route::access), Some(access), "{path}");
        }
    }

    #[test]
    fn only_a_served_path_is_redirected_to() {
        for (path, expected) in [
            ("/v1/models/", Some("/v1/models")),
            ("/v1/models///", Some("/v1/models")),
            ("/v1/models/v/m/", Some("/v1/models/v/m")),
            ("/v1/models", None),
            ("/", None),
            ("//", None),
            ("/\\evil.example/", None),
            ("//evil.example/", None),
            ("/%5Cevil.example/", None),
            ("/nope/", None),
        ] {
            assert_eq!(without_slash(path), expected, "{path}");
        }
    }

    #[test]
    fn names_are_decoded_or_refused() {
        for (written, name) in [
            ("m", Some("m")),
            ("v%2Fm", Some("v/m")),
            ("v%2fm", Some("v/m")),
            ("%C3%A9", Some("é")),
            ("100%25", Some("100%")),
            ("%FF", None),
            ("%", None),
            ("%2", None),
            ("%zz", None),
            ("%+1", None),
        ] {
            assert_eq!(decoded(written).ok().as_deref(), name, "{written}");
        }
    }
}
