//! Deployments that stand for providers, so that callbacks can route to one without an entry in the
//! config.

use super::{
    Setting, azure,
    defaults::{provider_base, provider_key},
    deployment::{DEFAULT_TIMEOUT, Deployment},
};
use callgate_config::Config;
use callgate_providers::{ModelFamily, ParamRules, Provider, providers};
use callgate_upstream::Connector;
use serde_json::{Map, Value};
use std::sync::{Arc, OnceLock};

/// One for each provider that has a base, by its row or a variable.
pub(super) fn all(config: &Config, connector: &Arc<Connector>) -> Vec<Deployment> {
    providers().filter_map(|provider| stand_in(provider, config, connector)).collect()
}

fn stand_in(
    provider: &'static Provider,
    config: &Config,
    connector: &Arc<Connector>,
) -> Option<Deployment> {
    let env = &config.environment;
    // Its file is read for entries only.
    if provider.token_file.is_some() {
        return None;
    }
    let path = format!("the provider `{}`", provider.label);
    let base = provider_base(provider, env, &path)?.ok()?;
    let api_version = azure::default_version(provider, base.set(), env);
    let api_base = base.map(|base| base.url);
    let (litellm, router) = (&config.litellm, &config.router);
    let timeout = litellm.request_timeout.or(router.timeout).unwrap_or(DEFAULT_TIMEOUT);
    Some(Deployment {
        id: format!("provider-{}", provider.label),
        model_name: Arc::from(provider.label),
        provider,
        label: Arc::from(provider.label),
        upstream_model: Arc::default(),
        unserved: None,
        token_source: None,
        key_header: (provider.key_header)(api_base.set().map_or("", String::as_str)),
        api_base,
        api_key: provider_key(provider, env, &path),
        api_version,
        connector: Arc::clone(connector),
        token_connector: Arc::clone(connector),
        connector_unset: None,
        organization: Setting::Absent,
        extra_headers: Vec::new(),
        params: Map::new(),
        params_unset: Vec::new(),
        timeout,
        stream_timeout: router.stream_timeout.unwrap_or(timeout),
        first_content_timeout: config.gateway.first_content_timeout,
        stream_usage: true,
        weight: 1.0,
        order: 0,
        rules: ParamRules { drop_unsupported: litellm.drop_params, ..ParamRules::default() },
        family: ModelFamily::Any,
        merges_reasoning: false,
        mock_response: None,
        model_info: Value::Object(Map::new()),
        model_info_text: OnceLock::new(),
        answer_headers: OnceLock::new(),
        json_headers: OnceLock::new(),
        request_lines: OnceLock::new(),
        chat_url: OnceLock::new(),
        log_fields: OnceLock::new(),
        model_json: OnceLock::new(),
    })
}
