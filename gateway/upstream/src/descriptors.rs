//! Recognises that file descriptors have run out.

use std::io;

/// Whether this process or machine has no free file descriptor.
pub fn lacks_descriptors(error: &io::Error) -> bool {
    let code = error.raw_os_error();
    [rustix::io::Errno::MFILE, rustix::io::Errno::NFILE]
        .iter()
        .any(|errno| code == Some(errno.raw_os_error()))
}
