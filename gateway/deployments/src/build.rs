//! Turns `model_list` into deployments and their indexes. Every entry is checked, even after a
//! failed one, so that one start reports all problems.

use super::{
    Setting, azure,
    base::{self, Base},
    catch_all,
    connectors::Connectors,
    credential::{Credential, EntraClients},
    defaults::{provider_base, provider_key},
    deployment::{DEFAULT_TIMEOUT, Deployment},
    index,
    infer::{InferError, Inferred, infer},
    lookup::Deployments,
    stand_in, token_file, weight,
};
use callgate_config::{
    Config, ModelEntry, Problem, Problems, Severity, SourceLocation, problem::settle, quoted,
};
use callgate_providers::{KeyHeader, ModelFamily, ParamRules, Provider, UNSERVED};
use callgate_secret::Secret;
use callgate_telemetry::counted::counted_as;
use http::HeaderValue;
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::{
    collections::HashSet,
    fmt::Write,
    sync::{Arc, OnceLock},
    time::Duration,
};

impl Deployments {
    /// Checks every entry of `model_list`. Returns the deployments and the warnings.
    ///
    /// # Errors
    /// All problems at once, if any deployment can never work.
    pub fn from_config(config: &Config) -> Result<(Self, Vec<Problem>), Problems> {
        let mut builder = Builder::new(config);
        let mut built = Vec::new();
        let models = catch_all::expanded(config);
        for entry in &*models {
            if let Some(deployment) = builder.deployment(entry) {
                built.push((entry, deployment));
            }
        }
        let one_is_served = built.iter().any(|(_, deployment)| deployment.unserved.is_none());
        builder.report_unserved(one_is_served);
        if config.models.is_empty() {
            let text = "found no entry in `model_list`, so clients have no model to ask for";
            let place = SourceLocation::whole_file(&config.file);
            builder.problems.push(Problem::warning(place, text).remedy("list the models to serve"));
        }
        builder.problems.extend(path_notices(std::mem::take(&mut builder.corrected)));
        weight::assign(&mut built, &mut builder.problems);
        builder.problems.extend(builder.connectors.proxy_problems(&built));
        let built = built.into_iter().map(|(entry, deployment)| (entry, Arc::new(deployment)));
        let stand_ins = stand_in::all(config, builder.connectors.general());
        let aliases = &config.router.aliases;
        let built = built.collect();
        let mut deployments = index::build(built, stand_ins, aliases, &mut builder.problems);
        deployments.connector = Arc::clone(builder.connectors.general());
        Ok((deployments, settle(builder.problems)?))
    }
}

/// The family of an entry's model. A deployment's name may hide the model; `base_model` names it.
fn family(provider: &Provider, entry: &ModelEntry, model: &str) -> ModelFamily {
    let of_info = entry.model_info.get("base_model").and_then(Value::as_str);
    (provider.families)(entry.base_model.as_deref().or(of_info).unwrap_or(model))
}

/// One notice for all entries of one host.
fn path_notices(corrected: Vec<Corrected>) -> impl Iterator<Item = Problem> {
    let mut of_hosts: Vec<(Corrected, usize)> = Vec::new();
    for found in corrected {
        match of_hosts.iter_mut().find(|(known, _)| known.host == found.host) {
            Some((_, others)) => *others += 1,
            None => of_hosts.push((found, 0)),
        }
    }
    of_hosts.into_iter().map(|(Corrected { host, path, place }, others)| {
        let mut text = format!("`{host}` answers at `{path}`: that path is used");
        if others > 0 {
            let more = counted_as(others, "more entry", "more entries");
            text.push_str(&format!(" (and in {more})"));
        }
        Problem::warning(place, text).remedy(format!("write `https://{host}{path}`"))
    })
}

/// A base whose path was put right.
struct Corrected {
    host: String,
    path: &'static str,
    place: SourceLocation,
}

struct Builder<'c> {
    config: &'c Config,
    connectors: Connectors,
    problems: Vec<Problem>,
    /// Why entries cannot be served; each is a warning if another entry can be.
    unserved: Vec<Problem>,
    corrected: Vec<Corrected>,
    entra_clients: EntraClients,
    ids: HashSet<String>,
}

impl<'c> Builder<'c> {
    fn new(config: &'c Config) -> Self {
        let (mut problems, unserved, corrected) = (Vec::new(), Vec::new(), Vec::new());
        let connectors = Connectors::new(config, &mut problems);
        let (entra_clients, ids) = (EntraClients::default(), HashSet::new());
        Self { config, connectors, problems, unserved, corrected, entra_clients, ids }
    }

    fn deployment(&mut self, entry: &ModelEntry) -> Option<Deployment> {
        let fits = self.check_wildcards(entry);
        let base = self.base(entry);
        if matches!((&entry.api_base.0, &base), (Setting::Set(_), None)) || !fits {
            return None;
        }
        let Some(inferred) = self.inferred(entry, base.as_ref()) else {
            return Some(self.unserved(entry));
        };
        if let Some(Base { host, path_put: Some(path), .. }) = &base {
            let place = entry.api_base.1.clone();
            self.corrected.push(Corrected { host: host.clone(), path, place });
        }
        let provider = inferred.provider;
        let upstream_model = provider.without_route(inferred.upstream_model);
        if let Some(reason) = provider.dialect.unserved(upstream_model) {
            let (_, place) = &entry.model;
            self.unserved.push(Problem::error(place.clone(), reason));
            return Some(self.unserved(entry));
        }
        let base = match (&entry.api_base.0, base) {
            (_, Some(base)) => Setting::Set(base),
            (Setting::Unset(unset), None) => Setting::Unset(unset.clone()),
            (_, None) => self.default_base(provider, &entry.api_base.1)?,
        };
        if matches!(base, Setting::Absent) {
            return Some(self.unserved(entry));
        }
        let api_version = self.api_version(provider, entry, base.set())?;
        let api_base = base.map(|base| base.url);
        let credential = match self.credential(provider, entry, api_base.set()) {
            Ok(credential) => credential,
            Err(problem) => {
                self.unserved.push(problem);
                return Some(self.unserved(entry));
            }
        };
        let Credential { api_key, key_header, token_source } = credential;
        self.check_key(&api_key, &entry.place);
        let family = family(provider, entry, inferred.upstream_model);
        self.check_params(provider, entry, family);
        let id = self.id(entry, &api_base);
        let plain = self.plain(provider, entry);
        let mut deployment = Deployment {
            id,
            label: Arc::from(provider.label),
            upstream_model: upstream_model.into(),
            api_base,
            api_key,
            key_header,
            token_source,
            api_version,
            family,
            ..plain
        };
        if entry.stream_usage.is_none() {
            deployment.stream_usage = azure::knows_stream_options(&deployment);
        }
        Some(deployment)
    }

    /// How calls prove who they come from. What the entry itself names wins over all variables.
    fn credential(
        &mut self,
        provider: &Provider,
        entry: &ModelEntry,
        base: Option<&String>,
    ) -> Result<Credential, Problem> {
        let header = (provider.key_header)(base.map_or("", String::as_str));
        let env = &self.config.environment;
        if let Some(found) = self.entra_clients.credential(provider, entry, env)? {
            return Ok(found);
        }
        let key = match &entry.api_key {
            Setting::Absent => match token_file::read(provider, entry, env)? {
                Some(token) => Setting::Set(token),
                None => self.default_key(provider, entry),
            },
            given => given.clone(),
        };
        Ok(Credential::key(key, header))
    }

    /// `None` if it is unusable, which is reported.
    fn api_version(
        &mut self,
        provider: &Provider,
        entry: &ModelEntry,
        base: Option<&Base>,
    ) -> Option<Setting<String>> {
        let found = azure::api_version(provider, entry, base, &self.config.environment);
        self.problems.extend(azure::without_effect(provider, entry));
        found.map_err(|problem| self.problems.push(problem)).ok()
    }

    /// The provider of an entry, or the reason why there is none.
    fn inferred<'e>(&mut self, entry: &'e ModelEntry, base: Option<&Base>) -> Option<Inferred<'e>> {
        let has_base = !matches!(entry.api_base.0, Setting::Absent);
        let (model, model_place) = &entry.model;
        let custom = entry.provider.as_ref();
        let host = base.map(|base| base.host.as_str());
        let inferred = infer(model, custom.map(|(name, _)| name.as_str()), has_base, host);
        let report = |error: InferError| {
            let place = custom.map_or(model_place, |(_, place)| place).clone();
            let remedy = error.remedy();
            self.unserved.push(Problem::error(place, error.to_string()).remedy(remedy));
        };
        inferred.map_err(report).ok()
    }

    /// A deployment whose calls fail with the reason that was reported last.
    fn unserved(&mut self, entry: &ModelEntry) -> Deployment {
        let reason = self.unserved.last().map_or("it cannot be served", |problem| &*problem.text);
        let reason = Some(Arc::from(reason));
        let id = self.id(entry, &Setting::Absent);
        let prefix = entry.model.0.split_once('/').map(|(prefix, _)| prefix);
        let label = entry.provider.as_ref().map(|(name, _)| name.as_str()).or(prefix);
        let label = Arc::from(label.unwrap_or(UNSERVED.label));
        Deployment { id, label, unserved: reason, ..self.plain(&UNSERVED, entry) }
    }

    /// Reports the entries that cannot be served. If no other one can, nothing would work.
    fn report_unserved(&mut self, one_is_served: bool) {
        for problem in std::mem::take(&mut self.unserved) {
            let problem = if one_is_served {
                let text = format!("{}; calls of this model fail", problem.text);
                Problem { severity: Severity::Warning, text, ..problem }
            } else {
                let text = format!("{}, and no entry of `model_list` works", problem.text);
                Problem { text, ..problem }
            };
            self.problems.push(problem);
        }
    }

    /// What the entry says, without what its provider decides.
    fn plain(&mut self, provider: &'static Provider, entry: &ModelEntry) -> Deployment {
        let connector = self.connectors.for_entry(entry, &mut self.problems);
        let (timeout, stream_timeout) = self.timeouts(entry);
        Deployment {
            id: String::new(),
            model_name: Arc::from(entry.model_name.as_str()),
            provider,
            label: Arc::default(),
            unserved: None,
            upstream_model: Arc::default(),
            api_base: Setting::Absent,
            api_key: Setting::Absent,
            key_header: KeyHeader::Bearer,
            token_source: None,
            api_version: Setting::Absent,
            connector,
            token_connector: self.connectors.for_tokens(entry),
            connector_unset: entry.proxy.unset().or(entry.tls.unset.as_ref()).cloned(),
            organization: entry.organization.clone(),
            extra_headers: entry.extra_headers.clone(),
            params: entry.params.clone(),
            params_unset: entry.params_unset.clone(),
            timeout,
            stream_timeout,
            first_content_timeout: entry
                .first_content_timeout
                .or(self.config.gateway.first_content_timeout),
            stream_usage: entry.stream_usage.unwrap_or(true),
            weight: 1.0,
            order: entry.order,
            rules: ParamRules {
                drop_unsupported: entry.drop_params.unwrap_or(self.config.litellm.drop_params),
                leave_out: entry.additional_drop_params.clone(),
                cut: entry.drop_paths.clone(),
                allowed: entry.allowed_openai_params.clone(),
            },
            family: ModelFamily::Any,
            merges_reasoning: entry.merges_reasoning,
            mock_response: entry.mock_response.clone(),
            model_info: Value::Object(entry.model_info.clone()),
            model_info_text: OnceLock::new(),
            answer_headers: OnceLock::new(),
            json_headers: OnceLock::new(),
            request_lines: OnceLock::new(),
            chat_url: OnceLock::new(),
            log_fields: OnceLock::new(),
            model_json: OnceLock::new(),
        }
    }

    /// The entry's own base; `None` if it has none, or an unusable one, which is reported.
    fn base(&mut self, entry: &ModelEntry) -> Option<Base> {
        let text = entry.api_base.0.set()?;
        let base = base::parse(text);
        base.map_err(|error| {
            self.problems.push(Problem::error(entry.api_base.1.clone(), error.to_string()));
        })
        .ok()
    }

    /// Warns of parameters that the provider lacks and that are therefore never sent.
    fn check_params(&mut self, provider: &Provider, entry: &ModelEntry, family: ModelFamily) {
        let allowed = |name: &&str| entry.allowed_openai_params.iter().any(|it| it == name);
        let mut unfit = provider.dialect.unfit(&entry.params);
        unfit.extend(family.unfit(&entry.params));
        unfit.retain(|name| !allowed(name));
        for name in unfit {
            // If a name occurs twice, the last one counts.
            let place = entry.params_places.iter().rev().find(|(of, _)| of == name);
            let place = place.map_or(&entry.place, |(_, place)| place).clone();
            let text = format!(
                "`{}` is not sent: the provider `{}` has no such parameter, or not with this value",
                quoted(name),
                provider.name
            );
            self.problems.push(Problem::warning(place, text).remedy("remove it"));
        }
    }

    fn check_wildcards(&mut self, entry: &ModelEntry) -> bool {
        let stars = |name: &str| name.matches('*').count();
        let (model, place) = &entry.model;
        if stars(&entry.model_name) > 1 || stars(model) > 1 {
            let text = "expected at most one `*` in a model's name, found more";
            self.problems.push(Problem::error(entry.place.clone(), text));
        } else if stars(model) > stars(&entry.model_name) {
            let text = "found a `*`, but `model_name` has none that could fill it";
            self.problems.push(Problem::error(place.clone(), text));
        } else {
            return true;
        }
        false
    }

    /// `Absent` if there is none, which is reported.
    fn default_base(
        &mut self,
        provider: &Provider,
        place: &SourceLocation,
    ) -> Option<Setting<Base>> {
        match provider_base(provider, &self.config.environment, &place.path) {
            Some(Ok(base)) => {
                if let Setting::Unset(unset) = &base {
                    let variable = &unset.variable;
                    let text = format!("`{variable}` is not set or blank");
                    let remedy = format!("calls that need it will fail until `{variable}` is set");
                    self.problems.push(Problem::warning(place.clone(), text).remedy(remedy));
                }
                Some(base)
            }
            Some(Err((variable, error))) => {
                let text = format!("in the environment variable `{variable}`: {error}");
                self.problems.push(Problem::error(place.clone(), text));
                None
            }
            None => {
                let text = format!("expected an `api_base` for `{}`, found none", provider.name);
                let remedy = "write the URL of its server";
                self.unserved.push(Problem::error(place.clone(), text).remedy(remedy));
                Some(Setting::Absent)
            }
        }
    }

    fn default_key(&mut self, provider: &Provider, entry: &ModelEntry) -> Setting<Secret> {
        let path = format!("{}.litellm_params.api_key", entry.place.path);
        let key = provider_key(provider, &self.config.environment, &path);
        if let Setting::Unset(unset) = &key
            && entry.mock_response.is_none()
        {
            let place = SourceLocation { path, ..entry.place.clone() };
            let variable = &unset.variable;
            let text = format!("no key is given and `{variable}` is not set or blank");
            let remedy = format!("calls that need it will fail until `{variable}` is set");
            self.problems.push(Problem::warning(place, text).remedy(remedy));
        }
        key
    }

    fn check_key(&mut self, key: &Setting<Secret>, place: &SourceLocation) {
        let sendable = |key: &Secret| HeaderValue::from_str(key.expose()).is_ok();
        if key.set().is_some_and(|key| !sendable(key)) {
            let path = format!("{}.litellm_params.api_key", place.path);
            let text = "expected a key that an HTTP header can carry, found control characters";
            self.problems.push(Problem::error(SourceLocation { path, ..place.clone() }, text));
        }
    }

    /// The timeouts for a JSON reply and for a stream.
    fn timeouts(&self, entry: &ModelEntry) -> (Duration, Duration) {
        let (litellm, router) = (&self.config.litellm, &self.config.router);
        let general = litellm.request_timeout.or(router.timeout).unwrap_or(DEFAULT_TIMEOUT);
        let timeout = entry.timeout.unwrap_or(general);
        let stream = entry.stream_timeout.or(router.stream_timeout).unwrap_or(timeout);
        (timeout, stream)
    }

    /// The id of an entry; equal entries are numbered. The key is left out, because rotating it
    /// must not change the id, and an id must reveal nothing about a key.
    fn id(&mut self, entry: &ModelEntry, api_base: &Setting<String>) -> String {
        let given = match entry.model_info.get("id") {
            Some(Value::String(id)) => Some(id.clone()),
            Some(Value::Number(id)) => Some(id.to_string()),
            _ => None,
        };
        if let Some(id) = given {
            if self.ids.insert(id.clone()) {
                return id;
            }
            let text = format!("the id `{}` is already taken by another entry", quoted(&id));
            let mut place = entry.place.clone();
            place.path.push_str(".model_info.id");
            let remedy = "this entry gets an id of its own; give each another one";
            self.problems.push(Problem::warning(place, text).remedy(remedy));
        }
        let params = Value::Object(entry.params.clone());
        let identity =
            format!("{}\n{}\n{:?}\n{params}", entry.model_name, entry.model.0, api_base.set());
        let mut turn = 0;
        loop {
            let digest = Sha256::digest(format!("{identity}\n{turn}").as_bytes());
            let id = digest.iter().fold(String::new(), |mut hex, byte| {
                // Writing to a `String` cannot fail.
                let _ = write!(hex, "{byte:02x}");
                hex
            });
            if self.ids.insert(id.clone()) {
                return id;
            }
            turn += 1;
        }
    }
}
