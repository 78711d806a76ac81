//! `on_list_models`: changes the list of models that a caller sees, outside any call.

use super::{
    Chain,
    breaker::State,
    dispatch::{limit, wait},
    link::{Link, RunMode, now},
    pool::PoolError,
    slow::SLOW,
    stats::{Counted, ThreadSlot},
    verdict::Fault,
};
use crate::model_list::{ListSaid, ModelListPayload};
use callgate_call::Caller;
use callgate_failure::Failure;
use callgate_plugin_host::{Hook, Instance};
use plugin_api::{FailureKind, abi::Verdict};
use std::{iter, sync::Arc};

impl Chain {
    /// Whether any callback changes the lists of models.
    pub fn lists_models(&self) -> bool {
        self.links.iter().any(|link| link.has(Hook::ListModels))
    }

    /// The models that `caller` sees, of those that its key may call.
    ///
    /// # Errors
    /// If a callback refuses the listing, or fails under `on_error: fail`.
    pub async fn listed_models(
        &self,
        names: impl IntoIterator<Item = Arc<str>>,
        caller: &Arc<Caller>,
    ) -> Result<Vec<Arc<str>>, Failure> {
        let mut list = ModelListPayload::new(names, Arc::clone(caller));
        for link in self.links.iter().filter(|link| link.has(Hook::ListModels)) {
            if link.slot.breaker.state(now()) == State::Off {
                link.stats().skip(Hook::ListModels);
                continue;
            }
            if let Some(changed) = link.list_models(&list).await? {
                list = changed;
            }
        }
        Ok(list.into_names())
    }
}

impl Link {
    /// Runs the hook on a copy of the list. `None` if the list stays as it is.
    async fn list_models(
        &self,
        list: &ModelListPayload,
    ) -> Result<Option<ModelListPayload>, Failure> {
        let begun = now();
        let ran = match self.living.instance() {
            Some(instance) => self.run_list_models(instance, list.clone()).await,
            None => Err(Fault::not_restarted()),
        };
        let ns = now().saturating_sub(begun);
        self.stats().ran(ThreadSlot::current(), Hook::ListModels, ns);
        if ns > SLOW && self.run_mode(Hook::ListModels) == RunMode::Inline {
            self.was_slow(Hook::ListModels, ns);
        }
        match ran.and_then(|(verdict, list)| judged(verdict, list)) {
            Ok(Ok(changed)) if self.is_shadow() => {
                self.note_shadow(Hook::ListModels, changed.differs(list), None);
                Ok(None)
            }
            Ok(Ok(changed)) => Ok(Some(changed)),
            Ok(Err(rejection)) => {
                if self.is_shadow() {
                    let would = format!("refused the list with status {}", rejection.status);
                    self.note_shadow(Hook::ListModels, false, Some(&would));
                    return Ok(None);
                }
                self.stats().note(Hook::ListModels, Counted::Rejection);
                let kind = FailureKind::REJECTED;
                Err(self.rejection_failure(Hook::ListModels, rejection, kind))
            }
            Err(fault) => self.list_models_faulted(&fault).map_or(Ok(None), Err),
        }
    }

    async fn run_list_models(
        &self,
        instance: &Instance,
        mut list: ModelListPayload,
    ) -> Result<(Verdict, ModelListPayload), Fault> {
        let verdict = match (self.run_mode(Hook::ListModels), self.pool()) {
            (RunMode::Blocking, Some(pool)) => {
                let living = Arc::clone(&self.living);
                let work = move || {
                    let verdict = living.instance().and_then(|it| it.on_list_models(&mut list));
                    (verdict.unwrap_or(Verdict::NOT_IMPLEMENTED), list)
                };
                let done = pool.run(limit(self, Hook::ListModels), work).await;
                return done.map_err(|error| match error {
                    PoolError::Late { .. } => Fault::late(error.to_string()),
                    _ => Fault::new(error.to_string()),
                });
            }
            (RunMode::Async, _) => match instance.on_list_models_async(&mut list) {
                Some(hook) => Some(wait(hook, limit(self, Hook::ListModels)).await?.0),
                None => None,
            },
            _ => instance.on_list_models(&mut list),
        };
        Ok((verdict.unwrap_or(Verdict::NOT_IMPLEMENTED), list))
    }

    /// Counts and logs a fault. Returns the failure of the listing under `on_error: fail`.
    fn list_models_faulted(&self, fault: &Fault) -> Option<Failure> {
        let faults = self.note_fault(Hook::ListModels, fault, iter::empty(), None);
        if self.switched_off(faults) {
            return None;
        }
        if fault.spoiled {
            self.ask_for_restart();
        }
        if self.ignores_faults() || self.is_shadow() {
            return None;
        }
        Some(Failure::callback_failed(self.name(), FailureKind::FAULT))
    }
}

/// The list after the hook, or its refusal.
fn judged(
    verdict: Verdict,
    mut list: ModelListPayload,
) -> Result<Result<ModelListPayload, plugin_api::Rejection>, Fault> {
    match (verdict, std::mem::take(&mut list.said)) {
        (Verdict::CONTINUE, _) => Ok(Ok(list)),
        (Verdict::REJECT, ListSaid::Refused(rejection)) => Ok(Err(rejection)),
        (verdict, said) => {
            let message = match said {
                ListSaid::Fault(message) => message,
                _ if verdict == Verdict::NOT_IMPLEMENTED => "has no code for it".to_owned(),
                _ => format!("returned verdict {} without its content", verdict.0),
            };
            let spoiled = verdict == Verdict::PANIC;
            Err(Fault { spoiled, ..Fault::new(message) })
        }
    }
}
