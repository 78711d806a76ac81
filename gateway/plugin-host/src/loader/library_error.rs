//! Why a file that looks like a plugin cannot be used: the sentences of `library` and `c`.

use plugin_api::abi::{ApiVersion, C_ROOT_SYMBOL};
use thiserror::Error;

/// Why a file that looks like a plugin cannot be used.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub(crate) enum LibraryError {
    #[error("expected to make a private copy of it: {0}")]
    Snapshot(String),
    #[error("the dynamic linker refuses it: {0}")]
    Open(String),
    #[error("expected tables of abi_stable 0.11, found others: {0}")]
    Header(String),
    #[error("expected the tables of ABI {ours}, found others: {differences}")]
    Layout { ours: ApiVersion, differences: String },
    #[error("its tables could not be made: {0}")]
    Root(String),
    #[error("expected the manifest in its file, found another one when it was loaded")]
    Manifest,
    #[error("expected at most {0} mapped plugin files, found that this would be one more")]
    TooMany(usize),
    #[error("expected `{C_ROOT_SYMBOL}` to return a table of ABI {ours}, found {found}")]
    CTable { ours: ApiVersion, found: String },
}

impl LibraryError {
    pub(crate) fn remedy(&self) -> String {
        match self {
            Self::Snapshot(_) => "let the gateway write to its temporary folder (`TMPDIR`)",
            Self::Open(why) if why.contains("cannot open shared object file") => {
                "install the library it needs"
            }
            Self::Open(why) if why.contains("failed to map segment") => {
                "let `TMPDIR` name a folder that is not mounted `noexec`"
            }
            Self::Open(_) => "rebuild the plugin on a system like this one",
            Self::Header(_) | Self::Layout { .. } | Self::Root(_) | Self::Manifest => {
                "rebuild the plugin with the current `callgate-plugin-api`"
            }
            Self::TooMany(_) => {
                "restart the gateway, which forgets the files of earlier versions, or raise \
                 `callgate.limits.max_plugin_libraries`"
            }
            Self::CTable { .. } => "rebuild the plugin with the current `callgate_plugin.h`",
        }
        .to_owned()
    }
}
