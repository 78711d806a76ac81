//! `bench-relay`: the bare relay as a separate process, on a loopback port.

use clap::Parser;
use std::net::{Ipv4Addr, SocketAddr};
use tokio::{net::TcpListener, task::LocalSet};

/// Relays HTTP/1.1 requests to one upstream and does nothing else.
#[derive(Debug, Parser)]
#[command(name = "bench-relay", version)]
struct Options {
    #[arg(long)]
    port: u16,
    #[arg(long, value_name = "HOST:PORT")]
    upstream: SocketAddr,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::io::Result<()> {
    let options = Options::parse();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, options.port)).await?;
    LocalSet::new().run_until(callgate_bench::relay::serve(listener, options.upstream)).await
}
