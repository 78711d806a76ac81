//! How the programs end: when interrupted, they return instead of dying, because returning ends the
//! processes they started; an error is printed with its causes.

use std::{error::Error, future::Future};
use tokio::signal::unix::{SignalKind, signal};

/// Runs `work` until it is done or the process is asked to end.
///
/// # Errors
/// The errors of `work`, and the signal.
pub async fn until_interrupted<T, E>(
    work: impl Future<Output = Result<T, E>>,
) -> Result<T, Box<dyn Error>>
where
    E: Error + 'static,
{
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        done = work => Ok(done?),
        _ = terminate.recv() => Err("terminated".into()),
        interrupted = tokio::signal::ctrl_c() => {
            interrupted?;
            Err("interrupted".into())
        }
    }
}

/// An error with its causes, in one line.
#[must_use]
pub fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}
