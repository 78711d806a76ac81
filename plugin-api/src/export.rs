//! The macro that makes a shared object a plugin.

/// Exports a plugin's callbacks. It writes the table that the gateway loads, and the manifest that
/// the gateway reads before it runs any code of the file.
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
/// - `name`: the callback's name in the config's `callbacks` list. The gateway looks for the file
///   `lib<name>.so`.
/// - `kind`: `sync` for a [`Callback`](crate::Callback), `async` for an
///   [`AsyncCallback`](crate::AsyncCallback).
/// - `hooks`: exactly the hooks that the type implements. The gateway calls each listed hook for
///   every call, and never calls one that is not listed. `callgate check` compares the list with
///   the type: it runs each hook once on a sample call, in its own process and with fresh counters.
/// - `auth_headers` (with `on_auth` alone, after `hooks`): the inputs of `on_auth`: up to 32 names
///   of headers in lower case, and `:method`, `:path` and `:client_address`. The hook sees nothing
///   else of a request, and the gateway keeps its result for the same values of exactly these
///   inputs. Such a file needs `min_api: "1.1"`, because an older gateway would never ask.
/// - `reads`, `writes`: the parts of the call that the callback reads and changes. The gateway
///   warns at startup about an order of the list that defeats a callback. An unknown word does not
///   compile, but nothing enforces that the list is true. `model` is the model's name; `route` the
///   provider, URL and key; `messages` and `params` the request's body; `headers` the client's when
///   read and the upstream request's when written; `metadata` the notes of other callbacks; `chunk`
///   a streamed chunk, `reply` a whole answer, and `error` a failure. `completion` in `reads` makes
///   the gateway put streams together for [`LlmReply::completion`](crate::LlmReply::completion),
///   and `upstream_response` makes it keep the status and headers of the upstream's response for
///   [`CallView::upstream_header`](crate::CallView::upstream_header). `streamed_reply` in `writes`
///   makes it collect streams, so that `on_llm_end` gets their whole reply before the client does,
///   and may change or reject it.
/// - `needs` (optional, after `writes`): the secrets and hosts that the callback uses: `needs:
///   {secrets: ["TAGGER_API_KEY"], http_hosts: ["TAGGER_URL=https://api.tagger.example"]}`.
///   `secrets` lists environment variables. `http_hosts` lists variables that hold a URL, each with
///   a default URL after `=`; the callback may send requests to the host of that URL, and read the
///   variable with [`Secrets::get`](crate::Secrets::get), which does not return the default.
///   Variables that begin with the callback's name in the config, in capitals and followed by `_`,
///   are granted automatically, unless they belong to the gateway, a provider or a cloud. All
///   others need `grants` in the config; a warning at startup names them.
/// - `settings_schema`: a JSON Schema for the settings, as a literal or `include_str!`. The gateway
///   reads it from the file without running the file, and reports wrong settings with their place
///   in the config.
/// - `sample_settings` (optional): valid settings, as a JSON literal or `include_str!`. `callgate
///   plugin check`, `test` and `bench` use them if they get no `--settings`. They are needed only
///   if the schema does not accept `{}`.
///
/// A file can export several callbacks, one block after another. `min_api: "1.1",` before the first
/// block is for plugins that cannot work with an older gateway: it refuses them at startup and
/// names the version of Callgate that they need. Without it the file loads in every gateway of 1.x,
/// and what a gateway lacks reads as `None` or fails as not supported.
///
/// ```compile_fail
/// # use plugin_api::*;
/// # struct Tagger;
/// # impl Callback for Tagger {
/// #     type Settings = serde_json::Value;
/// #     fn new(_: Host, _: Self::Settings) -> Result<Self, InitError> { Ok(Self) }
/// # }
/// plugin_api::export_callbacks! {
///     min_api: "1.99", // no release has it
///     Tagger {
///         name: "tagger", kind: sync, hooks: [], reads: [], writes: [], settings_schema: "{}",
///     }
/// }
/// # fn main() {}
/// ```
/// Neither a hook nor a part that does not exist compiles:
///
/// ```compile_fail
/// # use plugin_api::*;
/// # struct Tagger;
/// # impl Callback for Tagger {
/// #     type Settings = serde_json::Value;
/// #     fn new(_: Host, _: Self::Settings) -> Result<Self, InitError> { Ok(Self) }
/// # }
/// plugin_api::export_callbacks! {
///     Tagger {
///         name: "tagger", kind: sync, hooks: [], reads: ["prompts"], writes: [],
///         settings_schema: "{}",
///     }
/// }
/// # fn main() {}
/// ```
/// # Panics
/// Panics must unwind in a plugin: with `panic = "abort"` this macro does not compile.
#[macro_export]
macro_rules! export_callbacks {
    (min_api: $min_api:tt, $($callbacks:tt)+) => {
        $crate::__export! { $min_api $($callbacks)+ }
    };
    ($($callbacks:tt)+) => {
        $crate::__export! { "1.0" $($callbacks)+ }
    };
}

/// Exports the callbacks of a file that needs a gateway of at least this version of the ABI.
#[doc(hidden)]
#[macro_export]
macro_rules! __export {
    ($min_api:tt $(
        $callback:ty {
            name: $name:literal,
            kind: $kind:ident,
            hooks: [$($hook:ident),* $(,)?],
            $(auth_headers: [$($auth_header:literal),* $(,)?],)?
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
            "expected a profile whose panics unwind, found `panic = \"abort\"`: remove it from the profile that builds this plugin"
        );

        $($($crate::__known_hook!($hook);)*)+
        $(
            const _: () = $crate::__export::assert_parts(&[$($reads,)* $($writes,)*]);
            const _: () = $crate::__export::assert_auth(
                &[$(::core::stringify!($hook),)*],
                &[$($($auth_header,)*)?],
                $min_api,
            );
        )+

        #[allow(unsafe_code, clippy::allow_attributes, clippy::undocumented_unsafe_blocks)]
        const _: () = {
            use $crate::__export::*;

            // The header, then one JSON value for each callback: see `Manifest`.
            const MANIFEST: &str = ::core::concat!(
                "{\"api\":\"", $crate::__api_version!(),
                "\",\"min_api\":\"", $min_api,
                "\",\"min_gateway\":\"", $crate::__gateway_with_api!($min_api),
                "\",\"package\":\"", ::core::env!("CARGO_PKG_NAME"),
                "\",\"version\":\"", ::core::env!("CARGO_PKG_VERSION"), "\"}\n",
                $(
                    "{\"name\":\"", $name,
                    "\",\"kind\":\"", ::core::stringify!($kind),
                    "\",\"hooks\":\"", $(::core::stringify!($hook), " ",)*
                    $("\",\"auth_headers\":\"", $($auth_header, " ",)*)?
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

/// The symbol that abi_stable's loaders look for. A test compares it with abi_stable's constant.
#[doc(hidden)]
#[macro_export]
macro_rules! __root_symbol {
    () => {
        "_1as_0lib_1header_0root_bmodule_bloader"
    };
}

/// The version of this crate, as a literal for the manifest. A test compares it with the package's
/// version.
#[doc(hidden)]
#[macro_export]
macro_rules! __api_version {
    () => {
        "1.1"
    };
}

/// The first version of Callgate that has this version of the ABI. A plugin says so in its
/// manifest, because an older gateway cannot know.
#[doc(hidden)]
#[macro_export]
macro_rules! __gateway_with_api {
    ("1.0") => {
        "0.1.0"
    };
    ("1.1") => {
        "0.1.0"
    };
    ($other:tt) => {
        ::core::compile_error!(::core::concat!(
            "expected `min_api` to be a released version, \"1.0\" or \"1.1\", found ",
            ::core::stringify!($other)
        ))
    };
}

/// Refuses a name in `hooks` that is not a hook's.
#[doc(hidden)]
#[macro_export]
macro_rules! __known_hook {
    (on_llm_start) => {};
    (on_llm_during) => {};
    (on_llm_new_token) => {};
    (on_llm_end) => {};
    (on_llm_error) => {};
    (on_auth) => {};
    (on_list_models) => {};
    ($other:ident) => {
        ::core::compile_error!(::core::concat!(
            "expected in `hooks` some of `on_llm_start`, `on_llm_during`, `on_llm_new_token`, \
             `on_llm_end`, `on_llm_error`, `on_auth` and `on_list_models`, found `",
            ::core::stringify!($other),
            "`"
        ));
    };
}

/// Selects the shim for a callback's kind.
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
        ::core::compile_error!(
            "expected `kind: sync` (a `Callback`) or `kind: async` (an `AsyncCallback`)"
        )
    };
}
