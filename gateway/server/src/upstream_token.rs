//! The token of a call whose upstream expects one in place of a key. `upstream` fetches it.

use super::{flight::Flight, unreachable};
use callgate_call::Target;
use callgate_deployments::TokenSource;
use callgate_failure::Failure;
use callgate_secret::Secret;
use callgate_upstream::TokenError;
use std::sync::Arc;

/// The token to send. Waiting for it counts as part of the call's time.
pub(super) async fn token(
    flight: &mut Flight,
    target: &Target,
    source: &Arc<TokenSource>,
) -> Result<Secret, Failure> {
    let (end, model) = {
        let (_, _, call) = flight.parts();
        (call.deadline, Arc::clone(&call.requested_model))
    };
    let fetching = source.token((&target.deployment().token_connector, flight.app.reuse));
    let error = match flight.timer.until(end, fetching).await.unwrap_or(Err(TokenError::Late)) {
        Ok(token) => return Ok(token),
        Err(_) if flight.timer.is_cut() => return Err(Failure::shutting_down()),
        Err(error) => error,
    };
    let who = format!("`{}` for model `{model}`", target.deployment().label);
    let cause = format!("{error}; asked at {}", source.url());
    let failure = match &error {
        // Addresses and the system's texts are for the log only.
        TokenError::Unreachable(error) => {
            let why = format!("Entra ID cannot be reached: {}", unreachable::briefly(error));
            Failure::no_upstream_token(&who, &why)
        }
        TokenError::Refused { status: 400..=401, text } => {
            let why = format!("it refused `client_id` or `client_secret`: {text}");
            Failure::no_upstream_token(&who, &why)
        }
        error => Failure::no_upstream_token(&who, error),
    };
    Err(failure.cause(cause))
}
