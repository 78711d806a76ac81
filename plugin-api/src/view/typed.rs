//! Parameters and messages as the author's own types, over their JSON texts.

use crate::{CallView, EditError, HookError, LlmCall, Rejection};
use serde::{Serialize, de::DeserializeOwned};
use std::fmt;

/// A part of the request has another shape than the callback expects. The text names its path and
/// contains nothing of its value. In a hook, `?` turns it into a rejection with status 400, because
/// the client sent it.
///
/// ```
/// # fn hook(call: &plugin_api::CallView<'_>) -> Result<(), plugin_api::HookError> {
/// let temperature: Option<f64> = call.param_as("temperature")?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShapeError {
    path: String,
    found: String,
}

impl ShapeError {
    fn new(path: String, error: &serde_json::Error) -> Self {
        // The place within this JSON says nothing.
        let text = error.to_string();
        let text = text.rsplit_once(" at line ").map_or(&*text, |(text, _)| text);
        if text.starts_with("missing field") {
            return Self { path, found: text.to_owned() };
        }
        // serde quotes the value between what it is and what was expected.
        let kind = text.split(['"', '`']).next().unwrap_or_default().trim_end();
        let kind = kind.split(", expected ").next().unwrap_or_default();
        let expected = text.rfind(", expected ").map_or("", |start| &text[start..]);
        Self { path, found: [kind, expected].concat() }
    }

    /// Returns the path of the part: `response_format.type`, `messages.2`.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }
}

impl fmt::Display for ShapeError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "`{}` has an unexpected shape: {}", self.path, self.found)
    }
}

impl std::error::Error for ShapeError {}

impl From<ShapeError> for HookError {
    fn from(error: ShapeError) -> Self {
        Self::Reject(Rejection::new(400, error.to_string()))
    }
}

fn read<T: DeserializeOwned>(
    json: Option<&str>,
    path: impl Fn() -> String,
) -> Result<Option<T>, ShapeError> {
    let read = |json| serde_json::from_str(json).map_err(|error| ShapeError::new(path(), &error));
    json.map(read).transpose()
}

impl CallView<'_> {
    /// Returns a parameter as a value of the author's type, by dotted path. `None` if the parameter
    /// does not exist. See [`CallView::param`].
    ///
    /// # Errors
    /// [`ShapeError`] if the parameter is not a `T`.
    pub fn param_as<T: DeserializeOwned>(&self, path: &str) -> Result<Option<T>, ShapeError> {
        read(self.param(path), || path.to_owned())
    }

    /// Returns a whole message as a value of the author's type. `None` past the end. See
    /// [`CallView::message_json`].
    ///
    /// # Errors
    /// [`ShapeError`] if the message is not a `T`.
    pub fn message_as<T: DeserializeOwned>(&self, index: usize) -> Result<Option<T>, ShapeError> {
        read(self.message_json(index), || format!("messages.{index}"))
    }
}

impl LlmCall<'_> {
    /// Sets a parameter to any value that serializes, by dotted path. See [`LlmCall::set_param`].
    ///
    /// # Errors
    /// [`EditError::NotJson`] if the value does not serialize to JSON; else as for
    /// [`LlmCall::set_param`].
    pub fn set_param_as(
        &mut self,
        path: &str,
        value: &(impl Serialize + ?Sized),
    ) -> Result<(), EditError> {
        let json = serde_json::to_string(value).map_err(|_| EditError::NotJson)?;
        self.set_param(path, &json)
    }
}

#[cfg(all(test, feature = "testing"))]
mod tests {
    use crate::{
        Callback, EditError, Flow, Hook, Host, InitError, LlmCall,
        testing::{Outcome, TestCall, Tester},
    };
    use serde_json::{Value, json};
    use std::collections::HashMap;

    #[derive(serde::Deserialize)]
    struct Message {
        role: String,
    }

    struct Typed;

    impl Callback for Typed {
        type Settings = Value;
        fn new(_: Host, _: Value) -> Result<Self, InitError> {
            Ok(Self)
        }
        fn on_llm_start(&self, call: &mut LlmCall<'_>) -> Hook {
            assert_eq!(call.param_as::<f64>("nothing"), Ok(None));
            let message = call.message_as::<Message>(0)?;
            assert_eq!(message.map(|it| it.role).as_deref(), Some("user"));
            assert!(call.message_as::<Value>(9)?.is_none());
            call.set_param_as("stop", &["a", "b"])?;
            assert_eq!(call.param_as("stop"), Ok(Some(["a".to_owned(), "b".to_owned()])));
            let no_json = HashMap::from([((1, 2), 3)]);
            assert_eq!(call.set_param_as("stop", &no_json), Err(EditError::NotJson));
            let path = call.param_as::<u8>("user").map_err(|error| error.path().to_owned());
            assert_eq!(path, Err("user".to_owned()));
            call.param_as::<u8>("user")?;
            Ok(Flow::Continue)
        }
    }

    #[test]
    fn another_shape_is_a_rejection_that_names_the_path_and_no_value() {
        let tester = Tester::of::<Typed>(json!({})).unwrap();
        let mut call = TestCall::chat("m").message("user", "hi").param("user", "sk-\"7\"");
        let Outcome::Reject(rejection) = tester.start(&mut call) else { panic!("not rejected") };
        assert_eq!(rejection.status, 400);
        assert_eq!(
            rejection.message,
            "`user` has an unexpected shape: invalid type: string, expected u8"
        );
    }
}
