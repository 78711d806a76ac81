//! The settings of `faulty` and `faulty_async`.

use serde::Deserialize;

/// See the crate's documentation.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    pub(crate) label: String,
    pub(crate) only_model: Option<String>,
    pub(crate) at_chunk: Option<u64>,
    pub(crate) every: Option<u64>,
    pub(crate) times: Option<u64>,
    pub(crate) only_served: bool,
    pub(crate) record: bool,
    pub(crate) unmade: Vec<i64>,
    pub(crate) new: Vec<Action>,
    pub(crate) on_llm_start: Vec<Action>,
    pub(crate) on_llm_during: Vec<Action>,
    pub(crate) on_llm_new_token: Vec<Action>,
    pub(crate) on_llm_end: Vec<Action>,
    pub(crate) on_llm_error: Vec<Action>,
    pub(crate) shutdown: Vec<Action>,
    pub(crate) drop: Vec<Action>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            label: "faulty".to_owned(),
            only_model: None,
            at_chunk: None,
            every: None,
            times: None,
            only_served: false,
            record: false,
            unmade: Vec::new(),
            new: Vec::new(),
            on_llm_start: Vec::new(),
            on_llm_during: Vec::new(),
            on_llm_new_token: Vec::new(),
            on_llm_end: Vec::new(),
            on_llm_error: Vec::new(),
            shutdown: Vec::new(),
            drop: Vec::new(),
        }
    }
}

/// One action, named in the settings in lower case with underscores: `{panic: boom}`, `chunk_drop`.
/// JSON is given as text, so that it can be invalid.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    // Anywhere.
    /// Panics with this text.
    Panic(String),
    /// Panics with a payload that is not text.
    PanicWithNumber(u32),
    /// Fails: `HookError::Internal` in a hook, an `InitError` in `new`.
    Internal(String),
    /// Logs this text at level info, with `label` and `hook`.
    Log(String),
    /// The same at level warn.
    Warn(String),
    /// Blocks the thread.
    SleepMs(u64),
    /// Blocks the thread until this file exists.
    AwaitFile(String),
    /// Blocks the thread forever, except in the probe.
    Block,
    /// Ends the process.
    Abort,
    /// Ends the process with this status, as if nothing were wrong.
    Exit(i32),
    /// Writes to an unmapped address.
    Segfault,
    /// Recurses until the stack overflows.
    OverflowStack,
    /// Never returns, and sleeps meanwhile.
    Hang,
    /// Never returns, and computes meanwhile.
    Spin,
    /// Prints this to standard output.
    Print(String),
    /// Fails unless the environment has this variable.
    RequireVariable(String),
    /// Does some work on its own tokio runtime.
    OwnRuntime,
    /// Spawns without a tokio runtime: the gateway's is not visible to the plugin.
    NakedSpawn,

    // In every hook.
    /// Waits without blocking; async only.
    WaitMs(u64),
    /// Waits until this file exists, without blocking; async only. Does not wait in the probe.
    UntilFile(String),
    /// Is never ready; async only.
    Never,
    /// Refuses the call.
    Reject(Refusal),
    /// `Flow::Reply` with text; a fault outside `on_llm_start`.
    AnswerText(String),
    /// `Flow::Reply` with JSON.
    AnswerJson(String),
    /// `Flow::Reply` with so many bytes of text.
    AnswerBig(usize),
    /// `Flow::Reply` with a stream, written by a task.
    AnswerStream(StreamPlan),
    /// Opens a stream that it does not answer with.
    OpenStream(StreamPlan),
    /// Key and value.
    SetMetadata(String, String),
    /// So many bytes under the key `big`.
    SetMetadataBig(usize),
    /// The call's note.
    SetLocal(String),
    /// Keeps this text in the instance.
    Remember(String),
    /// Logs the text in the instance, or `nothing`.
    Recall,

    // In `on_llm_start`.
    /// The model name.
    SetModel(String),
    /// The route.
    SetRoute(RouteParts),
    /// Name and value.
    SetUpstreamHeader(String, String),
    /// Name and value.
    SetReplyHeader(String, String),
    /// Name.
    RemoveUpstreamHeader(String),
    /// Path and JSON.
    SetParam(String, String),
    /// Path, and the number of bytes for the string there.
    SetParamBig(String, usize),
    /// Path.
    RemoveParam(String),
    /// Index and text.
    SetMessageText(usize, String),
    /// Index and JSON.
    SetMessageJson(usize, String),
    /// Index, role and text.
    InsertMessage(usize, String, String),
    /// Role and text.
    AppendMessage(String, String),
    /// Index.
    RemoveMessage(usize),
    /// JSON.
    ReplaceBody(String),

    // In `on_llm_new_token`.
    /// Replaces the text.
    ChunkText(String),
    /// Makes the text upper case.
    ChunkUpper,
    /// Replaces the JSON.
    ChunkJson(String),
    /// Drops the chunk.
    ChunkDrop,
    /// Adds a chunk with this text.
    EmitText(String),
    /// Adds a chunk.
    EmitJson(String),
    /// Adds a chunk with so many bytes of text.
    EmitBig(usize),
    /// Holds so many bytes back, unless it is too late.
    HoldBack(usize),
    /// Holds back even if it is too late.
    HoldBackAlways(usize),

    // In `on_llm_end`.
    /// Replaces a JSON reply's body.
    ReplyJson(String),
    /// Name and value.
    ReplyHeader(String, String),

    // In `on_llm_error`.
    /// The client's status.
    FailureStatus(u16),
    /// The client's message.
    FailureMessage(String),
    /// The error object's type.
    FailureType(String),
    /// The error object's code.
    FailureCode(String),
    /// Name and value.
    FailureHeader(String, String),
}

/// A stream to write. Each refused part is logged.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StreamPlan {
    /// Text, or JSON if it begins with `{`, `[` or `!` (which is left out).
    pub(crate) parts: Vec<String>,
    pub(crate) end: StreamEnd,
    /// Prompt and completion tokens.
    pub(crate) usage: Option<(u64, u64)>,
}

/// What the task does after the parts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StreamEnd {
    /// Ends the stream with `stop`.
    #[default]
    Finish,
    /// Ends it without a finish reason.
    Done,
    /// Drops the writer.
    Drop,
    Panic,
    /// Never ends.
    Hang,
    /// Sends text until nobody takes it, and logs `closed` then.
    UntilClosed,
}

/// A rejection; not checked here.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Refusal {
    pub(crate) status: u16,
    #[serde(default)]
    pub(crate) message: String,
    pub(crate) code: Option<String>,
    pub(crate) retry_after_ms: Option<u64>,
    #[serde(default)]
    pub(crate) headers: Vec<(String, String)>,
}

/// A route; not checked here.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RouteParts {
    pub(crate) provider: Option<String>,
    pub(crate) model: Option<String>,
    pub(crate) api_base: Option<String>,
    pub(crate) api_key: Option<String>,
}
