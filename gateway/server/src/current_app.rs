//! The one place where a reload takes effect: calls that begin get the app that is current then,
//! and keep it to their end.

use crate::app::App;
use arc_swap::ArcSwap;
use std::sync::Arc;

/// The app that serves the calls that begin now.
#[derive(Clone, Debug)]
pub struct CurrentApp(Arc<ArcSwap<App>>);

impl CurrentApp {
    /// Begins with `app`.
    #[must_use]
    pub fn new(app: App) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(app)))
    }

    /// The app for a call that begins now.
    #[must_use]
    pub fn load(&self) -> Arc<App> {
        self.0.load_full()
    }

    /// Lets `app` serve all calls that begin from now on.
    pub fn replace(&self, app: App) {
        self.0.store(Arc::new(app));
    }
}
