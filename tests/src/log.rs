//! The stderr of a process, line by line as it is written. Tests wait for lines; they never poll
//! and never sleep.

use crate::within;
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, BufReader},
    sync::watch,
};

/// One line of a log.
#[derive(Debug, Clone)]
pub struct LogLine {
    /// The line as written.
    pub text: String,
    json: Value,
}

impl LogLine {
    /// A field of a structured line, `Null` when absent. Fields may be nested under `fields` or lie
    /// flat beside the level.
    #[must_use]
    pub fn field(&self, name: &str) -> &Value {
        let nested = &self.json["fields"][name];
        if nested.is_null() { &self.json[name] } else { nested }
    }

    /// The message, or the whole line when it is not structured.
    #[must_use]
    pub fn message(&self) -> &str {
        self.field("message").as_str().unwrap_or(&self.text)
    }

    /// The level in capitals, empty when the line is not structured.
    #[must_use]
    pub fn level(&self) -> &str {
        self.json["level"].as_str().unwrap_or_default()
    }
}

/// A log that is still being written.
#[derive(Debug, Clone)]
pub struct Log(watch::Receiver<Written>, watch::Sender<bool>);

#[derive(Debug, Default)]
struct Written {
    lines: Vec<LogLine>,
    closed: bool,
}

impl Log {
    pub(crate) fn of(source: impl AsyncRead + Unpin + Send + 'static) -> Self {
        let (sender, receiver) = watch::channel(Written::default());
        let (paused, mut pause) = watch::channel(false);
        tokio::spawn(async move {
            let mut lines = BufReader::new(source).lines();
            while pause.wait_for(|paused| !paused).await.is_ok()
                && let Ok(Some(text)) = lines.next_line().await
            {
                let json = serde_json::from_str(&text).unwrap_or(Value::Null);
                sender.send_modify(|written| written.lines.push(LogLine { text, json }));
            }
            sender.send_modify(|written| written.closed = true);
        });
        Self(receiver, paused)
    }

    /// Stops reading lines.
    pub fn pause(&self) {
        self.1.send_replace(true);
    }

    /// The lines so far.
    #[must_use]
    pub fn lines(&self) -> Vec<LogLine> {
        self.0.borrow().lines.clone()
    }

    /// All text so far.
    #[must_use]
    pub fn text(&self) -> String {
        self.0.borrow().lines.iter().map(|line| format!("{}\n", line.text)).collect()
    }

    /// The first line that satisfies `wanted`, past or future; `None` if the log ends without one.
    pub async fn find(&self, wanted: impl Fn(&LogLine) -> bool) -> Option<LogLine> {
        let mut receiver = self.0.clone();
        let found = |written: &Written| written.lines.iter().any(&wanted) || written.closed;
        within("a log line", receiver.wait_for(found)).await.ok()?;
        self.0.borrow().lines.iter().find(|line| wanted(line)).cloned()
    }

    /// The first line that contains `text`. Fails if the log ends without one.
    pub async fn containing(&self, text: &str) -> LogLine {
        let found = self.find(|line| line.text.contains(text)).await;
        found.unwrap_or_else(|| panic!("no log line contains `{text}`:\n{}", self.text()))
    }

    /// Waits until `count` lines contain `text`. Fails if the log ends first.
    pub async fn times(&self, text: &str, count: usize) {
        let mut receiver = self.0.clone();
        let matching = |written: &Written| {
            written.lines.iter().filter(|line| line.text.contains(text)).count() >= count
        };
        let done = |written: &Written| matching(written) || written.closed;
        let _ = within("log lines", receiver.wait_for(done)).await;
        let found = matching(&self.0.borrow());
        assert!(found, "not {count} log lines contain `{text}`:\n{}", self.text());
    }

    /// Waits until the lines so far satisfy `reached`. Fails if the log ends first.
    pub async fn until(&self, what: &str, reached: impl Fn(&[LogLine]) -> bool) {
        let mut receiver = self.0.clone();
        let done = |written: &Written| reached(&written.lines) || written.closed;
        let _ = within(what, receiver.wait_for(done)).await;
        assert!(reached(&self.0.borrow().lines), "the log ended without {what}:\n{}", self.text());
    }

    /// All text, once the writer has closed its end.
    pub async fn complete(&self) -> String {
        let mut receiver = self.0.clone();
        let _ = within("the end of the log", receiver.wait_for(|written| written.closed)).await;
        self.text()
    }
}
