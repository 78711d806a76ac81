//! The table of providers: a line each, and its page in the documents.

use super::{CallKind, CallKinds, ChatAddress, TokenLimit, by_prefix, providers};

/// Name, URL of chat calls without a configured base (`-` if one must be given), and the first
/// variable for a key.
const LINES: &[&str] = &[
    "openai https://api.openai.com/v1/chat/completions OPENAI_API_KEY",
    "groq https://api.groq.com/openai/v1/chat/completions GROQ_API_KEY",
    "ollama_chat http://localhost:11434/api/chat OLLAMA_API_KEY",
    "ollama http://localhost:11434/api/chat OLLAMA_API_KEY",
    "azure - AZURE_OPENAI_API_KEY",
    "azure_ai - AZURE_AI_API_KEY",
    "hosted_vllm - HOSTED_VLLM_API_KEY",
    "lm_studio - LM_STUDIO_API_KEY",
    "llamafile http://127.0.0.1:8080/v1/chat/completions LLAMAFILE_API_KEY",
    "infinity - INFINITY_API_KEY",
    "xinference http://127.0.0.1:9997/v1/chat/completions XINFERENCE_API_KEY",
    "lemonade http://localhost:8000/api/v1/chat/completions LEMONADE_API_KEY",
    "docker_model_runner http://localhost:22088/engines/llama.cpp/v1/chat/completions DOCKER_MODEL_RUNNER_API_KEY",
    "litellm_proxy - LITELLM_PROXY_API_KEY",
    "custom_openai - -",
    "openai_compatible - -",
    "openai_like - -",
    "aiohttp_openai - -",
    "anthropic https://api.anthropic.com/v1/messages ANTHROPIC_API_KEY",
    "gemini https://generativelanguage.googleapis.com/v1beta/openai/chat/completions GEMINI_API_KEY",
    "cohere https://api.cohere.ai/compatibility/v1/chat/completions COHERE_API_KEY",
    "cohere_chat https://api.cohere.ai/compatibility/v1/chat/completions COHERE_API_KEY",
    "openrouter https://openrouter.ai/api/v1/chat/completions OPENROUTER_API_KEY",
    "mistral https://api.mistral.ai/v1/chat/completions MISTRAL_API_KEY",
    "codestral https://codestral.mistral.ai/v1/chat/completions CODESTRAL_API_KEY",
    "deepseek https://api.deepseek.com/beta/chat/completions DEEPSEEK_API_KEY",
    "cerebras https://api.cerebras.ai/v1/chat/completions CEREBRAS_API_KEY",
    "together_ai https://api.together.ai/v1/chat/completions TOGETHER_API_KEY",
    "xai https://api.x.ai/v1/chat/completions XAI_API_KEY",
    "nvidia_nim https://integrate.api.nvidia.com/v1/chat/completions NVIDIA_NIM_API_KEY",
    "perplexity https://api.perplexity.ai/chat/completions PERPLEXITYAI_API_KEY",
    "fireworks_ai https://api.fireworks.ai/inference/v1/chat/completions FIREWORKS_API_KEY",
    "sambanova https://api.sambanova.ai/v1/chat/completions SAMBANOVA_API_KEY",
    "moonshot https://api.moonshot.ai/v1/chat/completions MOONSHOT_API_KEY",
    "minimax https://api.minimax.io/v1/chat/completions MINIMAX_API_KEY",
    "dashscope https://dashscope.aliyuncs.com/compatible-mode/v1/chat/completions DASHSCOPE_API_KEY",
    "qwencloud https://dashscope-intl.aliyuncs.com/compatible-mode/v1/chat/completions QWENCLOUD_API_KEY",
    "qwen_ai_platform https://dashscope.aliyuncs.com/compatible-mode/v1/chat/completions QWEN_AI_PLATFORM_API_KEY",
    "zai https://api.z.ai/api/paas/v4/chat/completions ZAI_API_KEY",
    "bigmodel https://open.bigmodel.cn/api/paas/v4/chat/completions BIGMODEL_API_KEY",
    "volcengine https://ark.cn-beijing.volces.com/api/v3/chat/completions VOLCENGINE_API_KEY",
    "huggingface https://router.huggingface.co/v1/chat/completions HUGGINGFACE_API_KEY",
    "github https://models.inference.ai.azure.com/chat/completions GITHUB_API_KEY",
    "github_copilot https://api.githubcopilot.com/chat/completions -",
    "vercel_ai_gateway https://ai-gateway.vercel.sh/v1/chat/completions VERCEL_AI_GATEWAY_API_KEY",
    "cloudflare https://api.cloudflare.com/client/v4/accounts/{CLOUDFLARE_ACCOUNT_ID}/ai/v1/chat/completions CLOUDFLARE_API_KEY",
    "ai21_chat https://api.ai21.com/studio/v1/chat/completions AI21_API_KEY",
    "ai21 https://api.ai21.com/studio/v1/chat/completions AI21_API_KEY",
    "aiml https://api.aimlapi.com/v1/chat/completions AIML_API_KEY",
    "amazon_nova https://api.nova.amazon.com/v1/chat/completions AMAZON_NOVA_API_KEY",
    "anyscale https://api.endpoints.anyscale.com/v1/chat/completions ANYSCALE_API_KEY",
    "baseten https://inference.baseten.co/v1/chat/completions BASETEN_API_KEY",
    "clarifai https://api.clarifai.com/v2/ext/openai/v1/chat/completions CLARIFAI_API_KEY",
    "clf_ai_gateway https://api.clfaigateway.dev/v1/chat/completions CLF_AI_GATEWAY_API_KEY",
    "cometapi https://api.cometapi.com/v1/chat/completions COMETAPI_KEY",
    "compactifai https://api.compactif.ai/v1/chat/completions COMPACTIFAI_API_KEY",
    "deepinfra https://api.deepinfra.com/v1/openai/chat/completions DEEPINFRA_API_KEY",
    "edenai https://api.edenai.run/v3/chat/completions EDENAI_API_KEY",
    "empower https://app.empower.dev/api/v1/chat/completions EMPOWER_API_KEY",
    "featherless_ai https://api.featherless.ai/v1/chat/completions FEATHERLESS_AI_API_KEY",
    "friendliai https://api.friendli.ai/serverless/v1/chat/completions FRIENDLIAI_API_KEY",
    "galadriel https://api.galadriel.com/v1/chat/completions GALADRIEL_API_KEY",
    "gradient_ai https://inference.do-ai.run/v1/chat/completions GRADIENT_AI_API_KEY",
    "hyperbolic https://api.hyperbolic.xyz/v1/chat/completions HYPERBOLIC_API_KEY",
    "inception https://api.inceptionlabs.ai/v1/chat/completions INCEPTION_API_KEY",
    "jina_ai https://api.jina.ai/v1/chat/completions JINA_AI_API_KEY",
    "lambda_ai https://api.lambda.ai/v1/chat/completions LAMBDA_API_KEY",
    "meta_llama https://api.llama.com/compat/v1/chat/completions LLAMA_API_KEY",
    "modelscope https://api-inference.modelscope.cn/v1/chat/completions MODELSCOPE_API_KEY",
    "morph https://api.morphllm.com/v1/chat/completions MORPH_API_KEY",
    "nadir https://api.getnadir.com/v1/chat/completions NADIR_API_KEY",
    "nebius https://api.studio.nebius.ai/v1/chat/completions NEBIUS_API_KEY",
    "novita https://api.novita.ai/v3/openai/chat/completions NOVITA_API_KEY",
    "nscale https://inference.api.nscale.com/v1/chat/completions NSCALE_API_KEY",
    "opencode_go https://opencode.ai/inference/go/openai/v1/chat/completions OPENCODE_GO_API_KEY",
    "ovhcloud https://oai.endpoints.kepler.ai.cloud.ovh.net/v1/chat/completions OVHCLOUD_API_KEY",
    "tencent https://tokenhub-intl.tencentcloudmaas.com/v1/chat/completions TENCENT_API_KEY",
    "v0 https://api.v0.dev/v1/chat/completions V0_API_KEY",
    "voyage https://api.voyageai.com/v1/chat/completions VOYAGE_API_KEY",
    "wandb https://api.inference.wandb.ai/v1/chat/completions WANDB_API_KEY",
    "abliteration https://api.abliteration.ai/v1/chat/completions ABLITERATION_API_KEY",
    "aiand https://api.aiand.com/v1/chat/completions AIAND_API_KEY",
    "aihubmix https://aihubmix.com/v1/chat/completions AIHUBMIX_API_KEY",
    "apertis https://api.stima.tech/v1/chat/completions STIMA_API_KEY",
    "assemblyai https://llm-gateway.assemblyai.com/v1/chat/completions ASSEMBLYAI_API_KEY",
    "charity_engine https://api.charityengine.services/remotejobs/v2/inference/chat/completions CHARITY_ENGINE_API_KEY",
    "chutes https://llm.chutes.ai/v1/chat/completions CHUTES_API_KEY",
    "cognition https://api.cognition.ai/v1/chat/completions COGNITION_API_KEY",
    "coralbricks https://inference.coralbricks.ai/v1/chat/completions CORALBRICKS_API_KEY",
    "cortecs https://api.cortecs.ai/v1/chat/completions CORTECS_API_KEY",
    "crusoe https://api.inference.crusoecloud.com/v1/chat/completions CRUSOE_API_KEY",
    "darkbloom https://api.darkbloom.dev/v1/chat/completions DARKBLOOM_API_KEY",
    "empiriolabs https://api.empiriolabs.ai/v1/chat/completions EMPIRIOLABS_API_KEY",
    "gmi https://api.gmi-serving.com/v1/chat/completions GMI_API_KEY",
    "helicone https://ai-gateway.helicone.ai/chat/completions HELICONE_API_KEY",
    "hostinger_router https://router.hostinger.com/v1/chat/completions HOSTINGER_ROUTER_API_KEY",
    "inferenceapis https://api.inferenceapis.com/v1/chat/completions INFERENCEAPIS_API_KEY",
    "kyma https://kymaapi.com/v1/chat/completions KYMA_API_KEY",
    "libertai https://api.libertai.io/v1/chat/completions LIBERTAI_API_KEY",
    "llamagate https://api.llamagate.dev/v1/chat/completions LLAMAGATE_API_KEY",
    "meta https://api.meta.ai/v1/chat/completions META_API_KEY",
    "nano-gpt https://nano-gpt.com/api/v1/chat/completions NANOGPT_API_KEY",
    "neosantara https://api.neosantara.xyz/v1/chat/completions NEOSANTARA_API_KEY",
    "openinfer https://api.openinfer.ai/v1/chat/completions OPENINFER_API_KEY",
    "parasail https://api.parasail.io/v1/chat/completions PARASAIL_API_KEY",
    "pinstripes https://pinstripes.io/v1/chat/completions PINSTRIPES_API_KEY",
    "poe https://api.poe.com/v1/chat/completions POE_API_KEY",
    "prism https://api.prisminference.com/v1/chat/completions PRISM_API_KEY",
    "publicai https://api.publicai.co/v1/chat/completions PUBLICAI_API_KEY",
    "refuseless https://api.refuseless.com/v1/chat/completions REFUSELESS_API_KEY",
    "reka https://api.reka.ai/v1/chat/completions REKA_API_KEY",
    "sail https://api.sailresearch.com/v1/chat/completions SAIL_API_KEY",
    "sarvam https://api.sarvam.ai/v1/chat/completions SARVAM_API_KEY",
    "scaleway https://api.scaleway.ai/v1/chat/completions SCW_SECRET_KEY",
    "scx-ai https://api.scx.ai/v1/chat/completions SCX_API_KEY",
    "streamlake https://vanchin.streamlake.ai/api/gateway/v1/endpoints/chat/completions STREAMLAKE_API_KEY",
    "synthetic https://api.synthetic.new/openai/v1/chat/completions SYNTHETIC_API_KEY",
    "tensormesh https://serverless.tensormesh.ai/v1/chat/completions TENSORMESH_INFERENCE_API_KEY",
    "veniceai https://api.venice.ai/api/v1/chat/completions VENICE_AI_API_KEY",
    "wally https://inference.runanywhere.ai/v1/chat/completions WALLY_API_KEY",
    "xiaomi_mimo https://api.xiaomimimo.com/v1/chat/completions XIAOMI_MIMO_API_KEY",
    "zerogpu https://api.zerogpu.ai/v1/chat/completions ZEROGPU_API_KEY",
];

#[test]
fn every_provider_is_called_where_and_with_the_key_that_its_line_says() {
    let names: Vec<_> = providers().map(|it| it.name).collect();
    let listed: Vec<_> = LINES.iter().filter_map(|line| line.split(' ').next()).collect();
    assert_eq!(names, listed);
    for line in LINES {
        let [name, url, key] = *line.split(' ').collect::<Vec<_>>() else { panic!("{line}") };
        let provider = by_prefix(name).unwrap();
        let base = provider.default_base;
        let at = |base| ChatAddress { base, model: "m", api_version: None };
        let called = base.map_or("-".to_owned(), |base| provider.dialect.chat_url(&at(base)));
        assert_eq!(called, url, "{name}");
        assert_eq!(*provider.key_env.first().unwrap_or(&"-"), key, "{name}");
        if name == "azure" {
            continue;
        }
        let given = provider.dialect.chat_url(&at("http://h/v1"));
        let ends = ["/chat/completions", "/api/chat", "/messages"];
        assert!(ends.iter().any(|end| given == format!("http://h/v1{end}")), "{given}");
    }
}

#[test]
fn the_rows_are_sound() {
    for (index, it) in providers().enumerate() {
        let name = it.name;
        assert!(providers().take(index).all(|other| other.name != name), "{name} twice");
        assert!(!name.contains(['/', ' ']) && !it.label.is_empty(), "{name}");
        let base = it.default_base.unwrap_or("http://h");
        assert!(base.starts_with("http") && !base.ends_with('/'), "{name}");
        assert!(!it.needs_key || !it.dummy_key && !it.key_env.is_empty(), "{name}");
        for variable in it.base_env.iter().chain(it.key_env) {
            let upper = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit();
            assert!(variable.bytes().all(|byte| upper(byte) || byte == b'_'), "{name}: {variable}");
        }
        assert!(it.stray_paths.iter().all(|path| path.is_empty() || path.starts_with('/')));
    }
    let limit = |name| by_prefix(name).unwrap().quirks.token_limit;
    assert_eq!(limit("openai"), TokenLimit::AsGiven);
    assert_eq!(limit("mistral"), TokenLimit::MaxTokens);
    assert_eq!(limit("streamlake"), TokenLimit::MaxCompletionTokens);
}

/// The page, made from the table.
fn page() -> String {
    let mut page =
        include_str!("../../../docs/providers.md").split_inclusive("|---|---|---|---|---|\n");
    let mut page = page.next().unwrap_or_default().to_owned();
    let or = |variables: &[&str]| {
        variables.iter().map(|it| format!("`${it}`")).collect::<Vec<_>>().join(", ")
    };
    for it in providers() {
        let mut bases = or(it.base_env);
        let default = it.default_base.map_or("must be given".to_owned(), |it| format!("`{it}`"));
        let default = default.replace('{', "$").replace('}', "");
        bases = if bases.is_empty() { default } else { format!("{bases}, {default}") };
        let keys = match (or(it.key_env), it.needs_key) {
            (keys, true) => keys,
            (_, false) if it.token_file.is_some() => "[a file](#github-copilot)".to_owned(),
            (keys, false) if keys.is_empty() => "optional".to_owned(),
            (keys, false) => format!("{keys}, optional"),
        };
        let kinds = CallKind::ALL.into_iter().filter(|kind| it.kinds.has(*kind));
        let kinds = match it.kinds {
            CallKinds::ANY => "any".to_owned(),
            _ => kinds.map(CallKind::name).collect::<Vec<_>>().join(", "),
        };
        let (name, label) = (it.name, it.label);
        page.push_str(&format!("| `{name}` | `{label}` | {bases} | {keys} | {kinds} |\n"));
    }
    page
}

/// `UPDATE_DOCS=1` writes the page anew.
#[test]
fn the_page_of_providers_is_current() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/providers.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(path, page()).unwrap();
    }
    let found = std::fs::read_to_string(path).unwrap();
    assert_eq!(found, page(), "run this test with UPDATE_DOCS=1");
}
