//! One hook of one callback and nothing around it, prepared before it is run: for timing it.

use super::{Rehearsal, RehearsedCall};
use crate::{
    answer::{Chunk, Failing, Figures, Reply, Streamed},
    scope::Scope,
};
use bytes::Bytes;
use callgate_failure::{Failure, UpstreamError};
use callgate_plugin_host::{Hook, Instance};
use plugin_api::abi::Verdict;
use std::{
    future::Future,
    pin::pin,
    sync::LazyLock,
    task::{Context, Poll, Waker},
};

static NOTHING_STREAMED: LazyLock<Streamed> = LazyLock::new(Streamed::default);

/// A call, and what the hook gets beside it. To be run once.
#[derive(Debug)]
pub struct Prepared {
    call: RehearsedCall,
    beside: Beside,
}

#[derive(Debug)]
enum Beside {
    Nothing,
    Chunk(Chunk),
    Reply(Reply<'static>),
    Failure(Failing<'static>),
}

/// A hook in its sync form, else in its async form up to its first wait.
macro_rules! run {
    ($callback:ident, $scope:ident, $has:ident, $sync:ident, $async:ident $(, $arg:expr)?) => {
        if $callback.$has() {
            Some($callback.$sync(&mut $scope $(, $arg)?))
        } else {
            match $callback.$async(&mut $scope $(, $arg)?) {
                Some(hook) => polled(hook),
                None => Some(Verdict::CONTINUE),
            }
        }
    };
}

impl Rehearsal {
    /// A fresh call for one run of `hook`; an answer says `text`.
    pub fn prepare(&self, hook: Hook, text: &str) -> Prepared {
        let quoted = serde_json::Value::from(text);
        let beside = match hook {
            Hook::Start => Beside::Nothing,
            Hook::NewToken => {
                let json =
                    format!(r#"{{"choices":[{{"index":0,"delta":{{"content":{quoted}}}}}]}}"#);
                Beside::Chunk(Chunk::new(0, json))
            }
            Hook::End => {
                let json = format!(
                    r#"{{"choices":[{{"index":0,"message":{{"role":"assistant","content":{quoted}}}}}]}}"#
                );
                Beside::Reply(Reply::new(200, Some(Bytes::from(json)), &NOTHING_STREAMED))
            }
            Hook::Error => {
                let failure = Failure::of_upstream(503, UpstreamError::saying("unavailable"));
                let (streamed, figures) = ("".into(), Figures::default());
                Beside::Failure(Failing { failure, sent: false, streamed, figures })
            }
        };
        Prepared { call: self.call(), beside }
    }

    /// Runs the hook: whether the call goes on. `None` when it waits for something.
    pub fn run_alone(&self, callback: &Instance, prepared: &mut Prepared) -> Option<bool> {
        let Prepared { call, beside } = prepared;
        let hook = match beside {
            Beside::Nothing => Hook::Start,
            Beside::Chunk(_) => Hook::NewToken,
            Beside::Reply(_) => Hook::End,
            Beside::Failure(_) => Hook::Error,
        };
        let (call, deployments) = (&mut *call.0, &*self.deployments);
        let mut scope = Scope::new(call, deployments, 0, hook, false);
        let verdict = match beside {
            Beside::Nothing => {
                run!(callback, scope, has_start, on_llm_start, on_llm_start_async)
            }
            Beside::Chunk(chunk) => {
                run!(
                    callback,
                    scope,
                    has_new_token,
                    on_llm_new_token,
                    on_llm_new_token_async,
                    chunk
                )
            }
            Beside::Reply(reply) => {
                run!(callback, scope, has_end, on_llm_end, on_llm_end_async, reply)
            }
            Beside::Failure(failing) => {
                run!(callback, scope, has_error, on_llm_error, on_llm_error_async, failing)
            }
        };
        verdict.map(|verdict| verdict == Verdict::CONTINUE)
    }
}

fn polled(hook: impl Future<Output = Verdict>) -> Option<Verdict> {
    match pin!(hook).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(verdict) => Some(verdict),
        Poll::Pending => None,
    }
}
