//! The request of `on_auth`, and the result of the hook.

use crate::{
    Auth, AuthResult, HookError, Rejection,
    abi::{AuthHandle, RawRejection, Verdict, View, ViewPair},
    auth::millis,
};
use std::{fmt, marker::PhantomData};

/// A request whose sender is asked for: the inputs that the export declares in `auth_headers`, and
/// nothing else. The gateway keeps a result for exactly these inputs, so an input that is not
/// declared is `None` here.
#[derive(Clone, Copy)]
pub struct AuthRequest<'r> {
    raw: AuthHandle,
    lent: PhantomData<&'r ()>,
}

// SAFETY: the handle's value is `Send` and is only read, until the verdict's content is passed.
unsafe impl Send for AuthRequest<'_> {}
// SAFETY: as above; every read takes `&self`.
unsafe impl Sync for AuthRequest<'_> {}

impl<'r> AuthRequest<'r> {
    /// Wraps a handle.
    ///
    /// # Safety
    /// The handle must be lent to the hook that gets this, and live for `'r`.
    pub(crate) unsafe fn lent(raw: AuthHandle) -> Self {
        Self { raw, lent: PhantomData }
    }

    /// Returns the first value of a header, if it is text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&'r str> {
        let name = name.to_ascii_lowercase();
        // SAFETY: the handle and its values live for `'r`.
        unsafe { (self.raw.vt.input())(self.raw.ctx, View::of(name.as_bytes())).text() }
    }

    /// Returns all values of the declared inputs that are text, in the order of the export.
    pub fn headers(&self) -> impl Iterator<Item = (&'r str, &'r str)> + use<'r> {
        let raw = self.raw;
        // SAFETY: as in `header`.
        let count = unsafe { (raw.vt.input_count())(raw.ctx) };
        (0..count).filter_map(move |index| {
            // SAFETY: as in `header`.
            let ViewPair { name, value } = unsafe { (raw.vt.input_at())(raw.ctx, index) };
            // SAFETY: as in `header`.
            Some(unsafe { (name.text()?, value.text()?) })
        })
    }

    /// Returns the token of `Authorization: Bearer TOKEN`, in any case of the scheme.
    #[must_use]
    pub fn bearer_token(&self) -> Option<&'r str> {
        let (scheme, token) = self.header("authorization")?.split_once(' ')?;
        let token = token.trim();
        (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
    }

    /// Returns the method, if the export declares `:method`.
    #[must_use]
    pub fn method(&self) -> Option<&'r str> {
        self.header(":method")
    }

    /// Returns the path without the query, if the export declares `:path`.
    #[must_use]
    pub fn path(&self) -> Option<&'r str> {
        self.header(":path")
    }

    /// Returns the client's address, if the export declares `:client_address`.
    #[must_use]
    pub fn client_address(&self) -> Option<&'r str> {
        self.header(":client_address")
    }

    /// Passes the content of the result to the host.
    pub(crate) fn conclude(&self, outcome: AuthResult) -> Verdict {
        match outcome {
            Ok(Auth::Pass) => Verdict::CONTINUE,
            Ok(Auth::NotImplemented) => Verdict::NOT_IMPLEMENTED,
            Ok(Auth::Caller(caller)) => match serde_json::to_string(&caller) {
                Ok(json) => {
                    // SAFETY: the handle is alive; the host copies the text.
                    unsafe { (self.raw.vt.caller())(self.raw.ctx, View::of(json.as_bytes())) };
                    Verdict::REPLY
                }
                Err(error) => self.fault(&error.to_string()),
            },
            Ok(Auth::Refuse(rejection, keep_for)) => self.refuse(&rejection, millis(keep_for)),
            Err(HookError::Reject(rejection)) => self.refuse(&rejection, 0),
            Err(HookError::Internal(message)) => self.fault(&message),
        }
    }

    /// Reports a fault.
    pub(crate) fn fault(&self, message: &str) -> Verdict {
        // SAFETY: the handle is alive; the host copies the text.
        unsafe { (self.raw.vt.fault())(self.raw.ctx, View::of(message.as_bytes())) };
        Verdict::FAULT
    }

    fn refuse(&self, rejection: &Rejection, keep_ms: u64) -> Verdict {
        rejection.lend(|raw: RawRejection| {
            // SAFETY: the handle is alive; the host copies all views.
            unsafe { (self.raw.vt.refuse())(self.raw.ctx, raw, keep_ms) };
        });
        Verdict::REJECT
    }
}

impl fmt::Debug for AuthRequest<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("AuthRequest").finish_non_exhaustive()
    }
}
