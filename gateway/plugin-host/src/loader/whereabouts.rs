//! A thread's note of its position inside a plugin. The thread writes it at every call into a
//! plugin; its own signal handler reads it when the process dies (`crash_signals`), and another
//! thread when it is stuck ([`Whereabouts`]).
//!
//! A context lives on its thread's stack, so a reader must keep the thread from leaving. The reader
//! announces itself, reads, and signs off; a leaving thread first takes its context off the note,
//! then waits for any reader. Both sides use one total order (`SeqCst`): a reader that still saw
//! the context has announced itself before the thread checked.

#![expect(unsafe_code, reason = "reads what another thread keeps alive")]

use super::crash_context::CrashContext;
use std::{
    fmt, hint,
    marker::PhantomData,
    ptr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicPtr, Ordering::SeqCst, compiler_fence},
    },
};

/// The note of one thread.
#[derive(Debug)]
pub(super) struct ThreadNote {
    visit: AtomicPtr<CrashContext>,
    is_read: AtomicBool,
}

thread_local! {
    /// This thread's current context. It has no destructor and is part of the program itself, so
    /// that a signal handler may read it.
    static NOTE: ThreadNote =
        const { ThreadNote { visit: AtomicPtr::new(ptr::null_mut()), is_read: AtomicBool::new(false) } };
}

impl CrashContext {
    /// Runs `work`. If the process dies or `work` hangs meanwhile, the thread's position is known.
    /// Costs two stores.
    #[inline]
    pub(super) fn enter<R>(&self, work: impl FnOnce() -> R) -> R {
        let _leave = Leave(enter(self));
        compiler_fence(SeqCst);
        work()
    }
}

/// Restores the thread's earlier position, also if `work` panics.
struct Leave(*const CrashContext);

impl Drop for Leave {
    #[inline]
    fn drop(&mut self) {
        compiler_fence(SeqCst);
        leave(self.0);
    }
}

/// Puts `visit` on this thread's note and returns the earlier one, which [`leave`] restores.
#[inline]
fn enter(visit: &CrashContext) -> *const CrashContext {
    NOTE.with(|note| {
        let before = note.visit.load(std::sync::atomic::Ordering::Relaxed);
        note.visit.store(ptr::from_ref(visit).cast_mut(), std::sync::atomic::Ordering::Release);
        before.cast_const()
    })
}

/// Takes the current context off the note. After the return nobody reads it.
#[inline]
fn leave(before: *const CrashContext) {
    NOTE.with(|note| {
        note.visit.store(before.cast_mut(), SeqCst);
        if note.is_read.load(SeqCst) {
            note.wait();
        }
    });
}

/// This thread's context; null outside of plugins.
pub(super) fn current() -> *const CrashContext {
    NOTE.with(|note| note.visit.load(std::sync::atomic::Ordering::Relaxed)).cast_const()
}

impl ThreadNote {
    #[cold]
    fn wait(&self) {
        while self.is_read.load(SeqCst) {
            hint::spin_loop();
        }
    }
}

/// The position of a thread: the callback, the step, and the call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PluginLocation {
    pub callback: String,
    /// A hook, or a step such as "its shutdown".
    pub step: String,
    /// Empty if it is not for a call.
    pub call: String,
}

impl fmt::Display for PluginLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "in callback `{}`, {}", self.callback, self.step)?;
        if self.call.is_empty() { Ok(()) } else { write!(f, ", call {}", self.call) }
    }
}

/// A thread's position, for other threads to read.
#[derive(Clone, Debug)]
pub struct Whereabouts(Arc<Mutex<Option<NoteAddress>>>);

/// The address of a thread's note. Its lock is held while it is read, and taken by the thread
/// before it ends.
#[derive(Debug)]
struct NoteAddress(*const ThreadNote);

// SAFETY: it points to atomics, and is only dereferenced while its thread lives, by the contract of
// `WhereaboutsGuard`.
unsafe impl Send for NoteAddress {}

/// While it lives, its thread's position can be read.
#[derive(Debug)]
pub struct WhereaboutsGuard {
    whereabouts: Whereabouts,
    /// It must be dropped by the thread that created it.
    _here: PhantomData<*const ()>,
}

impl Whereabouts {
    /// Not yet assigned to a thread.
    pub fn unknown() -> Self {
        Self(Arc::new(Mutex::new(None)))
    }

    /// Assigns it to this thread.
    pub fn tell(&self) -> WhereaboutsGuard {
        let note = NOTE.with(ptr::from_ref);
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(NoteAddress(note));
        WhereaboutsGuard { whereabouts: self.clone(), _here: PhantomData }
    }

    /// The thread's current position; `None` if it is in no plugin, or has ended.
    pub fn ask(&self) -> Option<PluginLocation> {
        let address = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // SAFETY: a note lives as long as its thread, which takes this lock before it ends.
        let note = unsafe { &*address.as_ref()?.0 };
        note.is_read.store(true, SeqCst);
        // SAFETY: null, or a context that its thread cannot leave while it is being read.
        let visit = unsafe { note.visit.load(SeqCst).as_ref() };
        // SAFETY: by the contract of `CrashContext::new` its texts live and do not change
        // meanwhile.
        let place = visit.map(|visit| unsafe { visit.texts() }).map(|(callback, step, call)| {
            PluginLocation {
                callback: callback.to_owned(),
                step: step.to_owned(),
                call: call.to_owned(),
            }
        });
        note.is_read.store(false, SeqCst);
        place
    }
}

impl Drop for WhereaboutsGuard {
    fn drop(&mut self) {
        *self.whereabouts.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{sync::mpsc, thread};

    #[test]
    fn a_thread_can_be_asked_where_it_is() {
        let whereabouts = Whereabouts::unknown();
        assert_eq!(whereabouts.ask(), None);
        let (child, is_inside) = mpsc::channel();
        let (go_on, may_go_on) = mpsc::channel::<()>();
        let there = whereabouts.clone();
        let thread = thread::spawn(move || {
            let _told = there.tell();
            // SAFETY: constants.
            let visit = unsafe { CrashContext::new("slow", "on_llm_start", "call-1") };
            visit.enter(|| {
                child.send(()).unwrap();
                may_go_on.recv().unwrap();
            });
            child.send(()).unwrap();
            may_go_on.recv().unwrap();
        });
        is_inside.recv().unwrap();
        let place = whereabouts.ask().unwrap();
        assert_eq!(place.to_string(), "in callback `slow`, on_llm_start, call call-1");
        go_on.send(()).unwrap();
        is_inside.recv().unwrap();
        assert_eq!(whereabouts.ask(), None, "it is outside");
        go_on.send(()).unwrap();
        thread.join().unwrap();
        assert_eq!(whereabouts.ask(), None, "it has ended");
    }

    #[test]
    fn a_visit_outlives_whoever_reads_it() {
        let whereabouts = Whereabouts::unknown();
        let (there, stop) = (whereabouts.clone(), Arc::new(AtomicBool::new(false)));
        let stopped = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            let _told = there.tell();
            let mut visits = 0_u32;
            while !stopped.load(SeqCst) {
                let call = format!("call-{visits}");
                // SAFETY: `call` outlives the visit, and is freed right after it.
                let visit = unsafe { CrashContext::new("quick", "on_llm_end", &call) };
                visit.enter(|| visits += 1);
                drop(call);
            }
        });
        for _ in 0..20_000 {
            if let Some(place) = whereabouts.ask() {
                assert_eq!((&*place.callback, &*place.step), ("quick", "on_llm_end"));
                assert!(place.call.starts_with("call-"), "{place}");
            }
        }
        stop.store(true, SeqCst);
        thread.join().unwrap();
    }
}
