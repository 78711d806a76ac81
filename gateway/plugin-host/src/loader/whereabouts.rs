//! A thread's note of where it is inside a plugin: written by the thread at every foreign call,
//! read by its own signal handler when the process dies (`crash_context`), and by another thread
//! when it does not come back ([`Whereabouts`]).
//!
//! A visit lives on the stack of the thread that is on it, so a reader must keep that thread from
//! leaving. It says that it reads, looks, and says that it is done; a thread that leaves takes its
//! visit off the note first and then waits for a reader, should there be one. Both sides use one
//! total order (`SeqCst`): a reader that still saw the visit has said so before the thread looked.

#![expect(unsafe_code, reason = "reads what another thread keeps alive")]

use super::crash_context::CrashContext;
use std::{
    fmt, hint,
    marker::PhantomData,
    ptr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicPtr, Ordering::SeqCst},
    },
};

/// See the module.
#[derive(Debug)]
pub(super) struct ThreadNote {
    visit: AtomicPtr<CrashContext>,
    is_read: AtomicBool,
}

thread_local! {
    /// The visit this thread is on. Without a destructor and in the program itself, so that a
    /// signal handler may read it.
    static NOTE: ThreadNote =
        const { ThreadNote { visit: AtomicPtr::new(ptr::null_mut()), is_read: AtomicBool::new(false) } };
}

/// Puts `visit` on this thread's note; what was there before is put back with [`leave`].
#[inline]
pub(super) fn enter(visit: &CrashContext) -> *const CrashContext {
    NOTE.with(|note| {
        let before = note.visit.load(std::sync::atomic::Ordering::Relaxed);
        note.visit.store(ptr::from_ref(visit).cast_mut(), std::sync::atomic::Ordering::Release);
        before.cast_const()
    })
}

/// Takes the current visit off the note. When this returns nobody reads that visit.
#[inline]
pub(super) fn leave(before: *const CrashContext) {
    NOTE.with(|note| {
        note.visit.store(before.cast_mut(), SeqCst);
        if note.is_read.load(SeqCst) {
            note.wait();
        }
    });
}

/// This thread's visit, null when it is on none.
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

/// In whose code a thread is, at what, for which call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PluginLocation {
    pub callback: String,
    /// A hook, or a step such as "its shutdown".
    pub step: String,
    /// Empty where it is for no call.
    pub call: String,
}

impl fmt::Display for PluginLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "in callback `{}`, {}", self.callback, self.step)?;
        if self.call.is_empty() { Ok(()) } else { write!(f, ", call {}", self.call) }
    }
}

/// Where a thread is, for others to ask.
#[derive(Clone, Debug)]
pub struct Whereabouts(Arc<Mutex<Option<NoteAddress>>>);

/// A thread's note. The lock around it is held while it is read, and by the thread before it ends.
#[derive(Debug)]
struct NoteAddress(*const ThreadNote);

// SAFETY: what it points to is made of atomics, and it is only followed while its thread lives, by
// the contract of `WhereaboutsGuard`.
unsafe impl Send for NoteAddress {}

/// While it lives, its thread can be asked for.
#[derive(Debug)]
pub struct WhereaboutsGuard {
    whereabouts: Whereabouts,
    /// It must be dropped by the thread that made it.
    _here: PhantomData<*const ()>,
}

impl Whereabouts {
    /// Those of no thread yet.
    pub fn unknown() -> Self {
        Self(Arc::new(Mutex::new(None)))
    }

    /// Makes them those of this thread.
    pub fn tell(&self) -> WhereaboutsGuard {
        let note = NOTE.with(ptr::from_ref);
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(NoteAddress(note));
        WhereaboutsGuard { whereabouts: self.clone(), _here: PhantomData }
    }

    /// Where the thread is now; `None` when it is in no plugin, or has ended.
    pub fn ask(&self) -> Option<PluginLocation> {
        let address = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // SAFETY: a note is a thread's own as long as the thread lives, and that waits for this
        // lock before it ends.
        let note = unsafe { &*address.as_ref()?.0 };
        note.is_read.store(true, SeqCst);
        // SAFETY: null, or a visit whose thread cannot leave it before it sees that nobody reads.
        let visit = unsafe { note.visit.load(SeqCst).as_ref() };
        // SAFETY: by the contract of `CrashContext::new` its texts live and are not changed
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
