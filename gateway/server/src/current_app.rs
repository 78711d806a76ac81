//! The one place where a reload takes effect: a new call gets the current app and keeps it to its
//! end.

use crate::app::App;
use arc_swap::ArcSwap;
use std::sync::{Arc, Weak};

/// The app for new calls.
#[derive(Clone, Debug)]
pub struct CurrentApp(Arc<ArcSwap<App>>);

impl CurrentApp {
    /// Starts with `app`.
    #[must_use]
    pub fn new(app: App) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(app)))
    }

    /// The app for a new call.
    #[must_use]
    pub fn load(&self) -> Arc<App> {
        self.0.load_full()
    }

    /// A reference that does not keep the app alive. The callbacks end with the server, even while
    /// the reload thread still holds this.
    #[must_use]
    pub fn downgrade(&self) -> WeakCurrentApp {
        WeakCurrentApp(Arc::downgrade(&self.0))
    }

    /// Makes `app` serve all later calls.
    pub fn replace(&self, app: App) {
        self.0.store(Arc::new(app));
    }
}

/// A [`CurrentApp`] that may have ended.
#[derive(Clone, Debug)]
pub struct WeakCurrentApp(Weak<ArcSwap<App>>);

impl WeakCurrentApp {
    /// The current app; `None` once the server has ended.
    #[must_use]
    pub fn upgrade(&self) -> Option<CurrentApp> {
        self.0.upgrade().map(CurrentApp)
    }
}
