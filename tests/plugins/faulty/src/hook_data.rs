//! The data of a hook, in one type for all hooks, so that one function can act on it.

use plugin_api::{CallView, Chunk, LlmCall, LlmFailure, LlmReply};

/// The hook and its arguments.
#[derive(Debug)]
pub(crate) enum HookData<'s, 'c, 'o> {
    Start(&'s mut LlmCall<'c>),
    During(&'s mut CallView<'c>),
    Token(&'s mut CallView<'c>, &'s mut Chunk<'o>),
    End(&'s mut CallView<'c>, &'s mut LlmReply<'o>),
    Error(&'s mut CallView<'c>, &'s mut LlmFailure<'o>),
}

impl<'c> HookData<'_, 'c, '_> {
    pub(crate) fn hook(&self) -> &'static str {
        match self {
            Self::Start(..) => "on_llm_start",
            Self::During(..) => "on_llm_during",
            Self::Token(..) => "on_llm_new_token",
            Self::End(..) => "on_llm_end",
            Self::Error(..) => "on_llm_error",
        }
    }

    pub(crate) fn call(&self) -> &CallView<'c> {
        match self {
            Self::Start(call) => call,
            Self::During(call)
            | Self::Token(call, _)
            | Self::End(call, _)
            | Self::Error(call, _) => call,
        }
    }

    pub(crate) fn call_mut(&mut self) -> &mut CallView<'c> {
        match self {
            Self::Start(call) => call,
            Self::During(call)
            | Self::Token(call, _)
            | Self::End(call, _)
            | Self::Error(call, _) => call,
        }
    }
}
