//! Base URLs: which are usable, which are rewritten, and which providers' hosts are known.

use callgate_config::{HttpUrl, UrlError, quoted};
use callgate_providers::by_host;

/// Why a base cannot be used. Never shows the URL, which may hold a key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum BaseError {
    #[error("expected a URL that begins with `http://` or `https://`, found {0}")]
    Scheme(String),
    #[error("{}; use `api_key` or `extra_headers`", UrlError::Credentials)]
    Credentials,
    #[error(transparent)]
    Other(UrlError),
}

impl From<UrlError> for BaseError {
    fn from(error: UrlError) -> Self {
        match error {
            UrlError::Scheme(Some(other)) => Self::Scheme(format!("`{}://`", quoted(&other))),
            UrlError::Scheme(None) => Self::Scheme("neither".to_owned()),
            UrlError::Credentials => Self::Credentials,
            other => Self::Other(other),
        }
    }
}

/// A usable base.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Base {
    /// Without trailing slashes.
    pub(super) url: String,
    /// Lower case, without the port.
    pub(super) host: String,
    /// The value of `?api-version=`, with which Azure's portal shows its URLs.
    pub(super) api_version: Option<String>,
    /// The path that was put in place of one that the host does not serve.
    pub(super) path_put: Option<&'static str>,
}

pub(super) fn parse(text: &str) -> Result<Base, BaseError> {
    let (text, api_version) = match text.trim().split_once("?api-version=") {
        Some((base, version)) if is_version(version) => (base, Some(version.to_owned())),
        _ => (text.trim(), None),
    };
    let parsed = HttpUrl::parse_base(text)?;
    let host = parsed.host().to_ascii_lowercase();
    let mut url = text.trim_end_matches('/').to_owned();
    let path = parsed.path().trim_end_matches('/');
    let path_put = by_host(&host).and_then(|provider| provider.right_path(path));
    if let Some(right) = path_put {
        url.truncate(url.len() - path.len());
        url.push_str(right);
    }
    Ok(Base { url, host, api_version, path_put })
}

/// Whether a text can stand in a URL as the version of an API.
pub(super) fn is_version(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    !text.is_empty() && text.bytes().all(plain)
}

/// The provider that a well-known host belongs to. `*.ngrok*` hosts are commonly tunnels to
/// OpenAI's API.
pub(super) fn provider_of_host(host: &str) -> Option<&'static str> {
    let is_or_under = |domain: &str| {
        host.strip_suffix(domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    };
    if is_or_under("api.groq.com") {
        return Some("groq");
    }
    if let Some(provider) = by_host(host) {
        return Some(provider.name);
    }
    let tunnelled = host.split('.').skip(1).any(|label| label.starts_with("ngrok"));
    (is_or_under("openai.com") || tunnelled).then_some("openai")
}

#[cfg(test)]
mod tests {
    use super::{BaseError, UrlError, parse, provider_of_host};

    #[test]
    fn usable_bases_lose_their_trailing_slash() {
        for (text, expected) in [
            ("https://api.openai.com/v1", "https://api.openai.com/v1"),
            (" http://localhost:11434/ ", "http://localhost:11434"),
            ("http://[::1]:8000/v1//", "http://[::1]:8000/v1"),
            ("https://api.groq.com/v1", "https://api.groq.com/openai/v1"),
            ("https://api.groq.com/v1/", "https://api.groq.com/openai/v1"),
            ("https://API.groq.com", "https://API.groq.com/openai/v1"),
            ("https://api.groq.com/openai/v1", "https://api.groq.com/openai/v1"),
            ("https://my.host/v1", "https://my.host/v1"),
            ("https://api.anthropic.com", "https://api.anthropic.com/v1"),
            (
                "https://generativelanguage.googleapis.com/v1beta/",
                "https://generativelanguage.googleapis.com/v1beta/openai",
            ),
            ("https://openrouter.ai", "https://openrouter.ai/api/v1"),
            ("https://api.deepseek.com/v1", "https://api.deepseek.com/v1"),
            ("https://api.perplexity.ai", "https://api.perplexity.ai"),
            ("https://api.openai.com", "https://api.openai.com/v1"),
        ] {
            assert_eq!(parse(text).unwrap().url, expected, "{text}");
        }
    }

    #[test]
    fn a_base_may_name_the_version_of_its_api() {
        let base = parse("https://r.openai.azure.com/?api-version=2024-06-01").unwrap();
        assert_eq!(base.url, "https://r.openai.azure.com");
        assert_eq!(base.api_version.as_deref(), Some("2024-06-01"));
    }

    #[test]
    fn bases_that_can_never_work_are_refused() {
        for (text, expected) in [
            ("localhost", BaseError::Scheme("neither".into())),
            ("localhost:11434", BaseError::Scheme("neither".into())),
            ("ftp://host/v1", BaseError::Scheme("`ftp://`".into())),
            ("http://", BaseError::Other(UrlError::NotUrl)),
            ("http:///v1", BaseError::Other(UrlError::NotUrl)),
            ("not a url", BaseError::Other(UrlError::NotUrl)),
            ("http://host:99999/", BaseError::Other(UrlError::NotUrl)),
            ("https://user:sk-1@host/v1", BaseError::Credentials),
            ("https://host/v1?api-version=1&key=sk-1", BaseError::Other(UrlError::Query)),
            ("https://host/v1?key=sk-1", BaseError::Other(UrlError::Query)),
            ("https://host/v1#x", BaseError::Other(UrlError::Query)),
        ] {
            assert_eq!(parse(text), Err(expected), "{text}");
        }
    }

    #[test]
    fn known_hosts_have_a_provider() {
        for (host, expected) in [
            ("api.groq.com", Some("groq")),
            ("api.openai.com", Some("openai")),
            ("openai.com", Some("openai")),
            ("abc.ngrok-free.dev", Some("openai")),
            ("abc.eu.ngrok.io", Some("openai")),
            ("api.mistral.ai", Some("mistral")),
            ("dashscope.aliyuncs.com", Some("dashscope")),
            ("eu.api.mistral.ai", None),
            ("127.0.0.1", None),
            ("notopenai.com", None),
            ("api.groq.com.evil.org", None),
            ("ngrok-notes.org", None),
            ("localhost", None),
        ] {
            assert_eq!(provider_of_host(host), expected, "{host}");
        }
    }
}
