//! The metadata that callbacks share along the chain. Clones of a call share it until one changes
//! it. Names are looked up in one step, so that many names do not cost quadratic time.

use plugin_api::{EditError, limits};
use std::{collections::HashMap, sync::Arc};

/// Names and values, in the order in which they were first set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Metadata(Option<Arc<Kept>>);

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Kept {
    entries: Vec<(Arc<str>, Arc<str>)>,
    places: HashMap<Arc<str>, usize>,
    bytes: usize,
}

impl Metadata {
    pub(super) fn get(&self, key: &str) -> Option<&str> {
        let kept = self.0.as_ref()?;
        kept.entries.get(*kept.places.get(key)?).map(|(_, value)| &**value)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().flat_map(|kept| &kept.entries).map(|(name, value)| (&**name, &**value))
    }

    pub(super) fn set(&mut self, key: &str, value: &str) -> Result<(), EditError> {
        let bytes = self.0.as_ref().map_or(0, |kept| kept.bytes);
        let before = self.get(key).map_or(0, |before| key.len() + before.len());
        let bytes = bytes - before + key.len() + value.len();
        if bytes > limits::METADATA {
            return Err(EditError::TooLarge);
        }
        let kept = Arc::make_mut(self.0.get_or_insert_default());
        kept.bytes = bytes;
        match kept.places.get(key) {
            Some(place) => {
                if let Some((_, slot)) = kept.entries.get_mut(*place) {
                    *slot = value.into();
                }
            }
            None => {
                let key: Arc<str> = key.into();
                kept.places.insert(Arc::clone(&key), kept.entries.len());
                kept.entries.push((key, value.into()));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_value_counts_within_the_bound_and_a_clone_keeps_its_own() {
        let mut metadata = Metadata::default();
        metadata.set("a", "1").unwrap();
        metadata.set("b", "2").unwrap();
        let before = metadata.clone();
        metadata.set("a", "3").unwrap();
        assert_eq!(metadata.iter().collect::<Vec<_>>(), [("a", "3"), ("b", "2")]);
        assert_eq!(before.get("a"), Some("1"));
        let room = limits::METADATA - 4;
        assert_eq!(metadata.set("c", &"x".repeat(room)), Err(EditError::TooLarge));
        metadata.set("c", &"x".repeat(room - 1)).unwrap();
        metadata.set("c", "").unwrap();
        assert_eq!(metadata.get("c"), Some(""));
        assert_eq!(metadata.get("d"), None);
    }
}
