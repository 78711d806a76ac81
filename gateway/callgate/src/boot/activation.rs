//! A listening socket that the service manager opened (systemd's socket activation). It stays open
//! between the end of one gateway and the start of the next, so that no connection is refused.
//!
//! The protocol is that of `sd_listen_fds(3)`: `LISTEN_PID` is this process, and `LISTEN_FDS`
//! counts the descriptors from 3 on.

use crate::cli::Address;
use listenfd::ListenFd;
use std::{io, net::TcpListener};

/// The first inherited socket; `None` if there is none.
///
/// # Errors
/// If it is not a listening TCP socket, or if there are several sockets.
pub(super) fn socket() -> io::Result<Option<TcpListener>> {
    let mut handed_over = ListenFd::from_env();
    if handed_over.len() > 1 {
        let text = format!("expected one socket, found {}", handed_over.len());
        return Err(io::Error::other(text));
    }
    let Some(socket) = handed_over.take_tcp_listener(0)? else { return Ok(None) };
    if !rustix::net::sockopt::socket_acceptconn(&socket)? {
        return Err(io::Error::other("expected a socket that listens, found another one"));
    }
    // Not for the processes in which plugins are tried.
    rustix::io::fcntl_setfd(&socket, rustix::io::FdFlags::CLOEXEC)?;
    socket.set_nonblocking(true)?;
    Ok(Some(socket))
}

/// The socket's address, in place of `--host` and `--port`.
pub(super) fn address(socket: &TcpListener) -> Address {
    let bound = socket.local_addr().ok();
    Address { host: bound.map(|it| it.ip().to_string()), port: bound.map(|it| it.port()) }
}
