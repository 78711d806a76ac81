//! The mock host's entry: the only one of its list.

use crate::abi::serve::EntryService;
use std::sync::{Mutex, MutexGuard, PoisonError};

#[derive(Default)]
pub(super) struct MockEntry(Mutex<State>);

#[derive(Default)]
struct State {
    models: Option<Vec<String>>,
    state_dir: Option<String>,
}

impl MockEntry {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn set_models(&self, names: &[&str]) {
        self.state().models = Some(names.iter().map(|&name| name.to_owned()).collect());
    }

    pub(super) fn set_state_dir(&self, folder: String) {
        self.state().state_dir = Some(folder);
    }
}

impl EntryService for MockEntry {
    fn name(&self) -> &'static str {
        "callback"
    }

    fn instance(&self) -> &'static str {
        "callback"
    }

    fn position(&self) -> Option<usize> {
        Some(0)
    }

    fn has_model(&self, name: &str) -> Option<bool> {
        let is = |known: &String| match known.split_once('*') {
            Some((before, after)) => {
                name.strip_prefix(before).is_some_and(|rest| rest.ends_with(after))
            }
            None => known == name,
        };
        self.state().models.as_ref().map(|models| models.iter().any(is))
    }

    fn models(&self) -> Option<Vec<String>> {
        self.state().models.clone()
    }

    fn state_dir(&self) -> Option<String> {
        self.state().state_dir.clone()
    }
}
