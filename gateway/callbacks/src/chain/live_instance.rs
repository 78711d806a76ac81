//! An instance in a chain, and how it ends.

use super::{auth_cache::AuthCache, ending::Endings};
use callgate_plugin_host::Instance;
use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicBool, Ordering},
};

/// An instance in a chain, if there is one.
#[derive(Debug)]
pub(super) struct LiveInstance {
    instance: Option<Instance>,
    /// It panicked.
    pub(super) spoiled: AtomicBool,
    /// Another instance has replaced it, so it ends while the gateway serves.
    pub(super) replaced: AtomicBool,
    /// The results of its `on_auth`.
    auth: OnceLock<Box<AuthCache>>,
    endings: Arc<Endings>,
}

impl LiveInstance {
    pub(super) fn new(instance: Option<Instance>, endings: &Arc<Endings>) -> Self {
        Self {
            instance,
            spoiled: AtomicBool::new(false),
            replaced: AtomicBool::new(false),
            auth: OnceLock::new(),
            endings: Arc::clone(endings),
        }
    }

    /// `None` if it could not be restarted.
    pub(super) fn instance(&self) -> Option<&Instance> {
        self.instance.as_ref()
    }

    pub(super) fn auth_cache(&self) -> &AuthCache {
        self.auth.get_or_init(|| Box::new(AuthCache::new()))
    }

    pub(super) fn shutdown(&self) {
        if let Some(instance) = &self.instance {
            instance.shutdown();
        }
    }

    /// Excludes it from further calls. It ends after the last call that has it.
    pub(super) fn retire(&self) {
        self.replaced.store(true, Ordering::SeqCst);
    }
}

/// Ends a replaced instance on another thread: its last call ends on a thread that serves others.
impl Drop for LiveInstance {
    fn drop(&mut self) {
        if *self.replaced.get_mut()
            && let Some(instance) = self.instance.take()
        {
            self.endings.end(instance);
        }
    }
}
