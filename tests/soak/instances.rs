//! Counts created and dropped instances of callbacks, by their log lines.

use callgate_tests::{
    log::{Log, LogLine},
    within,
};
use std::fmt;
use tokio::sync::watch;
use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    Layer,
    layer::{Context, SubscriberExt as _},
    util::SubscriberInitExt as _,
};

#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    made: usize,
    ended: usize,
}

/// The instances of this process.
pub(crate) struct Instances(watch::Receiver<Counts>);

struct Listener(watch::Sender<Counts>);

struct Message(String);

impl Instances {
    /// Starts counting; call it once in a process.
    pub(crate) fn watch() -> Self {
        let (sender, receiver) = watch::channel(Counts::default());
        tracing_subscriber::registry().with(Listener(sender)).init();
        Self(receiver)
    }

    /// Waits until at most `living` are left; returns how many were created.
    pub(crate) async fn settle(mut self, living: usize) -> usize {
        let settled = self.0.wait_for(|counts| counts.made - counts.ended == living);
        within("the end of replaced instances", settled).await.expect("it counts").made
    }
}

/// The same for a gateway, by its log.
pub(crate) async fn settle(log: &Log, living: usize) -> usize {
    let count = |lines: &[LogLine], what| lines.iter().filter(|it| it.message() == what).count();
    let settled = |lines: &[LogLine]| count(lines, "created") - count(lines, "dropped") == living;
    log.until("the end of replaced instances", settled).await;
    count(&log.lines(), "created")
}

impl<S: Subscriber> Layer<S> for Listener {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut message = Message(String::new());
        event.record(&mut message);
        match message.0.as_str() {
            "created" => self.0.send_modify(|counts| counts.made += 1),
            "dropped" => self.0.send_modify(|counts| counts.ended += 1),
            _ => {}
        }
    }
}

impl Visit for Message {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            self.0 = format!("{value:?}");
        }
    }
}
