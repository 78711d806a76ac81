//! Checks that every callback must pass: each hook with small, huge and odd calls (`calls`), two
//! instances at once, 64 threads, tasks at shutdown (`tasks`), shutdown and drop. `callgate plugin
//! check` runs the same steps on a built plugin. The suite cannot check from inside the process
//! whether `Drop` panics, a hook blocks for long, or memory grows.

mod auth;
mod calls;
mod model_list;
mod tasks;

use super::{MockHost, Outcome, TestCall, TestChunk, TestFailure, TestReply, Tester};
use crate::{AsyncCallback, Callback, FailureKind, InitError, Rejection, Reply};
use calls::{ODD_CALLS, OddCall};
use serde_json::{Value, json};
use std::{
    fmt,
    sync::{Barrier, Mutex, PoisonError},
    thread,
    time::Duration,
};

const THREADS: usize = 64;

/// Calls per thread. Each call runs every hook.
const ROUNDS: usize = 8;

const HOOKS: [&str; 7] = [
    "on_llm_start",
    "on_llm_during",
    "on_llm_new_token",
    "on_llm_end",
    "on_llm_error",
    "on_auth",
    "on_list_models",
];

/// The description of a failed check.
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
        Self(format!("cannot make an instance of these settings: {error}"))
    }
}

/// Runs the suite on a sync callback with these settings. Returns the hooks that it implements; its
/// export must list exactly these.
///
/// ```
/// use plugin_api::{Callback, CallView, Hook, Host, InitError, LlmFailure, Flow};
/// use plugin_api::testing::conformance;
/// struct ErrorsOnly;
/// impl Callback for ErrorsOnly {
///     type Settings = serde_json::Value;
///     fn new(_: Host, _: Self::Settings) -> Result<Self, InitError> { Ok(Self) }
///     fn on_llm_error(&self, _: &mut CallView<'_>, _: &mut LlmFailure<'_>) -> Hook {
///         Ok(Flow::Continue)
///     }
/// }
/// assert_eq!(conformance::check::<ErrorsOnly>(&serde_json::json!({})).unwrap(), ["on_llm_error"]);
/// ```
///
/// # Errors
/// Returns the first failed check: a panic, a fault, a rejection with a wrong status, or a
/// constructor that works only once.
pub fn check<T: Callback>(settings: &Value) -> Result<Vec<&'static str>, Violation> {
    run(&|host| Tester::on::<T>(host, settings.clone()))
}

/// Runs the suite on an async callback. See [`check`]; `on_llm_start` and `on_llm_during` are also
/// dropped before they are done.
/// # Errors
/// See [`check`].
pub fn check_async<T: AsyncCallback>(settings: &Value) -> Result<Vec<&'static str>, Violation> {
    run(&|host| Tester::on_async::<T>(host, settings.clone()))
}

/// Makes an instance on the given host.
#[doc(hidden)]
pub type Make<'a> = dyn Fn(&MockHost) -> Result<Tester, InitError> + Sync + 'a;

/// Called when a step begins (`None`) and when it ends.
#[doc(hidden)]
pub type Watch<'a> = dyn FnMut(&'static str, Option<Result<(), &Violation>>) + 'a;

const MADE_TWICE: &str = "two instances";
const AT_ONCE: &str = "64 threads at once";
const LIVES_ON: &str = "one instance ends, the other goes on";
const TASKS_END: &str = "tasks end after shutdown";
const DESTROYED: &str = "shutdown and destroy";

/// Returns the names of all steps, in order.
#[doc(hidden)]
pub fn steps() -> impl Iterator<Item = &'static str> {
    let calls = ODD_CALLS.iter().map(|call| call.name);
    [MADE_TWICE].into_iter().chain(calls).chain([AT_ONCE, LIVES_ON, TASKS_END, DESTROYED])
}

fn run(make: &Make<'_>) -> Result<Vec<&'static str>, Violation> {
    run_watched(make, &mut |_, _| {})
}

/// Runs the suite: [`check`] on a type, `callgate plugin check` on a loaded plugin. Later steps run
/// even if one fails. Returns the hooks that are implemented.
///
/// # Errors
/// Returns the first violation.
#[doc(hidden)]
pub fn run_watched(make: &Make<'_>, watch: &mut Watch<'_>) -> Result<Vec<&'static str>, Violation> {
    let mut steps = Steps { watch, first: None };
    let host = MockHost::new();
    host.hurry();
    let made = steps.run(MADE_TWICE, || Ok((make(&host)?, make(&host)?)));
    let mut implemented = [false; HOOKS.len()];
    if let Some((one, two)) = made {
        for call in &ODD_CALLS {
            steps.run(call.name, || stands(&one, &two, call, &mut implemented));
            host.advance(Duration::from_secs(1));
        }
        steps.run(AT_ONCE, || at_once(&one));
        steps.run(LIVES_ON, || {
            one.shutdown();
            drop(one);
            every_hook(&two, &(|| TestCall::chat("after-the-other-has-gone"))).map(drop)
        });
        steps.run(TASKS_END, || {
            two.shutdown();
            tasks::end(&host)
        });
        steps.run(DESTROYED, || {
            drop(two);
            Ok(())
        });
    }
    if let Some(violation) = steps.first {
        return Err(violation);
    }
    Ok(HOOKS.into_iter().zip(implemented).filter(|(_, has)| *has).map(|(hook, _)| hook).collect())
}

/// Runs steps one after another, reports them, and keeps the first violation.
struct Steps<'w, 'f> {
    watch: &'w mut Watch<'f>,
    first: Option<Violation>,
}

impl Steps<'_, '_> {
    fn run<T>(
        &mut self,
        name: &'static str,
        step: impl FnOnce() -> Result<T, Violation>,
    ) -> Option<T> {
        (self.watch)(name, None);
        let result = step();
        (self.watch)(name, Some(result.as_ref().map(|_| ())));
        result.map_err(|violation| self.first.get_or_insert(violation)).ok()
    }
}

/// Runs an odd call on both instances, as JSON and as a stream.
fn stands(
    one: &Tester,
    two: &Tester,
    call: &OddCall,
    implemented: &mut [bool; HOOKS.len()],
) -> Result<(), Violation> {
    for (tester, stream) in [(one, false), (two, false), (one, true), (two, true)] {
        let _ = tester.start_then_leave(&mut call.build(stream));
        let _ = tester.during_then_leave(&mut call.build(stream));
        let has = every_hook(tester, &|| call.build(stream))?;
        implemented.iter_mut().zip(has).for_each(|(known, now)| *known |= now);
    }
    Ok(())
}

/// Runs every hook on a new call. Returns which hooks are implemented.
fn every_hook(
    tester: &Tester,
    call: &dyn Fn() -> TestCall,
) -> Result<[bool; HOOKS.len()], Violation> {
    let mut started = call();
    let mut has = [false; HOOKS.len()];
    has[0] = sound(HOOKS[0], &tester.start(&mut started))?;
    has[1] = sound(HOOKS[1], &tester.during(&mut started))?;
    for (index, chunk) in [
        TestChunk::text("Hello"),
        TestChunk::text(""),
        TestChunk::json(json!({"choices": []})),
        TestChunk::json(json!({})),
        TestChunk::text("").after("né👩‍👩‍👧").last(),
        TestChunk::json(json!({"choices": [{"index": 1, "delta": {}, "finish_reason": "stop"}]})),
    ]
    .into_iter()
    .enumerate()
    {
        let mut chunk = chunk.index(u64::try_from(index).unwrap_or_default());
        has[2] |= sound(HOOKS[2], &tester.new_token(&mut started, &mut chunk))?;
    }
    for mut reply in [
        TestReply::text("done").usage(3, 4),
        TestReply::streamed("done").usage(3, 4),
        TestReply::json(json!({})).status(599).answered_by_callback(),
    ] {
        has[3] |= sound(HOOKS[3], &tester.end(&mut started, &mut reply))?;
    }
    for kind in 0..12 {
        let mut ended = call();
        sound(HOOKS[0], &tester.start(&mut ended))?;
        let failure = TestFailure::new(FailureKind(kind), 503, "ended").callback("other");
        let mut failure = if kind % 2 == 0 { failure.sent("par") } else { failure };
        has[4] |= sound(HOOKS[4], &tester.error(&mut ended, &mut failure))?;
    }
    has[5] = auth::answers(tester)?;
    for outcome in model_list::lists(tester) {
        has[6] |= sound(HOOKS[6], &outcome)?;
    }
    Ok(has)
}

/// Returns whether the hook is implemented, or an error if the outcome is not allowed.
fn sound(hook: &str, outcome: &Outcome) -> Result<bool, Violation> {
    match outcome {
        Outcome::NotImplemented => Ok(false),
        Outcome::Continue => Ok(true),
        Outcome::Fault(message) => Err(Violation(format!("`{hook}` failed: {message}"))),
        Outcome::Reply(reply) if hook == HOOKS[0] => whole(reply).map(|()| true),
        Outcome::Reply(_) => {
            Err(Violation(format!("`{hook}` answered the call; only `on_llm_start` may")))
        }
        Outcome::Reject(Rejection { status: 400..=599, .. }) => Ok(true),
        Outcome::Reject(Rejection { status, .. }) => {
            Err(Violation(format!("`{hook}` rejected with status {status}; expected 400 to 599")))
        }
    }
}

/// Checks that an answer can be sent.
fn whole(reply: &Reply) -> Result<(), Violation> {
    let Reply::Json(json) = reply else { return Ok(()) };
    match serde_json::from_str::<Value>(json) {
        Ok(Value::Object(_)) => Ok(()),
        _ => Err(Violation(format!(
            "`{}` answered with something other than a JSON object; expected a chat completion",
            HOOKS[0]
        ))),
    }
}

/// Runs the same instance on many threads at once.
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
