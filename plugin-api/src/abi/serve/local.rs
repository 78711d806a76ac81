//! Callbacks for the test kit: of this very binary, made and called through the same tables as a
//! loaded plugin's, or of a plugin that the gateway loaded (`callgate plugin check`).

use super::{HostAccess, HostTables, LoadedCallback};
use crate::{
    AsyncCallback, Callback, InitError,
    abi::{
        CreateArgs, HostHandle, RawCallback, View,
        shim::{create, create_async, hook},
    },
};
use abi_stable::std_types::{RResult, RString};

/// A callback made by [`LocalCallback::sync`] or [`LocalCallback::not_sync`], with its host.
pub struct LocalCallback<H: HostAccess> {
    /// Dropped first: the instance may use its host until `destroy` returns.
    callback: LoadedCallback,
    _host: HostTables<H>,
}

/// Which services a local callback finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Services {
    /// All that the host has.
    All,
    /// None but the log, as in a gateway that lends nothing.
    LogOnly,
}

impl<H: HostAccess> LocalCallback<H> {
    /// An instance of a sync callback, with all hooks in its table.
    ///
    /// # Errors
    /// What the plugin's side said: wrong settings, a refusal, a panic.
    pub fn sync<T: Callback>(
        host: HostTables<H>,
        services: Services,
        settings: &str,
    ) -> Result<Self, InitError> {
        Self::made(host, services, settings, create::<T, { hook::ALL }>)
    }

    /// As [`LocalCallback::sync`], for an async callback.
    ///
    /// # Errors
    /// As [`LocalCallback::sync`].
    pub fn not_sync<T: AsyncCallback>(
        host: HostTables<H>,
        services: Services,
        settings: &str,
    ) -> Result<Self, InitError> {
        Self::made(host, services, settings, create_async::<T, { hook::ALL }>)
    }

    /// An instance that `create` makes with this host: of a loaded plugin, not of this binary.
    ///
    /// # Errors
    /// What `create` said.
    pub fn loaded<E>(
        host: HostTables<H>,
        create: impl FnOnce(HostHandle) -> Result<LoadedCallback, E>,
    ) -> Result<Self, E> {
        let callback = create(host.handle())?;
        Ok(Self { callback, _host: host })
    }

    /// The callback.
    #[must_use]
    pub fn callback(&self) -> &LoadedCallback {
        &self.callback
    }

    fn made(
        host: HostTables<H>,
        services: Services,
        settings: &str,
        create: unsafe fn(CreateArgs) -> RResult<RawCallback, RString>,
    ) -> Result<Self, InitError> {
        let args = CreateArgs {
            callback: View::of(b"local"),
            instance: View::of(b"local"),
            settings: View::of(settings.as_bytes()),
            host: lend(&host, services),
        };
        // SAFETY: the views outlive the call; the host outlives the instance by field order.
        let made = unsafe { create(args) };
        let raw = made.into_result().map_err(|message| InitError(message.into()))?;
        // SAFETY: just made by this binary's own shim, and owned by nobody else.
        let callback = unsafe { LoadedCallback::from_raw(raw) };
        Ok(Self { callback, _host: host })
    }
}

fn lend<H: HostAccess>(host: &HostTables<H>, services: Services) -> HostHandle {
    match services {
        Services::All => host.handle(),
        Services::LogOnly => host.log_only_handle(),
    }
}
