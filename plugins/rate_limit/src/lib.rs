//! The `rate_limit` callback: budgets of calls per provider, model or key.
//!
//! Each limit is an exact sliding window: never more than `requests` calls in any span of `per`,
//! and never a refusal while there were fewer. Over it the client gets 429 with the code
//! `rate_limit_exceeded` and the true wait in `Retry-After`. Without settings the limits are:
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
//! - A `model` limit takes a call in by the name that was asked for, as earlier callbacks left it,
//!   by the public name of what serves it, or by the config's `model_name` of that. An alias or a
//!   raw `litellm_params.model` therefore counts as the model it stands for.
//! - What a pattern takes in shares **one** budget. With `each: true` every provider, model or key
//!   has its own. Under a wildcard each name that is asked for is a model; where the upstream takes
//!   several names for one model, limit the wildcard by a pattern without `each`.
//! - A limit with `each` knows about 16000 names at once, those that were asked for within `per`.
//!   Further names under a wildcard share one budget for that wildcard. A call that nothing in the
//!   config serves is left to validation, so that made-up model names use up no place.
//! - A call must pass all limits that take it in. One that is refused counts in none of them; the
//!   refusal speaks of the first limit that is full.
//! - A call that fails before an upstream was asked gives its places back: it was refused by
//!   validation or a later callback, its client left, the gateway was stopped. Once an upstream was
//!   asked, or tried to be, the place is used. So is it when a later callback or `mock_response`
//!   answered: the caller has an answer.
//! - `message` replaces the text the client is told.
//!
//! Each entry of the config has windows of its own, unless entries name the same `share`. The
//! gateway keeps them, so a new instance finds them. A window takes 16 bytes for each call inside
//! its span, up to 32 while it grows, and frees them afterwards. List `rate_limit` after callbacks
//! that choose the provider.
//!
//! `settings` reads the limits, `limit` is one of them, `windows_by_key` the windows of `each`,
//! `tickets` what a call remembers of its places.

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

/// The limits and the counters they count in.
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
            InitError::new("expected a gateway that lends counters, this one does not; update it")
        })?;
        let clock = host.clock().ok_or_else(|| {
            InitError::new("expected a gateway that lends a clock, this one does not; update it")
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
        // Older gateways do not say; there the kind has to do.
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

/// Rounded up, as `Retry-After` is: a client that waits as told is not refused again.
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
