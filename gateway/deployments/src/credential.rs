//! How calls of a deployment prove who they come from: by a key, by a token, or by a token that has
//! to be fetched at Entra ID.

use super::Setting;
use callgate_config::{Environment, HttpUrl, ModelEntry, Problem, SourceLocation, Unset};
use callgate_providers::{KeyHeader, Provider};
use callgate_secret::Secret;
use callgate_upstream::{EntraClient, TokenSource};
use std::{net::IpAddr, sync::Arc};

/// The variable for a token.
const TOKEN_ENV: &str = "AZURE_AD_TOKEN";

/// The variable for the base URL of Entra ID, with or without `https://`.
const AUTHORITY_ENV: &str = "AZURE_AUTHORITY_HOST";

const AUTHORITY: &str = "https://login.microsoftonline.com";

const SCOPE: &str = "https://cognitiveservices.azure.com/.default";

/// What a deployment sends.
pub(super) struct Credential {
    pub(super) api_key: Setting<Secret>,
    pub(super) key_header: KeyHeader,
    pub(super) token_source: Option<Arc<TokenSource>>,
}

impl Credential {
    pub(super) fn key(api_key: Setting<Secret>, key_header: KeyHeader) -> Self {
        Self { api_key, key_header, token_source: None }
    }
}

/// The clients of Entra ID so far: entries with the same one share its tokens.
#[derive(Default)]
pub(super) struct EntraClients(Vec<(EntraClient, Arc<TokenSource>)>);

/// The members of a client, and their variables.
struct Members {
    tenant_id: Setting<String>,
    client_id: Setting<String>,
    client_secret: Setting<Secret>,
    scope: Setting<String>,
}

impl EntraClients {
    /// What an entry of Azure's sends in place of a key; `None` if it sends its key.
    pub(super) fn credential(
        &mut self,
        provider: &Provider,
        entry: &ModelEntry,
        env: &Environment,
    ) -> Result<Option<Credential>, Problem> {
        if !provider.dialect.has_versions() {
            return Ok(None);
        }
        let token = |token: Setting<Secret>| Credential::key(token, KeyHeader::Bearer);
        if entry.azure.ad_token.set().is_some_and(|token| token.expose().starts_with("oidc/")) {
            let place = entry.azure.places.iter().find(|(key, _)| *key == "azure_ad_token");
            let place = place.map_or(&entry.place, |(_, place)| place).clone();
            let text = "federated tokens (`oidc/…`) are not supported";
            let remedy = "give `tenant_id`, `client_id` and `client_secret`";
            return Err(Problem::error(place, text).remedy(remedy));
        }
        if !matches!(entry.azure.ad_token, Setting::Absent) {
            return Ok(Some(token(entry.azure.ad_token.clone())));
        }
        if !matches!(entry.api_key, Setting::Absent) {
            return Ok(None);
        }
        let members = Members::of(entry, env);
        let azure = &entry.azure;
        let by_entry = !matches!(
            (&azure.tenant_id, &azure.client_id, &azure.client_secret),
            (Setting::Absent, Setting::Absent, Setting::Absent)
        );
        let keyed = provider.key_env.iter().any(|variable| env.filled_var(variable).is_some());
        if !by_entry && keyed {
            return Ok(None);
        }
        if let Some(text) = env.filled_var(TOKEN_ENV).filter(|_| !by_entry) {
            return Ok(Some(token(Setting::Set(Secret::new(text.trim())))));
        }
        let whole = !matches!(
            (&members.tenant_id, &members.client_id, &members.client_secret),
            (Setting::Absent, ..) | (_, Setting::Absent, _) | (_, _, Setting::Absent)
        );
        match by_entry || whole {
            true => self.of_client(&members, entry, env).map(Some),
            false => Ok(None),
        }
    }

    fn of_client(
        &mut self,
        members: &Members,
        entry: &ModelEntry,
        env: &Environment,
    ) -> Result<Credential, Problem> {
        let missing = |unset: Unset| Credential::key(Setting::Unset(unset), KeyHeader::Bearer);
        let (Setting::Set(tenant_id), Setting::Set(client_id), Setting::Set(client_secret)) =
            (&members.tenant_id, &members.client_id, &members.client_secret)
        else {
            return members.first_missing(entry).map(missing);
        };
        let scope = match &members.scope {
            Setting::Set(scope) => scope.trim(),
            Setting::Absent => SCOPE,
            Setting::Unset(unset) => return Ok(missing(unset.clone())),
        };
        let authority = authority(env)?;
        let (tenant, client) = (tenant_id.trim(), client_id.trim());
        let client = EntraClient::new(&authority, tenant, client, client_secret.clone(), scope);
        let known = self.0.iter().find(|(known, _)| *known == client);
        let source = known.map(|(_, source)| Arc::clone(source)).unwrap_or_else(|| {
            let source = Arc::new(TokenSource::new(client.clone()));
            self.0.push((client, Arc::clone(&source)));
            source
        });
        Ok(Credential {
            token_source: Some(source),
            ..Credential::key(Setting::Absent, KeyHeader::Bearer)
        })
    }
}

impl Members {
    fn of(entry: &ModelEntry, env: &Environment) -> Self {
        let azure = &entry.azure;
        let or = |given: &Setting<String>, variable: &str| match given {
            Setting::Absent => env
                .filled_var(variable)
                .map_or(Setting::Absent, |value| Setting::Set(value.trim().to_owned())),
            given => given.clone(),
        };
        let secret = match &azure.client_secret {
            Setting::Absent => {
                or(&Setting::Absent, "AZURE_CLIENT_SECRET").map(|it| Secret::new(&it))
            }
            given => given.clone(),
        };
        Self {
            tenant_id: or(&azure.tenant_id, "AZURE_TENANT_ID"),
            client_id: or(&azure.client_id, "AZURE_CLIENT_ID"),
            client_secret: secret,
            scope: or(&azure.scope, "AZURE_SCOPE"),
        }
    }

    /// The first one that neither the entry nor a variable sets.
    fn first_missing(&self, entry: &ModelEntry) -> Result<Unset, Problem> {
        let unset = [self.tenant_id.unset(), self.client_id.unset(), self.client_secret.unset()];
        if let Some(unset) = unset.into_iter().flatten().next() {
            return Ok(unset.clone());
        }
        let absent = [
            (matches!(self.tenant_id, Setting::Absent), "tenant_id", "AZURE_TENANT_ID"),
            (matches!(self.client_id, Setting::Absent), "client_id", "AZURE_CLIENT_ID"),
            (matches!(self.client_secret, Setting::Absent), "client_secret", "AZURE_CLIENT_SECRET"),
        ];
        let absent = absent.into_iter().find(|(absent, ..)| *absent);
        let (_, key, variable) = absent.unwrap_or((true, "client_secret", "AZURE_CLIENT_SECRET"));
        let path = format!("{}.litellm_params", entry.place.path);
        let place = SourceLocation { path, ..entry.place.clone() };
        let text = format!(
            "expected `{key}` for a token of Entra ID, found none, and `{variable}` is not set"
        );
        Err(Problem::error(place, text).remedy("give `tenant_id`, `client_id` and `client_secret`"))
    }
}

/// The base URL of Entra ID. The secret is sent there, so only loopback may be without TLS.
fn authority(env: &Environment) -> Result<String, Problem> {
    let Some(text) = env.filled_var(AUTHORITY_ENV) else { return Ok(AUTHORITY.to_owned()) };
    let text = text.trim();
    let url = if text.contains("://") { text.to_owned() } else { format!("https://{text}") };
    let problem = |text: String| Problem::error(Environment::place_of(AUTHORITY_ENV), text);
    let parsed = HttpUrl::parse_base(&url).map_err(|error| problem(error.to_string()))?;
    let address = parsed.hostname().parse::<IpAddr>();
    let is_loopback =
        parsed.hostname() == "localhost" || address.is_ok_and(|address| address.is_loopback());
    if !parsed.is_tls() && !is_loopback {
        return Err(problem("expected a URL that begins with `https://`".to_owned()));
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;
    use callgate_config::{UnknownKeys, parse};
    use callgate_providers::by_prefix;
    use std::path::Path;

    /// What an entry with these members sends, with these variables.
    #[track_caller]
    fn sends(members: &str, variables: &[&str], expected: &str) {
        let env = Environment::from_pairs(variables.iter().map(|name| (*name, *name)));
        let text = format!(
            "model_list: [{{model_name: m, litellm_params: {{model: azure/d, {members}}}}}]"
        );
        let file = Arc::from(Path::new("c.yaml"));
        let config = parse(&file, &text, &env, UnknownKeys::Warn).unwrap();
        let azure = by_prefix("azure").unwrap();
        let found = EntraClients::default().credential(azure, &config.models[0], &env);
        let found = match found {
            Err(problem) => problem.text,
            Ok(None) => "the key".to_owned(),
            Ok(Some(Credential { token_source: Some(source), .. })) => source.url().to_owned(),
            Ok(Some(Credential { api_key: Setting::Set(token), .. })) => token.expose().to_owned(),
            Ok(Some(Credential { api_key, .. })) => format!("{:?}", api_key.unset()),
        };
        assert!(found.contains(expected), "{members} {variables:?}: {found}");
    }

    #[test]
    fn what_the_entry_names_wins_over_variables() {
        const CLIENT: &str = "tenant_id: mine, client_id: c, client_secret: s";
        const VARIABLES: [&str; 3] = ["AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET"];
        let all = [&VARIABLES[..], &["AZURE_API_KEY", "AZURE_AD_TOKEN"]].concat();
        let keyless = [&VARIABLES[..], &["AZURE_AD_TOKEN"]].concat();
        sends(&format!("azure_ad_token: eyJ, api_key: k, {CLIENT}"), &all, "eyJ");
        sends(&format!("api_key: k, {CLIENT}"), &all, "the key");
        sends(CLIENT, &all, "https://login.microsoftonline.com/mine/oauth2/v2.0/token");
        sends("tenant_id: mine", &all, "/mine/oauth2/");
        sends("order: 0", &all, "the key");
        sends("order: 0", &keyless, "AZURE_AD_TOKEN");
        sends("order: 0", &VARIABLES, "/AZURE_TENANT_ID/oauth2/");
        sends("order: 0", &VARIABLES[..2], "the key");
        sends("tenant_id: mine", &[], "expected `client_id` for a token of Entra ID");
        sends("azure_ad_token: oidc/x", &[], "federated tokens");
        sends("azure_ad_token: '${NO_TOKEN}'", &all, "NO_TOKEN");
        sends("tenant_id: t, client_id: c, client_secret: '${NO_SECRET}'", &[], "NO_SECRET");
    }

    #[test]
    fn secrets_go_only_to_an_authority_that_is_safe() {
        for (variable, expected) in [
            ("login.microsoftonline.us", Some("https://login.microsoftonline.us")),
            ("https://login.example/", Some("https://login.example/")),
            ("http://127.0.0.1:9", Some("http://127.0.0.1:9")),
            ("http://localhost:9", Some("http://localhost:9")),
            ("http://login.example", None),
            ("https://user:pass@login.example", None),
            ("https://login.example?x=y", None),
        ] {
            let env = Environment::from_pairs([(AUTHORITY_ENV, variable)]);
            assert_eq!(authority(&env).ok().as_deref(), expected, "{variable}");
        }
        let unset = Environment::default();
        assert_eq!(authority(&unset).unwrap(), AUTHORITY);
    }
}
