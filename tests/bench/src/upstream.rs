//! The fake upstream: speaks OpenAI's wire, answers at once or at a pace, and counts what it did.
//! Stateless towards the request: the model name says how to answer (`upstream/script.rs`), so it
//! behaves the same behind every proxy. Run by `bench-upstream`; asked for its counts by `measure`.

mod script;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::yield_now;
use tokio::time::{Instant, sleep_until};

use crate::wire::{Wire, WireError};
use script::{BodyEnds, Reply};

pub use script::Pattern;

/// The path that answers with [`Counts`] instead of a completion.
pub const COUNTS_PATH: &str = "/bench/counts";

/// What a completion of the fake upstream says.
pub const ANSWER: &str = "There are three: st\"r\"awbe\"r\" and one more \"r\".";

/// What the upstream has answered since it started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    pub requests: u64,
    /// Events of streams, the closing `[DONE]` included.
    pub chunks: u64,
}

#[derive(Debug, Default)]
struct Counters {
    requests: AtomicU64,
    chunks: AtomicU64,
}

impl Counters {
    fn read(&self) -> Counts {
        Counts {
            requests: self.requests.load(Ordering::Relaxed),
            chunks: self.chunks.load(Ordering::Relaxed),
        }
    }
}

/// Serves until the process ends; a connection that misbehaves is dropped, the rest go on.
pub async fn serve(listener: TcpListener) -> std::io::Result<()> {
    let counters = Arc::new(Counters::default());
    loop {
        let (stream, _) = listener.accept().await?;
        let counters = Arc::clone(&counters);
        tokio::spawn(async move {
            // A peer that goes away mid-message shows up in the load generator's own checks.
            let _ = answer_all(stream, &counters).await;
        });
    }
}

async fn answer_all(stream: TcpStream, counters: &Counters) -> Result<(), WireError> {
    let mut wire = Wire::new(stream)?;
    while let Some(head) = wire.read_request().await? {
        let mut ends = BodyEnds::default();
        wire.read_body(head.framing, |piece| ends.push(piece)).await?;
        if head.path == COUNTS_PATH {
            let counts = serde_json::to_string(&counters.read()).unwrap_or_default();
            wire.write(&script::json_response("200 OK", &counts)).await?;
            continue;
        }
        counters.requests.fetch_add(1, Ordering::Relaxed);
        match Reply::for_body(&ends) {
            Reply::Refusal => wire.write(script::refusal()).await,
            Reply::Json => wire.write(script::completion()).await,
            Reply::Stream(pattern) => stream_reply(&mut wire, pattern, counters).await,
        }?;
    }
    Ok(())
}

/// Paced writes keep to the stream's own timetable, so a late one does not push the later ones
/// back. At full speed streams take turns: were one to write on until its socket is full, it would
/// be luck how many events a proxy finds waiting, and with that what each costs.
async fn stream_reply(
    wire: &mut Wire,
    pattern: Pattern,
    counters: &Counters,
) -> Result<(), WireError> {
    let start = Instant::now();
    let write = script::chunks(pattern.events_per_write, false);
    let last_write = script::chunks(pattern.events_per_write, true);
    wire.write(script::stream_head()).await?;
    for index in 1..=pattern.writes {
        if pattern.pace_ms > 0 {
            sleep_until(start + pattern.pace() * index).await;
        } else {
            yield_now().await;
        }
        wire.write(if index < pattern.writes { &write } else { &last_write }).await?;
    }
    counters.chunks.fetch_add(pattern.events(), Ordering::Relaxed);
    wire.write(script::stream_end()).await
}
