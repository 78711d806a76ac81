//! The top level of the config, and the entries of `model_list`.

use super::{
    reasons::{CONTENT, NO_BATCHES, NO_MCP, NO_PROMPTS, NO_SEARCH, NO_VECTORS, PROVIDER_KEY},
    standing::{
        KeyGroup,
        Standing::{Harmless, Honoured, Unsupported},
        group,
    },
};

pub(super) const TOP_LEVEL: &[KeyGroup] = &[
    group(
        Honoured,
        "callback_settings environment_variables general_settings include litellm_settings \
         model_list router_settings",
    ),
    group(CONTENT, "guardrails policies policy_attachments"),
    group(
        Unsupported("an entry cannot name shared credentials; write its key in `litellm_params`"),
        "credential_list",
    ),
    group(Unsupported("there are no endpoints for agents"), "agent_list agents"),
    group(Unsupported("there are no endpoints for assistants"), "assistant_settings"),
    group(PROVIDER_KEY, "default_vertex_config"),
    group(NO_BATCHES, "files_settings finetune_settings"),
    group(NO_MCP, "mcp_servers mcp_tools"),
    group(NO_PROMPTS, "prompts"),
    group(NO_SEARCH, "sandbox_tools search_tools"),
    group(NO_VECTORS, "vector_store_registry"),
    group(Harmless("it describes LiteLLM's own worker processes"), "worker_registry"),
    group(Harmless("it describes LiteLLM's own extensions"), "plugins"),
];

pub(super) const ENTRY: &[KeyGroup] = &[
    group(Honoured, "litellm_params model_info model_name"),
    group(Unsupported("the entry serves calls; remove it from the list to stop that"), "blocked"),
    group(Harmless("keys name their models in `callgate.keys`"), "access_groups model_group"),
    group(
        Unsupported("it is read in `litellm_params` only, where it weighs the choice of an entry"),
        "rpm tpm",
    ),
];
