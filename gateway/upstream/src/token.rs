//! Tokens that an upstream expects in place of a key, and that have to be fetched first.
//!
//! A token is kept until shortly before it expires, for all threads. One fetch runs at a time:
//! calls without a token wait for it, and share its failure. A token that is still good is renewed
//! beside the calls that use it.

mod entra;
mod kept;

use super::{Connector, HeaderLines, USER_AGENT, UpstreamError, post};
use callgate_config::Reuse;
use callgate_json::Slices;
use callgate_secret::{Secret, mask_one};
pub use entra::EntraClient;
use kept::{Kept, TokenState};
use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::time::{Instant, timeout};

/// The time limit for a fetch.
const FETCH_TIMEOUT: Duration = Duration::from_secs(10);

/// The longest answer that is read.
const MAX_ANSWER: usize = 64 * 1024;

/// Where tokens come from, and the one that is kept.
pub struct TokenSource {
    client: EntraClient,
    kept: Mutex<Kept>,
    /// Held by the call that fetches.
    turn: tokio::sync::Mutex<()>,
}

/// A token as it was issued.
#[derive(Debug, PartialEq, Eq)]
struct IssuedToken {
    token: Secret,
    /// How long it is good.
    lifetime: Duration,
}

/// Why there is no token.
#[derive(Clone, Debug, thiserror::Error)]
pub enum TokenError {
    /// The text is the issuer's own, without ids and secrets.
    #[error("it answered {status}: {text}")]
    Refused { status: u16, text: String },
    #[error("its answer has no token")]
    NoToken,
    #[error("its answer is longer than {MAX_ANSWER} bytes")]
    TooLong,
    #[error("it cannot be reached: {0}")]
    Unreachable(Arc<UpstreamError>),
    #[error("it did not answer within {} s", FETCH_TIMEOUT.as_secs())]
    Late,
}

impl TokenSource {
    /// Nothing is fetched before a call needs a token.
    pub fn new(client: EntraClient) -> Self {
        Self { client, kept: Mutex::default(), turn: tokio::sync::Mutex::default() }
    }

    /// The secrets that are sent for a token.
    pub fn secret(&self) -> &Secret {
        self.client.secret()
    }

    /// The URL that is asked for tokens.
    pub fn url(&self) -> &str {
        self.client.url()
    }

    /// The token to send now. If it is renewed beside the call, a failure is only logged.
    ///
    /// # Errors
    /// If there is no good token, and none could be fetched.
    pub async fn token(
        self: &Arc<Self>,
        by: (&Arc<Connector>, Reuse),
    ) -> Result<Secret, TokenError> {
        let seen = match self.kept().find(Instant::now()) {
            TokenState::Good(token) => return Ok(token),
            TokenState::Ageing(token) => {
                self.renew_beside((Arc::clone(by.0), by.1));
                return Ok(token);
            }
            TokenState::Nothing { seen } => seen,
        };
        let _turn = self.turn.lock().await;
        // Another call may have had its turn meanwhile.
        if let Some(ended) = self.kept().ended_since(seen, Instant::now()) {
            return ended;
        }
        self.fetch((by.0, by.1)).await
    }

    /// The token that is kept, to be masked in texts of the upstream.
    pub fn present(&self) -> Option<Secret> {
        self.kept().present()
    }

    /// Has another token fetched for the next call, because the upstream refused the present one.
    pub fn forget(&self) {
        self.kept().forget(Instant::now());
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn renew_beside(self: &Arc<Self>, (connector, reuse): (Arc<Connector>, Reuse)) {
        let source = Arc::clone(self);
        tokio::spawn(async move {
            let _turn = source.turn.lock().await;
            if let Err(error) = source.fetch((&connector, reuse)).await {
                tracing::warn!(
                    target: "callgate::upstream::token",
                    "a token cannot be renewed at `{}`: {error}; the present one is used until it \
                     expires",
                    source.url()
                );
            }
        });
    }

    async fn fetch(&self, by: (&Connector, Reuse)) -> Result<Secret, TokenError> {
        let asked = Instant::now();
        let fetched = timeout(FETCH_TIMEOUT, self.ask(by)).await;
        let fetched = fetched.unwrap_or(Err(TokenError::Late));
        // Its lifetime began when it was issued.
        self.kept().end(fetched, asked)
    }

    async fn ask(&self, by: (&Connector, Reuse)) -> Result<IssuedToken, TokenError> {
        let mut lines = HeaderLines::new();
        lines.add("content-type", &[b"application/x-www-form-urlencoded"]);
        lines.add("accept", &[b"application/json"]);
        lines.add("user-agent", &[USER_AGENT.as_bytes()]);
        let body = Slices::from_buf([self.client.form().into()]);
        let unreachable = |error| TokenError::Unreachable(Arc::new(error));
        let posting = Box::pin(post(self.url(), lines.finish(), body, by));
        let mut answer = posting.await.map_err(unreachable)?;
        let mut read = Vec::new();
        while let Some(piece) = answer.next().await {
            read.extend_from_slice(&piece.map_err(unreachable)?);
            if read.len() > MAX_ANSWER {
                return Err(TokenError::TooLong);
            }
        }
        self.client.read(answer.status, &read).map_err(|error| match error {
            TokenError::Refused { status, mut text } => {
                mask_one(&mut text, self.secret().expose());
                TokenError::Refused { status, text }
            }
            error => error,
        })
    }
}

/// Shows no secret.
impl fmt::Debug for TokenSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TokenSource").field(&self.client).finish()
    }
}

#[cfg(test)]
mod tests;
