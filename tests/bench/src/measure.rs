//! Runs rounds: every workload through every proxy in turn, with the proxy's CPU time and the
//! upstream's counts read before and after each run. Keeps every sample; `report` has the medians.

use crate::{
    load::{LoadError, Session, upstream_counts},
    process::ProcessError,
    proxies::Proxy,
    upstream::Counts,
    workload::Workload,
};
use serde::Serialize;
use std::{io::Write, net::SocketAddr, time::Duration};
use thiserror::Error;

/// One run of one workload through one proxy.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Sample {
    /// CPU time of the proxy per request, or per chunk of a stream, in microseconds.
    pub cpu_us: f64,
    /// Requests, or chunks, per second of wall time; the load generator may be the limit.
    pub per_second: f64,
    /// The proxy's memory right after the run, with open connections.
    pub resident_bytes: u64,
}

/// All samples of one workload: a list for each proxy, with one sample for each round.
#[derive(Clone, Debug)]
pub struct Row {
    pub workload: Workload,
    pub samples: Vec<Vec<Sample>>,
}

/// Why the measurement failed.
#[derive(Debug, Error)]
pub enum MeasureError {
    #[error("{proxy}, {workload}: replies are not as they should be")]
    Load { proxy: &'static str, workload: &'static str, source: LoadError },
    #[error(
        "{proxy}, {workload}: expected the upstream to count {expected:?}, it counted {found:?}"
    )]
    Count { proxy: &'static str, workload: &'static str, expected: Counts, found: Counts },
    #[error("the upstream does not tell its counts")]
    Upstream(#[source] LoadError),
    #[error(transparent)]
    Process(#[from] ProcessError),
}

/// Runs everything `rounds` times, and reports its progress on standard error.
///
/// # Errors
/// At the first invalid run: a wrong reply, or requests that the upstream never saw.
pub async fn rounds(
    proxies: &[Proxy],
    workloads: &[Workload],
    upstream: SocketAddr,
    rounds: u32,
) -> Result<Vec<Row>, MeasureError> {
    let mut rows: Vec<_> = workloads
        .iter()
        .map(|workload| Row {
            workload: workload.clone(),
            samples: vec![Vec::new(); proxies.len()],
        })
        .collect();
    for round in 1..=rounds {
        for row in &mut rows {
            // Progress messages are optional: a closed standard error must not end the run.
            let _ = writeln!(std::io::stderr(), "round {round}/{rounds}: {}", row.workload.name);
            for (proxy, samples) in proxies.iter().zip(&mut row.samples) {
                samples.push(run(proxy, &row.workload, upstream).await?);
                proxy.process.clear_log()?;
            }
        }
    }
    Ok(rows)
}

async fn run(
    proxy: &Proxy,
    workload: &Workload,
    upstream: SocketAddr,
) -> Result<Sample, MeasureError> {
    let title = proxy.kind.title();
    let mut session = open_session(proxy.process.address, title, workload).await?;
    let before = proxy.process.usage()?;
    let run = counted_run(&mut session, title, workload, upstream).await?;
    let after = proxy.process.usage()?;
    let units = f64::from(u32::try_from(run.units).unwrap_or(u32::MAX));
    Ok(Sample {
        cpu_us: (after.cpu - before.cpu).as_secs_f64() * 1e6 / units,
        per_second: units / run.elapsed.as_secs_f64(),
        resident_bytes: after.resident_bytes,
    })
}

/// Connections to the proxy called `title`, warmed up.
///
/// # Errors
/// If the proxy does not relay the upstream's answer.
pub async fn open_session(
    address: SocketAddr,
    title: &'static str,
    workload: &Workload,
) -> Result<Session, MeasureError> {
    let failed = |source| MeasureError::Load { proxy: title, workload: workload.name, source };
    Session::open(address, workload).await.map_err(failed)
}

/// A run that the upstream has confirmed.
#[derive(Clone, Copy, Debug)]
pub struct Run {
    /// Chunks of streams, or requests.
    pub units: u64,
    pub elapsed: Duration,
}

/// Sends the workload's requests, and compares them with the upstream's counts.
///
/// # Errors
/// If a reply was wrong, or the upstream did not see all requests.
pub async fn counted_run(
    session: &mut Session,
    title: &'static str,
    workload: &Workload,
    upstream: SocketAddr,
) -> Result<Run, MeasureError> {
    let failed = |source| MeasureError::Load { proxy: title, workload: workload.name, source };
    let before = upstream_counts(upstream).await.map_err(MeasureError::Upstream)?;
    let elapsed = session.run(workload.requests).await.map_err(failed)?;
    let after = upstream_counts(upstream).await.map_err(MeasureError::Upstream)?;
    let found =
        Counts { requests: after.requests - before.requests, chunks: after.chunks - before.chunks };
    let expected =
        Counts { requests: workload.requests, chunks: workload.requests * workload.events() };
    if found != expected {
        return Err(MeasureError::Count { proxy: title, workload: workload.name, expected, found });
    }
    let units = if found.chunks > 0 { found.chunks } else { found.requests };
    Ok(Run { units, elapsed })
}
