//! The models of a listing as `on_list_models` sees and changes them.

use callgate_call::Caller;
use plugin_api::{
    EditError, Rejection,
    abi::serve::{Edited, ModelListAccess},
    limits,
};
use std::sync::Arc;

/// The names of a listing, and who asks for it.
#[derive(Clone, Debug)]
pub(crate) struct ModelListPayload {
    /// `None` for a hidden one. The first `of_config` are the config's.
    names: Vec<Option<Arc<str>>>,
    of_config: usize,
    caller: Arc<Caller>,
    pub(crate) said: ListSaid,
}

/// What a hook says with its verdict.
#[derive(Clone, Debug, Default)]
pub(crate) enum ListSaid {
    #[default]
    Nothing,
    Refused(Rejection),
    Fault(String),
}

impl ModelListPayload {
    pub(crate) fn new(names: impl IntoIterator<Item = Arc<str>>, caller: Arc<Caller>) -> Self {
        let names: Vec<_> = names.into_iter().map(Some).collect();
        Self { of_config: names.len(), names, caller, said: ListSaid::Nothing }
    }

    /// Whether a hook listed other names than `before`.
    pub(crate) fn differs(&self, before: &Self) -> bool {
        self.names != before.names
    }

    /// The names that are listed.
    pub(crate) fn into_names(self) -> Vec<Arc<str>> {
        self.names.into_iter().flatten().collect()
    }
}

/// A listing of one model.
pub(crate) fn sample() -> ModelListPayload {
    ModelListPayload::new(["sample".into()], Arc::new(Caller::with_key_id("sample")))
}

impl ModelListAccess for ModelListPayload {
    fn count(&self) -> usize {
        self.names.len()
    }

    fn at(&self, index: usize) -> Option<&str> {
        self.names.get(index)?.as_deref()
    }

    fn hide(&mut self, index: usize) -> Edited {
        *self.names.get_mut(index).ok_or(EditError::NotFound)? = None;
        Ok(())
    }

    fn add(&mut self, model: &str) -> Edited {
        if model.len() > limits::MODEL {
            return Err(EditError::TooLarge);
        }
        if model.is_empty() || model.chars().any(char::is_control) {
            return Err(EditError::NotAllowed);
        }
        if self.names.iter().flatten().any(|name| **name == *model) {
            return Ok(());
        }
        if self.names.len() - self.of_config == limits::LISTED_MODELS {
            return Err(EditError::TooLarge);
        }
        self.names.push(Some(model.into()));
        Ok(())
    }

    fn caller(&self, name: &str) -> Option<&str> {
        match name {
            "key_id" => Some(&self.caller.key_id),
            _ => self.caller.fact(name),
        }
    }

    fn refuse(&mut self, rejection: Rejection) {
        self.said = ListSaid::Refused(rejection);
    }

    fn fault(&mut self, message: &str) {
        self.said = ListSaid::Fault(message.to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_hidden_and_added_within_the_limits() {
        let mut list = sample();
        assert_eq!(
            (list.hide(1), list.hide(0), list.at(0)),
            (Err(EditError::NotFound), Ok(()), None)
        );
        assert_eq!((list.add("own"), list.add("own"), list.count()), (Ok(()), Ok(()), 2));
        assert_eq!(list.add("sample"), Ok(()));
        for (name, error) in [("", EditError::NotAllowed), ("a\nb", EditError::NotAllowed)] {
            assert_eq!(list.add(name), Err(error), "{name:?}");
        }
        assert_eq!(list.add(&"a".repeat(limits::MODEL + 1)), Err(EditError::TooLarge));
        for number in 2..limits::LISTED_MODELS {
            list.add(&number.to_string()).unwrap();
        }
        assert_eq!((list.add("one more"), list.add("own")), (Err(EditError::TooLarge), Ok(())));
        assert_eq!(list.caller("key_id"), Some("sample"));
        assert_eq!(list.into_names()[..2], [Arc::from("own"), "sample".into()]);
    }
}
