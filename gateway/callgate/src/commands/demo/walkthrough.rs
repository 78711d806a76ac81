//! The steps of the demo, and the table of their results.

use super::client::{Client, ClientError, Response};
use callgate_scripted_upstream::ScriptedUpstream;
use std::{
    fmt,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

/// Sent to the Groq model in quick succession; the operator's limit allows the first 90 a minute.
const REQUESTS: usize = 95;
const ADMITTED: usize = 90;

/// Three models, one for each provider, and the path of the provider's API.
pub(super) const CHATS: [(&str, &str, &str); 3] = [
    ("groq-llama-3.3-70b-versatile", "Groq", "/openai/v1/chat/completions"),
    ("openai-04mini", "OpenAI", "/v1/chat/completions"),
    ("gemma3", "Ollama", "/api/chat"),
];

/// One line of the table.
#[derive(Debug)]
struct WalkthroughStep {
    what: String,
    expected: String,
    found: String,
    as_promised: bool,
}

/// The results so far.
#[derive(Debug)]
pub(super) struct Walkthrough {
    title: String,
    steps: Vec<WalkthroughStep>,
}

impl Walkthrough {
    pub(super) fn of(config: &Path) -> Self {
        let title = format!("callgate demo: the deployment of {}", config.display());
        Self { title, steps: Vec::new() }
    }

    pub(super) fn as_promised(&self) -> bool {
        self.steps.iter().all(|step| step.as_promised)
    }

    pub(super) fn add(&mut self, what: &str, expected: String, found: String, as_promised: bool) {
        self.steps.push(WalkthroughStep { what: what.to_owned(), expected, found, as_promised });
    }
}

/// Three chats, one for each provider, and a stream.
pub(super) async fn chats(
    url: &str,
    upstream: &ScriptedUpstream,
    report: &mut Walkthrough,
) -> Result<(), ClientError> {
    let mut client = Client::connect(url).await?;
    for (model, provider, path) in CHATS {
        let response = client.chat(model, false).await?;
        let reached = upstream.requests().last().map(|received| received.path.clone());
        let as_promised = response.status == 200 && reached.as_deref() == Some(path);
        let said = short(&response.content());
        report.add(
            &format!("chat with {model}"),
            format!("200 from {path} ({provider})"),
            format!("{} from {}: {said}", response.status, reached.unwrap_or_default()),
            as_promised,
        );
    }
    let response = client.chat("gemma3", true).await?;
    let whole = response.streamed().filter(|text| !text.is_empty());
    let found = match &whole {
        Some(text) => format!("{}, whole: {}", response.status, short(text)),
        None => format!("{}, cut off", response.status),
    };
    let as_promised = response.status == 200 && whole.is_some();
    report.add("stream from gemma3", "200, chunks, [DONE]".to_owned(), found, as_promised);
    Ok(())
}

/// Sends 95 requests within a minute, `at_once` of them at a time.
pub(super) async fn burst(
    url: &str,
    at_once: usize,
    report: &mut Walkthrough,
) -> Result<(), ClientError> {
    let left = Arc::new(AtomicUsize::new(REQUESTS));
    let clients =
        (0..at_once).map(|_| tokio::spawn(send_until_none_left(url.to_owned(), Arc::clone(&left))));
    let mut responses = Vec::with_capacity(REQUESTS);
    for client in clients.collect::<Vec<_>>() {
        if let Ok(asked) = client.await {
            responses.extend(asked?);
        }
    }
    let count = |wanted: u16| responses.iter().filter(|it| it.status == wanted).count();
    let (ok, limited) = (count(200), count(429));
    // One at a time, the refused ones come last.
    let then = if at_once == 1 { "then" } else { "and" };
    let in_order = at_once > 1 || responses.iter().take(ADMITTED).all(|it| it.status == 200);
    report.add(
        &format!("{REQUESTS} requests to {}, {at_once} at a time", CHATS[0].0),
        format!("{ADMITTED} × 200 {then} {} × 429", REQUESTS - ADMITTED),
        format!("{ok} × 200 {} {limited} × 429", if in_order { then } else { "mixed with" }),
        in_order && ok == ADMITTED && limited == REQUESTS - ADMITTED,
    );
    let refused = responses.iter().find(|it| it.status == 429);
    let wait = refused.and_then(|it| it.retry_after.as_deref());
    let seconds = wait.and_then(|wait| wait.parse::<u64>().ok());
    let said = refused.map(|it| short(&it.content())).unwrap_or_default();
    report.add(
        "response to the refused ones",
        "Retry-After of 1 to 60 s".to_owned(),
        format!("Retry-After {}: {said}", wait.unwrap_or("missing")),
        seconds.is_some_and(|seconds| (1..=60).contains(&seconds)),
    );
    Ok(())
}

async fn send_until_none_left(
    url: String,
    left: Arc<AtomicUsize>,
) -> Result<Vec<Response>, ClientError> {
    let mut client = Client::connect(&url).await?;
    let mut responses = Vec::new();
    let take =
        || left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
    while take().is_ok() {
        responses.push(client.chat(CHATS[0].0, false).await?);
    }
    Ok(responses)
}

fn short(text: &str) -> String {
    let mut short: String = text.chars().take(60).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}

impl fmt::Display for Walkthrough {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "{}\n", self.title)?;
        for step in &self.steps {
            let mark = if step.as_promised { "ok  " } else { "FAIL" };
            writeln!(out, "{mark}  {}", step.what)?;
            writeln!(out, "        expected  {}", step.expected)?;
            writeln!(out, "        found     {}", step.found)?;
        }
        let good = self.steps.iter().filter(|step| step.as_promised).count();
        write!(out, "\n{good} of {} steps as promised", self.steps.len())
    }
}
