//! Makes the calls of a stage, ends its gateway, and counts the hooks in its log.

use super::{
    paths::{CHATS, OTHERS, asking, asking_nothing, is_played},
    setup::{BEFORE, BEHIND, CoverageSetup, Ending, FULL, Kind, PROVIDERS, model_name},
    table::{Cell, Client, Position, Row, Tokens},
};
use crate::callbacks::faulty::seen;
use callgate_tests::{Event, client::Request, log::Log, within};
use std::{collections::BTreeMap, fmt};
use tokio::{sync::watch, task::JoinHandle};

/// One call: a row with one combination of path, provider and form.
#[derive(Clone)]
pub(super) struct Case {
    pub(super) row: Row,
    kind: Kind,
    path: &'static str,
    provider: &'static str,
    pub(super) stream: bool,
}

/// How often one callback's hooks ran for one call.
pub(super) struct Observed {
    pub(super) case: Case,
    pub(super) position: Position,
    pub(super) cell: Cell,
}

/// A call in progress.
struct Playing {
    case: Case,
    client: JoinHandle<()>,
    /// The number of chunks that the client got so far.
    chunks: watch::Receiver<usize>,
}

/// How often each hook ran, by call and label.
type Runs = BTreeMap<(String, String), BTreeMap<String, usize>>;

/// Plays all rows with this ending.
pub(super) async fn all(kind: Kind, ending: Ending) -> Vec<Observed> {
    let mut stage = CoverageSetup::start(kind, ending).await;
    // Calls whose clients leave come first, while the log is short enough to be searched
    // repeatedly.
    let (leaving, staying): (Vec<_>, Vec<_>) =
        stage.rows.iter().partition(|row| leaves(row.client));
    let mut played = Vec::new();
    for row in leaving {
        let calls = begin(&stage, kind, row);
        underway(&stage, &calls).await;
        for call in &calls {
            call.client.abort();
        }
        played.extend(calls);
    }
    let calls: Vec<_> = staying.iter().map(|row| begin(&stage, kind, row)).collect();
    if matches!(ending, Ending::Draining | Ending::CutOff) {
        for calls in &calls {
            underway(&stage, calls).await;
        }
        stage.gateway.terminate();
    }
    if ending == Ending::Draining {
        stage.gateway.log().containing("drain").await;
        stage.gates.values().for_each(callgate_tests::Gate::open);
    }
    for mut call in calls.into_iter().flatten() {
        // An aborted call has no complete response, which its client reports as an error.
        let ended = (&mut call.client).await;
        assert!(ended.is_ok() || ending == Ending::CutOff, "{}: {ended:?}", call.case);
        played.push(call);
    }
    if let Some(filler) = &mut stage.filler {
        stage.gates[FULL].open();
        let _ = filler.await.expect("the call that took all room ends").expect_status(200);
    }
    let log = end(stage, ending).await;
    let runs = runs(&log);
    played.iter().flat_map(|call| observed(call, &runs)).collect()
}

fn leaves(client: Client) -> bool {
    matches!(client, Client::LeavesAtGate | Client::LeavesInHook)
}

fn begin(stage: &CoverageSetup, kind: Kind, row: &Row) -> Vec<Playing> {
    let streams = [(false, row.json), (true, row.stream)];
    let streams = streams.into_iter().filter_map(|(stream, expected)| expected.map(|_| stream));
    let mut calls = Vec::new();
    for stream in streams {
        for provider in PROVIDERS {
            let paths = CHATS.into_iter().chain(OTHERS.map(|(path, ..)| path));
            for path in paths.filter(|path| is_played(row, path, provider, stream)) {
                let case = Case { row: *row, kind, path, provider, stream };
                let (count, chunks) = watch::channel(0);
                let client = tokio::spawn(client(case.request(stage), count));
                calls.push(Playing { case, client, chunks });
            }
        }
    }
    calls
}

/// Reads the response to its end and counts chunks as they come.
async fn client(request: Request, count: watch::Sender<usize>) {
    let mut answer = request.open().await;
    if answer.status != 200 || answer.headers["content-type"] != "text/event-stream; charset=utf-8"
    {
        let _ = answer.reply().await;
        return;
    }
    while let Some(event) = answer.event().await {
        if is_chunk(&event) {
            count.send_modify(|chunks| *chunks += 1);
        }
    }
}

/// Whether it is a chunk, with a name or without, and no error.
fn is_chunk(event: &Event) -> bool {
    match event {
        Event::Json(json) => json.get("error").is_none(),
        Event::Other(text) => text.starts_with("event: ") && !text.starts_with("event: error"),
        Event::Done => false,
    }
}

/// Waits until the row's calls have reached the point where clients leave or the gateway aborts
/// them.
async fn underway(stage: &CoverageSetup, calls: &[Playing]) {
    let Some(Playing { case, .. }) = calls.first() else { return };
    if case.row.client == Client::LeavesInHook {
        let waits = format!("\"message\":\"{}\"", case.row.key);
        stage.gateway.log().times(&waits, calls.len()).await;
        return;
    }
    within("calls at their gate", stage.gates[case.row.key].arrived(calls.len())).await;
    // The one event before the gate, if there is one.
    let begun = calls.iter().filter(|it| it.case.has_chunks());
    for Playing { chunks, .. } in begun {
        let _ = within("a chunk", chunks.clone().wait_for(|chunks| *chunks > 0)).await;
    }
}

async fn end(stage: CoverageSetup, ending: Ending) -> Log {
    let CoverageSetup { mut gateway, upstream, .. } = stage;
    let log = gateway.log().clone();
    match ending {
        Ending::Idle | Ending::Keyless | Ending::Full => drop(gateway.stop().await),
        Ending::Draining => assert_eq!(gateway.exit().await.code(), Some(0), "{}", log.text()),
        Ending::CutOff => assert_eq!(gateway.exit().await.code(), Some(1), "{}", log.text()),
    }
    drop(upstream);
    let _ = log.complete().await;
    log
}

fn runs(log: &Log) -> Runs {
    let mut runs = Runs::new();
    for line in log.lines().iter().filter(|line| line.message() == "hook") {
        let of_call = runs.entry((seen(line, "call"), seen(line, "label"))).or_default();
        *of_call.entry(seen(line, "hook")).or_default() += 1;
    }
    runs
}

fn observed(call: &Playing, runs: &Runs) -> Vec<Observed> {
    let case = &call.case;
    let acting = case.row.acts.is_some();
    let positions = Position::ALL.into_iter().filter(|it| acting || *it != Position::Acting);
    let observe = |position| {
        let label = match position {
            Position::Before => BEFORE,
            Position::Acting => case.row.key,
            Position::Behind => BEHIND,
        };
        let ran = runs.get(&(case.id(), label.to_owned()));
        let count = |hook: &str| ran.and_then(|ran| ran.get(hook)).copied().unwrap_or_default();
        let tokens = Tokens::of(count("on_llm_new_token"), *call.chunks.borrow());
        let (start, end) = (count("on_llm_start"), count("on_llm_end"));
        let cell = Cell { start, tokens, end, error: count("on_llm_error") };
        Observed { case: case.clone(), position, cell }
    };
    positions.map(observe).collect()
}

impl Case {
    pub(super) fn expected(&self, position: Position) -> Option<Cell> {
        self.row.expected(self.stream, position)
    }

    fn has_chunks(&self) -> bool {
        let before = self.expected(Position::Before);
        before.is_some_and(|cell| cell.tokens != Tokens::None)
    }

    fn id(&self) -> String {
        let path = self.path.replace(['{', '}'], "");
        let form = if self.stream { "stream" } else { "json" };
        format!("{}:{}:{path}:{form}", self.row.key, self.provider)
    }

    fn request(&self, stage: &CoverageSetup) -> Request {
        let model = model_name(&self.row, self.provider);
        let path = self.path.replace("{model}", &model);
        let client = stage.gateway.client();
        let client =
            if self.row.client == Client::WrongKey { client.without_key() } else { client };
        let request = asking(client.chat(&model), self.path, &model).path(&path);
        let request = request.set("stream", self.stream);
        let request = request.header("x-litellm-call-id", &self.id());
        match self.row.client {
            Client::HalfBody => request.body("{\"model\": "),
            Client::OddCoding => request.header("content-encoding", "odd"),
            Client::Foreign => request.header("origin", "https://elsewhere.example"),
            Client::NoMessages => asking_nothing(request, self.path),
            _ => request,
        }
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {:?} ({})", self.row.what, self.kind, self.id())
    }
}
