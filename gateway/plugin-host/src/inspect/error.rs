//! Why a file is not executed. Each check's own file has its sentences.

use super::{ElfError, ExportError, FileError, PinMismatch};
use thiserror::Error;

/// Why a file is not executed.
#[derive(Debug, Error)]
pub(crate) enum InspectError {
    #[error(transparent)]
    File(#[from] FileError),
    /// A file that other users can change, if that prevents the start.
    #[error(transparent)]
    Untrusted(FileError),
    #[error(transparent)]
    Pin(#[from] PinMismatch),
    #[error(transparent)]
    Elf(#[from] ElfError),
    #[error(transparent)]
    Export(#[from] ExportError),
}

impl InspectError {
    pub(crate) fn remedy(&self) -> String {
        match self {
            Self::File(error) => error.remedy(),
            Self::Untrusted(error) => {
                format!("{}, or set `callgate.verify_owner: warn`", error.remedy())
            }
            Self::Pin(error) => error.remedy(),
            Self::Elf(error) => error.remedy(),
            Self::Export(error) => error.remedy(),
        }
    }
}
