//! The timed hooks: callbacks loaded as a gateway loads them, and calls for them. Each is timed
//! alone, which shows the plugin boundary and the hook's own work, and in the gateway's chain, with
//! everything that runs for a client's call. The driver calls [`time`].

use crate::hooks::{self, HookCase, HookTiming};
use callgate::{
    boot::{self, Built},
    cli::Source,
};
use callgate_callbacks::{DryRun, DryRunCall, DryRunError};
use callgate_config::Problems;
use callgate_deployments::Deployments;
use callgate_plugin_host::{Plugin, PluginKind};
use callgate_providers::{ChunkSink as _, CompletionBuilder};
use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Value, json};
use std::{
    future::Future,
    hint::black_box,
    io,
    path::Path,
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Wake, Waker},
    thread::{self, Thread},
};
use thiserror::Error;
use tokio::task::unconstrained;

const MAX_NOOP_NS: f64 = 20.0;
const MAX_ASYNC_NS: f64 = 200.0;
const MAX_BOTH_NS: f64 = 1000.0;
const MAX_HEADERS_NS: f64 = 8.0 * 50.0;
const MAX_DURING_NS: f64 = 2000.0;
const MAX_AUTH_NS: f64 = 100.0;

/// In the model list.
const LISTED: &str = "openai-listed";
/// Not in the model list: `routing` recognises it by its prefix.
const ROUTED: &str = "openai-other";

/// Why no hook could be timed.
#[derive(Debug, Error)]
pub enum DryRunsError {
    #[error("the configuration for the hooks cannot be written")]
    Write(#[source] io::Error),
    #[error("the callbacks do not load; build them with `cargo build --release --workspace`: {0}")]
    Load(#[source] Problems),
    #[error(transparent)]
    DryRun(#[from] DryRunError),
    #[error("a call of `{0}` did not go to the provider it should")]
    Astray(&'static str),
}

/// Callbacks that are timed together, and the model of their calls.
struct Subject {
    name: &'static str,
    callbacks: &'static [&'static str],
    model: &'static str,
    /// For one callback alone; for several, in the chain.
    limit_ns: Option<f64>,
}

const BOTH: &[&str] = &["routing", "rate_limit"];

/// So many that the walk itself hardly counts beside its hooks.
const TEN: &[&str] = &["noop"; 10];

/// `mode: blocking`.
const BLOCKING: &[&str] = &["noop_blocking"];

const SUBJECTS: [Subject; 10] = [
    Subject { name: "no-op", callbacks: &["noop"], model: LISTED, limit_ns: Some(MAX_NOOP_NS) },
    Subject {
        name: "no-op, one of ten",
        callbacks: TEN,
        model: LISTED,
        limit_ns: Some(MAX_NOOP_NS),
    },
    Subject {
        name: "async no-op",
        callbacks: &["noop_async"],
        model: LISTED,
        limit_ns: Some(MAX_ASYNC_NS),
    },
    Subject { name: "no-op, blocking", callbacks: BLOCKING, model: LISTED, limit_ns: None },
    Subject { name: "reads two fields", callbacks: &["reader"], model: LISTED, limit_ns: None },
    Subject {
        name: "sets eight headers",
        callbacks: &["header_setter"],
        model: LISTED,
        limit_ns: Some(MAX_HEADERS_NS),
    },
    Subject { name: "routing", callbacks: &["routing"], model: ROUTED, limit_ns: None },
    Subject { name: "rate_limit", callbacks: &["rate_limit"], model: LISTED, limit_ns: None },
    Subject {
        name: "both, listed model",
        callbacks: BOTH,
        model: LISTED,
        limit_ns: Some(MAX_BOTH_NS),
    },
    Subject {
        name: "both, routed model",
        callbacks: BOTH,
        model: ROUTED,
        limit_ns: Some(MAX_BOTH_NS),
    },
];

/// Times every hook with the callbacks in `plugins`; a few seconds for a hundred batches.
///
/// # Errors
/// If they do not load, or a call does not run as it should.
pub fn time(
    plugins: &Path,
    directory: &Path,
    batches: usize,
) -> Result<Vec<HookTiming>, DryRunsError> {
    let stage = |subject| Stage::set(subject, plugins, directory);
    let stages = SUBJECTS.iter().map(stage).collect::<Result<Vec<_>, _>>()?;
    let beside = Beside::set(plugins, directory)?;
    let mut cases: Vec<_> = stages.iter().flat_map(Stage::cases).chain(beside.cases()).collect();
    Ok(hooks::time(&mut cases, batches))
}

/// A subject with its callbacks loaded twice: in a chain, and to be called alone.
struct Stage {
    subject: &'static Subject,
    dry_run: DryRun,
    callbacks: Vec<Plugin>,
}

impl Stage {
    fn set(
        subject: &'static Subject,
        plugins: &Path,
        directory: &Path,
    ) -> Result<Self, DryRunsError> {
        let dry_run = dry_run(subject.callbacks, subject.model, (plugins, directory))?;
        let callbacks = built(subject.callbacks, plugins, directory)?.1;
        let stage = Self { subject, dry_run, callbacks };
        if stage.goes_right() { Ok(stage) } else { Err(DryRunsError::Astray(subject.name)) }
    }

    /// Whether the chain does its work: one that rejects or skips it would look fast.
    fn goes_right(&self) -> bool {
        let mut call = self.dry_run.call();
        let is_known = self.subject.model == LISTED || self.subject.callbacks.contains(&"routing");
        let provider = is_known.then_some("openai");
        start(&self.dry_run, &mut call) && self.dry_run.provider(&call) == provider
    }

    fn cases(&self) -> impl Iterator<Item = HookCase<'_>> {
        let Self { subject, dry_run, callbacks } = self;
        let fresh = || dry_run.call();
        // Outside the chain, a hook that is ready at once needs no future.
        let (alone_limit, chain_limit) = match &callbacks[..] {
            [only] if only.kind == PluginKind::Sync => (subject.limit_ns, None),
            _ => (None, subject.limit_ns),
        };
        let alone = match &callbacks[..] {
            [only] if only.kind == PluginKind::Sync && subject.callbacks != BLOCKING => Some(
                HookCase::new(format!("{}, alone", subject.name), alone_limit, fresh, |call| {
                    black_box(dry_run.start_single(&only.instance, call));
                }),
            ),
            _ => None,
        };
        let name = format!("{}, in the chain", subject.name);
        let chain = HookCase::new(name, chain_limit, fresh, |call| {
            black_box(start(dry_run, call));
        });
        let chain = if subject.callbacks == TEN { chain.per(TEN.len()) } else { chain };
        alone.into_iter().chain([chain])
    }
}

/// What runs beside the chain of start hooks.
struct Beside {
    during: DryRun,
    /// With a short key, and with one as long as most signed tokens.
    gates: [(&'static str, DryRun); 2],
    chunks: Vec<String>,
}

impl Beside {
    fn set(plugins: &Path, directory: &Path) -> Result<Self, DryRunsError> {
        let gate = |token: &str| {
            let mut gate = dry_run(&["gate"], LISTED, (plugins, directory))?;
            let mut headers = headers();
            let value = HeaderValue::try_from(format!("Bearer {token}"));
            headers.insert("authorization", value.unwrap_or(HeaderValue::from_static("Bearer")));
            gate.ask(headers, body(LISTED))?;
            if at_once(gate.authenticate()) { Ok(gate) } else { Err(DryRunsError::Astray(LISTED)) }
        };
        let chunk = |index| {
            let text = format!(" word {index}");
            let delta = json!({"content": text});
            let choice = json!({"index": 0, "delta": delta, "finish_reason": null});
            let chunk = json!({"id": "chatcmpl-1", "object": "chat.completion.chunk",
                "created": 1_700_000_000, "model": "bench", "choices": [choice]});
            chunk.to_string()
        };
        Ok(Self {
            during: dry_run(&["noop_during"], LISTED, (plugins, directory))?,
            gates: [
                ("on_auth, kept, key of 24 bytes", gate(&"k".repeat(24))?),
                ("on_auth, kept, token of 800 bytes", gate(&"k".repeat(800))?),
            ],
            chunks: (0..100).map(chunk).collect(),
        })
    }

    fn cases(&self) -> impl Iterator<Item = HookCase<'_>> {
        let started = || {
            let mut call = self.during.call();
            black_box(start(&self.during, &mut call));
            call
        };
        let name = "no-op beside the upstream call".to_owned();
        let during = HookCase::new(name, Some(MAX_DURING_NS), started, |call| {
            black_box(at_once(self.during.during(call)));
        });
        let gates = self.gates.iter().map(|(name, gate)| {
            let known = move |(): &mut ()| {
                black_box(at_once(gate.authenticate()));
            };
            HookCase::new((*name).to_owned(), Some(MAX_AUTH_NS), || (), known)
        });
        let assembled = |name: &str, rounds: usize| {
            let fresh = || CompletionBuilder::within(usize::MAX);
            let case = HookCase::new(name.to_owned(), None, fresh, move |builder| {
                for chunk in (0..rounds).flat_map(|_| &self.chunks) {
                    builder.chunk(&[chunk.as_bytes()]);
                }
            });
            case.per(rounds)
        };
        let streams = [
            assembled("assembled reply of 100 chunks", 1),
            assembled("assembled reply, per 100 of 1,000 chunks", 10),
        ];
        [during].into_iter().chain(gates).chain(streams)
    }
}

/// The result of a future that does not wait.
fn at_once(future: impl Future<Output = bool>) -> bool {
    let at_once = pin!(unconstrained(future)).poll(&mut Context::from_waker(Waker::noop()));
    matches!(at_once, Poll::Ready(true))
}

/// The deployments of the config, and a new instance of each callback.
fn built(
    callbacks: &[&str],
    plugins: &Path,
    directory: &Path,
) -> Result<(Deployments, Vec<Plugin>), DryRunsError> {
    let path = directory.join("hooks.yaml");
    let config = config(callbacks, plugins).to_string();
    std::fs::write(&path, config).map_err(DryRunsError::Write)?;
    let source = Source::of(path, Some(plugins.to_owned()), None);
    boot::build(&source, None).map(Built::into_made).map_err(DryRunsError::Load)
}

fn dry_run(
    callbacks: &[&str],
    model: &str,
    (plugins, directory): (&Path, &Path),
) -> Result<DryRun, DryRunsError> {
    let (deployments, chained) = built(callbacks, plugins, directory)?;
    Ok(DryRun::new(chained, deployments, headers(), body(model))?)
}

fn body(model: &str) -> Vec<u8> {
    let messages = json!([{"role": "user", "content": "Say hello."}]);
    json!({"model": model, "messages": messages}).to_string().into_bytes()
}

/// Runs the chain to its end. Hooks that do not wait get there at once.
fn start(dry_run: &DryRun, call: &mut DryRunCall) -> bool {
    // The whole timing is one long poll for the surrounding runtime, which would delay wakers at
    // the end.
    let mut start = pin!(unconstrained(dry_run.start(call)));
    let at_once = start.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    if let Poll::Ready(passed) = at_once {
        return passed;
    }
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    loop {
        if let Poll::Ready(passed) = start.as_mut().poll(&mut Context::from_waker(&waker)) {
            return passed;
        }
        thread::park();
    }
}

/// Wakes the timing thread, which is already in a runtime and cannot enter another one.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// YAML, written in its JSON subset.
fn config(callbacks: &[&str], plugins: &Path) -> Value {
    let entry = |(place, name): (usize, &&str)| match *name {
        "noop" | "noop_async" | "noop_blocking" | "noop_during" | "reader" | "header_setter"
        | "gate" => {
            let path = plugins.join("libbench_callbacks.so");
            let (name, mode) = match *name {
                "noop_blocking" => ("noop", "blocking"),
                other => (other, "inline"),
            };
            let instance = format!("{name}-{mode}-{place}");
            json!({"name": name, "path": path, "instance": instance, "mode": mode})
        }
        shipped => json!(shipped),
    };
    let entries: Vec<_> = callbacks.iter().enumerate().map(entry).collect();
    let deployment = json!({"model_name": LISTED, "litellm_params": {
        "model": "openai/bench",
        "api_base": "http://127.0.0.1:9/v1",
        "api_key": "sk-bench-upstream",
    }});
    let mut config = json!({
        "model_list": [deployment],
        "litellm_settings": {"callbacks": entries},
    });
    if callbacks.contains(&"gate") {
        config["general_settings"] = json!({"custom_auth": "gate-inline-0"});
    }
    if callbacks.contains(&"rate_limit") {
        // Never reached. A window remembers each admission of its span, so a long one would fill
        // the cache with calls no gateway sees in that time.
        let limit = json!({"provider": "openai", "requests": 10_000_000, "per": "10ms"});
        config["callback_settings"] = json!({"rate_limit": {"limits": [limit]}});
    }
    config
}

/// The headers that an SDK sends.
fn headers() -> HeaderMap {
    let headers = [
        ("host", "127.0.0.1:4000"),
        ("accept", "application/json"),
        ("content-type", "application/json"),
        ("user-agent", "OpenAI/Python 1.0.0"),
        ("authorization", "Bearer sk-bench-client"),
        ("x-team", "blue"),
        ("content-length", "85"),
    ];
    let header = |(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value));
    headers.into_iter().map(header).collect()
}
