//! Versions of glibc: the one in this process, and the ones that a plugin's file names.

#![expect(unsafe_code, reason = "asks the C library for its version")]

/// Major and minor.
pub(crate) type Glibc = (u32, u32);

/// The version of the glibc in this process; `None` with another C library.
pub(crate) fn glibc_version() -> Option<Glibc> {
    #[cfg(target_env = "gnu")]
    {
        unsafe extern "C" {
            safe fn gnu_get_libc_version() -> *const std::ffi::c_char;
        }
        // SAFETY: glibc returns a constant string.
        let version = unsafe { std::ffi::CStr::from_ptr(gnu_get_libc_version()) };
        parse_glibc(version.to_str().ok()?)
    }
    #[cfg(not(target_env = "gnu"))]
    None
}

/// Parses `2.36` or `2.2.5`; `None` for `PRIVATE` and the like.
pub(crate) fn parse_glibc(version: &str) -> Option<Glibc> {
    let (major, rest) = version.split_once('.')?;
    let minor = rest.split('.').next()?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}
