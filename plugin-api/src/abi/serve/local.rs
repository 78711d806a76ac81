//! Callbacks for the test kit, called through the same tables as a loaded plugin's. They come from
//! this binary, or from a plugin that the gateway loaded (`callgate plugin check`).

use super::{HostAccess, HostTables, LoadedCallback};
use crate::{
    AsyncCallback, Callback, InitError,
    abi::{
        CreateArgs, HostHandle, RawCallback, View,
        shim::{create, create_async, hook},
    },
};
use abi_stable::std_types::{RResult, RString};

/// A callback with its host.
pub struct LocalCallback<H: HostAccess> {
    /// Dropped first, because the instance may use its host until `destroy` returns.
    callback: LoadedCallback,
    _host: HostTables<H>,
}

/// The services that a local callback gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Services {
    /// All services of the host.
    All,
    /// Only the log.
    LogOnly,
}

impl<H: HostAccess> LocalCallback<H> {
    /// Makes an instance of a sync callback, with all hooks in its table.
    ///
    /// # Errors
    /// Returns the error of the plugin's side: wrong settings, an [`InitError`], or a panic.
    pub fn sync<T: Callback>(
        host: HostTables<H>,
        services: Services,
        settings: &str,
    ) -> Result<Self, InitError> {
        Self::made(host, services, settings, create::<T, { hook::ALL }>)
    }

    /// Makes an instance of an async callback. See [`LocalCallback::sync`].
    ///
    /// # Errors
    /// See [`LocalCallback::sync`].
    pub fn not_sync<T: AsyncCallback>(
        host: HostTables<H>,
        services: Services,
        settings: &str,
    ) -> Result<Self, InitError> {
        Self::made(host, services, settings, create_async::<T, { hook::ALL }>)
    }

    /// Takes an instance of a loaded plugin, which `create` makes with this host.
    ///
    /// # Errors
    /// Returns the error of `create`.
    pub fn loaded<E>(
        host: HostTables<H>,
        create: impl FnOnce(HostHandle) -> Result<LoadedCallback, E>,
    ) -> Result<Self, E> {
        let callback = create(host.handle())?;
        Ok(Self { callback, _host: host })
    }

    /// Returns the callback.
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
        // SAFETY: the views outlive the call. The host outlives the instance, because fields drop
        // in order.
        let made = unsafe { create(args) };
        let raw = made.into_result().map_err(|message| InitError(message.into()))?;
        // SAFETY: this binary's own shim just made it, and nobody else owns it.
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
