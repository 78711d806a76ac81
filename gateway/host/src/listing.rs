//! What a config lists and a callback may ask for: the names of its models, and the places of its
//! callbacks. Each config has its own [`Listing`]; a reload replaces the current one.

use arc_swap::ArcSwap;
use callgate_config::CallbackEntry;
use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

/// The model names of a config.
pub trait ModelNames: Send + Sync {
    /// Whether a call for this name finds a deployment.
    fn has(&self, name: &str) -> bool;
    /// The public names, and the wildcards as written.
    fn listed(&self) -> Vec<String>;
}

/// The models and callbacks of one config. The default knows none.
#[derive(Default)]
pub struct Listing {
    /// Greater in each later one; 0 for the default.
    generation: u64,
    pub(super) models: Option<Box<dyn ModelNames>>,
    positions: BTreeMap<String, usize>,
}

impl Listing {
    #[must_use]
    pub fn new(models: impl ModelNames + 'static, entries: &[CallbackEntry]) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let position = |entry: &CallbackEntry| (entry.called().to_owned(), entry.position);
        Self {
            generation: NEXT.fetch_add(1, Relaxed),
            models: Some(Box::new(models)),
            positions: entries.iter().map(position).collect(),
        }
    }

    pub(super) fn position(&self, entry: &str) -> Option<usize> {
        self.positions.get(entry).copied()
    }
}

/// The listing as one instance sees it: that of the served config, or, while a reload creates the
/// instance, that of the config it is created for.
pub(super) struct ListingView {
    pub(super) served: Arc<ArcSwap<Listing>>,
    pub(super) own: Arc<Listing>,
}

impl ListingView {
    pub(super) fn get(&self) -> Arc<Listing> {
        let served = self.served.load_full();
        if served.generation >= self.own.generation { served } else { Arc::clone(&self.own) }
    }
}

impl fmt::Debug for Listing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listing").field("generation", &self.generation).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Only(&'static str);

    impl ModelNames for Only {
        fn has(&self, name: &str) -> bool {
            name == self.0
        }

        fn listed(&self) -> Vec<String> {
            vec![self.0.to_owned()]
        }
    }

    #[test]
    fn an_instance_sees_its_own_config_until_a_later_one_is_served() {
        let listing = |name| Arc::new(Listing::new(Only(name), &[]));
        let served = Arc::new(ArcSwap::new(listing("first")));
        let view = |own| ListingView { served: Arc::clone(&served), own };
        let kept = view(served.load_full());
        let sees = |view: &ListingView| view.get().models.as_ref().map(|it| it.listed().concat());
        // A reload that is refused, then one that succeeds.
        drop(view(listing("refused")));
        let next = listing("next");
        let created = view(Arc::clone(&next));
        assert_eq!(
            (sees(&kept).as_deref(), sees(&created).as_deref()),
            (Some("first"), Some("next"))
        );
        served.store(next);
        served.store(listing("last"));
        assert_eq!((sees(&kept), sees(&created)), (Some("last".into()), Some("last".into())));
    }
}
