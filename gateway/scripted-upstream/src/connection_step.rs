//! The steps that a connection can perform: write bytes, wait, or break off. `answer` creates them,
//! `connection` performs them.

use super::gate::Gate;
use bytes::Bytes;

#[derive(Debug, Clone)]
pub enum ConnectionStep {
    /// One write to the socket.
    Write(Bytes),
    /// Wait until the gate admits this answer, or the client leaves.
    Hold(Gate),
    /// Send nothing more until the client leaves.
    Silence,
    /// Close properly (FIN).
    Close,
    /// Abort the connection (RST).
    Reset,
}
