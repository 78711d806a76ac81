//! The traits that an author implements, and the results of a hook.

use crate::{
    AuthRequest, AuthResult, CallView, Chunk, Flow, Hook, Host, InitError, LlmCall, LlmFailure,
    LlmReply, ModelList,
};
use serde::de::DeserializeOwned;
use std::future::Future;

/// A callback with sync hooks. This is the usual kind: calling a hook costs nanoseconds.
///
/// # Rules
/// - **Threads**: one instance serves all calls, and its hooks run concurrently on the gateway's
///   threads. Data that changes needs a `Mutex`, an atomic or the host's
///   [counters](Host::counters).
/// - **Never block**: a hook does no I/O, does not sleep and runs no long loop, because every call
///   on its thread waits. A hook that takes more than 1 ms is counted; the third in a minute, or
///   one that takes 10 ms, is logged by name. Use
///   [`AsyncCallback`] to wait for something, and a [task](Host::task) for work that no call needs
///   to wait for. An operator can give a callback threads of its own (`mode: blocking`). Its hooks
///   may then block for up to the entry's `timeout`; a hook that takes longer is a fault, and its
///   changes are dropped.
/// - **Lifetimes**: a value that an accessor returns is valid until the next edit or the end of the
///   hook. The borrow checker enforces this. Copy values that you need longer.
/// - **Panics** are caught. The call ends as the operator's `on_error` says, and the gateway makes
///   a new instance. Calls in flight keep the instance they started with, so two may exist at once.
///   As long as no new instance can be made, every hook is a fault. A panic in a `Drop` during
///   unwinding ends the process.
/// - **Exactly once**: a callback whose `on_llm_start` let a call pass gets exactly one
///   `on_llm_end` or `on_llm_error` for it, also if the client disconnects. A callback that rejects
///   the call or fails in `on_llm_start` gets neither.
/// - **Order**: every hook runs in the order of the config's list, and later callbacks see the
///   edits of earlier ones.
///
/// ```
/// use plugin_api::{Callback, Flow, Hook, Host, InitError, LlmCall};
///
/// struct ShortPromptsGoLocal { limit: usize }
///
/// #[derive(serde::Deserialize)]
/// #[serde(deny_unknown_fields)]
/// struct Settings { limit: usize }
///
/// impl Callback for ShortPromptsGoLocal {
///     type Settings = Settings;
///
///     fn new(_host: Host, settings: Settings) -> Result<Self, InitError> {
///         Ok(Self { limit: settings.limit })
///     }
///
///     fn on_llm_start(&self, call: &mut LlmCall<'_>) -> Hook {
///         if call.prompt_len() <= self.limit {
///             call.set_model("gemma3")?;
///         }
///         Ok(Flow::Continue)
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is exported with `kind: sync`, but does not implement `Callback`",
    note = "implement `Callback` for it, or export it with `kind: async` if it is an `AsyncCallback`"
)]
pub trait Callback: Send + Sync + Sized + 'static {
    /// The settings, deserialized from the entry's `settings` or from `callback_settings.<name>`.
    /// Deny unknown fields, so that a misspelt setting is an error.
    type Settings: DeserializeOwned;

    /// Makes an instance. The gateway calls it when it loads the config, and again after a panic.
    /// It may block. If the plugin or its settings are new, it also runs in a child process first:
    /// see [`is_probe`](crate::is_probe).
    /// # Errors
    /// Returns an [`InitError`] if the settings cannot work.
    fn new(host: Host, settings: Self::Settings) -> Result<Self, InitError>;

    /// Runs after authentication and parsing, before a deployment is chosen. It may change the
    /// call, answer it or reject it.
    ///
    /// # Errors
    /// Both kinds of [`HookError`](crate::HookError) end the call, a fault only under
    /// `on_error: fail`. No upstream is called.
    fn on_llm_start(&self, call: &mut LlmCall<'_>) -> Hook {
        let _ = call;
        Ok(Flow::NotImplemented)
    }

    /// Runs for each streamed chunk, before the client gets it. It may change or drop the chunk.
    ///
    /// # Errors
    /// [`HookError::Reject`](crate::HookError::Reject) ends the stream with an error frame; the
    /// client keeps the chunks that were sent before.
    fn on_llm_new_token(&self, call: &mut CallView<'_>, chunk: &mut Chunk<'_>) -> Hook {
        let _ = (call, chunk);
        Ok(Flow::NotImplemented)
    }

    /// Runs when the answer is complete: before a JSON reply is sent, or after the last chunk of a
    /// stream. It may change a JSON reply.
    ///
    /// # Errors
    /// [`HookError::Reject`](crate::HookError::Reject) replaces a JSON reply with the error. After
    /// a stream it is only logged.
    fn on_llm_end(&self, call: &mut CallView<'_>, reply: &mut LlmReply<'_>) -> Hook {
        let _ = (call, reply);
        Ok(Flow::NotImplemented)
    }

    /// Runs when a call failed that this callback's start hook let pass. It may change the error
    /// until something has been sent.
    ///
    /// # Errors
    /// [`HookError::Reject`](crate::HookError::Reject) replaces the error, unless something has
    /// been sent already.
    fn on_llm_error(&self, call: &mut CallView<'_>, failure: &mut LlmFailure<'_>) -> Hook {
        let _ = (call, failure);
        Ok(Flow::NotImplemented)
    }

    /// Says who sent a request, before the gateway reads its body. See [`Auth`](crate::Auth) for
    /// the results. It runs for every endpoint that needs a key, after the master key, which no
    /// callback ever sees, and before the keys of the config. The first authenticator in the list
    /// that does not pass decides.
    ///
    /// The export declares the inputs in `auth_headers`, and `min_api: "1.1"`. The gateway keeps a
    /// result for the same values of these inputs as long as the result says; see
    /// [`AuthCaller::keep_for`](crate::AuthCaller::keep_for). Requests with the same inputs at the
    /// same time share one run. A new instance begins without results.
    ///
    /// ```
    /// use plugin_api::testing::{TestRequest, Tester};
    /// use plugin_api::{
    ///     Auth, AuthCaller, AuthRequest, AuthResult, Callback, Host, InitError, Rejection,
    /// };
    /// use std::{collections::HashMap, time::Duration};
    ///
    /// /// Knows users by their tokens.
    /// struct Tokens(HashMap<String, String>);
    ///
    /// impl Callback for Tokens {
    ///     type Settings = HashMap<String, String>;
    ///     fn new(_: Host, users: Self::Settings) -> Result<Self, InitError> { Ok(Self(users)) }
    ///     fn on_auth(&self, request: &AuthRequest<'_>) -> AuthResult {
    ///         let Some(token) = request.bearer_token().filter(|it| it.starts_with("tok-")) else {
    ///             return Ok(Auth::Pass);
    ///         };
    ///         match self.0.get(token) {
    ///             Some(user) => Ok(Auth::Caller(
    ///                 AuthCaller::new(user).user(user).keep_for(Duration::from_secs(60)),
    ///             )),
    ///             None => {
    ///                 let refusal = Rejection::new(401, "this token is not known");
    ///                 Ok(Auth::Refuse(refusal, Duration::from_secs(5)))
    ///             }
    ///         }
    ///     }
    /// }
    ///
    /// let tester = Tester::of::<Tokens>(serde_json::json!({"tok-1": "ann"}))?;
    /// let sent = |token| TestRequest::new().header("authorization", token);
    /// assert_eq!(tester.auth(&sent("Bearer sk-other")), Ok(Auth::Pass));
    /// let known = tester.auth(&sent("Bearer tok-1"));
    /// assert!(matches!(known, Ok(Auth::Caller(it)) if it.key_id == "ann"));
    /// let unknown = tester.auth(&sent("Bearer tok-2"));
    /// assert!(matches!(unknown, Ok(Auth::Refuse(it, _)) if it.status == 401));
    /// # Ok::<(), InitError>(())
    /// ```
    ///
    /// # Errors
    /// [`HookError::Reject`](crate::HookError::Reject) refuses this request alone. A fault, a panic
    /// or a timeout refuses it with a 503, whatever `on_error` says.
    fn on_auth(&self, request: &AuthRequest<'_>) -> AuthResult {
        let _ = request;
        Ok(crate::Auth::NotImplemented)
    }

    /// Runs when a caller asks for the models, with `GET /v1/models` or for one of them by name. It
    /// gets the models that the caller's key may call, may hide some, and may add names. It is for
    /// lists alone: a call to a hidden model still passes, unless `on_llm_start` rejects it.
    ///
    /// It runs for every caller: `only`, `except`, `skippable_by` and `canary` of the entry are
    /// about calls. Under `mode: shadow` it runs on a copy of the list. A gateway that knows only
    /// ABI 1.0 never runs it.
    ///
    /// ```
    /// use plugin_api::testing::{Outcome, TestModelList, Tester};
    /// use plugin_api::{Callback, Flow, Hook, Host, InitError, ModelList};
    ///
    /// /// Shows models in trial only to the team that tries them.
    /// struct Trials;
    ///
    /// impl Callback for Trials {
    ///     type Settings = serde_json::Value;
    ///     fn new(_: Host, _: Self::Settings) -> Result<Self, InitError> { Ok(Self) }
    ///     fn on_list_models(&self, list: &mut ModelList<'_>) -> Hook {
    ///         if list.caller().team() != Some("trials") {
    ///             list.retain(|model| !model.starts_with("trial-"))?;
    ///         }
    ///         Ok(Flow::Continue)
    ///     }
    /// }
    ///
    /// let tester = Tester::of::<Trials>(serde_json::json!({}))?;
    /// let mut list = TestModelList::of(["gpt-4o", "trial-1"]);
    /// assert_eq!(tester.list_models(&mut list), Outcome::Continue);
    /// assert_eq!(list.models(), ["gpt-4o"]);
    /// # Ok::<(), InitError>(())
    /// ```
    ///
    /// # Errors
    /// [`HookError::Reject`](crate::HookError::Reject) refuses the listing. A fault does so with a
    /// 503 under `on_error: fail`; otherwise the caller gets the list without this hook's changes.
    /// [`Flow::Reply`] is a fault.
    fn on_list_models(&self, list: &mut ModelList<'_>) -> Hook {
        let _ = list;
        Ok(Flow::NotImplemented)
    }

    /// Runs once before the instance is dropped, when it will get no new call. It may block. The
    /// instance's [tasks](Host::task) have 5 s to end from then on.
    fn shutdown(&self) {}
}

/// A callback with async hooks, which may wait for something.
/// The rules of [`Callback`] apply. In addition:
///
/// - **No tokio runtime**: a plugin has its own copy of tokio, and no runtime runs in it. Await the
///   host's [HTTP client](Host::http) and [timer](Host::timer), or futures that your own threads
///   wake.
/// - **Timeouts**: a hook that takes longer than the entry's `timeout` (2 s by default, 50 ms for a
///   chunk) is dropped at its `.await`, and counts as a fault.
/// - **Cancellation**: a hook is also dropped when its client disconnects. Code after the `.await`
///   does not run.
///
/// ```
/// use plugin_api::{AsyncCallback, Flow, Hook, Host, InitError, LlmCall};
///
/// struct Nothing;
///
/// impl AsyncCallback for Nothing {
///     type Settings = serde_json::Value;
///
///     fn new(_host: Host, _settings: Self::Settings) -> Result<Self, InitError> {
///         Ok(Self)
///     }
///
///     async fn on_llm_start(&self, call: &mut LlmCall<'_>) -> Hook {
///         call.set_metadata("seen", "yes")?;
///         Ok(Flow::Continue)
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is exported with `kind: async`, but does not implement `AsyncCallback`",
    note = "implement `AsyncCallback` for it, or export it with `kind: sync` if it is a `Callback`"
)]
pub trait AsyncCallback: Send + Sync + Sized + 'static {
    /// See [`Callback::Settings`].
    type Settings: DeserializeOwned;

    /// See [`Callback::new`].
    /// # Errors
    /// Returns an [`InitError`] if the settings cannot work.
    fn new(host: Host, settings: Self::Settings) -> Result<Self, InitError>;

    /// See [`Callback::on_llm_start`].
    fn on_llm_start(&self, call: &mut LlmCall<'_>) -> impl Future<Output = Hook> + Send {
        let _ = call;
        std::future::ready(Ok(Flow::NotImplemented))
    }

    /// Runs beside the upstream call, from the moment when the request is sent. The client gets the
    /// first byte of the answer, also of a stream, only after this hook has returned. The hooks of
    /// all callbacks run at the same time. A check of the prompt that takes as long as the
    /// upstream's answer adds no time here.
    ///
    /// The hook reads the call as it stood after all start hooks. It can set metadata and its own
    /// note; everything else is [`EditError::TooLate`](crate::EditError::TooLate). It does not run
    /// for a call that a callback answers. It is dropped if the client leaves, if the upstream
    /// fails first, or if another callback rejects the call. Two callbacks should not set the same
    /// metadata key in it, because the last one to finish wins.
    ///
    /// A sync [`Callback`] cannot have this hook. A gateway that knows only ABI 1.0 never runs it:
    /// export the callback with `min_api: "1.1"`.
    ///
    /// ```
    /// use plugin_api::testing::{Outcome, TestCall, Tester};
    /// use plugin_api::{AsyncCallback, CallView, Flow, Hook, Host, InitError, Rejection};
    ///
    /// struct Moderation(Host);
    ///
    /// impl AsyncCallback for Moderation {
    ///     type Settings = serde_json::Value;
    ///
    ///     fn new(host: Host, _: Self::Settings) -> Result<Self, InitError> {
    ///         Ok(Self(host))
    ///     }
    ///
    ///     async fn on_llm_during(&self, call: &mut CallView<'_>) -> Hook {
    ///         // Here a real callback asks a classifier with `self.0.http()`.
    ///         if call.messages().any(|(_, text)| text.contains("secret")) {
    ///             return Err(Rejection::new(403, "not here").into());
    ///         }
    ///         Ok(Flow::Continue)
    ///     }
    /// }
    ///
    /// let tester = Tester::of_async::<Moderation>(serde_json::json!({}))?;
    /// let mut call = TestCall::chat("gemma3").message("user", "the secret is");
    /// assert!(matches!(tester.during(&mut call), Outcome::Reject(it) if it.status == 403));
    /// # Ok::<(), InitError>(())
    /// ```
    ///
    /// # Errors
    /// [`HookError::Reject`](crate::HookError::Reject) cancels the upstream call at once, and the
    /// client gets the rejection. [`Flow::Reply`] is a fault: it is too late to answer the call.
    fn on_llm_during(&self, call: &mut CallView<'_>) -> impl Future<Output = Hook> + Send {
        let _ = call;
        std::future::ready(Ok(Flow::NotImplemented))
    }

    /// See [`Callback::on_llm_new_token`].
    fn on_llm_new_token(
        &self,
        call: &mut CallView<'_>,
        chunk: &mut Chunk<'_>,
    ) -> impl Future<Output = Hook> + Send {
        let _ = (call, chunk);
        std::future::ready(Ok(Flow::NotImplemented))
    }

    /// See [`Callback::on_llm_end`].
    fn on_llm_end(
        &self,
        call: &mut CallView<'_>,
        reply: &mut LlmReply<'_>,
    ) -> impl Future<Output = Hook> + Send {
        let _ = (call, reply);
        std::future::ready(Ok(Flow::NotImplemented))
    }

    /// See [`Callback::on_llm_error`].
    fn on_llm_error(
        &self,
        call: &mut CallView<'_>,
        failure: &mut LlmFailure<'_>,
    ) -> impl Future<Output = Hook> + Send {
        let _ = (call, failure);
        std::future::ready(Ok(Flow::NotImplemented))
    }

    /// See [`Callback::on_auth`].
    fn on_auth(&self, request: &AuthRequest<'_>) -> impl Future<Output = AuthResult> + Send {
        let _ = request;
        std::future::ready(Ok(crate::Auth::NotImplemented))
    }

    /// See [`Callback::on_list_models`].
    fn on_list_models(&self, list: &mut ModelList<'_>) -> impl Future<Output = Hook> + Send {
        let _ = list;
        std::future::ready(Ok(Flow::NotImplemented))
    }

    /// See [`Callback::shutdown`].
    fn shutdown(&self) {}
}
