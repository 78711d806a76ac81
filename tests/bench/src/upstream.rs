//! The fake upstream: speaks OpenAI's wire format, answers at once or at a given pace, and counts
//! its answers. It keeps no state about requests: the model name selects the answer
//! (`upstream/script.rs`), so it behaves the same behind every proxy. `bench-upstream` runs it;
//! `measure` reads its counts.

mod script;

use crate::wire::{Wire, WireError};
pub use script::Pattern;
use script::{BodyEnds, Reply};
use serde::{Deserialize, Serialize};
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};
use tokio::{
    net::{TcpListener, TcpStream},
    task::yield_now,
    time::{Instant, sleep_until},
};

/// The path that answers with [`Counts`] instead of a completion.
pub const COUNTS_PATH: &str = "/bench/counts";

/// The text of the fake upstream's completions.
pub const ANSWER: &str = "There are three: st\"r\"awbe\"r\" and one more \"r\".";

/// The answers of the upstream since it started.
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

/// Serves until the process ends; a connection with an error is dropped, the others go on.
pub async fn serve(listener: TcpListener) -> std::io::Result<()> {
    let counters = Arc::new(Counters::default());
    loop {
        let (stream, _) = listener.accept().await?;
        let counters = Arc::clone(&counters);
        tokio::spawn(async move {
            // The load generator's own checks notice a peer that goes away in the middle of a
            // message.
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

/// Paced writes keep to the stream's timetable, so that a late write does not delay the next ones.
/// At full speed streams take turns: if one wrote until its socket was full, the number of events
/// that a proxy finds waiting, and so the cost of each, would depend on chance.
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
