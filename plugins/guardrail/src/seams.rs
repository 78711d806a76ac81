//! The seams between the parts of a message. An upstream may join the texts, so a match that spans
//! a seam counts. (For Ollama the gateway itself joins them.)

use crate::{rule::Rule, withheld::Withheld};
use std::borrow::Cow;

/// The texts of a message's parts, joined once there are two.
#[derive(Debug, Default)]
pub(crate) struct Seams<'a> {
    first: Option<Cow<'a, str>>,
    text: String,
    places: Vec<usize>,
}

impl<'a> Seams<'a> {
    pub(crate) fn add(&mut self, text: Cow<'a, str>) {
        if text.is_empty() {
            return;
        }
        if self.text.is_empty() {
            let Some(first) = self.first.take() else {
                self.first = Some(text);
                return;
            };
            self.text.push_str(&first);
        }
        self.places.push(self.text.len());
        self.text.push_str(&text);
    }

    /// Rejects a match that spans a seam.
    pub(crate) fn judged(&self, rules: &[Rule]) -> Result<(), Withheld> {
        for rule in rules.iter().filter(|_| !self.places.is_empty()) {
            if rule.finds_over(&self.text, &self.places) {
                let why = "a match spans several parts; send its text in one part";
                return Err(rule.denial().map_or(Withheld::NotMaskable(why), Withheld::Denied));
            }
        }
        Ok(())
    }
}
