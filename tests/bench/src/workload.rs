//! The workloads: what is sent through every proxy, how much of it, and the gateway's target. A
//! table and its arithmetic; `load` sends, `measure` runs the rounds.

use crate::{
    prompt::{ModelPlace, chat_body},
    upstream::Pattern,
};
use serde::Serialize;
use std::time::Duration;

/// One row of the benchmark.
#[derive(Clone, Debug, Serialize)]
pub struct Workload {
    pub name: &'static str,
    #[serde(skip)]
    pub body_bytes: usize,
    #[serde(skip)]
    pub model_place: ModelPlace,
    #[serde(skip)]
    pub stream: Option<Pattern>,
    pub connections: usize,
    /// In one round, through one proxy, over all connections.
    pub requests: u64,
    /// Highest accepted CPU ratio to nginx of the gateway with both callbacks; none is judged
    /// where there is no figure.
    pub figure: Option<f64>,
}

impl Workload {
    /// The upstream's name of the model that makes it answer this workload.
    #[must_use]
    pub fn upstream_model(&self) -> String {
        self.stream.map_or_else(|| "bench".to_owned(), Pattern::model_name)
    }

    /// The model name clients use. The prefix is what the routing callback goes by.
    #[must_use]
    pub fn model_name(&self) -> String {
        format!("openai-{}", self.upstream_model())
    }

    /// The body of every request of this workload.
    #[must_use]
    pub fn body(&self) -> Vec<u8> {
        chat_body(&self.model_name(), self.body_bytes, self.stream.is_some(), self.model_place)
    }

    /// The same requests, not asking for a stream.
    #[must_use]
    pub fn with_json_replies(&self) -> Self {
        Self { stream: None, ..self.clone() }
    }

    /// Events in one reply, the closing `[DONE]` included; zero for a JSON reply.
    #[must_use]
    pub fn events(&self) -> u64 {
        self.stream.map_or(0, Pattern::events)
    }

    /// How far apart connections start, so that paced streams do not all tick together.
    #[must_use]
    pub fn stagger(&self) -> Duration {
        let pace = self.stream.map_or(0, |stream| stream.pace_ms);
        Duration::from_millis(pace) / u32::try_from(self.connections).unwrap_or(u32::MAX)
    }

    /// What CPU time is divided by: chunks for a stream, requests otherwise.
    #[must_use]
    pub fn unit(&self) -> &'static str {
        if self.stream.is_some() { "chunk" } else { "request" }
    }
}

/// What the instruction budget counts: one connection, so that every call finds the proxy idle.
/// Chunks of the stream are far enough apart to arrive one by one even under valgrind.
#[must_use]
pub fn counted_workloads() -> Vec<Workload> {
    let small = Workload {
        name: "small body",
        body_bytes: 0,
        model_place: ModelPlace::First,
        stream: None,
        connections: 1,
        requests: 300,
        figure: None,
    };
    let paced = Pattern { writes: 50, events_per_write: 1, pace_ms: 10 };
    vec![
        small.clone(),
        Workload { name: "50 KB body", body_bytes: 50_000, requests: 200, ..small.clone() },
        Workload { name: "500 KB body", body_bytes: 500_000, requests: 60, ..small.clone() },
        Workload { name: "paced stream", stream: Some(paced), requests: 20, ..small },
    ]
}

/// All workloads; `quick` keeps every kind and cuts the amounts, to see that everything works.
#[must_use]
pub fn workloads(quick: bool) -> Vec<Workload> {
    let json = Workload {
        name: "small body",
        body_bytes: 0,
        model_place: ModelPlace::First,
        stream: None,
        connections: 32,
        requests: 20_000,
        figure: Some(1.35),
    };
    let large = Workload { connections: 16, ..json.clone() };
    let paced = Pattern { writes: 50, events_per_write: 1, pace_ms: 20 };
    let fast = Pattern { writes: 256, events_per_write: 1, pace_ms: 0 };
    let bursts = Pattern { writes: 64, events_per_write: 8, pace_ms: 0 };
    let mut all = vec![
        json.clone(),
        Workload {
            name: "50 KB body",
            body_bytes: 50_000,
            requests: 8_000,
            figure: Some(1.15),
            ..large.clone()
        },
        Workload {
            name: "500 KB body",
            body_bytes: 500_000,
            requests: 1_500,
            figure: Some(1.0),
            ..large.clone()
        },
        Workload {
            name: "500 KB body, model last",
            body_bytes: 500_000,
            model_place: ModelPlace::Last,
            requests: 1_500,
            figure: None,
            ..large.clone()
        },
        Workload {
            name: "100 paced streams",
            stream: Some(paced),
            connections: 100,
            requests: 200,
            figure: Some(1.15),
            ..json.clone()
        },
        Workload {
            name: "full-speed streams",
            stream: Some(fast),
            requests: 600,
            figure: Some(2.2),
            ..large.clone()
        },
        // Events that arrive together may leave together: shows who makes use of it.
        Workload {
            name: "full-speed streams, 8 at a time",
            stream: Some(bursts),
            requests: 600,
            figure: None,
            ..large
        },
    ];
    if quick {
        for workload in &mut all {
            workload.connections = workload.connections.min(8);
            workload.requests = 16;
        }
    }
    all
}
