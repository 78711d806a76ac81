//! Sends a plugin's `tracing` events to the host's log (feature `tracing`). A shared object has its
//! own copy of `tracing`, without a subscriber. This module adds one. It sends each event to the
//! host of the instance whose hook, task or job runs on the thread. Without the feature it does
//! nothing.

pub(super) use imp::{enter, install, within};

#[cfg(not(feature = "tracing"))]
mod imp {
    use crate::Host;
    use std::future::Future;

    pub(in crate::abi::shim) fn install() {}

    pub(in crate::abi::shim) struct Entered;

    #[inline]
    pub(in crate::abi::shim) fn enter(_host: Host) -> Entered {
        Entered
    }

    #[inline]
    pub(in crate::abi::shim) fn within<F: Future>(_host: Host, work: F) -> F {
        work
    }
}

#[cfg(feature = "tracing")]
mod imp {
    use crate::{Host, Level};
    use std::{
        cell::Cell,
        fmt::{self, Write as _},
        future::{Future, poll_fn},
        pin::pin,
        sync::atomic::{AtomicU64, Ordering::Relaxed},
    };
    use tracing::{
        Event, Metadata, Subscriber,
        field::{Field, Visit},
        span,
        subscriber::{Interest, set_global_default},
    };

    thread_local! {
        static CURRENT: Cell<Option<Host>> = const { Cell::new(None) };
    }

    /// Installs the subscriber, unless the program has its own, as a plugin's tests may.
    pub(in crate::abi::shim) fn install() {
        static ONCE: std::sync::Once = std::sync::Once::new();
        ONCE.call_once(|| {
            let _ = set_global_default(Forward);
        });
    }

    /// Sends the thread's events to `host` until the guard is dropped.
    pub(in crate::abi::shim) fn enter(host: Host) -> Entered {
        Entered { before: CURRENT.replace(Some(host)) }
    }

    pub(in crate::abi::shim) struct Entered {
        before: Option<Host>,
    }

    impl Drop for Entered {
        fn drop(&mut self) {
            CURRENT.set(self.before);
        }
    }

    /// Does the same for a future, whatever thread polls it.
    pub(in crate::abi::shim) async fn within<F: Future>(host: Host, work: F) -> F::Output {
        let mut work = pin!(work);
        poll_fn(|context| {
            let _entered = enter(host);
            work.as_mut().poll(context)
        })
        .await
    }

    struct Forward;

    impl Subscriber for Forward {
        fn register_callsite(&self, _: &'static Metadata<'static>) -> Interest {
            // The host decides for each event whether its level is kept.
            Interest::sometimes()
        }

        fn enabled(&self, metadata: &Metadata<'_>) -> bool {
            let host = CURRENT.try_with(Cell::get).ok().flatten();
            metadata.is_event() && host.is_some_and(|host| host.log_enabled(level(metadata)))
        }

        fn event(&self, event: &Event<'_>) {
            let Some(host) = CURRENT.try_with(Cell::get).ok().flatten() else { return };
            let mut line = Line::default();
            event.record(&mut line);
            let target = event.metadata().target();
            let named = line.fields.iter().map(|(name, value)| (*name, value.as_str()));
            let fields: Vec<_> = named.chain([("target", target)]).collect();
            host.log_with(level(event.metadata()), &line.message, &fields);
        }

        fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
            static NEXT: AtomicU64 = AtomicU64::new(1);
            span::Id::from_u64(NEXT.fetch_add(1, Relaxed).max(1))
        }

        fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
        fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
        fn enter(&self, _: &span::Id) {}
        fn exit(&self, _: &span::Id) {}
    }

    fn level(metadata: &Metadata<'_>) -> Level {
        match *metadata.level() {
            tracing::Level::ERROR => Level::Error,
            tracing::Level::WARN => Level::Warn,
            tracing::Level::INFO => Level::Info,
            tracing::Level::DEBUG => Level::Debug,
            tracing::Level::TRACE => Level::Trace,
        }
    }

    #[derive(Default)]
    struct Line {
        message: String,
        fields: Vec<(&'static str, String)>,
    }

    impl Visit for Line {
        fn record_str(&mut self, field: &Field, value: &str) {
            if field.name() == "message" {
                self.message.push_str(value);
            } else {
                self.fields.push((field.name(), value.to_owned()));
            }
        }

        fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
            if field.name() == "message" {
                let _ = write!(self.message, "{value:?}");
            } else {
                self.fields.push((field.name(), format!("{value:?}")));
            }
        }
    }
}

#[cfg(all(test, feature = "tracing", feature = "testing"))]
mod tests {
    use crate::{
        Callback, Flow, Hook, Host, InitError, LlmCall,
        testing::{TestCall, Tester},
    };

    struct Traced(Host);

    impl Callback for Traced {
        type Settings = serde_json::Value;

        fn new(host: Host, _: serde_json::Value) -> Result<Self, InitError> {
            tracing::info!("made");
            Ok(Self(host))
        }

        fn on_llm_start(&self, _: &mut LlmCall<'_>) -> Hook {
            tracing::warn!(provider = "groq", tries = 3, "nearly {}", "full");
            let span = tracing::info_span!("not told");
            let _entered = span.enter();
            if let Some(task) = self.0.task() {
                let _ = task.spawn(async { tracing::error!("in a task") });
            }
            Ok(Flow::Continue)
        }
    }

    #[test]
    fn events_arrive_in_the_log_of_the_instance_that_runs() {
        let testers =
            [0, 1].map(|_| Tester::of::<Traced>(serde_json::json!({})).expect("it starts"));
        let _ = testers[1].start(&mut TestCall::chat("m"));
        testers[1].host().run_tasks();
        tracing::error!("of nobody");
        let told = |tester: &Tester| {
            let lines = tester.host().log();
            lines
                .iter()
                .map(|line| format!("{:?} {}", line.level, line.message))
                .collect::<Vec<_>>()
        };
        assert_eq!(told(&testers[0]), ["Info made"]);
        assert_eq!(told(&testers[1]), ["Info made", "Warn nearly full", "Error in a task"]);
        let line = &testers[1].host().log()[1];
        assert_eq!((line.field("provider"), line.field("tries")), (Some("groq"), Some("3")));
        assert!(line.field("target").is_some_and(|target| target.contains("events")));
    }
}
