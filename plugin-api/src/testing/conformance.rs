//! What every callback must stand, whatever it does: every hook with small, huge and odd calls,
//! two instances at once, 64 threads, shutdown and drop.
//!
//! Not checked, because it cannot be from inside one process: that `Drop` does not panic, that a
//! hook does not block for long, that memory does not grow.

use super::{MockHost, Outcome, TestCall, TestChunk, TestFailure, TestReply, Tester};
use crate::{AsyncCallback, Callback, Endpoint, FailureKind, InitError, Rejection};
use serde_json::{Value, json};
use std::{
    fmt,
    sync::{Barrier, Mutex, PoisonError},
    thread,
    time::Duration,
};

const THREADS: usize = 64;

/// Calls per thread; each runs every hook.
const ROUNDS: usize = 8;

const HOOKS: [&str; 4] = ["on_llm_start", "on_llm_new_token", "on_llm_end", "on_llm_error"];

/// What a callback did not stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation(String);

impl fmt::Display for Violation {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl std::error::Error for Violation {}

impl From<InitError> for Violation {
    fn from(error: InitError) -> Self {
        Self(format!("no instance can be made of these settings: {error}"))
    }
}

/// Checks a sync callback made of these settings. Returns the hooks it implements, which must be
/// those its export lists.
///
/// ```
/// use plugin_api::{Callback, CallView, Hook, Host, InitError, LlmFailure, Flow};
/// use plugin_api::testing::conformance;
///
/// struct Mourner;
/// impl Callback for Mourner {
///     type Settings = serde_json::Value;
///     fn new(_: Host, _: Self::Settings) -> Result<Self, InitError> { Ok(Self) }
///     fn on_llm_error(&self, _: &mut CallView<'_>, _: &mut LlmFailure<'_>) -> Hook {
///         Ok(Flow::Continue)
///     }
/// }
/// assert_eq!(conformance::check::<Mourner>(&serde_json::json!({})).unwrap(), ["on_llm_error"]);
/// ```
///
/// # Errors
/// The first thing that broke: a panic, a fault, a refusal that is none, a constructor that works
/// only once.
pub fn check<T: Callback>(settings: &Value) -> Result<Vec<&'static str>, Violation> {
    run(&|host| Tester::on::<T>(host, settings.clone()))
}

/// As [`check`], for an async callback; its start hook is also dropped half-way.
///
/// # Errors
/// As [`check`].
pub fn check_async<T: AsyncCallback>(settings: &Value) -> Result<Vec<&'static str>, Violation> {
    run(&|host| Tester::on_async::<T>(host, settings.clone()))
}

type Make<'a> = dyn Fn(&MockHost) -> Result<Tester, InitError> + Sync + 'a;

fn run(make: &Make<'_>) -> Result<Vec<&'static str>, Violation> {
    let host = MockHost::new();
    let (one, two) = (make(&host)?, make(&host)?);
    let mut implemented = [false; 4];
    for call in odd_calls() {
        for tester in [&one, &two] {
            let _ = tester.start_then_leave(&mut call());
            for (known, now) in implemented.iter_mut().zip(every_hook(tester, &call)?) {
                *known |= now;
            }
        }
        host.advance(Duration::from_secs(1));
    }
    at_once(&one)?;
    one.shutdown();
    drop(one);
    every_hook(&two, &(|| TestCall::chat("after-the-other-has-gone")))?;
    two.shutdown();
    Ok(HOOKS.into_iter().zip(implemented).filter(|(_, has)| *has).map(|(hook, _)| hook).collect())
}

/// Calls a gateway may hand over; built anew for each use.
fn odd_calls() -> Vec<Box<dyn Fn() -> TestCall + Sync>> {
    let long = "all work and no play ".repeat(50_000 / 21 + 1);
    vec![
        Box::new(|| TestCall::with_body(Endpoint::CHAT, json!({}))),
        Box::new(|| TestCall::with_body(Endpoint(4711), json!({"model": 7, "messages": "none"}))),
        Box::new(|| TestCall::chat("").key_id("").id("").message("", "")),
        Box::new(|| {
            TestCall::chat("モデル-🦀\u{0}\u{7f}")
                .provider("groq")
                .message("user", "\u{feff}ẞ 👩‍👩‍👧 \u{0}\u{202e}")
                .header("x-unicode", "ß")
                .param("user", "🦀")
        }),
        Box::new(move || TestCall::chat("groq-x").provider("groq").message("user", &long)),
        Box::new(|| {
            (0..500).fold(TestCall::chat("openai-x").provider("openai").stream(), |call, turn| {
                call.message(if turn % 2 == 0 { "user" } else { "assistant" }, "and then?")
            })
        }),
        Box::new(|| {
            TestCall::chat("gemma3")
                .provider("ollama")
                .cancelled()
                .remaining(Duration::ZERO)
                .message_json(json!({"role": "assistant", "content": null, "tool_calls": [{}]}))
                .message_json(json!({"role": "user", "content": [{"type": "image_url"}]}))
                .message_json(json!(null))
        }),
    ]
}

/// Runs every hook on a fresh call, and says which are implemented.
fn every_hook(tester: &Tester, call: &dyn Fn() -> TestCall) -> Result<[bool; 4], Violation> {
    let mut started = call();
    let mut has = [false; 4];
    has[0] = sound(HOOKS[0], &tester.start(&mut started))?;
    for (index, chunk) in [
        TestChunk::text("Hello"),
        TestChunk::text(""),
        TestChunk::json(json!({"choices": []})),
        TestChunk::json(json!({})),
    ]
    .into_iter()
    .enumerate()
    {
        let mut chunk = chunk.index(u64::try_from(index).unwrap_or_default());
        has[1] |= sound(HOOKS[1], &tester.new_token(&mut started, &mut chunk))?;
    }
    for mut reply in [
        TestReply::text("done").usage(3, 4),
        TestReply::streamed("done").usage(3, 4),
        TestReply::json(json!({})).status(599).answered_by_callback(),
    ] {
        has[2] |= sound(HOOKS[2], &tester.end(&mut started, &mut reply))?;
    }
    for kind in 0..12 {
        let mut ended = call();
        sound(HOOKS[0], &tester.start(&mut ended))?;
        let failure = TestFailure::new(FailureKind(kind), 503, "ended").callback("other");
        let mut failure = if kind % 2 == 0 { failure.sent("par") } else { failure };
        has[3] |= sound(HOOKS[3], &tester.error(&mut ended, &mut failure))?;
    }
    Ok(has)
}

/// Whether the hook is implemented; an error when its outcome is none a callback may come to.
fn sound(hook: &str, outcome: &Outcome) -> Result<bool, Violation> {
    match outcome {
        Outcome::NotImplemented => Ok(false),
        Outcome::Continue => Ok(true),
        Outcome::Fault(message) => Err(Violation(format!("`{hook}` broke: {message}"))),
        Outcome::Reply(_) if hook == HOOKS[0] => Ok(true),
        Outcome::Reply(_) => {
            Err(Violation(format!("`{hook}` answered the call; only `on_llm_start` may")))
        }
        Outcome::Reject(Rejection { status: 400..=599, .. }) => Ok(true),
        Outcome::Reject(Rejection { status, .. }) => Err(Violation(format!(
            "`{hook}` refused with status {status}; expected one from 400 to 599"
        ))),
    }
}

/// The same instance on many threads at once.
fn at_once(tester: &Tester) -> Result<(), Violation> {
    let (barrier, first) = (Barrier::new(THREADS), Mutex::new(None));
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let (barrier, first) = (&barrier, &first);
            scope.spawn(move || {
                barrier.wait();
                let call = || TestCall::chat(&format!("groq-{thread}")).provider("groq");
                let broken = (0..ROUNDS).find_map(|_| every_hook(tester, &call).err());
                if let Some(violation) = broken {
                    first.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(violation);
                }
            });
        }
    });
    let first = first.into_inner().unwrap_or_else(PoisonError::into_inner);
    first.map_or(Ok(()), |Violation(text)| Err(Violation(format!("on 64 threads: {text}"))))
}
