//! The texts that several keys share: why a key has no effect here, what it means that it is not
//! supported, and what stands in for a protection.

use super::standing::Standing::{self, Harmless, Protects, Unsupported};

pub(super) const ADDRESSES: Standing = Protects {
    effect: "calls come from any address",
    instead: "let a firewall or a proxy in front keep them out",
};
pub(super) const AUTH: Standing = Protects {
    effect: "only holders of a key may call",
    instead: "list keys in `callgate.keys`, or let a proxy in front check callers",
};
pub(super) const CUSTOM_AUTH: Standing = Protects {
    effect: "only holders of a key may call",
    instead: "name a callback of `litellm_settings.callbacks` that has the hook `on_auth`, list \
              keys in `callgate.keys`, or let a proxy in front check callers",
};
pub(super) const BUDGET: Standing = Protects {
    effect: "nothing is counted in money",
    instead: "limit calls with the callback `rate_limit`, and spending at the provider",
};
pub(super) const CONTENT: Standing = Protects {
    effect: "no prompt and no reply is checked",
    instead: "list the callback `guardrail` with its own rules",
};
pub(super) const FIELDS: Standing = Protects {
    effect: "calls without these fields pass",
    instead: "list a callback that refuses them in `on_llm_start`",
};
pub(super) const PARALLEL: Standing = Protects {
    effect: "any number of calls runs at once",
    instead: "limit calls with the callback `rate_limit`, or connections with \
              `callgate.limits.max_connections`",
};
pub(super) const ROUTES: Standing = Protects {
    effect: "every path is served to holders of the key",
    instead: "let a proxy in front pass only these paths",
};
/// Only callbacks can break it, so that it refuses the start only if one that may keep content is
/// loaded.
pub(crate) const SILENCE: Standing = Protects {
    effect: "a callback that is loaded, such as `langsmith`, gets prompts and replies",
    instead: "take those callbacks off the list, or set their settings so that they leave \
              content out",
};

pub(super) const NO_ALERTS: Standing =
    Unsupported("no alerts are sent; watch `GET /metrics` and the log");
pub(super) const NO_ADMIN: Standing = Harmless("there is no admin interface and no sign-in");
pub(super) const NO_BATCHES: Standing = Harmless("there are no endpoints for files and batches");
pub(super) const NO_CACHE: Standing =
    Unsupported("replies are not cached; every call goes upstream");
pub(super) const NO_COOLDOWN: Standing =
    Unsupported("an entry is never taken out of service after failures");
pub(super) const NO_COSTS: Standing =
    Harmless("nothing is counted in money here, so a price changes nothing");
pub(super) const NO_DATABASE: Standing = Unsupported(
    "there is no database: keys are listed in `callgate.keys`, and neither spending nor models \
     are stored",
);
pub(super) const NO_DATABASE_DETAIL: Standing = Harmless("there is no database to connect to");
pub(super) const NO_DIALECT: Standing =
    Unsupported("no provider that is served takes it; the entry's own line says whether it is");
pub(super) const NO_FALLBACKS: Standing =
    Unsupported("a call goes to one entry of the model that it names, and to no other model");
pub(super) const NO_FALLBACKS_DETAIL: Standing = Harmless("there are no fallbacks");
pub(super) const NO_HEALTH_CHECKS: Standing =
    Unsupported("models are not called to check their health");
pub(super) const NO_HEALTH_CHECKS_DETAIL: Standing =
    Harmless("models are not called to check their health, so there is nothing to set");
pub(super) const NO_KEY_MAKING: Standing =
    Harmless("keys are not made over HTTP, and there are no users and teams: see `callgate.keys`");
pub(super) const NO_LIMIT: Standing =
    Unsupported("it does not limit calls; the callback `rate_limit` does");
pub(super) const NO_LOGGER: Standing =
    Harmless("it is a setting of a built-in callback, which is reported where it is listed");
pub(super) const NO_MCP: Standing = Unsupported("there are no MCP endpoints");
pub(super) const NO_MCP_DETAIL: Standing = Harmless("there are no MCP endpoints");
pub(super) const NO_PROMPTS: Standing =
    Unsupported("prompts are not fetched or changed; a call's messages go upstream as they are");
pub(super) const NO_RETRIES: Standing =
    Unsupported("a failed call is not tried again; clients retry");
pub(super) const NO_ROUTER: Standing =
    Unsupported("no model is chosen by a call's content; `model_name` decides");
pub(super) const NO_SEARCH: Standing =
    Unsupported("the gateway does not search or run tools for a model");
pub(super) const NO_SECRETS: Standing =
    Unsupported("secrets come from the environment and from `.env` only");
pub(super) const NO_SHARED_STATE: Standing =
    Unsupported("counters are kept in this process; gateways do not share them");
pub(super) const NO_SPEND_LOGS: Standing =
    Harmless("there are no spend logs to write, keep or clean up");
pub(super) const NO_TAGS: Standing =
    Unsupported("entries are not chosen by tags; every entry of a model may get a call");
pub(super) const NO_TRACES: Standing = Unsupported("no traces are exported");
pub(super) const NO_VECTORS: Standing = Unsupported("there are no vector stores");
pub(super) const OTHER_TIMING: Standing =
    Unsupported("`timeout` and `stream_timeout` hold for every call of an entry");
pub(super) const OWN_METRICS: Standing =
    Harmless("`GET /metrics` has this gateway's own metrics, whatever is set here");
pub(super) const PROVIDER_KEY: Standing = Unsupported(
    "keys and bases for all entries are not read here; write them in `litellm_params`, or set \
     the provider's variable",
);
