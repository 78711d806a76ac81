//! `bench-upstream`: the fake upstream as a separate process, on a loopback port.

use clap::Parser;
use std::net::Ipv4Addr;
use tokio::net::TcpListener;

/// Answers chat requests like OpenAI's API, at once or at the pace the model name asks for:
/// `anything-50x1x20ms` with `"stream": true` gives 50 writes of 1 event each, 20 ms apart.
#[derive(Debug, Parser)]
#[command(name = "bench-upstream", version)]
struct Options {
    #[arg(long)]
    port: u16,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::io::Result<()> {
    let options = Options::parse();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, options.port)).await?;
    callgate_bench::upstream::serve(listener).await
}
