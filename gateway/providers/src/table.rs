//! The providers, a row each. To add one, write its row and its line in the tests.
//!
//! Names, variables and bases are LiteLLM's, so that its configs work as they are.

mod hosted;

use super::{
    CallKind::{
        self, Chat, Completions, CountTokens, Embeddings, ImageEdits, Images, Messages,
        Moderations, Rerank, Responses, Speech, Transcriptions, Translations,
    },
    CallKinds, ModelFamily, anthropic,
    azure::{Azure, foundry_key_header},
    copilot::Copilot,
    ollama, openai,
    provider::{KeyHeader, Provider, TokenFile},
    quirks::{Quirks, TokenLimit},
};

const OPENAI: Provider = Provider {
    name: "openai",
    label: "openai",
    default_base: Some("https://api.openai.com/v1"),
    stray_paths: &[""],
    base_env: &["OPENAI_BASE_URL", "OPENAI_API_BASE"],
    key_env: &["OPENAI_API_KEY"],
    dummy_key: false,
    needs_key: true,
    key_header: |_| KeyHeader::Bearer,
    token_file: None,
    version_env: &[],
    routes: &[],
    families: |_| ModelFamily::Any,
    quirks: Quirks {
        token_limit: TokenLimit::AsGiven,
        no_stream_options: false,
        developer_as_system: false,
        no_reasoning_content: false,
    },
    kinds: OPENAIS,
    dialect: &openai::OpenAi,
};

const OPENAIS: CallKinds = CallKinds::of(&[
    Chat,
    Embeddings,
    Moderations,
    Images,
    ImageEdits,
    Completions,
    Responses,
    Transcriptions,
    Translations,
    Speech,
]);

const AZURES: CallKinds = CallKinds::of(&[
    Chat,
    Embeddings,
    Images,
    ImageEdits,
    Completions,
    Transcriptions,
    Translations,
    Speech,
]);

const OLLAMA: Provider = Provider {
    name: "ollama_chat",
    label: "ollama",
    default_base: Some(ollama::DEFAULT_API_BASE),
    stray_paths: &[],
    base_env: &["OLLAMA_API_BASE"],
    key_env: &["OLLAMA_API_KEY"],
    needs_key: false,
    kinds: CallKinds::of(&[Chat, Embeddings, Completions, Responses, Messages]),
    dialect: &ollama::Ollama,
    ..OPENAI
};

/// No other provider promises to know OpenAI's newer role.
const PLAIN: Quirks = Quirks { developer_as_system: true, ..OPENAI.quirks };
/// Only the older name of the limit.
const OLDER: Quirks = Quirks { token_limit: TokenLimit::MaxTokens, ..PLAIN };
/// Refuses what it does not know.
const STRICT: Quirks = Quirks { no_stream_options: true, no_reasoning_content: true, ..OLDER };

type Texts = &'static [&'static str];

/// An OpenAI-compatible server that operators run themselves.
const fn own_server(name: &'static str, base_env: Texts, key_env: Texts) -> Provider {
    Provider {
        name,
        label: name,
        default_base: None,
        stray_paths: &[],
        base_env,
        key_env,
        dummy_key: true,
        needs_key: false,
        kinds: CallKinds::ANY,
        ..OPENAI
    }
}

/// An OpenAI-compatible API that a company runs.
const fn hosted(name: &'static str, base: &'static str, base_env: Texts, keys: Texts) -> Provider {
    Provider {
        name,
        label: name,
        default_base: Some(base),
        stray_paths: &[""],
        base_env,
        key_env: keys,
        quirks: PLAIN,
        kinds: USUAL_KINDS,
        ..OPENAI
    }
}

/// What most companies serve.
const USUAL_KINDS: CallKinds = CallKinds::of(&[Chat, Embeddings, Completions]);

impl Provider {
    const fn label(self, label: &'static str) -> Self {
        Self { label, ..self }
    }

    const fn at(self, base: &'static str) -> Self {
        Self { default_base: Some(base), ..self }
    }

    const fn quirks(self, quirks: Quirks) -> Self {
        Self { quirks, ..self }
    }

    const fn kinds(self, kinds: &[CallKind]) -> Self {
        Self { kinds: CallKinds::of(kinds), ..self }
    }

    const fn stray_paths(self, stray_paths: Texts) -> Self {
        Self { stray_paths, ..self }
    }
}

/// Every provider, in the order in which messages list them.
pub fn providers() -> impl Iterator<Item = &'static Provider> {
    USUAL.iter().chain(hosted::HOSTED)
}

/// The stand-in for a provider that is not supported; no call reaches it.
pub static UNSERVED: Provider =
    Provider { name: "unsupported", label: "unsupported", default_base: None, ..OPENAI };

/// The usual ones.
static USUAL: &[Provider] = &[
    Provider { families: ModelFamily::of, ..OPENAI },
    Provider {
        name: "groq",
        label: "groq",
        default_base: Some("https://api.groq.com/openai/v1"),
        stray_paths: &["", "/v1"],
        base_env: &["GROQ_API_BASE"],
        key_env: &["GROQ_API_KEY"],
        quirks: Quirks { no_reasoning_content: true, ..PLAIN },
        kinds: CallKinds::of(&[Chat, Responses, Transcriptions, Translations, Speech]),
        ..OPENAI
    },
    OLLAMA,
    // LiteLLM renders a prompt for `/api/generate` here; Ollama's own `/api/chat` does it better.
    Provider { name: "ollama", ..OLLAMA },
    Provider {
        name: "azure",
        label: "azure",
        default_base: None,
        stray_paths: &[],
        base_env: &["AZURE_API_BASE"],
        key_env: &["AZURE_OPENAI_API_KEY", "AZURE_API_KEY"],
        key_header: |_| KeyHeader::ApiKey,
        version_env: &["AZURE_API_VERSION"],
        routes: &["o_series/", "gpt5_series/"],
        families: ModelFamily::of,
        kinds: AZURES,
        dialect: &Azure::OpenAi,
        ..OPENAI
    },
    Provider {
        name: "azure_ai",
        label: "azure_ai",
        default_base: None,
        stray_paths: &[],
        base_env: &["AZURE_AI_API_BASE"],
        key_env: &["AZURE_AI_API_KEY"],
        key_header: foundry_key_header,
        routes: &["model_router/", "model-router/"],
        families: ModelFamily::of,
        quirks: Quirks { no_reasoning_content: true, ..PLAIN },
        kinds: USUAL_KINDS,
        dialect: &Azure::Foundry,
        ..OPENAI
    },
    // Servers that operators run themselves.
    own_server("hosted_vllm", &["HOSTED_VLLM_API_BASE"], &["HOSTED_VLLM_API_KEY"]).quirks(PLAIN),
    own_server("lm_studio", &["LM_STUDIO_API_BASE"], &["LM_STUDIO_API_KEY"]).quirks(PLAIN),
    own_server("llamafile", &["LLAMAFILE_API_BASE"], &["LLAMAFILE_API_KEY"])
        .at("http://127.0.0.1:8080/v1")
        .quirks(PLAIN),
    own_server("infinity", &["INFINITY_API_BASE"], &["INFINITY_API_KEY"]).quirks(PLAIN),
    own_server("xinference", &["XINFERENCE_API_BASE"], &["XINFERENCE_API_KEY"])
        .at("http://127.0.0.1:9997/v1")
        .quirks(PLAIN),
    own_server("lemonade", &["LEMONADE_API_BASE"], &["LEMONADE_API_KEY"])
        .at("http://localhost:8000/api/v1")
        .quirks(PLAIN),
    own_server(
        "docker_model_runner",
        &["DOCKER_MODEL_RUNNER_API_BASE"],
        &["DOCKER_MODEL_RUNNER_API_KEY"],
    )
    .at("http://localhost:22088/engines/llama.cpp/v1")
    .quirks(OLDER),
    own_server("litellm_proxy", &["LITELLM_PROXY_API_BASE"], &["LITELLM_PROXY_API_KEY"]),
    own_server("custom_openai", &[], &[]),
    own_server("openai_compatible", &[], &[]),
    own_server("openai_like", &[], &[]).label("openai_compatible"),
    own_server("aiohttp_openai", &[], &[]).label("openai_compatible"),
    Provider {
        key_header: |_| KeyHeader::XApiKey,
        dialect: &anthropic::Anthropic,
        ..hosted(
            "anthropic",
            "https://api.anthropic.com/v1",
            &["ANTHROPIC_API_BASE", "ANTHROPIC_BASE_URL"],
            &["ANTHROPIC_API_KEY"],
        )
        .kinds(&[Chat, Messages, CountTokens])
    },
    // Gemini by its OpenAI-compatible API.
    hosted(
        "gemini",
        "https://generativelanguage.googleapis.com/v1beta/openai",
        &["GEMINI_API_BASE"],
        &["GEMINI_API_KEY", "GOOGLE_API_KEY"],
    )
    .kinds(&[Chat, Embeddings, Images])
    .stray_paths(&["", "/v1", "/v1beta"]),
    hosted(
        "cohere",
        "https://api.cohere.ai/compatibility/v1",
        &["COHERE_API_BASE"],
        &["COHERE_API_KEY", "CO_API_KEY"],
    )
    .kinds(&[Chat, Embeddings, Rerank])
    .stray_paths(&["", "/v1", "/v2", "/v1/chat", "/v2/chat"])
    .quirks(OLDER),
    hosted(
        "cohere_chat",
        "https://api.cohere.ai/compatibility/v1",
        &["COHERE_API_BASE"],
        &["COHERE_API_KEY", "CO_API_KEY"],
    )
    .kinds(&[Chat, Embeddings, Rerank])
    .label("cohere")
    .stray_paths(&["", "/v1", "/v2", "/v1/chat", "/v2/chat"])
    .quirks(OLDER),
    // Companies' APIs.
    hosted(
        "openrouter",
        "https://openrouter.ai/api/v1",
        &["OPENROUTER_API_BASE"],
        &["OPENROUTER_API_KEY", "OR_API_KEY"],
    )
    .kinds(&[Chat, Embeddings, Completions, Responses, Messages])
    .stray_paths(&["", "/v1", "/api"]),
    hosted(
        "mistral",
        "https://api.mistral.ai/v1",
        &["MISTRAL_API_BASE", "MISTRAL_AZURE_API_BASE"],
        &["MISTRAL_API_KEY", "MISTRAL_AZURE_API_KEY"],
    )
    .kinds(&[Chat, Embeddings, Moderations, Transcriptions, Speech])
    .quirks(STRICT),
    hosted(
        "codestral",
        "https://codestral.mistral.ai/v1",
        &["CODESTRAL_API_BASE"],
        &["CODESTRAL_API_KEY"],
    )
    .kinds(&[Chat])
    .quirks(STRICT),
    hosted(
        "deepseek",
        "https://api.deepseek.com/beta",
        &["DEEPSEEK_API_BASE"],
        &["DEEPSEEK_API_KEY"],
    )
    .kinds(&[Chat, Completions])
    .stray_paths(&[])
    .quirks(OLDER),
    hosted("cerebras", "https://api.cerebras.ai/v1", &["CEREBRAS_API_BASE"], &["CEREBRAS_API_KEY"])
        .kinds(&[Chat, Completions])
        .quirks(Quirks { no_reasoning_content: true, ..PLAIN }),
    hosted(
        "together_ai",
        "https://api.together.ai/v1",
        &["TOGETHER_AI_API_BASE"],
        &["TOGETHER_API_KEY", "TOGETHER_AI_API_KEY", "TOGETHERAI_API_KEY", "TOGETHER_AI_TOKEN"],
    )
    .kinds(&[Chat, Embeddings, Rerank, Images, Completions, Transcriptions, Speech])
    .quirks(OLDER),
    hosted("xai", "https://api.x.ai/v1", &["XAI_API_BASE"], &["XAI_API_KEY"]).kinds(&[
        Chat,
        Images,
        Completions,
        Responses,
    ]),
    hosted(
        "nvidia_nim",
        "https://integrate.api.nvidia.com/v1",
        &["NVIDIA_NIM_API_BASE"],
        &["NVIDIA_NIM_API_KEY"],
    )
    .quirks(OLDER),
    hosted(
        "perplexity",
        "https://api.perplexity.ai",
        &["PERPLEXITY_API_BASE"],
        &["PERPLEXITYAI_API_KEY", "PERPLEXITY_API_KEY"],
    )
    .kinds(&[Chat, Embeddings, Responses])
    .quirks(OLDER),
    hosted(
        "fireworks_ai",
        "https://api.fireworks.ai/inference/v1",
        &["FIREWORKS_API_BASE"],
        &["FIREWORKS_API_KEY", "FIREWORKS_AI_API_KEY", "FIREWORKSAI_API_KEY", "FIREWORKS_AI_TOKEN"],
    )
    .kinds(&[Chat, Embeddings, Rerank, Completions, Responses, Messages])
    .quirks(OLDER),
    hosted(
        "sambanova",
        "https://api.sambanova.ai/v1",
        &["SAMBANOVA_API_BASE"],
        &["SAMBANOVA_API_KEY"],
    )
    .kinds(&[Chat, Embeddings])
    .quirks(OLDER),
    hosted("moonshot", "https://api.moonshot.ai/v1", &["MOONSHOT_API_BASE"], &["MOONSHOT_API_KEY"])
        .kinds(&[Chat])
        .quirks(OLDER),
    hosted("minimax", "https://api.minimax.io/v1", &["MINIMAX_API_BASE"], &["MINIMAX_API_KEY"])
        .kinds(&[Chat])
        .quirks(OLDER),
    hosted(
        "dashscope",
        "https://dashscope.aliyuncs.com/compatible-mode/v1",
        &["DASHSCOPE_API_BASE"],
        &["DASHSCOPE_API_KEY"],
    )
    .kinds(&[Chat, Embeddings, Completions])
    .quirks(OLDER),
    hosted(
        "qwencloud",
        "https://dashscope-intl.aliyuncs.com/compatible-mode/v1",
        &["QWENCLOUD_API_BASE"],
        &["QWENCLOUD_API_KEY", "DASHSCOPE_API_KEY"],
    )
    .quirks(OLDER),
    hosted(
        "qwen_ai_platform",
        "https://dashscope.aliyuncs.com/compatible-mode/v1",
        &["QWEN_AI_PLATFORM_API_BASE"],
        &["QWEN_AI_PLATFORM_API_KEY", "DASHSCOPE_API_KEY"],
    )
    .quirks(OLDER),
    hosted("zai", "https://api.z.ai/api/paas/v4", &["ZAI_API_BASE"], &["ZAI_API_KEY"])
        .kinds(&[Chat])
        .quirks(OLDER),
    hosted(
        "bigmodel",
        "https://open.bigmodel.cn/api/paas/v4",
        &["BIGMODEL_API_BASE"],
        &["BIGMODEL_API_KEY"],
    )
    .kinds(&[Chat, Embeddings, Images])
    .quirks(OLDER),
    hosted(
        "volcengine",
        "https://ark.cn-beijing.volces.com/api/v3",
        &["VOLCENGINE_API_BASE"],
        &["VOLCENGINE_API_KEY", "ARK_API_KEY"],
    )
    .kinds(&[Chat, Embeddings])
    .quirks(OLDER),
    hosted(
        "huggingface",
        "https://router.huggingface.co/v1",
        &["HF_API_BASE", "HUGGINGFACE_API_BASE"],
        &["HUGGINGFACE_API_KEY", "HF_TOKEN"],
    )
    .kinds(&[Chat, Responses])
    .quirks(OLDER),
    hosted(
        "github",
        "https://models.inference.ai.azure.com",
        &["GITHUB_API_BASE"],
        &["GITHUB_API_KEY"],
    )
    .kinds(&[Chat, Embeddings]),
    Provider {
        needs_key: false,
        token_file: Some(TokenFile {
            dir_env: "GITHUB_COPILOT_TOKEN_DIR",
            dir: ".config/litellm/github_copilot",
            name_env: "GITHUB_COPILOT_ACCESS_TOKEN_FILE",
            name: "access-token",
        }),
        kinds: CallKinds::of(&[Chat]),
        dialect: &Copilot,
        ..hosted(
            "github_copilot",
            "https://api.githubcopilot.com",
            &["GITHUB_COPILOT_API_BASE"],
            &[],
        )
    },
    hosted(
        "vercel_ai_gateway",
        "https://ai-gateway.vercel.sh/v1",
        &["VERCEL_AI_GATEWAY_API_BASE"],
        &["VERCEL_AI_GATEWAY_API_KEY", "VERCEL_OIDC_TOKEN"],
    )
    .kinds(&[Chat, Embeddings, Responses, Messages]),
    hosted(
        "cloudflare",
        "https://api.cloudflare.com/client/v4/accounts/{CLOUDFLARE_ACCOUNT_ID}/ai/v1",
        &["CLOUDFLARE_API_BASE"],
        &["CLOUDFLARE_API_KEY"],
    )
    .kinds(&[Chat, Embeddings])
    .quirks(OLDER),
];
