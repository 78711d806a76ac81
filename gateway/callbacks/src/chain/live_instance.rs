//! An instance in a chain, and how it ends.

use callgate_plugin_host::Instance;
use std::{
    io,
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

/// An instance in a chain, if there is one.
#[derive(Debug)]
pub(super) struct LiveInstance {
    instance: Option<Instance>,
    /// It panicked.
    pub(super) spoiled: AtomicBool,
    /// Another instance has replaced it, so it is dropped while the gateway serves.
    pub(super) replaced: AtomicBool,
}

impl LiveInstance {
    pub(super) fn new(instance: Option<Instance>) -> Self {
        Self { instance, spoiled: AtomicBool::new(false), replaced: AtomicBool::new(false) }
    }

    /// `None` if it could not be restarted.
    pub(super) fn instance(&self) -> Option<&Instance> {
        self.instance.as_ref()
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

/// Drops a replaced instance on another thread: its last call ends on a thread that serves others.
impl Drop for LiveInstance {
    fn drop(&mut self) {
        let instance = self.instance.take();
        if instance.is_some() && *self.replaced.get_mut() {
            // Without a thread it is dropped here, which is better than never.
            let _ = in_background(move || drop(instance));
        }
    }
}

pub(super) fn in_background(work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    thread::Builder::new().name("callback-renewal".to_owned()).spawn(work).map(drop)
}
