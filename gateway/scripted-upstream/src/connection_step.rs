//! An answer broken down to what a connection can do: write these bytes, wait here, break off.
//! Made by `answer`, performed by `connection`.

use bytes::Bytes;

use super::gate::Gate;

#[derive(Debug, Clone)]
pub enum ConnectionStep {
    /// One write to the socket.
    Write(Bytes),
    /// Wait until the gate admits this answer, or the client leaves.
    Hold(Gate),
    /// Say nothing more until the client leaves.
    Silence,
    /// Close in good order (FIN).
    Close,
    /// Abort the connection (RST).
    Reset,
}
