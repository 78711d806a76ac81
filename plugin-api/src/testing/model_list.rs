//! A listing of models for a callback's test.

use super::{Outcome, call::caller};
use crate::{
    EditError, Rejection,
    abi::{
        Verdict,
        serve::{Edited, ModelListAccess},
    },
    limits,
};
use serde_json::Value;
use std::collections::HashMap;

/// The models of a listing for [`Tester::list_models`](super::Tester::list_models).
#[derive(Debug, Clone, Default)]
pub struct TestModelList {
    /// Each with whether it is hidden.
    names: Vec<(String, bool)>,
    added: usize,
    caller: HashMap<String, String>,
    said: Option<Outcome>,
}

impl TestModelList {
    /// A listing of these models for a caller with the key `test`.
    #[must_use]
    pub fn of<'m>(models: impl IntoIterator<Item = &'m str>) -> Self {
        let names = models.into_iter().map(|name| (name.to_owned(), false)).collect();
        let caller = HashMap::from([("key_id".to_owned(), "test".to_owned())]);
        Self { names, caller, ..Self::default() }
    }

    /// Sets what is known of the caller, as [`TestCall::caller`](super::TestCall::caller) does, and
    /// `key_id`.
    #[must_use]
    pub fn caller(mut self, facts: &Value) -> Self {
        self.caller.extend(caller::facts(facts));
        self
    }

    /// The names that are listed now.
    #[must_use]
    pub fn models(&self) -> Vec<&str> {
        self.names.iter().filter(|(_, hidden)| !hidden).map(|(name, _)| &**name).collect()
    }

    pub(super) fn outcome(&mut self, verdict: Verdict) -> Outcome {
        let said = self.said.take();
        match (verdict, said) {
            (Verdict::CONTINUE, _) => Outcome::Continue,
            (Verdict::NOT_IMPLEMENTED, _) => Outcome::NotImplemented,
            (Verdict::REJECT, Some(said @ Outcome::Reject(_))) => said,
            (_, Some(said @ Outcome::Fault(_))) => said,
            (other, _) => {
                Outcome::Fault(format!("returned verdict {} without its content", other.0))
            }
        }
    }
}

impl ModelListAccess for TestModelList {
    fn count(&self) -> usize {
        self.names.len()
    }

    fn at(&self, index: usize) -> Option<&str> {
        self.names.get(index).filter(|(_, hidden)| !hidden).map(|(name, _)| &**name)
    }

    fn hide(&mut self, index: usize) -> Edited {
        self.names.get_mut(index).ok_or(EditError::NotFound)?.1 = true;
        Ok(())
    }

    fn add(&mut self, model: &str) -> Edited {
        if model.len() > limits::MODEL || self.added == limits::LISTED_MODELS {
            return Err(EditError::TooLarge);
        }
        if model.is_empty() || model.chars().any(char::is_control) {
            return Err(EditError::NotAllowed);
        }
        match self.names.iter_mut().find(|(name, _)| name == model) {
            Some((_, hidden)) => *hidden = false,
            None => {
                self.added += 1;
                self.names.push((model.to_owned(), false));
            }
        }
        Ok(())
    }

    fn caller(&self, name: &str) -> Option<&str> {
        self.caller.get(name).map(String::as_str)
    }

    fn refuse(&mut self, rejection: Rejection) {
        self.said = Some(Outcome::Reject(rejection));
    }

    fn fault(&mut self, message: &str) {
        self.said = Some(Outcome::Fault(message.to_owned()));
    }
}
