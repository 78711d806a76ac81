//! `callgate.cors` and `callgate.allow_hosts`: the web pages and host names that may be used.
//! `server::web` enforces them.

use super::{
    reader::{Field, Reader},
    section::Section,
};

/// The allowed origins and hosts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WebSettings {
    /// Origins whose pages may call, in lower case; `None` if the config has no list.
    pub origins: Option<Vec<String>>,
    /// Whether pages of every origin may call.
    pub any_origin: bool,
    /// Names allowed in a `Host` header beside this machine's, in lower case and without port.
    pub hosts: Vec<String>,
    /// Whether any name is allowed.
    pub any_host: bool,
}

/// Reads both keys of the `callgate` section.
pub(super) fn read(reader: &mut Reader<'_>, section: &mut Section<'_>) -> WebSettings {
    let mut settings = WebSettings::default();
    if let Some(mut cors) = section.take("cors").and_then(|field| reader.section(&field)) {
        if let Some(field) = cors.take("allow_origins") {
            let origins = read_list(reader, &field, origin, &mut settings.any_origin);
            settings.origins = Some(origins);
        }
        cors.finish_own(reader);
    }
    if let Some(field) = section.take("allow_hosts") {
        settings.hosts = read_list(reader, &field, host, &mut settings.any_host);
    }
    settings
}

/// Reads each item of the list; sets `any` if one of them is `*`.
fn read_list(
    reader: &mut Reader<'_>,
    field: &Field<'_>,
    meaning: fn(&str) -> Result<String, &'static str>,
    any: &mut bool,
) -> Vec<String> {
    let mut meant = Vec::new();
    for item in reader.list(field) {
        let Some(text) = reader.text(&item) else { continue };
        if text.trim() == "*" {
            *any = true;
            continue;
        }
        match meaning(&text.trim().to_ascii_lowercase()) {
            Ok(text) => meant.push(text),
            Err(expected) => {
                reader.expected(&item, &format!("{expected} or `*`"));
            }
        }
    }
    meant
}

/// An origin as a browser sends it: without the scheme's default port.
fn origin(text: &str) -> Result<String, &'static str> {
    const EXPECTED: &str = "an origin such as `https://app.example.com`";
    let text = text.strip_suffix('/').unwrap_or(text);
    let (scheme, authority) = text.split_once("://").ok_or(EXPECTED)?;
    let valid = |byte: u8| byte.is_ascii_alphanumeric() || b"+-._:[]".contains(&byte);
    if scheme.is_empty()
        || authority.is_empty()
        || !text.bytes().all(|it| valid(it) || it == b'/')
        || authority.contains('/')
    {
        return Err(EXPECTED);
    }
    let default = match scheme {
        "http" => ":80",
        "https" => ":443",
        _ => "",
    };
    let authority = authority.strip_suffix(default).unwrap_or(authority);
    Ok(format!("{scheme}://{authority}"))
}

fn host(text: &str) -> Result<String, &'static str> {
    let valid = |byte: u8| byte.is_ascii_alphanumeric() || b"-._[]:".contains(&byte);
    let named = match text.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None if text.matches(':').count() > 1 => text,
        None => text.split(':').next().unwrap_or_default(),
    };
    let named = named.strip_suffix('.').unwrap_or(named);
    if named.is_empty() || !text.bytes().all(valid) {
        return Err("a host name such as `gateway.internal`");
    }
    Ok(named.to_owned())
}

#[cfg(test)]
mod tests {
    use super::{host, origin};

    #[test]
    fn origins_and_hosts_are_kept_as_browsers_send_them() {
        for (written, kept) in [
            ("https://app.example.com", Some("https://app.example.com")),
            ("https://app.example.com:443/", Some("https://app.example.com")),
            ("http://[::1]:3000", Some("http://[::1]:3000")),
            ("tauri://localhost", Some("tauri://localhost")),
            ("app.example.com", None),
            ("null", None),
            ("https://*.example.com", None),
            ("https://a/b", None),
            ("https://", None),
        ] {
            assert_eq!(origin(written).ok().as_deref(), kept, "{written}");
        }
        for (written, kept) in [
            ("gateway.internal", Some("gateway.internal")),
            ("gateway.internal.:4000", Some("gateway.internal")),
            ("[fd00::1]:4000", Some("fd00::1")),
            ("fd00::1", Some("fd00::1")),
            ("http://gateway", None),
            ("", None),
        ] {
            assert_eq!(host(written).ok().as_deref(), kept, "{written}");
        }
    }
}
