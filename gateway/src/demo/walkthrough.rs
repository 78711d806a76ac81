//! The steps of the demo and the table of what came of them.

use super::{
    client::{Client, ClientError, Response},
    upstream::ScriptedUpstream,
};
use std::{fmt, path::Path};

/// Sent to the Groq model in quick succession; the operator's limit admits the first 90 a minute.
const REQUESTS: usize = 95;
const ADMITTED: usize = 90;

/// Three models, one a provider, with the path that provider's wire format is spoken on.
const CHATS: [(&str, &str, &str); 3] = [
    ("groq-llama-3.3-70b-versatile", "Groq", "/openai/v1/chat/completions"),
    ("openai-04mini", "OpenAI", "/v1/chat/completions"),
    ("gemma3", "Ollama", "/api/chat"),
];

/// One line of the table.
#[derive(Debug)]
struct Step {
    what: String,
    expected: String,
    found: String,
    as_promised: bool,
}

/// What happened.
#[derive(Debug)]
pub(super) struct Report {
    title: String,
    steps: Vec<Step>,
}

impl Report {
    pub(super) fn as_promised(&self) -> bool {
        self.steps.iter().all(|step| step.as_promised)
    }

    fn add(&mut self, what: &str, expected: String, found: String, as_promised: bool) {
        self.steps.push(Step { what: what.to_owned(), expected, found, as_promised });
    }
}

/// Walks through the deployment at `url`.
pub(super) async fn walk(
    url: &str,
    upstream: &ScriptedUpstream,
    config: &Path,
) -> Result<Report, ClientError> {
    let title = format!("callgate demo: {} served at {url}", config.display());
    let mut report = Report { title, steps: Vec::new() };
    let mut client = Client::connect(url).await?;
    let mut groq_calls = 0;
    for (model, provider, path) in CHATS {
        let response = client.chat(model, false).await?;
        let reached = upstream.requests().last().map(|received| received.path.clone());
        let as_promised = response.status == 200 && reached.as_deref() == Some(path);
        groq_calls += usize::from(provider == "Groq");
        let found = format!(
            "{} from {}: {}",
            response.status,
            reached.unwrap_or_default(),
            short(&response.said())
        );
        report.add(
            &format!("chat with {model}"),
            format!("200 from {path} ({provider})"),
            found,
            as_promised,
        );
    }
    let response = client.chat("gemma3", true).await?;
    let streamed = response.streamed();
    let as_promised =
        response.status == 200 && streamed.as_ref().is_some_and(|text| !text.is_empty());
    let found = match streamed {
        Some(text) => format!("{}, whole: {}", response.status, short(&text)),
        None => format!("{}, cut off", response.status),
    };
    report.add("stream from gemma3", "200, chunks, [DONE]".to_owned(), found, as_promised);
    burst(&mut client, &mut report, groq_calls).await?;
    Ok(report)
}

/// The 95 requests. The minute's budget is used by the chat before them too, so that many fewer
/// would be admitted; a fresh model name of another budget is not to be had, so the chat counts in.
async fn burst(
    client: &mut Client,
    report: &mut Report,
    already: usize,
) -> Result<(), ClientError> {
    let mut statuses = Vec::with_capacity(REQUESTS);
    let mut refused: Option<Response> = None;
    for _ in already..REQUESTS {
        let response = client.chat(CHATS[0].0, false).await?;
        statuses.push(response.status);
        if response.status != 200 {
            refused.get_or_insert(response);
        }
    }
    let count = |wanted: u16| statuses.iter().filter(|status| **status == wanted).count();
    let (ok, limited) = (count(200) + already, count(429));
    let in_order = statuses.iter().take(ADMITTED - already).all(|status| *status == 200);
    report.add(
        &format!("{REQUESTS} requests to {} (the chat above is the first)", CHATS[0].0),
        format!("{ADMITTED} × 200, then {} × 429", REQUESTS - ADMITTED),
        format!("{ok} × 200, {} {limited} × 429", if in_order { "then" } else { "mixed with" }),
        in_order && ok == ADMITTED && limited == REQUESTS - ADMITTED,
    );
    let wait = refused.as_ref().and_then(|response| response.retry_after.clone());
    let seconds = wait.as_deref().and_then(|wait| wait.parse::<u64>().ok());
    report.add(
        "what the refused ones are told",
        "Retry-After of 1 to 60 s".to_owned(),
        format!(
            "Retry-After {}: {}",
            wait.as_deref().unwrap_or("missing"),
            refused.map(|response| short(&response.said())).unwrap_or_default()
        ),
        seconds.is_some_and(|seconds| (1..=60).contains(&seconds)),
    );
    Ok(())
}

fn short(text: &str) -> String {
    let mut short: String = text.chars().take(60).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}

impl fmt::Display for Report {
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
