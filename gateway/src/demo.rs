//! What `callgate demo` needs: a scripted upstream on loopback, so that the gateway can be tried
//! without keys or network. The tests drive the same upstream. Nothing on the call path uses it.

pub mod upstream;
