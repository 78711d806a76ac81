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
    let version = given(reader, "api_version");
    let token = given(reader, "azure_ad_token");
    AzureParams {
        api_version: version.map(|field| reader.setting(&field)).unwrap_or_default(),
        ad_token: token.map(|field| reader.secret(&field)).unwrap_or_default(),
        places,
    }
}
