//! Odd listings for `on_list_models`.

use crate::testing::{Outcome, TestModelList, Tester};
use serde_json::json;

/// The outcomes of `on_list_models` on odd listings.
pub(super) fn lists(tester: &Tester) -> Vec<Outcome> {
    let many: Vec<_> = (0..1000).map(|number| format!("model-{number}")).collect();
    let listings = [
        TestModelList::default(),
        TestModelList::of(["gpt", "GPT", "a/b:c", "né👩‍👩‍👧", "*", "groq/*"]),
        TestModelList::of(many.iter().map(String::as_str))
            .caller(&json!({"team": "blue", "tags": ["a", ""], "metadata": {"": "x"}})),
    ];
    let _ = tester.list_models_then_leave(&mut listings[1].clone());
    listings.into_iter().map(|mut list| tester.list_models(&mut list)).collect()
}
