//! Hooks of a chain with one callback outside the order of a call, for a replay, which gives each
//! hook its recorded input.

use super::{
    Chain,
    dispatch::{Dispatcher, NextStep},
    event::HookEvent,
};
use crate::payload::{ChunkPayload, EndPayload, ErrorPayload};
use callgate_call::Call;
use callgate_deployments::Deployments;
use callgate_plugin_host::Hook;
use std::sync::Arc;

impl Chain {
    /// Whether any callback has this hook.
    pub(crate) fn has(&self, hook: Hook) -> bool {
        self.links.iter().any(|link| link.has(hook))
    }

    /// Runs `on_llm_new_token`; returns whether the call goes on.
    pub(crate) async fn token_alone(
        &self,
        call: &mut Call,
        deployments: &Arc<Deployments>,
        chunk: &mut ChunkPayload,
    ) -> bool {
        self.alone(call, deployments, chunk).await
    }

    /// Runs `on_llm_end`; returns whether the call goes on.
    pub(crate) async fn end_alone(
        &self,
        call: &mut Call,
        deployments: &Arc<Deployments>,
        reply: &mut EndPayload<'_>,
    ) -> bool {
        self.alone(call, deployments, reply).await
    }

    /// Runs `on_llm_error`; returns whether the call goes on.
    pub(crate) async fn error_alone(
        &self,
        call: &mut Call,
        deployments: &Arc<Deployments>,
        failing: &mut ErrorPayload<'_>,
    ) -> bool {
        self.alone(call, deployments, failing).await
    }

    async fn alone<S: HookEvent>(
        &self,
        call: &mut Call,
        deployments: &Arc<Deployments>,
        event: &mut S,
    ) -> bool {
        let Some(link) = self.links.first() else { return true };
        let mut dispatcher = Dispatcher::new(deployments);
        let step = match dispatcher.try_sync(0, link, call, event) {
            Some(step) => step,
            None => dispatcher.run_slow(0, link, call, event).await,
        };
        matches!(step, NextStep::On)
    }
}
