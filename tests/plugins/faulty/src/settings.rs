//! What `faulty` and `faulty_async` are told to do.

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
            on_llm_new_token: Vec::new(),
            on_llm_end: Vec::new(),
            on_llm_error: Vec::new(),
            shutdown: Vec::new(),
            drop: Vec::new(),
        }
    }
}

/// One thing to do, named in the settings in lower case with underscores: `{panic: boom}`,
/// `chunk_drop`. JSON is given as text, so that it can be wrong.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    // Anywhere.
    /// Panics with this text.
    Panic(String),
    /// Panics with a payload that is no text.
    PanicWithNumber(u32),
    /// Fails: `HookError::Internal` in a hook, an `InitError` in `new`.
    Internal(String),
    /// Logs this text at level info, with `label` and `hook`.
    Log(String),
    /// The same at level warn.
    Warn(String),
    /// Blocks the thread.
    SleepMs(u64),
    /// Blocks the thread until this file is there.
    AwaitFile(String),
    /// Blocks the thread for ever; not while the plugin is tried in a child process.
    Block,
    /// Ends the process.
    Abort,
    /// Ends the process with this status, as if nothing were wrong.
    Exit(i32),
    /// Writes where nothing is.
    Segfault,
    /// Calls itself until the stack is used up.
    OverflowStack,
    /// Never returns, and waits meanwhile.
    Hang,
    /// Never returns, and computes meanwhile.
    Spin,
    /// Prints this to standard output.
    Print(String),
    /// Fails unless the environment has this variable.
    RequireVariable(String),
    /// Does some work on a tokio runtime of its own.
    OwnRuntime,
    /// Spawns on a tokio runtime that is not there: the gateway's is not the plugin's.
    NakedSpawn,

    // In every hook.
    /// Waits without blocking; async only.
    WaitMs(u64),
    /// Is never ready; async only.
    Never,
    /// Refuses the call.
    Reject(Refusal),
    /// `Flow::Reply` with text; a fault of the callback outside `on_llm_start`.
    AnswerText(String),
    /// `Flow::Reply` with JSON.
    AnswerJson(String),
    /// `Flow::Reply` with so many bytes of text.
    AnswerBig(usize),
    /// Key and value.
    SetMetadata(String, String),
    /// So many bytes under the key `big`.
    SetMetadataBig(usize),
    /// The call's note.
    SetLocal(String),
    /// Keeps this text in the instance.
    Remember(String),
    /// Logs what the instance keeps, or `nothing`.
    Recall,

    // In `on_llm_start`.
    /// The model name.
    SetModel(String),
    /// The route.
    SetRoute(RouteParts),
    /// Name and value.
    SetUpstreamHeader(String, String),
    /// Name.
    RemoveUpstreamHeader(String),
    /// Path and JSON.
    SetParam(String, String),
    /// Path, and how many bytes the string there gets.
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
    /// Keeps it from the client.
    ChunkDrop,

    // In `on_llm_end`.
    /// Replaces a JSON reply's body.
    ReplyJson(String),
    /// Name and value.
    ReplyHeader(String, String),

    // In `on_llm_error`.
    /// What the client gets.
    FailureStatus(u16),
    /// What the client is told.
    FailureMessage(String),
}

/// A rejection; nothing is checked here.
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

/// A route; nothing is checked here.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RouteParts {
    pub(crate) provider: Option<String>,
    pub(crate) model: Option<String>,
    pub(crate) api_base: Option<String>,
    pub(crate) api_key: Option<String>,
}
