//! More companies' APIs, in alphabetical order.

use super::{OLDER, PLAIN, Provider, Quirks, TokenLimit, hosted};
use crate::CallKind::{Embeddings, Rerank};

pub(super) static HOSTED: &[Provider] = &[
    hosted("ai21_chat", "https://api.ai21.com/studio/v1", &["AI21_API_BASE"], &["AI21_API_KEY"])
        .label("ai21"),
    hosted("ai21", "https://api.ai21.com/studio/v1", &["AI21_API_BASE"], &["AI21_API_KEY"]),
    hosted(
        "aiml",
        "https://api.aimlapi.com/v1",
        &["AIML_API_BASE"],
        &["AIML_API_KEY", "AIMLAPI_KEY"],
    ),
    hosted(
        "amazon_nova",
        "https://api.nova.amazon.com/v1",
        &["AMAZON_NOVA_API_BASE"],
        &["AMAZON_NOVA_API_KEY"],
    ),
    hosted(
        "anyscale",
        "https://api.endpoints.anyscale.com/v1",
        &["ANYSCALE_API_BASE"],
        &["ANYSCALE_API_KEY"],
    ),
    hosted(
        "baseten",
        "https://inference.baseten.co/v1",
        &["BASETEN_API_BASE"],
        &["BASETEN_API_KEY"],
    ),
    hosted("clarifai", "https://api.clarifai.com/v2/ext/openai/v1", &[], &["CLARIFAI_API_KEY"]),
    hosted(
        "clf_ai_gateway",
        "https://api.clfaigateway.dev/v1",
        &["CLF_AI_GATEWAY_API_BASE"],
        &["CLF_AI_GATEWAY_API_KEY"],
    ),
    hosted(
        "cometapi",
        "https://api.cometapi.com/v1",
        &["COMETAPI_API_BASE", "COMETAPI_BASE_URL"],
        &["COMETAPI_KEY", "COMETAPI_API_KEY"],
    ),
    hosted("compactifai", "https://api.compactif.ai/v1", &[], &["COMPACTIFAI_API_KEY"]),
    hosted(
        "deepinfra",
        "https://api.deepinfra.com/v1/openai",
        &["DEEPINFRA_API_BASE"],
        &["DEEPINFRA_API_KEY"],
    )
    .stray_paths(&["", "/v1"])
    .quirks(OLDER),
    hosted("edenai", "https://api.edenai.run/v3", &["EDENAI_API_BASE"], &["EDENAI_API_KEY"]),
    hosted(
        "empower",
        "https://app.empower.dev/api/v1",
        &["EMPOWER_API_BASE"],
        &["EMPOWER_API_KEY"],
    ),
    hosted(
        "featherless_ai",
        "https://api.featherless.ai/v1",
        &["FEATHERLESS_API_BASE", "FEATHERLESS_AI_API_BASE"],
        &["FEATHERLESS_AI_API_KEY", "FEATHERLESS_API_KEY"],
    )
    .quirks(OLDER),
    hosted(
        "friendliai",
        "https://api.friendli.ai/serverless/v1",
        &["FRIENDLI_API_BASE"],
        &["FRIENDLIAI_API_KEY", "FRIENDLI_TOKEN"],
    ),
    hosted(
        "galadriel",
        "https://api.galadriel.com/v1",
        &["GALADRIEL_API_BASE"],
        &["GALADRIEL_API_KEY"],
    ),
    hosted(
        "gradient_ai",
        "https://inference.do-ai.run/v1",
        &["GRADIENT_AI_AGENT_ENDPOINT"],
        &["GRADIENT_AI_API_KEY"],
    ),
    hosted(
        "hyperbolic",
        "https://api.hyperbolic.xyz/v1",
        &["HYPERBOLIC_API_BASE"],
        &["HYPERBOLIC_API_KEY"],
    ),
    hosted(
        "inception",
        "https://api.inceptionlabs.ai/v1",
        &["INCEPTION_API_BASE"],
        &["INCEPTION_API_KEY"],
    ),
    hosted("jina_ai", "https://api.jina.ai/v1", &["JINA_AI_API_BASE"], &["JINA_AI_API_KEY"])
        .kinds(&[Embeddings, Rerank]),
    hosted("lambda_ai", "https://api.lambda.ai/v1", &["LAMBDA_API_BASE"], &["LAMBDA_API_KEY"]),
    hosted(
        "meta_llama",
        "https://api.llama.com/compat/v1",
        &["LLAMA_API_BASE"],
        &["LLAMA_API_KEY"],
    ),
    hosted(
        "modelscope",
        "https://api-inference.modelscope.cn/v1",
        &["MODELSCOPE_API_BASE"],
        &["MODELSCOPE_API_KEY"],
    ),
    hosted("morph", "https://api.morphllm.com/v1", &["MORPH_API_BASE"], &["MORPH_API_KEY"]),
    hosted("nadir", "https://api.getnadir.com/v1", &["NADIR_API_BASE"], &["NADIR_API_KEY"]),
    hosted("nebius", "https://api.studio.nebius.ai/v1", &["NEBIUS_API_BASE"], &["NEBIUS_API_KEY"])
        .quirks(OLDER),
    hosted("novita", "https://api.novita.ai/v3/openai", &["NOVITA_API_BASE"], &["NOVITA_API_KEY"]),
    hosted(
        "nscale",
        "https://inference.api.nscale.com/v1",
        &["NSCALE_API_BASE"],
        &["NSCALE_API_KEY"],
    ),
    hosted(
        "opencode_go",
        "https://opencode.ai/inference/go/openai/v1",
        &["OPENCODE_GO_API_BASE"],
        &["OPENCODE_GO_API_KEY", "OPENCODE_API_KEY"],
    ),
    hosted(
        "ovhcloud",
        "https://oai.endpoints.kepler.ai.cloud.ovh.net/v1",
        &[],
        &["OVHCLOUD_API_KEY"],
    ),
    hosted(
        "tencent",
        "https://tokenhub-intl.tencentcloudmaas.com/v1",
        &["TENCENT_API_BASE"],
        &["TENCENT_API_KEY"],
    ),
    hosted("v0", "https://api.v0.dev/v1", &["V0_API_BASE"], &["V0_API_KEY"]),
    hosted("voyage", "https://api.voyageai.com/v1", &["VOYAGE_API_BASE"], &["VOYAGE_API_KEY"])
        .kinds(&[Embeddings, Rerank]),
    hosted("wandb", "https://api.inference.wandb.ai/v1", &["WANDB_API_BASE"], &["WANDB_API_KEY"]),
    hosted("abliteration", "https://api.abliteration.ai/v1", &[], &["ABLITERATION_API_KEY"]),
    hosted("aiand", "https://api.aiand.com/v1", &["AIAND_API_BASE"], &["AIAND_API_KEY"]),
    hosted("aihubmix", "https://aihubmix.com/v1", &["AIHUBMIX_API_BASE"], &["AIHUBMIX_API_KEY"]),
    hosted("apertis", "https://api.stima.tech/v1", &[], &["STIMA_API_KEY"]).quirks(OLDER),
    hosted("assemblyai", "https://llm-gateway.assemblyai.com/v1", &[], &["ASSEMBLYAI_API_KEY"]),
    hosted(
        "charity_engine",
        "https://api.charityengine.services/remotejobs/v2/inference",
        &[],
        &["CHARITY_ENGINE_API_KEY"],
    )
    .quirks(OLDER),
    hosted("chutes", "https://llm.chutes.ai/v1", &[], &["CHUTES_API_KEY"]).quirks(OLDER),
    hosted(
        "cognition",
        "https://api.cognition.ai/v1",
        &["COGNITION_API_BASE"],
        &["COGNITION_API_KEY"],
    ),
    hosted(
        "coralbricks",
        "https://inference.coralbricks.ai/v1",
        &["CORALBRICKS_API_BASE"],
        &["CORALBRICKS_API_KEY"],
    ),
    hosted("cortecs", "https://api.cortecs.ai/v1", &["CORTECS_API_BASE"], &["CORTECS_API_KEY"]),
    hosted(
        "crusoe",
        "https://api.inference.crusoecloud.com/v1",
        &["CRUSOE_API_BASE"],
        &["CRUSOE_API_KEY"],
    )
    .quirks(OLDER),
    hosted(
        "darkbloom",
        "https://api.darkbloom.dev/v1",
        &["DARKBLOOM_API_BASE"],
        &["DARKBLOOM_API_KEY"],
    )
    .quirks(OLDER),
    hosted(
        "empiriolabs",
        "https://api.empiriolabs.ai/v1",
        &["EMPIRIOLABS_API_BASE"],
        &["EMPIRIOLABS_API_KEY"],
    )
    .quirks(OLDER),
    hosted("gmi", "https://api.gmi-serving.com/v1", &[], &["GMI_API_KEY"]),
    hosted("helicone", "https://ai-gateway.helicone.ai", &[], &["HELICONE_API_KEY"]),
    hosted(
        "hostinger_router",
        "https://router.hostinger.com/v1",
        &["HOSTINGER_ROUTER_API_BASE"],
        &["HOSTINGER_ROUTER_API_KEY"],
    ),
    hosted(
        "inferenceapis",
        "https://api.inferenceapis.com/v1",
        &["INFERENCEAPIS_API_BASE"],
        &["INFERENCEAPIS_API_KEY"],
    ),
    hosted("kyma", "https://kymaapi.com/v1", &[], &["KYMA_API_KEY"]),
    hosted("libertai", "https://api.libertai.io/v1", &["LIBERTAI_API_BASE"], &["LIBERTAI_API_KEY"])
        .quirks(OLDER),
    hosted("llamagate", "https://api.llamagate.dev/v1", &[], &["LLAMAGATE_API_KEY"]).quirks(OLDER),
    hosted("meta", "https://api.meta.ai/v1", &["META_API_BASE"], &["META_API_KEY"]),
    hosted("nano-gpt", "https://nano-gpt.com/api/v1", &[], &["NANOGPT_API_KEY"]).quirks(OLDER),
    hosted(
        "neosantara",
        "https://api.neosantara.xyz/v1",
        &["NEOSANTARA_API_BASE"],
        &["NEOSANTARA_API_KEY"],
    )
    .quirks(OLDER),
    hosted(
        "openinfer",
        "https://api.openinfer.ai/v1",
        &["OPENINFER_API_BASE"],
        &["OPENINFER_API_KEY"],
    ),
    hosted("parasail", "https://api.parasail.io/v1", &["PARASAIL_API_BASE"], &["PARASAIL_API_KEY"]),
    hosted(
        "pinstripes",
        "https://pinstripes.io/v1",
        &["PINSTRIPES_API_BASE"],
        &["PINSTRIPES_API_KEY"],
    )
    .quirks(OLDER),
    hosted("poe", "https://api.poe.com/v1", &[], &["POE_API_KEY"]).quirks(OLDER),
    hosted("prism", "https://api.prisminference.com/v1", &["PRISM_API_BASE"], &["PRISM_API_KEY"]),
    hosted("publicai", "https://api.publicai.co/v1", &["PUBLICAI_API_BASE"], &["PUBLICAI_API_KEY"])
        .quirks(OLDER),
    hosted("refuseless", "https://api.refuseless.com/v1", &[], &["REFUSELESS_API_KEY"]),
    hosted("reka", "https://api.reka.ai/v1", &["REKA_API_BASE"], &["REKA_API_KEY"]),
    hosted("sail", "https://api.sailresearch.com/v1", &["SAIL_API_BASE"], &["SAIL_API_KEY"]),
    hosted("sarvam", "https://api.sarvam.ai/v1", &[], &["SARVAM_API_KEY"]).quirks(OLDER),
    hosted("scaleway", "https://api.scaleway.ai/v1", &[], &["SCW_SECRET_KEY"]),
    hosted("scx-ai", "https://api.scx.ai/v1", &["SCX_API_BASE"], &["SCX_API_KEY"]).quirks(OLDER),
    hosted(
        "streamlake",
        "https://vanchin.streamlake.ai/api/gateway/v1/endpoints",
        &["STREAMLAKE_API_BASE"],
        &["STREAMLAKE_API_KEY"],
    )
    .quirks(Quirks { token_limit: TokenLimit::MaxCompletionTokens, ..PLAIN }),
    hosted("synthetic", "https://api.synthetic.new/openai/v1", &[], &["SYNTHETIC_API_KEY"])
        .quirks(OLDER),
    hosted(
        "tensormesh",
        "https://serverless.tensormesh.ai/v1",
        &["TENSORMESH_SERVERLESS_BASE_URL"],
        &["TENSORMESH_INFERENCE_API_KEY"],
    )
    .quirks(OLDER),
    hosted("veniceai", "https://api.venice.ai/api/v1", &[], &["VENICE_AI_API_KEY"]),
    hosted("wally", "https://inference.runanywhere.ai/v1", &["WALLY_API_BASE"], &["WALLY_API_KEY"]),
    hosted("xiaomi_mimo", "https://api.xiaomimimo.com/v1", &[], &["XIAOMI_MIMO_API_KEY"])
        .quirks(OLDER),
    hosted("zerogpu", "https://api.zerogpu.ai/v1", &["ZEROGPU_API_BASE"], &["ZEROGPU_API_KEY"]),
];
