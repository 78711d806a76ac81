//! What a thread is doing inside a plugin, so that a crash can be attributed.
//!
//! Native code cannot be contained: a crash in a hook ends the gateway. But the cause need not stay
//! unknown. A thread that enters a plugin leaves a note (`whereabouts`), and when a signal or an
//! `exit` ends the process, `crash_signals` writes it down.
//!
//! `instance` and `library` leave the notes.

#![expect(unsafe_code, reason = "reads what another thread keeps alive")]

/// The position of a thread: the callback, the step, and the call.
#[derive(Debug)]
pub(super) struct CrashContext {
    callback: *const str,
    place: *const str,
    call: *const str,
}

// SAFETY: the pointers are read only while a thread is in `enter`, and by the contract of
// `CrashContext::new` their texts live that long.
unsafe impl Send for CrashContext {}

impl CrashContext {
    /// # Safety
    /// The three texts must live, and must not move or change, while a thread is in
    /// [`enter`](Self::enter): another thread may read them.
    pub(super) unsafe fn new(callback: &str, place: &'static str, call: &str) -> Self {
        Self { callback, place, call }
    }

    /// Callback, place and call.
    ///
    /// # Safety
    /// Its thread has entered it and is still inside.
    pub(super) unsafe fn texts(&self) -> (&str, &str, &str) {
        // SAFETY: by the contract of `CrashContext::new`.
        unsafe { (&*self.callback, &*self.place, &*self.call) }
    }
}
