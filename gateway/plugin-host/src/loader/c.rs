//! Loads a plugin in C: checks its table, then turns it into the tables of all other callbacks,
//! after which there is no difference.
//!
//! The layout of a C table has no description to compare, unlike that of others. The version, the
//! table's size, the pointers and the manifest can be checked.

#![expect(unsafe_code, reason = "reads a plugin's table and calls its constructor")]

use super::library_error::LibraryError;
use crate::inspect::Inspected;
use abi_stable::prefix_type::PrefixTypeTrait;
use plugin_api::abi::{
    ApiVersion, CCreateArgs, CHost, CPlugin, CRoot, CallbackVt, CallbackVtRef, CreateArgs,
    RawCallback, View, serve::majors_match,
};
use std::{
    mem::{MaybeUninit, offset_of},
    ptr,
};

/// The parts of a plugin's table that are used.
pub(super) struct CTables {
    create: unsafe extern "C" fn(*const CCreateArgs, *mut *mut ()) -> u32,
    /// With the hooks that the manifest lists.
    listed: CallbackVtRef,
    /// With all hooks it has.
    all: CallbackVtRef,
}

impl CTables {
    /// Asks the plugin for its table.
    ///
    /// # Safety
    /// `root` is the symbol of a library that is never unloaded.
    pub(super) unsafe fn of(root: CRoot, inspected: &Inspected) -> Result<Self, LibraryError> {
        let bad = |found: String| LibraryError::CTable { ours: ApiVersion::CURRENT, found };
        // SAFETY: a symbol of this name has this type; the table is never moved or freed.
        let table = unsafe { checked(root()) }.map_err(bad)?;
        let absent = |name: &str| bad(format!("one without `{name}`"));
        let manifest = table.manifest.ok_or_else(|| absent("manifest"))?;
        let create = table.create.ok_or_else(|| absent("create"))?;
        let destroy = table.destroy.ok_or_else(|| absent("destroy"))?;
        // SAFETY: it returns bytes of the plugin's own, which stay valid.
        let says = unsafe { manifest().bytes() };
        if table.api != inspected.header.api || says != Some(&inspected.section) {
            return Err(LibraryError::Manifest);
        }
        let hooks = &inspected.callback.hooks;
        let vt = |has: &dyn Fn(&str) -> bool| {
            CallbackVt {
                destroy,
                shutdown: table.shutdown.unwrap_or(nothing),
                on_llm_start: table.on_llm_start.filter(|_| has("on_llm_start")),
                on_llm_new_token: table.on_llm_new_token.filter(|_| has("on_llm_new_token")),
                on_llm_end: table.on_llm_end.filter(|_| has("on_llm_end")),
                on_llm_error: table.on_llm_error.filter(|_| has("on_llm_error")),
                on_llm_start_async: None,
                on_llm_new_token_async: None,
                on_llm_end_async: None,
                on_llm_error_async: None,
                on_llm_during_async: None,
                on_auth: table.on_auth.filter(|_| has("on_auth")),
                on_auth_async: None,
                on_list_models: table.on_list_models.filter(|_| has("on_list_models")),
                on_list_models_async: None,
            }
            .leak_into_prefix()
        };
        let listed = vt(&|name| hooks.iter().any(|listed| listed == name));
        Ok(Self { create, listed, all: vt(&|_| true) })
    }

    /// Creates an instance, or returns why not.
    ///
    /// # Safety
    /// The views of `args` live until this returns, `host` until the instance has been destroyed.
    pub(super) unsafe fn create(
        &self,
        args: CreateArgs,
        host: *const CHost,
    ) -> Result<RawCallback, String> {
        let mut refusal: Option<String> = None;
        let mut ctx = ptr::null_mut();
        let args = CCreateArgs {
            size: size_of::<CCreateArgs>(),
            instance: args.instance,
            settings: args.settings,
            host,
            refusal: ptr::from_mut(&mut refusal).cast(),
            refuse,
        };
        // SAFETY: the caller's promise holds here, too; `refusal` and `ctx` outlive the call.
        match unsafe { (self.create)(&raw const args, &raw mut ctx) } {
            0 => Ok(RawCallback { ctx, vt: self.listed }),
            _ => Err(refusal.unwrap_or_else(|| "it gave no reason".to_owned())),
        }
    }

    pub(super) fn all_hooks(&self) -> CallbackVtRef {
        self.all
    }
}

/// The size of the table in ABI 1.0. A plugin's table may lack later additions.
const FIRST: usize = offset_of!(CPlugin, on_llm_error) + size_of::<usize>();

/// The table, if it has this major version; otherwise what was found.
///
/// # Safety
/// `table` is null or what a plugin's root returned.
unsafe fn checked(table: *const CPlugin) -> Result<CPlugin, String> {
    if table.is_null() {
        return Err("none".to_owned());
    }
    if !table.is_aligned() {
        return Err("one at an odd address".to_owned());
    }
    // SAFETY: the version and size come first in the table of every version.
    let (api, size) = unsafe { ((*table).api, (*table).size) };
    if !majors_match(ApiVersion::CURRENT, api) {
        return Err(format!("one of ABI {api}"));
    }
    let size = usize::try_from(size).unwrap_or(usize::MAX);
    if size < FIRST {
        return Err(format!("one of {size} bytes, fewer than {FIRST}"));
    }
    let mut whole = MaybeUninit::<CPlugin>::zeroed();
    let known = size.min(size_of::<CPlugin>());
    // SAFETY: the table has this length, and so has the buffer; they do not overlap.
    unsafe { ptr::copy_nonoverlapping(table.cast::<u8>(), whole.as_mut_ptr().cast(), known) };
    // SAFETY: fields missing in an older table are zero, which means absent functions.
    Ok(unsafe { whole.assume_init() })
}

unsafe extern "C" fn nothing(_: *const ()) {}

/// The function that a plugin gets as [`CCreateArgs::refuse`].
unsafe extern "C" fn refuse(refusal: *mut (), message: View) {
    // SAFETY: the view lives until this returns.
    let message = unsafe { message.bytes() }.unwrap_or_default();
    let message = String::from_utf8_lossy(message).into_owned();
    // SAFETY: `CTables::create` passed it, and nothing else borrows it while the constructor runs.
    unsafe { *refusal.cast::<Option<String>>() = Some(message) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_judged_by_what_may_be_read_of_it() {
        let size = u32::try_from(size_of::<CPlugin>()).expect("small");
        let table = |api, size| CPlugin {
            api,
            size,
            manifest: None,
            create: None,
            destroy: None,
            shutdown: None,
            on_llm_start: None,
            on_llm_new_token: None,
            on_llm_end: None,
            on_llm_error: None,
            on_auth: None,
            on_list_models: None,
        };
        let ours = ApiVersion::CURRENT;
        let found = |table: &CPlugin| {
            // SAFETY: a whole table.
            unsafe { checked(table) }.err()
        };
        assert_eq!(found(&table(ours, size)), None);
        assert_eq!(found(&table(ours, size + 8)), None);
        assert_eq!(FIRST, 72, "plugins of 1.0 have no more");
        assert_eq!(found(&table(ApiVersion { minor: 7, ..ours }, size)), None);
        assert_eq!(found(&table(ours, 8)).as_deref(), Some("one of 8 bytes, fewer than 72"));
        let other = ApiVersion { major: 2, minor: 0 };
        assert_eq!(found(&table(other, 0)).as_deref(), Some("one of ABI 2.0"));
        // SAFETY: null is allowed.
        assert_eq!(unsafe { checked(ptr::null()) }.err().as_deref(), Some("none"));
    }
}
