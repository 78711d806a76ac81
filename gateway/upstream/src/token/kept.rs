//! The token that is kept: whether it is good, and how the last fetch ended. Takes the time from
//! its caller.

use super::{IssuedToken, TokenError};
use callgate_secret::Secret;
use std::time::Duration;
use tokio::time::Instant;

/// A token is renewed so long before it expires, or at half of its lifetime if that is later.
const RENEW_BEFORE: Duration = Duration::from_secs(300);

/// It is no longer sent so long before it expires, or after nine tenths of its lifetime if that is
/// later: clocks differ, and a request takes its time.
const STOP_BEFORE: Duration = Duration::from_secs(30);

/// How long after a failure the next renewal beside calls waits, and how old a token must be that
/// an upstream refuses before another one is fetched.
const PAUSE: Duration = Duration::from_secs(30);

#[derive(Default)]
pub(super) struct Kept {
    token: Option<KeptToken>,
    /// How many fetches have ended.
    ended: u64,
    failed: Option<TokenError>,
    /// When the next renewal may begin beside calls; `None` while one runs.
    next_renewal: Option<Instant>,
}

struct KeptToken {
    token: Secret,
    since: Instant,
    renew: Instant,
    stop: Instant,
}

/// What there is for a call.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum TokenState {
    Good(Secret),
    /// A good token that the caller is to renew.
    Ageing(Secret),
    /// `seen` fetches have ended so far.
    Nothing {
        seen: u64,
    },
}

impl Kept {
    pub(super) fn find(&mut self, now: Instant) -> TokenState {
        let Some(kept) = self.token.as_ref().filter(|kept| now < kept.stop) else {
            return TokenState::Nothing { seen: self.ended };
        };
        let is_due = now >= kept.renew && self.next_renewal.is_some_and(|next| now >= next);
        if !is_due {
            return TokenState::Good(kept.token.clone());
        }
        self.next_renewal = None;
        TokenState::Ageing(kept.token.clone())
    }

    /// How a fetch ended that came after the first `seen` ones.
    pub(super) fn ended_since(
        &self,
        seen: u64,
        now: Instant,
    ) -> Option<Result<Secret, TokenError>> {
        if self.ended == seen {
            return None;
        }
        if let Some(kept) = self.token.as_ref().filter(|kept| now < kept.stop) {
            return Some(Ok(kept.token.clone()));
        }
        self.failed.clone().map(Err)
    }

    /// Records how a fetch ended that began at `asked`.
    pub(super) fn end(
        &mut self,
        fetched: Result<IssuedToken, TokenError>,
        asked: Instant,
    ) -> Result<Secret, TokenError> {
        self.ended += 1;
        match fetched {
            Ok(IssuedToken { token, lifetime }) => {
                let before = |whole: Duration, part: Duration| asked + lifetime - whole.min(part);
                self.token = Some(KeptToken {
                    token: token.clone(),
                    since: asked,
                    renew: before(RENEW_BEFORE, lifetime / 2),
                    stop: before(STOP_BEFORE, lifetime / 10),
                });
                (self.failed, self.next_renewal) = (None, Some(asked));
                Ok(token)
            }
            Err(error) => {
                self.next_renewal = Some(asked + PAUSE);
                self.failed = Some(error.clone());
                Err(error)
            }
        }
    }

    pub(super) fn present(&self) -> Option<Secret> {
        self.token.as_ref().map(|kept| kept.token.clone())
    }

    /// Lets the next call fetch another token. A new token is kept: it may not be the one that was
    /// refused, and an upstream that refuses everything would have one fetched for each call.
    pub(super) fn forget(&mut self, now: Instant) {
        self.token.take_if(|kept| now >= kept.since + PAUSE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn issued(token: &str, seconds: u64) -> Result<IssuedToken, TokenError> {
        Ok(IssuedToken { token: Secret::new(token), lifetime: Duration::from_secs(seconds) })
    }

    fn secret(text: &str) -> Secret {
        Secret::new(text)
    }

    #[test]
    fn a_token_is_good_then_ageing_once_then_gone() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut kept = Kept::default();
        assert_eq!(kept.find(start), TokenState::Nothing { seen: 0 });
        assert!(kept.ended_since(0, start).is_none());
        kept.end(issued("one", 3600), start).unwrap();
        assert_eq!(kept.find(at(3299)), TokenState::Good(secret("one")));
        assert_eq!(kept.find(at(3300)), TokenState::Ageing(secret("one")));
        // One renewal runs.
        assert_eq!(kept.find(at(3301)), TokenState::Good(secret("one")));
        kept.end(Err(TokenError::Late), at(3302)).unwrap_err();
        assert_eq!(kept.find(at(3331)), TokenState::Good(secret("one")));
        assert_eq!(kept.find(at(3332)), TokenState::Ageing(secret("one")));
        assert_eq!(kept.find(at(3569)), TokenState::Good(secret("one")));
        assert_eq!(kept.find(at(3570)), TokenState::Nothing { seen: 2 });
        kept.end(issued("two", 3600), at(3571)).unwrap();
        assert_eq!(kept.find(at(3572)), TokenState::Good(secret("two")));
    }

    #[test]
    fn a_short_lifetime_is_used_in_part_and_none_only_by_its_own_call() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut kept = Kept::default();
        kept.end(issued("short", 20), start).unwrap();
        assert_eq!(kept.find(at(9)), TokenState::Good(secret("short")));
        assert_eq!(kept.find(at(10)), TokenState::Ageing(secret("short")));
        assert_eq!(kept.find(at(17)), TokenState::Good(secret("short")));
        assert_eq!(kept.find(at(18)), TokenState::Nothing { seen: 1 });
        assert_eq!(kept.end(issued("none", 0), at(20)).unwrap(), secret("none"));
        assert_eq!(kept.find(at(20)), TokenState::Nothing { seen: 2 });
    }

    #[test]
    fn those_who_waited_for_a_fetch_share_its_end() {
        let start = Instant::now();
        let mut kept = Kept::default();
        kept.end(Err(TokenError::Late), start).unwrap_err();
        assert!(matches!(kept.ended_since(0, start), Some(Err(TokenError::Late))));
        assert!(kept.ended_since(1, start).is_none());
        kept.end(issued("one", 60), start).unwrap();
        assert_eq!(kept.ended_since(1, start).unwrap().unwrap(), secret("one"));
    }

    #[test]
    fn a_refused_token_is_forgotten_unless_it_is_new() {
        let start = Instant::now();
        let mut kept = Kept::default();
        kept.end(issued("one", 3600), start).unwrap();
        kept.forget(start + Duration::from_secs(29));
        assert_eq!(kept.present(), Some(secret("one")));
        kept.forget(start + Duration::from_secs(30));
        assert_eq!(kept.present(), None);
    }
}
