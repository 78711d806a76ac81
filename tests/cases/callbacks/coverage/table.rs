//! The table: how a call ends, and which hooks a callback gets for it by its position in the list.
//! Only data; `setup` and `run` make each row happen.

use super::setup::{Ending, FULL};
use crate::callbacks::faulty::refusal;
use callgate_tests::{Answer, Gate};
use serde_json::{Value, json};
use std::fmt;

/// A callback's position in the list, relative to the one that acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Position {
    Before,
    Acting,
    Behind,
}

impl Position {
    pub(super) const ALL: [Self; 3] = [Self::Before, Self::Acting, Self::Behind];
}

/// How often the hooks of one callback ran for one call.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Cell {
    pub(super) start: usize,
    pub(super) tokens: Tokens,
    pub(super) end: usize,
    pub(super) error: usize,
}

/// The expected number of chunk hooks, in terms of the chunks that the client got.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Tokens {
    None,
    Each,
    /// One more than the client got.
    EachAndOne,
    Other {
        hooks: usize,
        chunks: usize,
    },
}

impl Tokens {
    pub(super) fn of(hooks: usize, chunks: usize) -> Self {
        match hooks {
            0 => Self::None,
            _ if hooks == chunks => Self::Each,
            _ if hooks == chunks + 1 => Self::EachAndOne,
            _ => Self::Other { hooks, chunks },
        }
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { start, tokens, end, error } = self;
        write!(f, "{start} start, {tokens:?} tokens, {end} end, {error} error")
    }
}

/// What the client does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Client {
    /// Waits for the whole answer.
    Waits,
    /// Leaves once the upstream has all calls and waits at the row's gate.
    LeavesAtGate,
    /// Leaves while the acting callback waits, which has logged the row's key by then.
    LeavesInHook,
    /// Sends the wrong key.
    WrongKey,
    /// Sends half a body.
    HalfBody,
    /// Sends no messages.
    NoMessages,
    /// Compresses the body with an unknown coding.
    OddCoding,
    /// Is a web page of another site.
    Foreign,
}

/// The expected hooks of a callback. Letters: `s`tart, `t`oken for each chunk, `T` for each chunk
/// and one that the client does not get, `e`nd, e`r`ror.
type Hooks = &'static str;

/// One way in which a call can end.
#[derive(Clone, Copy)]
pub(super) struct Row {
    /// Its description in the document.
    pub(super) what: &'static str,
    /// Its unique name, used in model names.
    pub(super) key: &'static str,
    pub(super) upstream: fn(&Gate) -> Answer,
    /// The acting callback's action, besides recording. `None` means that there is no acting
    /// callback.
    pub(super) acts: Option<fn() -> Value>,
    /// Whether its action needs a future: then it is async, whatever the others are.
    pub(super) waits: bool,
    pub(super) client: Client,
    pub(super) ending: Ending,
    /// Further members of its deployments.
    pub(super) params: &'static [(&'static str, f64)],
    /// First, acting and last callback; `None` if a JSON call cannot end like this.
    pub(super) json: Option<[Hooks; 3]>,
    /// The same for a stream.
    pub(super) stream: Option<[Hooks; 3]>,
}

const ROW: Row = Row {
    what: "",
    key: "",
    upstream: |_| Answer::default(),
    acts: None,
    waits: false,
    client: Client::Waits,
    ending: Ending::Idle,
    params: &[],
    json: None,
    stream: None,
};

const ANSWERED: Row = Row { json: all("se"), stream: all("ste"), ..ROW };
const FAILED: Row = Row { json: all("sr"), stream: all("sr"), ..ROW };
const FAILED_IN_STREAM: Row = Row { json: all("sr"), stream: all("str"), ..ROW };
const STOPPED: Row = Row { json: Some(["sr", "s", ""]), stream: Some(["sr", "s", ""]), ..ROW };
const UNSEEN: Row = Row { json: all(""), stream: all(""), ..ROW };

const fn all(hooks: Hooks) -> Option<[Hooks; 3]> {
    Some([hooks; 3])
}

/// All rows, in the order of the document.
pub(super) fn rows() -> Vec<Row> {
    [answered(), stopped_by_callbacks(), failed(), client(), stop_signal()].concat()
}

fn answered() -> Vec<Row> {
    vec![
        Row { what: "the upstream answers", key: "answered", ..ANSWERED },
        Row { what: "`mock_response` answers", key: "mock", ..ANSWERED },
        Row {
            what: "the callback answers",
            key: "reply",
            acts: Some(|| json!({"on_llm_start": [{"answer_text": "hello"}]})),
            json: Some(["se", "se", ""]),
            stream: Some(["ste", "ste", ""]),
            ..ROW
        },
        Row {
            what: "the callback answers with a stream",
            key: "stream",
            acts: Some(|| json!({"on_llm_start": [{"answer_stream": {"parts": ["hello"]}}]})),
            json: Some(["se", "se", ""]),
            stream: Some(["ste", "ste", ""]),
            ..ROW
        },
        Row {
            what: "the callback fails, under `on_error: ignore`",
            key: "ignored",
            acts: Some(|| json!({"on_llm_start": [{"internal": "oops"}]})),
            ..ANSWERED
        },
    ]
}

fn stopped_by_callbacks() -> Vec<Row> {
    vec![
        Row {
            what: "the callback refuses the call",
            key: "refused",
            acts: Some(|| json!({"on_llm_start": [refusal("no")]})),
            ..STOPPED
        },
        Row {
            what: "the callback fails",
            key: "fault",
            acts: Some(|| json!({"on_llm_start": [{"internal": "oops"}]})),
            ..STOPPED
        },
        Row {
            what: "the callback panics",
            key: "panic",
            acts: Some(|| json!({"on_llm_start": [{"panic": "oops"}]})),
            ..STOPPED
        },
        Row {
            what: "the callback answers with a stream that breaks off",
            key: "broken-stream",
            acts: Some(
                || json!({"on_llm_start": [{"answer_stream": {"parts": ["hello"], "end": "drop"}}]}),
            ),
            json: Some(["sr", "sr", ""]),
            stream: Some(["str", "str", ""]),
            ..ROW
        },
        Row {
            what: "the callback refuses the call beside the upstream call",
            key: "beside",
            acts: Some(|| json!({"on_llm_during": [refusal("no")]})),
            waits: true,
            ..FAILED
        },
        Row {
            what: "the callback fails beside the upstream call",
            key: "beside-fault",
            acts: Some(|| json!({"on_llm_during": [{"panic": "oops"}]})),
            waits: true,
            ..FAILED
        },
        Row {
            what: "the callback refuses a chunk",
            key: "chunk",
            acts: Some(|| json!({"on_llm_new_token": [refusal("no")]})),
            stream: Some(["sTr", "sTr", "str"]),
            ..ROW
        },
        Row {
            what: "the callback refuses the answer",
            key: "answer",
            acts: Some(|| json!({"on_llm_end": [refusal("no")]})),
            json: Some(["se", "se", "sr"]),
            stream: Some(["ste", "ste", "str"]),
            ..ROW
        },
    ]
}

fn failed() -> Vec<Row> {
    vec![
        Row {
            what: "the upstream answers with an error",
            key: "error",
            upstream: |_| Answer::error(500, "t", "c", "oops"),
            ..FAILED
        },
        Row {
            what: "the upstream answers with an error under the status 200",
            key: "error-200",
            upstream: |_| {
                let error = r#"{"error":{"message":"oops","type":"t","code":"c"}}"#;
                Answer::fixed(200, "application/json", error)
            },
            ..FAILED
        },
        Row {
            what: "the upstream answers with a redirect",
            key: "redirect",
            upstream: |_| Answer::fixed(307, "text/plain", "").header("location", "/elsewhere"),
            ..FAILED
        },
        Row {
            what: "the upstream breaks the connection before it answers",
            key: "reset",
            upstream: |_| Answer::reset(),
            ..FAILED
        },
        Row {
            what: "the upstream answers with something other than a completion",
            key: "garbage",
            upstream: |_| Answer::fixed(200, "text/html", "<html>"),
            ..FAILED
        },
        Row {
            what: "the upstream does not answer in time",
            key: "timeout",
            upstream: |_| Answer::silence(),
            params: &[("timeout", 0.3)],
            ..FAILED
        },
        Row {
            what: "the upstream stops in the middle of its answer until the timeout",
            key: "stalled",
            upstream: |_| Answer::default().stalling_after(1),
            // Long enough for the previous chunk to arrive on a busy machine.
            params: &[("timeout", 8.0)],
            ..FAILED_IN_STREAM
        },
        Row {
            what: "the upstream breaks the connection in the middle of its answer",
            key: "broken",
            upstream: |_| Answer::default().closing_after(1),
            ..FAILED_IN_STREAM
        },
        Row {
            what: "the upstream compresses its answer in a way that the gateway cannot decode",
            key: "coding",
            upstream: |_| Answer::default().header("content-encoding", "odd"),
            ..FAILED
        },
        Row { what: "no deployment has the model's name", key: "unknown", ..FAILED },
        Row {
            what: "there are no `messages`",
            key: "no-messages",
            client: Client::NoMessages,
            ..FAILED
        },
    ]
}

fn client() -> Vec<Row> {
    vec![
        Row {
            what: "the client leaves before the upstream answers",
            key: "left-before",
            upstream: |gate| Answer::default().held(gate),
            client: Client::LeavesAtGate,
            ..FAILED
        },
        Row {
            what: "the client leaves in the middle of the answer",
            key: "left-during",
            upstream: |gate| Answer::default().held_after(1, gate),
            client: Client::LeavesAtGate,
            ..FAILED_IN_STREAM
        },
        Row {
            what: "the client leaves while the callback's `on_llm_start` waits",
            key: "left-in-start",
            acts: Some(|| json!({"on_llm_start": [{"log": "left-in-start"}, "never"]})),
            waits: true,
            client: Client::LeavesInHook,
            ..STOPPED
        },
        Row {
            what: "the client leaves while the callback's `on_llm_during` waits",
            key: "left-beside",
            acts: Some(|| json!({"on_llm_during": [{"log": "left-beside"}, "never"]})),
            waits: true,
            client: Client::LeavesInHook,
            ..FAILED
        },
        Row {
            what: "the client leaves while the callback's `on_llm_end` waits",
            key: "left-in-end",
            acts: Some(|| json!({"on_llm_end": [{"log": "left-in-end"}, "never"]})),
            waits: true,
            client: Client::LeavesInHook,
            json: Some(["se", "se", "sr"]),
            ..ROW
        },
        Row { what: "the key is wrong", key: "key", client: Client::WrongKey, ..UNSEEN },
        Row {
            what: "the gateway has no key, and a web page of another site calls",
            key: "foreign",
            client: Client::Foreign,
            ending: Ending::Keyless,
            ..UNSEEN
        },
        Row {
            what: "the requests in memory have reached their limit",
            key: FULL,
            upstream: |gate| Answer::default().held(gate),
            ending: Ending::Full,
            ..UNSEEN
        },
        Row {
            what: "the body is compressed in a way that the gateway cannot decode",
            key: "odd-body",
            client: Client::OddCoding,
            ..UNSEEN
        },
        Row { what: "the body is not JSON", key: "half", client: Client::HalfBody, ..UNSEEN },
    ]
}

fn stop_signal() -> Vec<Row> {
    vec![
        Row {
            what: "the gateway gets a stop signal, and the call ends in time",
            key: "drained",
            upstream: |gate| Answer::default().held_after(1, gate),
            ending: Ending::Draining,
            ..ANSWERED
        },
        Row {
            what: "the gateway gets a stop signal, and the callback's `on_llm_end` still waits after the answer",
            key: "drained-in-end",
            upstream: |gate| Answer::default().held_after(1, gate),
            acts: Some(|| json!({"on_llm_end": [{"wait_ms": 300}]})),
            waits: true,
            ending: Ending::Draining,
            ..ANSWERED
        },
        Row {
            what: "the gateway gets a stop signal, and the upstream does not answer in time",
            key: "cut-before",
            upstream: |gate| Answer::default().held(gate),
            ending: Ending::CutOff,
            ..FAILED
        },
        Row {
            what: "the gateway gets a stop signal, and the upstream does not end its answer in time",
            key: "cut-during",
            upstream: |gate| Answer::default().held_after(1, gate),
            ending: Ending::CutOff,
            ..FAILED_IN_STREAM
        },
    ]
}

impl Row {
    pub(super) fn expected(&self, stream: bool, position: Position) -> Option<Cell> {
        let hooks = if stream { self.stream } else { self.json }?[position as usize];
        let count = |letter| hooks.matches(letter).count();
        let tokens = match (count('t'), count('T')) {
            (0, 0) => Tokens::None,
            (_, 0) => Tokens::Each,
            _ => Tokens::EachAndOne,
        };
        Some(Cell { start: count('s'), tokens, end: count('e'), error: count('r') })
    }
}
