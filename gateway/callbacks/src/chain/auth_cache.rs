//! The results of one instance's `on_auth`, by its inputs. It holds digests of the inputs alone,
//! keyed so that no client can choose where its entries go.

use crate::auth_request::{AuthInput, AuthSource};
use callgate_call::KeyHolder;
use callgate_failure::Failure;
use callgate_secret::{DigestAsHash, DigestKey, TextDigest};
use std::{
    collections::HashMap,
    hash::BuildHasherDefault,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};
use tokio::sync::OnceCell;

/// The most results that are kept.
pub(super) const KEPT: usize = 10_000;

/// The most different inputs that are decided about at once.
const RUNNING: usize = 1024;

const SHARDS: usize = 16;

/// What an authenticator decided about a request.
#[derive(Clone, Debug)]
pub(super) enum AuthAnswer {
    Pass,
    Caller(Arc<KeyHolder>),
    Refused(Failure),
}

/// The cache of one instance.
#[derive(Debug)]
pub(super) struct AuthCache {
    key: DigestKey,
    shards: [Mutex<Shard>; SHARDS],
    running: Mutex<HashMap<TextDigest, Decision>>,
}

/// A result, and until when it holds.
type Shard = HashMap<TextDigest, (AuthAnswer, Instant), BuildHasherDefault<DigestAsHash>>;

/// A run of the hook that all requests with the same inputs wait for.
type Decision = Arc<OnceCell<Result<AuthAnswer, Failure>>>;

impl AuthCache {
    pub(super) fn new() -> Self {
        Self { key: DigestKey::random(), shards: Default::default(), running: Mutex::default() }
    }

    /// The digest of the inputs, each with its length, so that none can stand for another.
    pub(super) fn digest(&self, source: AuthSource<'_>, inputs: &[AuthInput]) -> TextDigest {
        let mut digest = self.key.begin();
        // There are at most 32.
        for (index, input) in (0_u8..).zip(inputs) {
            for value in input.values(source) {
                digest.add(index, value);
            }
        }
        digest.end()
    }

    /// The result for these inputs, if one is kept.
    pub(super) fn get(&self, digest: &TextDigest, now: Instant) -> Option<AuthAnswer> {
        let shard = self.shard(digest);
        let (answer, until) = shard.get(digest)?;
        (now < *until).then(|| answer.clone())
    }

    /// Keeps a result. If there is no room, a caller replaces a refusal or another caller, and a
    /// refusal is not kept: wrong tokens must not drive out right ones.
    pub(super) fn keep(
        &self,
        digest: TextDigest,
        answer: AuthAnswer,
        now: Instant,
        until: Instant,
    ) {
        if until <= now {
            return;
        }
        let mut shard = self.shard(&digest);
        if shard.len() >= KEPT / SHARDS && !shard.contains_key(&digest) {
            shard.retain(|_, (_, until)| now < *until);
        }
        if shard.len() >= KEPT / SHARDS && !shard.contains_key(&digest) {
            if matches!(answer, AuthAnswer::Refused(_)) {
                return;
            }
            let refusal = shard.iter().find(|(_, (it, _))| matches!(it, AuthAnswer::Refused(_)));
            let Some(least) = refusal.or(shard.iter().next()).map(|(digest, _)| *digest) else {
                return;
            };
            shard.remove(&least);
        }
        shard.insert(digest, (answer, until));
    }

    /// The run for these inputs; `None` if too many others are running.
    pub(super) fn run(&self, digest: TextDigest) -> Option<Run<'_>> {
        let mut running = self.running();
        if running.len() >= RUNNING && !running.contains_key(&digest) {
            return None;
        }
        let decision = Arc::clone(running.entry(digest).or_default());
        Some(Run { cache: self, digest, decision: Some(decision) })
    }

    fn shard(&self, digest: &TextDigest) -> MutexGuard<'_, Shard> {
        self.shards[digest.part(SHARDS)].lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn running(&self) -> MutexGuard<'_, HashMap<TextDigest, Decision>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One request's share in a run. The run's result is for those that wait for it, and ends with the
/// first of them; what is to last longer is in the cache.
pub(super) struct Run<'c> {
    cache: &'c AuthCache,
    digest: TextDigest,
    /// `None` once it is dropped.
    decision: Option<Decision>,
}

impl Run<'_> {
    /// The result of this run, which the first of the requests that wait decides.
    pub(super) async fn result(
        &self,
        decide: impl Future<Output = Result<AuthAnswer, Failure>>,
    ) -> Result<AuthAnswer, Failure> {
        match &self.decision {
            Some(decision) => decision.get_or_init(|| decide).await.clone(),
            None => decide.await,
        }
    }
}

impl Drop for Run<'_> {
    fn drop(&mut self) {
        let mut running = self.cache.running();
        let Some(own) = self.decision.take() else { return };
        let is_own = |it: &&Decision| Arc::ptr_eq(it, &own);
        if running.get(&self.digest).filter(is_own).is_none() {
            return;
        }
        let is_over = own.initialized();
        // Before the count and under the lock, so that the last of two that leave at once is seen.
        drop(own);
        let is_last = |it: &Decision| Arc::strong_count(it) == 1;
        if is_over || running.get(&self.digest).is_some_and(is_last) {
            running.remove(&self.digest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use callgate_config::KeyScopes;
    use futures_util::FutureExt as _;
    use http::{HeaderMap, HeaderValue, Method};
    use std::{
        future::{pending, ready},
        sync::LazyLock,
        time::Duration,
    };

    fn digest(cache: &AuthCache, values: &[(&'static str, String)]) -> TextDigest {
        let mut headers = HeaderMap::new();
        for (name, value) in values {
            headers.append(*name, HeaderValue::try_from(value).unwrap());
        }
        let source = AuthSource {
            headers: &headers,
            method: &Method::GET,
            path: "/",
            client_address: None,
            accepted: Instant::now(),
        };
        cache.digest(source, &AuthInput::all(&["a".to_owned(), "b".to_owned()]))
    }

    fn of(cache: &AuthCache, token: usize) -> TextDigest {
        digest(cache, &[("a", token.to_string())])
    }

    /// So many ns after some instant.
    fn at(ns: u64) -> Instant {
        static START: LazyLock<Instant> = LazyLock::new(Instant::now);
        *START + Duration::from_nanos(ns)
    }

    fn caller() -> AuthAnswer {
        AuthAnswer::Caller(Arc::new(KeyHolder::of_all_models("ann", KeyScopes::ALL)))
    }

    fn refused() -> AuthAnswer {
        AuthAnswer::Refused(Failure::wrong_key())
    }

    fn kept(cache: &AuthCache) -> usize {
        cache.shards.iter().map(|shard| shard.lock().unwrap().len()).sum()
    }

    #[test]
    fn a_result_is_for_exactly_its_inputs_until_it_expires() {
        let cache = AuthCache::new();
        let text = |text: &str| text.to_owned();
        let one = digest(&cache, &[("a", text("xy")), ("b", text("z"))]);
        cache.keep(one, caller(), at(0), at(10));
        for other in [
            digest(&cache, &[("a", text("x")), ("b", text("yz"))]),
            digest(&cache, &[("a", text("xy")), ("a", text("z"))]),
            digest(&cache, &[("b", text("xy")), ("b", text("z"))]),
            digest(&cache, &[("a", text("xyz"))]),
            digest(&cache, &[]),
        ] {
            assert!(cache.get(&other, at(0)).is_none());
        }
        let undeclared = digest(&cache, &[("b", text("z")), ("c", text("1")), ("a", text("xy"))]);
        assert!(cache.get(&undeclared, at(9)).is_some(), "other headers do not matter");
        assert!(cache.get(&one, at(10)).is_none());
        assert!(AuthCache::new().get(&one, at(0)).is_none(), "another instance has its own");
        let never = of(&cache, 1);
        cache.keep(never, caller(), at(5), at(5));
        assert!(cache.get(&never, at(5)).is_none());
    }

    #[test]
    fn wrong_tokens_are_bounded_and_drive_out_no_right_one() {
        let cache = AuthCache::new();
        let right: Vec<_> = (0..100).map(|token| of(&cache, token)).collect();
        right.iter().for_each(|digest| cache.keep(*digest, caller(), at(0), at(10)));
        (100..30_000).for_each(|token| cache.keep(of(&cache, token), refused(), at(0), at(10)));
        assert!(kept(&cache) <= KEPT, "{}", kept(&cache));
        assert!(right.iter().all(|digest| cache.get(digest, at(0)).is_some()));
        let late: Vec<_> = (30_000..30_100).map(|token| of(&cache, token)).collect();
        late.iter().for_each(|digest| cache.keep(*digest, caller(), at(0), at(20)));
        assert!(late.iter().chain(&right).all(|digest| cache.get(digest, at(0)).is_some()));
        assert!(kept(&cache) <= KEPT);
        (40_000..60_000).for_each(|token| cache.keep(of(&cache, token), caller(), at(10), at(20)));
        assert!(kept(&cache) <= KEPT, "{}", kept(&cache));
    }

    #[test]
    fn equal_inputs_share_a_run_and_the_number_of_runs_is_bounded() {
        let cache = AuthCache::new();
        let (one, same) = (cache.run(of(&cache, 0)).unwrap(), cache.run(of(&cache, 0)).unwrap());
        let decision = |run: &Run<'_>| Arc::clone(run.decision.as_ref().unwrap());
        assert!(Arc::ptr_eq(&decision(&one), &decision(&same)));
        let others: Vec<_> = (1..RUNNING).map(|token| cache.run(of(&cache, token))).collect();
        assert!(others.iter().all(Option::is_some));
        assert!(cache.run(of(&cache, RUNNING)).is_none());
        assert!(cache.run(of(&cache, 0)).is_some(), "a run that is on takes all");
        drop(same);
        assert_eq!(cache.running().len(), RUNNING, "one still waits");
        drop((one, others));
        assert!(cache.running().is_empty());
        let over = cache.run(of(&cache, 0)).unwrap();
        let late = cache.run(of(&cache, 0)).unwrap();
        decision(&over).set(Ok(AuthAnswer::Pass)).unwrap();
        drop(over);
        let next = cache.run(of(&cache, 0)).unwrap();
        assert!(!decision(&next).initialized(), "a later request is decided anew");
        drop(late);
        assert_eq!(cache.running().len(), 1);
    }

    #[test]
    fn who_leaves_does_not_take_the_decision_away_from_who_waits() {
        let cache = AuthCache::new();
        let (one, two) = (cache.run(of(&cache, 0)).unwrap(), cache.run(of(&cache, 0)).unwrap());
        let mut first = Box::pin(one.result(pending()));
        assert!(first.as_mut().now_or_never().is_none());
        let mut second = Box::pin(two.result(ready(Ok(refused()))));
        assert!(second.as_mut().now_or_never().is_none(), "it waits for the first");
        drop(first);
        drop(one);
        let decided = second.as_mut().now_or_never();
        assert!(matches!(decided, Some(Ok(AuthAnswer::Refused(_)))), "{decided:?}");
        drop(second);
        drop(two);
        assert!(cache.running().is_empty());
    }
}
