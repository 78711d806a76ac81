//! The models that the gateway lists for a caller.

use super::{EditError, edit};
use crate::{
    Flow, Hook, HookError, Rejection,
    abi::{ModelListHandle, RawRejection, Verdict, View},
};
use std::{fmt, marker::PhantomData};

/// The models of one listing: the public names of the config that the caller's key may call, with
/// the changes of the callbacks before. A hidden model is not listed, but can still be called: to
/// prevent that, reject the call in `on_llm_start`.
pub struct ModelList<'l> {
    raw: ModelListHandle,
    lent: PhantomData<&'l mut ()>,
}

// SAFETY: the handle's value is `Send`, and the host lends it to one hook at a time.
unsafe impl Send for ModelList<'_> {}
// SAFETY: as above; reads take `&self` and edits `&mut self`.
unsafe impl Sync for ModelList<'_> {}

impl ModelList<'_> {
    /// Wraps a handle.
    ///
    /// # Safety
    /// The handle must be lent to the hook that gets this alone, and live until the hook ends.
    pub(crate) unsafe fn lent(raw: ModelListHandle) -> Self {
        Self { raw, lent: PhantomData }
    }

    /// Returns the names that are listed, in the order of the config.
    pub fn models(&self) -> impl Iterator<Item = &str> {
        (0..self.count()).filter_map(|index| self.at(index))
    }

    /// Hides all names but those that `keep` accepts.
    ///
    /// # Errors
    /// None with a gateway of this version.
    pub fn retain(&mut self, mut keep: impl FnMut(&str) -> bool) -> Result<(), EditError> {
        for index in 0..self.count() {
            if self.at(index).is_some_and(|name| !keep(name)) {
                edit!(self.hide(index))?;
            }
        }
        Ok(())
    }

    /// Adds a name at the end, or shows it again. It makes no model: a call to the name needs an
    /// `on_llm_start` that answers it, or sends it to a model of the config.
    ///
    /// # Errors
    /// [`EditError::NotAllowed`] for an empty name or one with control characters,
    /// [`EditError::TooLarge`] beyond [`MODEL`](crate::limits::MODEL) bytes, or beyond
    /// [`LISTED_MODELS`](crate::limits::LISTED_MODELS) added names.
    pub fn add(&mut self, model: &str) -> Result<(), EditError> {
        edit!(self.add(View::of(model.as_bytes())))
    }

    pub(super) fn caller_fact(&self, name: &str) -> Option<&str> {
        // SAFETY: the handle lives as long as the hook, the view until the next `&mut self`.
        unsafe { (self.raw.vt.caller())(self.raw.ctx, View::of(name.as_bytes())).text() }
    }

    fn count(&self) -> usize {
        // SAFETY: the handle is alive for the hook.
        unsafe { (self.raw.vt.count())(self.raw.ctx) }
    }

    fn at(&self, index: usize) -> Option<&str> {
        // SAFETY: as in `caller_fact`.
        unsafe { (self.raw.vt.at())(self.raw.ctx, index).text() }
    }

    /// Passes the content of the result to the host.
    pub(crate) fn conclude(&mut self, outcome: Hook) -> Verdict {
        match outcome {
            Ok(Flow::Continue) => Verdict::CONTINUE,
            Ok(Flow::NotImplemented) => Verdict::NOT_IMPLEMENTED,
            Ok(Flow::Reply(_)) => self.fault("a listing cannot be answered with a reply"),
            Err(HookError::Reject(rejection)) => self.refuse(&rejection),
            Err(HookError::Internal(message)) => self.fault(&message),
        }
    }

    /// Reports a fault.
    pub(crate) fn fault(&mut self, message: &str) -> Verdict {
        // SAFETY: the handle is alive; the host copies the text.
        unsafe { (self.raw.vt.fault())(self.raw.ctx, View::of(message.as_bytes())) };
        Verdict::FAULT
    }

    fn refuse(&mut self, rejection: &Rejection) -> Verdict {
        rejection.lend(|raw: RawRejection| {
            // SAFETY: the handle is alive; the host copies all views.
            unsafe { (self.raw.vt.refuse())(self.raw.ctx, raw) };
        });
        Verdict::REJECT
    }
}

impl fmt::Debug for ModelList<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("ModelList").finish_non_exhaustive()
    }
}
