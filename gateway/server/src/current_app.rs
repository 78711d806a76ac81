//! The one place where a reload takes effect: a new call gets the current app and keeps it to its
//! end.

use crate::app::App;
use arc_swap::ArcSwap;
use std::sync::Arc;

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

    /// Makes `app` serve all later calls.
    pub fn replace(&self, app: App) {
        self.0.store(Arc::new(app));
    }
}
