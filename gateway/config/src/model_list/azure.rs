//! What only Azure's providers read of an entry: the version of the API, and how to prove who
//! calls.

use crate::{Setting, problem::SourceLocation, reader::Reader, section::Section};
use callgate_secret::Secret;

/// Azure's members of `litellm_params`.
#[derive(Clone, Debug, Default)]
pub struct AzureParams {
    /// The version of the API in URLs.
    pub api_version: Setting<String>,
    /// A token of Entra ID, sent in place of a key.
    pub ad_token: Setting<Secret>,
    /// The client of Entra ID that gets tokens, and what for.
    pub tenant_id: Setting<String>,
    pub client_id: Setting<String>,
    pub client_secret: Setting<Secret>,
    pub scope: Setting<String>,
    /// Each member that is given, and its location.
    pub places: Vec<(&'static str, SourceLocation)>,
}

pub(super) fn take(reader: &mut Reader<'_>, section: &mut Section<'_>) -> AzureParams {
    let mut places = Vec::new();
    let mut given = |reader: &mut Reader<'_>, key: &'static str| {
        let field = section.take(key)?;
        places.push((key, section.place_of_key(reader, key)));
        Some(field)
    };
    let mut text = |reader: &mut Reader<'_>, key| {
        given(reader, key).map(|field| reader.setting(&field)).unwrap_or_default()
    };
    let api_version = text(reader, "api_version");
    let tenant_id = text(reader, "tenant_id");
    let client_id = text(reader, "client_id");
    let scope = text(reader, "azure_scope");
    let mut secret = |reader: &mut Reader<'_>, key| {
        given(reader, key).map(|field| reader.secret(&field)).unwrap_or_default()
    };
    let ad_token = secret(reader, "azure_ad_token");
    let client_secret = secret(reader, "client_secret");
    AzureParams { api_version, ad_token, tenant_id, client_id, client_secret, scope, places }
}
