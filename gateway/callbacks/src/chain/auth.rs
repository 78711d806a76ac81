//! `on_auth`: says who sent a request, before there is a call.
//!
//! A fault always refuses the request, and neither `on_error` nor the breaker applies: a request
//! whose sender is not known must not pass.

use super::{
    Chain,
    auth_cache::AuthAnswer,
    dispatch::{limit, wait},
    link::{Link, RunMode, now},
    pool::PoolError,
    slow::SLOW,
    stats::{Counted, ThreadSlot},
    verdict::Fault,
};
use crate::auth_request::{AuthInput, AuthPayload, AuthSaid, AuthSource};
use callgate_call::KeyHolder;
use callgate_failure::Failure;
use callgate_plugin_host::{Hook, Instance};
use callgate_secret::TextDigest;
use http::HeaderName;
use plugin_api::{FailureKind, abi::Verdict, limits};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

/// A request, and the header that the operator named for keys.
#[derive(Clone, Copy, Debug)]
pub struct AuthQuestion<'r> {
    pub source: AuthSource<'r>,
    pub key_header: Option<&'r HeaderName>,
}

impl Chain {
    /// Whether any callback says who sent a request.
    pub fn authenticates(&self) -> bool {
        self.links.iter().any(|link| link.has(Hook::Auth))
    }

    /// The caller, if the first authenticator still knows its decision.
    pub fn known_caller(&self, asked: AuthQuestion<'_>) -> Option<Result<Arc<KeyHolder>, Failure>> {
        let link = self.links.iter().find(|link| link.has(Hook::Auth))?;
        match link.kept(&link.digest(asked.source), asked.source.accepted)? {
            AuthAnswer::Caller(holder) => Some(Ok(holder)),
            AuthAnswer::Refused(failure) => Some(Err(failure)),
            AuthAnswer::Pass => None,
        }
    }

    /// Asks the authenticators in their order. `None` if all of them pass.
    ///
    /// # Errors
    /// If one refuses the request, or fails.
    pub async fn caller(&self, asked: AuthQuestion<'_>) -> Result<Option<Arc<KeyHolder>>, Failure> {
        for link in self.links.iter().filter(|link| link.has(Hook::Auth)) {
            match link.decision(asked).await? {
                AuthAnswer::Pass => {}
                AuthAnswer::Caller(holder) => return Ok(Some(holder)),
                AuthAnswer::Refused(failure) => return Err(failure),
            }
        }
        Ok(None)
    }
}

impl Link {
    fn digest(&self, source: AuthSource<'_>) -> TextDigest {
        self.living.auth_cache().digest(source, &self.slot.auth_inputs)
    }

    fn kept(&self, digest: &TextDigest, now: Instant) -> Option<AuthAnswer> {
        self.living.auth_cache().get(digest, now)
    }

    /// The decision about a request: one that is kept, one that another request waits for, or a
    /// new one.
    async fn decision(&self, asked: AuthQuestion<'_>) -> Result<AuthAnswer, Failure> {
        let digest = self.digest(asked.source);
        if let Some(answer) = self.kept(&digest, asked.source.accepted) {
            return Ok(answer);
        }
        let Some(run) = self.living.auth_cache().run(digest) else {
            return Err(Failure::authenticator_is_busy(self.name()));
        };
        let decide = async {
            // Another request may have ended its run since.
            match self.kept(&digest, Instant::now()) {
                Some(answer) => Ok(answer),
                None => self.decide(asked, digest).await,
            }
        };
        run.result(decide).await
    }

    async fn decide(
        &self,
        asked: AuthQuestion<'_>,
        digest: TextDigest,
    ) -> Result<AuthAnswer, Failure> {
        let begun = now();
        let ran = match self.living.instance() {
            Some(instance) => self.run_auth(instance, asked.source).await,
            None => Err(Fault::not_restarted()),
        };
        let ns = now().saturating_sub(begun);
        self.stats().ran(ThreadSlot::current(), Hook::Auth, ns);
        if ns > SLOW && self.run_mode(Hook::Auth) == RunMode::Inline {
            self.was_slow(Hook::Auth, ns);
        }
        match ran.and_then(|(verdict, said)| self.answer(verdict, said)) {
            Ok((answer, keep_for)) => {
                let now = Instant::now();
                let until = now + keep_for.min(limits::AUTH_CACHE);
                self.living.auth_cache().keep(digest, answer.clone(), now, until);
                Ok(answer)
            }
            Err(fault) => {
                self.auth_faulted(&fault, asked);
                Err(Failure::callback_failed(self.name(), FailureKind::FAULT))
            }
        }
    }

    async fn run_auth(
        &self,
        instance: &Instance,
        source: AuthSource<'_>,
    ) -> Result<(Verdict, AuthSaid), Fault> {
        let mut payload = AuthPayload::new(source, &self.slot.auth_inputs);
        let verdict = match (self.run_mode(Hook::Auth), self.pool()) {
            (RunMode::Blocking, Some(pool)) => {
                let living = Arc::clone(&self.living);
                let work = move || {
                    let verdict = living.instance().and_then(|it| it.on_auth(&mut payload));
                    (verdict, payload.said)
                };
                let done = pool.run(limit(self, Hook::Auth), work).await;
                let (verdict, said) = done.map_err(|error| match error {
                    PoolError::Late { .. } => Fault::late(error.to_string()),
                    _ => Fault::new(error.to_string()),
                })?;
                return Ok((verdict.unwrap_or(Verdict::NOT_IMPLEMENTED), said));
            }
            (RunMode::Async, _) => match instance.on_auth_async(&mut payload) {
                Some(hook) => Some(wait(hook, limit(self, Hook::Auth)).await?.0),
                None => None,
            },
            _ => instance.on_auth(&mut payload),
        };
        Ok((verdict.unwrap_or(Verdict::NOT_IMPLEMENTED), payload.said))
    }

    /// The meaning of a verdict and its content, and how long it is kept.
    fn answer(&self, verdict: Verdict, said: AuthSaid) -> Result<(AuthAnswer, Duration), Fault> {
        match (verdict, said) {
            (Verdict::CONTINUE, _) => Ok((AuthAnswer::Pass, Duration::ZERO)),
            (Verdict::REPLY, AuthSaid::Caller(caller)) => {
                let wrong = |problem: String| Fault::new(format!("described a caller: {problem}"));
                let caller = caller.map_err(wrong)?;
                let keep_for = Duration::from_millis(caller.keep_for_ms);
                let holder = KeyHolder::described(*caller).map_err(|it| wrong(it.to_string()))?;
                Ok((AuthAnswer::Caller(Arc::new(holder)), keep_for))
            }
            (Verdict::REJECT, AuthSaid::Refused(rejection, keep_for)) => {
                self.stats().note(Hook::Auth, Counted::Rejection);
                let failure = self.rejection_failure(Hook::Auth, rejection, FailureKind::REJECTED);
                Ok((AuthAnswer::Refused(failure), keep_for))
            }
            (verdict, said) => {
                let message = match said {
                    AuthSaid::Fault(message) => message,
                    _ if verdict == Verdict::NOT_IMPLEMENTED => "has no code for it".to_owned(),
                    _ => format!("returned verdict {} without its content", verdict.0),
                };
                let spoiled = verdict == Verdict::PANIC;
                Err(Fault { spoiled, ..Fault::new(message) })
            }
        }
    }

    fn auth_faulted(&self, fault: &Fault, AuthQuestion { source, key_header }: AuthQuestion<'_>) {
        /// Shorter texts are no tokens, and hiding them would make the message unreadable.
        const SHORT: usize = 8;
        let inputs = self.slot.auth_inputs.iter();
        let inputs = inputs.filter(|input| matches!(input, AuthInput::Header(_)));
        let values = inputs.flat_map(|input| input.values(source));
        let values = values.filter_map(|value| std::str::from_utf8(value).ok());
        let secrets = values.filter(|value| value.len() >= SHORT);
        let keys = callgate_secret::credentials::sent_keys(source.headers, key_header);
        self.note_fault(Hook::Auth, fault, keys.chain(secrets), None);
        if fault.spoiled {
            self.ask_for_restart();
        }
    }
}
