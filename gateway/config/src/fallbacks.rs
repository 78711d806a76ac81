//! `fallbacks` and `default_fallbacks`, which occur in both `litellm_settings` and
//! `router_settings`.

use super::reader::Reader;
use super::section::Section;

/// Model names to try after another one has failed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fallbacks {
    /// By model name, in the order of the file.
    pub by_model: Vec<(String, Vec<String>)>,
    /// For every model without its own entry.
    pub default: Vec<String>,
}

/// Takes both keys out of `section`.
pub(super) fn take(reader: &mut Reader<'_>, section: &mut Section<'_>) -> Fallbacks {
    let mut fallbacks = Fallbacks::default();
    if let Some(field) = section.take("fallbacks") {
        for item in reader.list(&field) {
            let Some(item) = reader.section(&item) else { continue };
            for (model, names) in item.members() {
                fallbacks.by_model.push((model.to_owned(), reader.texts(&names)));
            }
        }
    }
    if let Some(field) = section.take("default_fallbacks") {
        fallbacks.default = reader.texts(&field);
    }
    for key in ["fallbacks", "default_fallbacks"] {
        section.not_yet(reader, key);
    }
    fallbacks
}
