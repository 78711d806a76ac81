//! OAuth's client credentials at Microsoft's Entra ID. Does no I/O.

use super::{IssuedToken, TokenError};
use callgate_secret::Secret;
use std::{fmt, fmt::Write as _, time::Duration};

/// The longest text of the issuer's that is shown.
const TEXT: usize = 500;

/// A client that proves itself by a secret.
#[derive(Clone, PartialEq, Eq)]
pub struct EntraClient {
    url: String,
    client_id: String,
    client_secret: Secret,
    scope: String,
}

impl EntraClient {
    /// `authority` is the base URL of Entra ID.
    pub fn new(
        authority: &str,
        tenant_id: &str,
        client_id: &str,
        client_secret: Secret,
        scope: &str,
    ) -> Self {
        let mut url = format!("{}/", authority.trim_end_matches('/'));
        push_encoded(&mut url, tenant_id);
        url.push_str("/oauth2/v2.0/token");
        let (client_id, scope) = (client_id.to_owned(), scope.to_owned());
        Self { url, client_id, client_secret, scope }
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }

    pub(super) fn secret(&self) -> &Secret {
        &self.client_secret
    }

    /// The body of a request for a token.
    pub(super) fn form(&self) -> String {
        let mut form = "grant_type=client_credentials".to_owned();
        for (name, value) in [
            ("client_id", &*self.client_id),
            ("client_secret", self.client_secret.expose()),
            ("scope", &*self.scope),
        ] {
            form.push('&');
            form.push_str(name);
            form.push('=');
            push_encoded(&mut form, value);
        }
        form
    }

    /// Reads the answer to it.
    pub(super) fn read(&self, status: u16, body: &[u8]) -> Result<IssuedToken, TokenError> {
        if status != 200 {
            return Err(TokenError::Refused { status, text: refusal(body) });
        }
        let answer: TokenAnswer = serde_json::from_slice(body).map_err(|_| TokenError::NoToken)?;
        let token = answer.access_token.filter(|token| sendable(token));
        let token = Secret::new(&token.ok_or(TokenError::NoToken)?);
        let lifetime = Duration::from_secs(answer.expires_in.map_or(0, Seconds::count));
        Ok(IssuedToken { token, lifetime })
    }
}

/// Shows no secret.
impl fmt::Debug for EntraClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EntraClient").field("url", &self.url).finish_non_exhaustive()
    }
}

#[derive(serde::Deserialize)]
struct TokenAnswer {
    access_token: Option<String>,
    expires_in: Option<Seconds>,
}

/// Older versions of the API write numbers as text.
#[derive(serde::Deserialize)]
#[serde(untagged)]
enum Seconds {
    Number(u32),
    Text(String),
}

impl Seconds {
    fn count(self) -> u64 {
        match self {
            Self::Number(seconds) => seconds.into(),
            Self::Text(text) => text.trim().parse::<u32>().unwrap_or_default().into(),
        }
    }
}

#[derive(serde::Deserialize)]
struct TokenRefusal {
    error: Option<String>,
    error_description: Option<String>,
}

/// A header can carry it.
fn sendable(token: &str) -> bool {
    !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic())
}

/// The reason for a refusal, without what only identifies the request or the client.
fn refusal(body: &[u8]) -> String {
    let said: Option<TokenRefusal> = serde_json::from_slice(body).ok();
    let text = said.and_then(|said| said.error_description.or(said.error));
    let Some(text) = text else { return "something other than an error of Entra ID".to_owned() };
    let text = text.split("Trace ID:").next().unwrap_or_default();
    let words = text.split_whitespace().map(|word| if has_id(word) { "…" } else { word });
    let mut text = words.collect::<Vec<_>>().join(" ");
    text.truncate(text.floor_char_boundary(TEXT));
    text
}

/// Whether a word contains an id such as `72f988bf-86f1-41af-91ab-2d7cd011db47`.
fn has_id(word: &str) -> bool {
    const PARTS: [usize; 5] = [8, 4, 4, 4, 12];
    let hex = |part: &str| part.bytes().all(|byte| byte.is_ascii_hexdigit());
    let id = word.trim_matches(|c: char| !c.is_ascii_hexdigit());
    let parts: Vec<&str> = id.split('-').collect();
    parts.len() == PARTS.len()
        && parts.iter().zip(PARTS).all(|(part, length)| part.len() == length && hex(part))
}

fn push_encoded(out: &mut String, text: &str) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(byte));
        } else {
            // Writing to a `String` cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client() -> EntraClient {
        let authority = "https://login.microsoftonline.com/";
        EntraClient::new(authority, "my tenant", "id&1", Secret::new("s=+%"), "https://c/.default")
    }

    #[test]
    fn a_request_is_a_form_at_the_tenants_url() {
        let url = "https://login.microsoftonline.com/my%20tenant/oauth2/v2.0/token";
        assert_eq!(client().url(), url);
        let form = "grant_type=client_credentials&client_id=id%261&client_secret=s%3D%2B%25\
                    &scope=https%3A%2F%2Fc%2F.default";
        assert_eq!(client().form(), form);
        assert!(!format!("{:?}", client()).contains("s=+%"));
    }

    #[test]
    fn a_token_has_its_lifetime() {
        for (body, seconds) in [
            (r#"{"token_type":"Bearer","expires_in":3599,"access_token":"eyJ.a"}"#, 3599),
            (r#"{"expires_in":"3599","access_token":"eyJ.a"}"#, 3599),
            (r#"{"access_token":"eyJ.a"}"#, 0),
            (r#"{"expires_in":"soon","access_token":"eyJ.a"}"#, 0),
        ] {
            let lifetime = Duration::from_secs(seconds);
            let expected = IssuedToken { token: Secret::new("eyJ.a"), lifetime };
            assert_eq!(client().read(200, body.as_bytes()).unwrap(), expected, "{body}");
        }
        for body in
            ["", "<html>", "{}", r#"{"access_token":""}"#, r#"{"access_token":"a\r\nb: c"}"#]
        {
            let read = client().read(200, body.as_bytes());
            assert!(matches!(read, Err(TokenError::NoToken)), "{body}");
        }
    }

    #[test]
    fn a_refusal_names_the_reason_and_no_ids() {
        let body = r#"{"error":"invalid_client","error_description":"AADSTS7000215: Invalid client secret provided. Ensure the secret being sent is the secret value, not the ID, for a secret added to app '72f988bf-86f1-41af-91ab-2d7cd011db47'. Trace ID: 1 Correlation ID: 2","error_codes":[7000215]}"#;
        let Err(TokenError::Refused { status: 401, text }) = client().read(401, body.as_bytes())
        else {
            panic!("a refusal")
        };
        assert_eq!(
            text,
            "AADSTS7000215: Invalid client secret provided. Ensure the secret being sent is the \
             secret value, not the ID, for a secret added to app …"
        );
        for (body, expected) in [
            (r#"{"error":"unauthorized_client"}"#, "unauthorized_client"),
            ("<html>", "something other than an error of Entra ID"),
        ] {
            let read = client().read(500, body.as_bytes()).unwrap_err().to_string();
            assert_eq!(read, format!("it answered 500: {expected}"));
        }
    }
}
