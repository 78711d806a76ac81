//! The one line that makes a shared object a plugin.

/// Exports a plugin's callbacks: the table the gateway loads and the manifest it reads before it
/// runs anything.
///
/// ```
/// # use plugin_api::*;
/// # struct Tagger;
/// # #[derive(serde::Deserialize)]
/// # struct Settings {}
/// # impl Callback for Tagger {
/// #     type Settings = Settings;
/// #     fn new(_: Host, _: Settings) -> Result<Self, InitError> { Ok(Self) }
/// #     fn on_llm_start(&self, _: &mut LlmCall<'_>) -> Hook { Ok(Flow::Continue) }
/// # }
/// plugin_api::export_callbacks! {
///     Tagger {
///         name: "tagger",
///         kind: sync,
///         hooks: [on_llm_start],
///         reads: ["messages"],
///         writes: ["model"],
///         settings_schema: r#"{"type": "object", "additionalProperties": false}"#,
///         sample_settings: "{}",
///     }
/// }
/// # fn main() {}
/// ```
///
/// - `name`: what the config's `callbacks` list calls it; a file `lib<name>.so` is found by it.
/// - `kind`: `sync` for a [`Callback`](crate::Callback), `async` for an
///   [`AsyncCallback`](crate::AsyncCallback).
/// - `hooks`: the hooks the type implements, and no others: a listed hook is called for every call,
///   one that is not listed is never called. `callgate check` compares the list with the type: it
///   runs each hook once on a made-up call, in its own process and with fresh counters.
/// - `reads`, `writes`: what of the call it looks at and changes (`model`, `route`, `messages`,
///   `params`, `headers`, `metadata`, `reply`, `chunk`, `error`): told to the operator at start, so
///   that a list in the wrong order can be warned about. Not a sandbox.
/// - `needs` (optional, behind `writes`): what of the host the callback works with, so that the
///   operator need not grant it:
///   `needs: {secrets: ["TAGGER_API_KEY"], http_hosts: ["TAGGER_URL=https://api.tagger.example"]}`.
///   `secrets` are variables of the environment; `http_hosts` names a variable and, behind `=`, the
///   URL that stands when it is not set: the host of that URL may be asked. Only variables that
///   begin with the name the config lists it by, in capitals and with `_`, are granted so, and none
///   that belongs to the gateway, a provider or a cloud; everything else needs `grants` in the
///   config, and is told at start.
/// - `settings_schema`: a JSON Schema for the settings, as a literal or `include_str!`. It is read
///   from the file without running it, so a wrong setting is told with its place in the config.
/// - `sample_settings` (may be left out): settings an instance can be made of, as a literal of JSON
///   or `include_str!`. `callgate plugin check`, `test` and `bench` use them when given none;
///   needed only where the schema does not do with `{}`.
///
/// A file may export several callbacks, one block after another.
///
/// # Panics
/// The crate must unwind: with `panic = "abort"` this macro does not compile.
#[macro_export]
macro_rules! export_callbacks {
    ($(
        $callback:ty {
            name: $name:literal,
            kind: $kind:ident,
            hooks: [$($hook:ident),* $(,)?],
            reads: [$($reads:literal),* $(,)?],
            writes: [$($writes:literal),* $(,)?],
            $(needs: {
                secrets: [$($secret:literal),* $(,)?],
                http_hosts: [$($http_host:literal),* $(,)?] $(,)?
            },)?
            settings_schema: $schema:expr
            $(, sample_settings: $sample:expr)? $(,)?
        }
    )+) => {
        #[cfg(panic = "abort")]
        ::core::compile_error!(
            "a Callgate plugin must unwind: remove `panic = \"abort\"` from the profile it is built with"
        );

        #[allow(unsafe_code, clippy::allow_attributes, clippy::undocumented_unsafe_blocks)]
        const _: () = {
            use $crate::__export::*;

            // A header, then each callback: JSON values one after another, see `Manifest`.
            const MANIFEST: &str = ::core::concat!(
                "{\"api\":\"", $crate::__api_version!(),
                "\",\"min_api\":\"", $crate::__min_api_version!(),
                "\",\"package\":\"", ::core::env!("CARGO_PKG_NAME"),
                "\",\"version\":\"", ::core::env!("CARGO_PKG_VERSION"), "\"}\n",
                $(
                    "{\"name\":\"", $name,
                    "\",\"kind\":\"", ::core::stringify!($kind),
                    "\",\"hooks\":\"", $(::core::stringify!($hook), " ",)*
                    "\",\"reads\":\"", $($reads, " ",)*
                    "\",\"writes\":\"", $($writes, " ",)*
                    "\",\"needs_secrets\":\"", $($($secret, " ",)*)?
                    "\",\"needs_http_hosts\":\"", $($($http_host, " ",)*)?
                    "\",\"settings_schema\":", $schema,
                    $(",\"sample_settings\":", $sample,)?
                    "}\n",
                )+
            );

            #[used]
            #[unsafe(link_section = ".callgate.manifest")]
            static SECTION: [u8; MANIFEST.len()] = manifest_bytes(MANIFEST);

            extern "C" fn manifest() -> RStr<'static> {
                RStr::from_str(MANIFEST)
            }

            unsafe extern "C" fn create(args: CreateArgs) -> RResult<RawCallback, RString> {
                record_panics();
                $(
                    if unsafe { args.callback.text() } == Some($name) {
                        return unsafe {
                            $crate::__by_kind!(create, $kind, $callback, 0 $(| hook::$hook)*)(args)
                        };
                    }
                )+
                RErr(RString::from("this file exports no callback of that name"))
            }

            unsafe extern "C" fn all_hooks(name: View) -> ROption<CallbackVtRef> {
                $(
                    if unsafe { name.text() } == Some($name) {
                        return RSome($crate::__by_kind!(vt, $kind, $callback, hook::ALL)());
                    }
                )+
                RNone
            }

            fn root() -> PluginRootRef {
                PluginRoot { api: ApiVersion::CURRENT, manifest, create, all_hooks }
                    .leak_into_prefix()
            }

            extern "C" fn load() -> RootModuleResult {
                call_root(root)
            }

            #[unsafe(export_name = $crate::__root_symbol!())]
            pub static ROOT: LibHeader = unsafe {
                LibHeader::from_constructor::<PluginRootRef>(load, CheckTypeLayout::Yes)
            };
        };
    };
}

/// The symbol abi_stable's loaders look for; a test holds it to the library's.
#[doc(hidden)]
#[macro_export]
macro_rules! __root_symbol {
    () => {
        "_1as_0lib_1header_0root_bmodule_bloader"
    };
}

/// The version of this crate, as a literal for the manifest; a test holds it to the package's.
#[doc(hidden)]
#[macro_export]
macro_rules! __api_version {
    () => {
        "1.0"
    };
}

/// The oldest host a plugin built with this crate can run in. The tables only grow and what is
/// absent reads as `None`, so this rises only when the export itself needs more of the host.
#[doc(hidden)]
#[macro_export]
macro_rules! __min_api_version {
    () => {
        "1.0"
    };
}

/// Picks the shim of a callback's kind.
#[doc(hidden)]
#[macro_export]
macro_rules! __by_kind {
    (create, sync, $callback:ty, $hooks:expr) => {
        create_sync::<$callback, { $hooks }>
    };
    (create, async, $callback:ty, $hooks:expr) => {
        create_async::<$callback, { $hooks }>
    };
    (vt, sync, $callback:ty, $hooks:expr) => {
        vt::<$callback, { $hooks }>
    };
    (vt, async, $callback:ty, $hooks:expr) => {
        vt_async::<$callback, { $hooks }>
    };
    ($what:ident, $other:tt, $callback:ty, $hooks:expr) => {
        ::core::compile_error!("kind must be `sync` (a `Callback`) or `async` (an `AsyncCallback`)")
    };
}
