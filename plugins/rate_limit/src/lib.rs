//! The `rate_limit` callback limits calls per provider, model or key.
//!
//! Each limit is an exact sliding window: it never lets more than `requests` calls pass in any span
//! of `per`, and never refuses one while there were fewer. Beyond the limit the client gets a 429
//! with the code `rate_limit_exceeded` and the exact wait in `Retry-After`. Without settings, these
//! are the limits:
//!
//! ```yaml
//! litellm_settings:
//!   callbacks: [routing, rate_limit]
//! callback_settings:
//!   rate_limit:
//!     limits:
//!       - {provider: groq, requests: 90, per: 60s}
//!       - {provider: openai, requests: 100, per: 60s}
//! ```
//!
//! - A limit counts by exactly one of `provider` (the label of the provider the call goes to),
//!   `model` (the model's public name) and `key` (the caller's key id). In its pattern `*` stands
//!   for any text. Case matters for `provider` and `key`, not for `model`.
//! - A `model` limit applies to a call if its pattern matches the requested name as earlier
//!   callbacks left it, the public name of the model that serves the call, or that model's
//!   `model_name` in the config. An alias or a raw `litellm_params.model` therefore counts as the
//!   model it stands for.
//! - All calls that match a pattern share **one** budget. With `each: true` every provider, model
//!   or key has its own. Under a wildcard each requested name is a model of its own. If the
//!   upstream accepts several names for one model, limit the wildcard by its pattern without
//!   `each`.
//! - A limit with `each` remembers about 16 000 names at once, those requested within `per`.
//!   Further names under a wildcard share one budget for that wildcard. A call that nothing in the
//!   config serves is left to validation, so that made-up model names take no place.
//! - A call must pass every limit that it matches. A refused call counts in none of them, and the
//!   error names the first limit that is full.
//! - A call that fails before the gateway calls an upstream gives its places back: validation or a
//!   later callback refused it, its client left, or the gateway stopped. A call counts once the
//!   gateway has called an upstream or tried to, and if a later callback or `mock_response`
//!   answered it.
//! - `message` is the message for the client, in place of the default.
//!
//! Each entry of the config has its own windows, unless entries have the same `share`. The gateway
//! keeps them, so a new instance continues to count. Each call takes 16 bytes (up to 32 while the
//! window grows) until it leaves the window. List `rate_limit` after callbacks that choose the
//! provider.
//!
//! `settings` reads the limits, `limit` applies one, `windows_by_key` has the windows of `each`,
//! and `tickets` is a call's note about its places.

mod limit;
mod settings;
#[cfg(test)]
mod tests;
mod tickets;
mod windows_by_key;

use limit::Limit;
use plugin_api::{
    Admission, CallView, Callback, Clock, Counters, Flow, Hook, Host, InitError, LlmCall,
    LlmFailure, Rejection,
};
use settings::Settings;
use std::time::Duration;
use tickets::{Ticket, TicketNote};

/// One instance of the callback.
#[derive(Debug)]
pub struct RateLimit {
    counters: Counters,
    clock: Clock,
    limits: Vec<Limit>,
}

impl Callback for RateLimit {
    type Settings = Settings;

    fn new(host: Host, settings: Settings) -> Result<Self, InitError> {
        let counters = host.counters().ok_or_else(|| {
            InitError::new("expected a gateway with counters, found none; update the gateway")
        })?;
        let clock = host.clock().ok_or_else(|| {
            InitError::new("expected a gateway with a clock, found none; update the gateway")
        })?;
        Ok(Self { counters, clock, limits: settings.limits().map_err(InitError::new)? })
    }

    fn on_llm_start(&self, call: &mut LlmCall<'_>) -> Hook {
        let mut taken = TicketNote::default();
        for (index, limit) in (0..).zip(&self.limits) {
            match limit.admit(call, self.counters, self.clock) {
                None => {}
                Some((window, Admission::Admitted(ticket))) => {
                    taken.push(Ticket { ticket, limit: index, window });
                }
                Some((_, Admission::Full(wait))) => {
                    self.give_back(tickets::tickets(taken.bytes()));
                    return Err(refusal(limit, wait).into());
                }
            }
        }
        if !taken.bytes().is_empty() {
            call.set_local(taken.bytes())?;
        }
        Ok(Flow::Continue)
    }

    fn on_llm_error(&self, call: &mut CallView<'_>, failure: &mut LlmFailure<'_>) -> Hook {
        // Older gateways do not know, so the kind decides.
        let asked = call.upstream_asked().unwrap_or_else(|| !failure.kind().before_upstream());
        if !asked {
            self.give_back(tickets::tickets(call.local()));
        }
        Ok(Flow::Continue)
    }
}

impl RateLimit {
    fn give_back(&self, places: impl Iterator<Item = Ticket>) {
        for place in places {
            if let Some(limit) = self.limits.get(usize::from(place.limit)) {
                limit.release(place.window, place.ticket, self.counters);
            }
        }
    }
}

fn refusal(limit: &Limit, wait: Duration) -> Rejection {
    let message = match &limit.message {
        Some(message) => message.clone(),
        None => format!("{limit} {} used up; retry in {} s", limit.verb(), whole_seconds(wait)),
    };
    Rejection::new(429, message).code("rate_limit_exceeded").retry_after(wait)
}

/// Rounds up like `Retry-After`, so that a client that waits that long is not refused again.
fn whole_seconds(wait: Duration) -> u64 {
    wait.as_secs().saturating_add(u64::from(wait.subsec_nanos() > 0))
}

plugin_api::export_callbacks! {
    RateLimit {
        name: "rate_limit",
        kind: sync,
        hooks: [on_llm_start, on_llm_error],
        reads: ["model", "route"],
        writes: [],
        settings_schema: include_str!("../settings.schema.json"),
    }
}
