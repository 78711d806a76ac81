//! Callbacks that change the lists of models.
//!
//! ```yaml
//! callbacks:
//!   - name: lister
//!     settings:
//!       teams: {blue: [gpt]}     # what a team sees; others see all
//!       add: [own]
//!       then: continue           # or reject, fail, panic, never (async only), block
//! ```

use plugin_api::{
    AsyncCallback, Callback, Flow, Hook, HookError, Host, InitError, ModelList, Rejection,
};
use serde::Deserialize;
use std::{collections::HashMap, future::pending, thread, time::Duration};

/// See the module's documentation.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    teams: HashMap<String, Vec<String>>,
    add: Vec<String>,
    then: Then,
}

#[derive(Debug, Default, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Then {
    #[default]
    Continue,
    Reject,
    Fail,
    Panic,
    Never,
    Block,
}

impl Settings {
    #[expect(clippy::panic, reason = "that is what it is for")]
    fn list(&self, list: &mut ModelList<'_>) -> Hook {
        let seen = list.caller().team().and_then(|team| self.teams.get(team));
        if let Some(seen) = seen {
            list.retain(|model| seen.iter().any(|it| it == model))?;
        }
        for model in &self.add {
            list.add(model)?;
        }
        match self.then {
            Then::Continue | Then::Never => Ok(Flow::Continue),
            Then::Reject => Err(Rejection::new(403, "no list for you").into()),
            Then::Fail => Err(HookError::Internal("no directory".to_owned())),
            Then::Panic => panic!("oops"),
            Then::Block => {
                thread::sleep(Duration::from_secs(1));
                Ok(Flow::Continue)
            }
        }
    }
}

/// Changes lists at once.
#[derive(Debug)]
pub struct Lister(Settings);

impl Callback for Lister {
    type Settings = Settings;

    fn new(_: Host, settings: Settings) -> Result<Self, InitError> {
        Ok(Self(settings))
    }

    fn on_list_models(&self, list: &mut ModelList<'_>) -> Hook {
        self.0.list(list)
    }
}

/// The same as a future.
#[derive(Debug)]
pub struct ListerAsync(Settings);

impl AsyncCallback for ListerAsync {
    type Settings = Settings;

    fn new(_: Host, settings: Settings) -> Result<Self, InitError> {
        Ok(Self(settings))
    }

    async fn on_list_models(&self, list: &mut ModelList<'_>) -> Hook {
        if matches!(self.0.then, Then::Never) {
            pending::<()>().await;
        }
        self.0.list(list)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use plugin_api::testing::{Outcome, TestModelList, Tester, conformance};
    use serde_json::json;

    #[test]
    fn lists_are_changed_by_the_caller() {
        let settings = json!({"teams": {"blue": ["gpt"]}, "add": ["own"]});
        let sync = Tester::of::<Lister>(settings.clone()).unwrap();
        let waits = Tester::of_async::<ListerAsync>(settings.clone()).unwrap();
        for tester in [sync, waits] {
            let mut list = TestModelList::of(["gpt", "gemma"]);
            let mut blue = list.clone().caller(&json!({"team": "blue"}));
            assert_eq!(tester.list_models(&mut list), Outcome::Continue);
            assert_eq!(list.models(), ["gpt", "gemma", "own"]);
            assert_eq!(tester.list_models(&mut blue), Outcome::Continue);
            assert_eq!(blue.models(), ["gpt", "own"]);
        }
        assert_eq!(conformance::check::<Lister>(&settings).unwrap(), ["on_list_models"]);
        assert_eq!(conformance::check_async::<ListerAsync>(&settings).unwrap(), ["on_list_models"]);
    }
}
