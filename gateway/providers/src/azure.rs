//! Azure OpenAI and Azure AI Foundry: OpenAI's wire at URLs of their own, and the errors of their
//! content filters. `openai` does the rest.

use crate::{
    AnswerFault, CallKind, ChatAddress, Destination, Dialect, Echo, ErrorText, KeyHeader, Outgoing,
    StreamRequest, StreamTranslator, Translated, openai::OpenAi, other_calls,
};
use callgate_failure::Failure;
use callgate_json::{Body, slices};
use std::fmt::Write;

/// LiteLLM's default.
const DEFAULT_VERSION: &str = "2025-02-01-preview";

/// The version of Foundry's model inference API, which refuses calls without one.
const MODELS_VERSION: &str = "2024-05-01-preview";

/// The names with which an entry asks for the URLs without a version.
const V1: [&str; 3] = ["v1", "latest", "preview"];

/// From this version on, streams can be asked for their usage.
const STREAM_OPTIONS_SINCE: &str = "2024-09-01";

/// What Azure calls the verdict of a content filter within an error.
const FILTERED: &[u8] = br#""ResponsibleAIPolicyViolation""#;

/// The hosts of a company's own resources.
const AZURE_HOSTS: [&str; 3] =
    [".services.ai.azure.com", ".openai.azure.com", ".cognitiveservices.azure.com"];

/// Azure's two services.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Azure {
    OpenAi,
    Foundry,
}

/// The header of the key at `base`. Endpoints of single models at Foundry expect another one than
/// Azure's own hosts.
pub(crate) fn foundry_key_header(base: &str) -> KeyHeader {
    let takes_api_key = AZURE_HOSTS.iter().any(|domain| host(base).ends_with(domain));
    if takes_api_key { KeyHeader::ApiKey } else { KeyHeader::Bearer }
}

impl Dialect for Azure {
    fn chat_url(&self, at: &ChatAddress<'_>) -> String {
        match self {
            Self::OpenAi => openai_url(at),
            Self::Foundry => foundry_url(at),
        }
    }

    fn has_model_in_url(&self) -> bool {
        true
    }

    fn has_versions(&self) -> bool {
        true
    }

    fn knows_stream_options(&self, at: &ChatAddress<'_>) -> bool {
        let url = self.chat_url(at);
        if is_inference(&url) {
            return false;
        }
        // Versions begin with their date, so that their texts are in its order.
        let version = url.split_once("?api-version=").map(|(_, version)| version);
        version.is_none_or(|version| version >= STREAM_OPTIONS_SINCE)
    }

    fn unserved(&self, model: &str) -> Option<&'static str> {
        match self {
            Self::Foundry if model.to_ascii_lowercase().contains("claude") => {
                Some("Claude at Azure AI Foundry has Anthropic's own API, which is not supported")
            }
            Self::Foundry if model.starts_with("agents/") => {
                Some("agents at Azure AI Foundry are not supported")
            }
            _ => None,
        }
    }

    fn request(&self, body: &Body, to: &Destination<'_>) -> Result<Outgoing, Failure> {
        OpenAi.request(body, to)
    }

    fn url(&self, kind: CallKind, at: &ChatAddress<'_>) -> String {
        other_calls::url(&self.chat_url(at), kind)
    }

    fn request_of(
        &self,
        kind: CallKind,
        body: &Body,
        to: &Destination<'_>,
    ) -> Result<Outgoing, Failure> {
        OpenAi.request_of(kind, body, to)
    }

    fn reply_of(
        &self,
        kind: CallKind,
        body: Body,
        echo: &Echo,
        base64: bool,
    ) -> Result<Translated, AnswerFault> {
        OpenAi.reply_of(kind, body, echo, base64)
    }

    fn reply(&self, body: Body, echo: &Echo) -> Result<Translated, AnswerFault> {
        OpenAi.reply(body, echo)
    }

    fn stream(&self, echo: &Echo, asked: StreamRequest) -> Box<dyn StreamTranslator> {
        OpenAi.stream(echo, asked)
    }

    fn error(&self, status: u16, body: &[u8]) -> ErrorText {
        let said = OpenAi.error(status, body);
        if !is_filtered(body) {
            return said;
        }
        ErrorText { code: Some("content_filter".to_owned()), ..said }
    }
}

/// Azure's newer services put the verdict only into the inner error.
fn is_filtered(body: &[u8]) -> bool {
    let Some(error) = slices::member(body, "error") else { return false };
    let inner = ["innererror", "inner_error"].iter().find_map(|it| slices::member(error, it));
    let code = inner.and_then(|inner| slices::member(inner, "code"));
    code == Some(FILTERED)
}

fn openai_url(at: &ChatAddress<'_>) -> String {
    let base = without_endpoint(at.base);
    let version = at.api_version.unwrap_or(DEFAULT_VERSION);
    if let Some(root) = v1_root(base, version) {
        return [root, "/openai/v1/chat/completions"].concat();
    }
    let mut url = base.to_owned();
    let ends = |end: &str| base.ends_with(end);
    if host(base) == "gateway.ai.cloudflare.com" {
        url.push('/');
        push_segment(&mut url, at.model);
    } else if !base.contains("/openai/deployments/") {
        url.push_str(match () {
            () if ends("/openai/deployments") => "/",
            () if ends("/openai") => "/deployments/",
            () => "/openai/deployments/",
        });
        push_segment(&mut url, at.model);
    }
    url.push_str("/chat/completions?api-version=");
    url.push_str(version);
    url
}

/// What stands before `/openai/v1`, if the base or the version asks for these URLs.
fn v1_root<'b>(base: &'b str, version: &str) -> Option<&'b str> {
    if let Some((root, rest)) = base.split_once("/openai/v1")
        && (rest.is_empty() || rest.starts_with('/'))
    {
        return Some(root);
    }
    if !V1.contains(&version) {
        return None;
    }
    let end =
        base.find("/openai/deployments").or_else(|| base.strip_suffix("/openai").map(str::len));
    Some(&base[..end.unwrap_or(base.len())])
}

fn foundry_url(at: &ChatAddress<'_>) -> String {
    let base = without_endpoint(at.base);
    let host = host(base);
    let is_openai = base.contains("/openai/") || base.ends_with("/openai");
    if is_openai || host.ends_with(".openai.azure.com") {
        return openai_url(at);
    }
    let models = host.ends_with(".services.ai.azure.com") && !base.ends_with("/models");
    let mut url = [base, if models { "/models" } else { "" }, "/chat/completions"].concat();
    let inference = is_inference(&url).then_some(MODELS_VERSION);
    if let Some(version) = at.api_version.or(inference) {
        url.push_str("?api-version=");
        url.push_str(version);
    }
    url
}

/// Whether a URL of chat calls belongs to Foundry's model inference API, which knows no
/// `stream_options`.
fn is_inference(url: &str) -> bool {
    url.split('?').next().is_some_and(|path| path.ends_with("/models/chat/completions"))
}

/// A base as the portal shows it may name the endpoint, too.
fn without_endpoint(base: &str) -> &str {
    let base = base.trim_end_matches('/');
    base.strip_suffix("/chat/completions").unwrap_or(base)
}

/// Without the port.
fn host(base: &str) -> &str {
    let rest = base.split_once("://").map_or(base, |(_, rest)| rest);
    rest.split(['/', ':']).next().unwrap_or_default()
}

/// Adds a name as one segment of a path.
fn push_segment(url: &mut String, name: &str) {
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            url.push(char::from(byte));
        } else {
            // Writing to a `String` cannot fail.
            let _ = write!(url, "%{byte:02X}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(azure: Azure, base: &str, api_version: Option<&str>, expected: &str) {
        let at = ChatAddress { base, model: "my gpt/4", api_version };
        assert_eq!(azure.chat_url(&at), expected, "{base} {api_version:?}");
    }

    #[test]
    fn a_deployment_is_named_in_the_url() {
        let url = "https://r.openai.azure.com/openai/deployments/my%20gpt%2F4/chat/completions";
        for base in ["", "/", "/openai", "/openai/deployments"] {
            let base = format!("https://r.openai.azure.com{base}");
            check(Azure::OpenAi, &base, None, &format!("{url}?api-version=2025-02-01-preview"));
            check(
                Azure::OpenAi,
                &base,
                Some("2024-06-01"),
                &format!("{url}?api-version=2024-06-01"),
            );
        }
        for base in ["/openai/deployments/d", "/openai/deployments/d/chat/completions"] {
            let base = format!("https://r.openai.azure.com{base}");
            let url = "https://r.openai.azure.com/openai/deployments/d/chat/completions";
            check(Azure::OpenAi, &base, Some("x"), &format!("{url}?api-version=x"));
        }
        check(
            Azure::OpenAi,
            "https://gateway.ai.cloudflare.com/v1/a/g/azure-openai/r",
            Some("x"),
            "https://gateway.ai.cloudflare.com/v1/a/g/azure-openai/r/my%20gpt%2F4/chat/completions\
             ?api-version=x",
        );
    }

    #[test]
    fn urls_of_v1_name_neither_deployment_nor_version() {
        let url = "https://r.openai.azure.com/openai/v1/chat/completions";
        for version in ["v1", "latest", "preview"] {
            for base in ["", "/", "/openai", "/openai/v1/", "/openai/deployments/d"] {
                let base = format!("https://r.openai.azure.com{base}");
                check(Azure::OpenAi, &base, Some(version), url);
            }
        }
        for base in ["/openai/v1", "/openai/v1/", "/openai/v1/chat/completions"] {
            let base = format!("https://r.openai.azure.com{base}");
            check(Azure::OpenAi, &base, None, url);
            check(Azure::OpenAi, &base, Some("2024-06-01"), url);
            check(Azure::Foundry, &base, None, url);
        }
    }

    #[test]
    fn foundry_has_its_own_paths() {
        let url = "https://r.services.ai.azure.com/models/chat/completions";
        for base in ["", "/", "/models", "/models/chat/completions"] {
            let base = format!("https://r.services.ai.azure.com{base}");
            check(Azure::Foundry, &base, None, &format!("{url}?api-version=2024-05-01-preview"));
            check(Azure::Foundry, &base, Some("x"), &format!("{url}?api-version=x"));
        }
        let single = "https://m.eastus2.models.ai.azure.com";
        check(Azure::Foundry, single, None, &format!("{single}/chat/completions"));
        let older = "https://m.eastus2.inference.ai.azure.com/v1";
        let expected = format!("{older}/chat/completions?api-version=x");
        check(Azure::Foundry, older, Some("x"), &expected);
        check(
            Azure::Foundry,
            "https://r.openai.azure.com",
            Some("x"),
            "https://r.openai.azure.com/openai/deployments/my%20gpt%2F4/chat/completions\
             ?api-version=x",
        );
    }

    #[test]
    fn the_host_decides_on_the_header_of_the_key() {
        for (host, expected) in [
            ("r.services.ai.azure.com", KeyHeader::ApiKey),
            ("r.openai.azure.com", KeyHeader::ApiKey),
            ("r.cognitiveservices.azure.com", KeyHeader::ApiKey),
            ("m.eastus2.models.ai.azure.com", KeyHeader::Bearer),
            ("m.eastus2.inference.ai.azure.com", KeyHeader::Bearer),
            ("models.example", KeyHeader::Bearer),
            ("r.openai.azure.com.example", KeyHeader::Bearer),
        ] {
            assert_eq!(foundry_key_header(&format!("https://{host}/v1")), expected, "{host}");
        }
    }

    #[test]
    fn streams_are_asked_for_usage_where_the_version_knows_it() {
        let base = "https://r.openai.azure.com";
        for (version, expected) in [
            (None, true),
            (Some("2024-06-01"), false),
            (Some("2024-08-01-preview"), false),
            (Some("2024-09-01-preview"), true),
            (Some("2024-10-21"), true),
            (Some("v1"), true),
        ] {
            let at = ChatAddress { base, model: "m", api_version: version };
            assert_eq!(Azure::OpenAi.knows_stream_options(&at), expected, "{version:?}");
        }
        let at = |base| ChatAddress { base, model: "m", api_version: None };
        let foundry = |base| Azure::Foundry.knows_stream_options(&at(base));
        assert!(!foundry("https://r.services.ai.azure.com"));
        assert!(foundry("https://m.eastus2.models.ai.azure.com"));
    }

    #[test]
    fn a_filtered_prompt_is_an_error_of_openais_shape() {
        let filtered = |code: &str| {
            format!(
                r#"{{"error":{{"message":"The prompt was filtered.","type":null,"param":"prompt","code":{code},"status":400,"innererror":{{"code":"ResponsibleAIPolicyViolation","content_filter_result":{{"hate":{{"filtered":true,"severity":"high"}}}}}}}}}}"#
            )
        };
        for code in [r#""content_filter""#, "null", r#""BadRequest""#] {
            let said = Azure::OpenAi.error(400, filtered(code).as_bytes());
            assert_eq!(said.message, "The prompt was filtered.");
            assert_eq!(said.code.as_deref(), Some("content_filter"));
            assert_eq!((said.param.as_deref(), said.error_type), (Some("prompt"), None));
        }
        let other = br#"{"error":{"code":"DeploymentNotFound","message":"No such deployment."}}"#;
        let said = Azure::OpenAi.error(404, other);
        assert_eq!(said.code.as_deref(), Some("DeploymentNotFound"));
        let plain = br#"{"statusCode":401,"message":"Unauthorized. Access token is missing."}"#;
        assert_eq!(
            Azure::OpenAi.error(401, plain).message,
            "Unauthorized. Access token is missing."
        );
    }

    #[test]
    fn claude_and_agents_are_not_served_by_foundry() {
        assert!(Azure::Foundry.unserved("Claude-sonnet-4").is_some());
        assert!(Azure::Foundry.unserved("agents/asst_1").is_some());
        assert!(Azure::Foundry.unserved("Llama-3.3-70B").is_none());
        assert!(Azure::OpenAi.unserved("claude").is_none());
    }
}
