//! Finds the provider of a `litellm_params.model` and the model's name there. In this order:
//! `custom_llm_provider`, prefix, a known host in the base, OpenAI's own model names, any base.

use super::base::provider_of_host;
use callgate_config::{closest, quoted};
use callgate_providers::Provider;

/// A provider and the rest of the model's name.
#[derive(Debug)]
pub(super) struct Inferred<'m> {
    pub(super) provider: &'static Provider,
    pub(super) upstream_model: &'m str,
}

/// Why a deployment has no provider.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum InferError {
    #[error("expected a known provider, found `{}`", quoted(.0))]
    UnknownProvider(String),
    #[error("the provider `{}` is not supported", quoted(.0))]
    Unsupported(String),
    #[error(
        "expected a model such as `provider/name`, or an `api_base`; found `{}` with neither",
        quoted(.0)
    )]
    NoProvider(String),
    #[error("expected a model's name after the provider, found none in `{}`", quoted(.0))]
    NoModel(String),
}

impl InferError {
    /// The remedy to suggest.
    pub(super) fn remedy(&self) -> String {
        let near = match self {
            Self::UnknownProvider(name) => closest(name, callgate_providers::prefixes()),
            Self::NoProvider(model) => model
                .split_once('/')
                .and_then(|(prefix, _)| closest(prefix, callgate_providers::prefixes())),
            Self::Unsupported(_) | Self::NoModel(_) => None,
        };
        match (near, self) {
            (Some(near), _) => format!("did you mean `{near}`?"),
            (None, Self::NoModel(_)) => "write it after the `/`".to_owned(),
            (None, Self::NoProvider(_)) => {
                "name the provider, as in `openai/gpt-4o`, `groq/llama` or `ollama_chat/gemma3`; \
                 docs/providers.md lists all"
                    .to_owned()
            }
            (None, Self::UnknownProvider(_) | Self::Unsupported(_)) => {
                "docs/providers.md lists the providers; a compatible server of your own is \
                 `openai/name` with its `api_base`"
                    .to_owned()
            }
        }
    }
}

/// Prefixes of LiteLLM's other providers: even with a base, such a model is not OpenAI-compatible,
/// or it answers no chat calls.
const UNSUPPORTED: &[&str] = &[
    "a2a",
    "a2a_agent",
    "anthropic_text",
    "auto_router",
    "azure_text",
    "bedrock",
    "bedrock_converse",
    "bedrock_mantle",
    "bytez",
    "chatgpt",
    "claude_code",
    "codex",
    "cursor",
    "custom",
    "databricks",
    "databricks_agent",
    "datarobot",
    "deepgram",
    "elevenlabs",
    "fal_ai",
    "gdc",
    "gigachat",
    "heroku",
    "langflow",
    "langgraph",
    "litellm_agent",
    "manus",
    "maritalk",
    "microsoft_365_copilot",
    "nlp_cloud",
    "nvidia_riva",
    "oci",
    "oobabooga",
    "palm",
    "petals",
    "predibase",
    "ragflow",
    "recraft",
    "replicate",
    "runwayml",
    "sagemaker",
    "sagemaker_chat",
    "sagemaker_nova",
    "sap",
    "snowflake",
    "stability",
    "text-completion-codestral",
    "text-completion-inception",
    "text-completion-openai",
    "triton",
    "vertex_ai",
    "vertex_ai_beta",
    "vllm",
    "watsonx",
    "watsonx_text",
];

/// The provider for any other base.
const COMPATIBLE: &str = "openai_compatible";

/// `host` is the base's host; `has_base` is also true if the base depends on an unset variable.
pub(super) fn infer<'m>(
    model: &'m str,
    custom: Option<&str>,
    has_base: bool,
    host: Option<&str>,
) -> Result<Inferred<'m>, InferError> {
    let split = model.split_once('/');
    if let Some(custom) = custom {
        let unknown = || match UNSUPPORTED.contains(&custom) {
            true => InferError::Unsupported(custom.to_owned()),
            false => InferError::UnknownProvider(custom.to_owned()),
        };
        let provider = callgate_providers::by_prefix(custom).ok_or_else(unknown)?;
        let rest = split.filter(|(prefix, _)| *prefix == custom).map(|(_, rest)| rest);
        return named(provider, rest.unwrap_or(model), model);
    }
    if let Some((prefix, rest)) = split {
        if let Some(provider) = callgate_providers::by_prefix(prefix) {
            return named(provider, rest, model);
        }
        if UNSUPPORTED.contains(&prefix) {
            return Err(InferError::Unsupported(prefix.to_owned()));
        }
        // Case matters in prefixes; even with a base, a misspelt prefix must not become part of the
        // model's name.
        if callgate_providers::prefixes().any(|known| known.eq_ignore_ascii_case(prefix)) {
            return Err(InferError::UnknownProvider(prefix.to_owned()));
        }
    }
    let by_host = host.and_then(provider_of_host);
    let by_name = is_openai_name(model).then_some("openai");
    let by_base = has_base.then_some(COMPATIBLE);
    let name = by_host.or(by_name).or(by_base).or_else(|| {
        // With a base of the operator's, the name of a model says nothing about its server.
        model.starts_with("claude-").then_some("anthropic")
    });
    match name.and_then(callgate_providers::by_prefix) {
        Some(provider) => named(provider, model, model),
        None => Err(InferError::NoProvider(model.to_owned())),
    }
}

fn named<'m>(
    provider: &'static Provider,
    upstream_model: &'m str,
    written: &str,
) -> Result<Inferred<'m>, InferError> {
    if upstream_model.is_empty() {
        return Err(InferError::NoModel(written.to_owned()));
    }
    Ok(Inferred { provider, upstream_model })
}

/// LiteLLM has a list of OpenAI's models; here a pattern covers their names. `gpt-oss` does not
/// match: its weights are public and OpenAI does not serve it.
fn is_openai_name(model: &str) -> bool {
    let named = ["gpt-", "chatgpt-", "text-embedding-"];
    if named.iter().any(|prefix| model.starts_with(prefix)) {
        return !model.starts_with("gpt-oss");
    }
    let mut bytes = model.bytes();
    bytes.next() == Some(b'o')
        && bytes.next().is_some_and(|digit| (b'1'..=b'4').contains(&digit))
        && matches!(bytes.next(), None | Some(b'-'))
}

#[cfg(test)]
mod tests {
    use super::{InferError, infer};

    /// `base` is a host; an empty one stands for a base whose variable is unset.
    #[track_caller]
    fn check(model: &str, custom: Option<&str>, base: Option<&str>, expected: (&str, &str)) {
        let inferred = infer(model, custom, base.is_some(), base).unwrap();
        assert_eq!((inferred.provider.name, inferred.upstream_model), expected, "{model}");
    }

    #[test]
    fn prefixes_name_the_provider_and_the_rest_is_the_model() {
        check("openai/gpt-x", None, Some("anything"), ("openai", "gpt-x"));
        check("groq/llama", None, None, ("groq", "llama"));
        check("ollama_chat/ns/name:tag", None, None, ("ollama_chat", "ns/name:tag"));
        check("ollama/x", None, None, ("ollama", "x"));
        check("hosted_vllm/x", None, Some("h"), ("hosted_vllm", "x"));
        check("openai_like/x", None, Some("h"), ("openai_like", "x"));
        check("openai/*", None, None, ("openai", "*"));
        for base in [None, Some("h")] {
            check("deepseek/deepseek-chat", None, base, ("deepseek", "deepseek-chat"));
            check("openrouter/meta/llama", None, base, ("openrouter", "meta/llama"));
            check("custom_openai/x", None, base, ("custom_openai", "x"));
        }
        check("claude-sonnet-4", None, None, ("anthropic", "claude-sonnet-4"));
        check("claude-sonnet-4", None, Some("h"), ("openai_compatible", "claude-sonnet-4"));
    }

    #[test]
    fn a_bare_model_takes_its_provider_from_the_host_or_its_name() {
        check(
            "llama-3.3-70b-versatile",
            None,
            Some("api.groq.com"),
            ("groq", "llama-3.3-70b-versatile"),
        );
        check("gpt-4o-mini", None, Some("api.groq.com"), ("groq", "gpt-4o-mini"));
        check("gpt-4o-mini", None, Some("x.ngrok-free.dev"), ("openai", "gpt-4o-mini"));
        check("qwen", None, Some("x.ngrok-free.dev"), ("openai", "qwen"));
        check("qwen3", None, Some("my.host"), ("openai_compatible", "qwen3"));
        check("qwen/qwen3", None, Some("my.host"), ("openai_compatible", "qwen/qwen3"));
        check("gpt-oss-120b", None, Some("my.host"), ("openai_compatible", "gpt-oss-120b"));
        check("gpt-4o-mini", None, Some(""), ("openai", "gpt-4o-mini"));
        check("qwen3", None, Some(""), ("openai_compatible", "qwen3"));
        for name in ["gpt-4o", "o1", "o3-mini", "chatgpt-4o-latest", "text-embedding-3-small"] {
            check(name, None, None, ("openai", name));
        }
    }

    #[test]
    fn an_explicit_provider_overrides_everything() {
        check("foo/bar", Some("openai"), None, ("openai", "foo/bar"));
        check("openai/bar", Some("openai"), None, ("openai", "bar"));
        check("groq/bar", Some("openai"), None, ("openai", "groq/bar"));
    }

    #[test]
    fn what_has_no_provider_is_refused_with_a_remedy() {
        let fails = |model, custom, base: bool| infer(model, custom, base, None).unwrap_err();
        assert_eq!(fails("qwen3", None, false), InferError::NoProvider("qwen3".into()));
        assert_eq!(fails("foo/bar", None, false), InferError::NoProvider("foo/bar".into()));
        assert_eq!(fails("gpt-oss", None, false), InferError::NoProvider("gpt-oss".into()));
        assert_eq!(fails("o5x", None, false), InferError::NoProvider("o5x".into()));
        assert_eq!(fails("openai/", None, true), InferError::NoModel("openai/".into()));
        assert_eq!(fails("bedrock/x", None, true), InferError::Unsupported("bedrock".into()));
        assert_eq!(fails("x", Some("sap"), true), InferError::Unsupported("sap".into()));
        for base in [true, false] {
            let error = fails("OpenAI/gpt-4o", None, base);
            assert_eq!(error, InferError::UnknownProvider("OpenAI".into()));
            assert!(error.remedy().starts_with("did you mean `openai`?"), "{}", error.remedy());
        }
        assert_eq!(fails("gorq/x", None, false).remedy(), "did you mean `groq`?");
        assert!(fails("qwen3", None, false).remedy().contains("as in `openai/gpt-4o`"));
    }
}
