//! Holds an answer back until the hooks beside the upstream call have let the call pass.

use super::connection_timer::ConnectionTimer;
use callgate_failure::Failure;
use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    task::Poll,
};

/// Runs the upstream call and the hooks' verdicts at once, until all verdicts are there. Returns
/// the upstream's answer, or `None` if it has not come: the caller goes on waiting for it.
///
/// # Errors
/// The hooks' failure, as soon as it is known, or that the gateway stops. If the answer is one that
/// has `failed`, it is returned at once; the caller drops the hooks.
pub(super) async fn passed<F: Future + ?Sized>(
    timer: &ConnectionTimer,
    verdicts: impl Future<Output = Result<(), Failure>>,
    mut upstream: Pin<&mut F>,
    failed: impl Fn(&F::Output) -> bool,
) -> Result<Option<F::Output>, Failure> {
    let mut verdicts = pin!(verdicts);
    let mut answer = None;
    let passed = poll_fn(|context| {
        // The request comes first: a hook that computes for a while must not delay it.
        if answer.is_none()
            && let Poll::Ready(answered) = upstream.as_mut().poll(context)
        {
            if failed(&answered) {
                return Poll::Ready(Ok(Some(answered)));
            }
            answer = Some(answered);
        }
        verdicts.as_mut().poll(context).map(|passed| passed.map(|()| answer.take()))
    });
    timer.until(None, passed).await.unwrap_or_else(|| Err(Failure::shutting_down()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt as _;
    use std::future::{pending, ready};

    type Answer = Result<u8, u8>;

    /// The answer, or the code of the failure.
    fn gate(
        timer: &ConnectionTimer,
        verdicts: impl Future<Output = Result<(), Failure>>,
        upstream: impl Future<Output = Answer>,
    ) -> Option<Result<Option<Answer>, String>> {
        let passed = passed(timer, verdicts, pin!(upstream), Result::is_err).now_or_never()?;
        Some(passed.map_err(|failure| failure.code_text().to_owned()))
    }

    #[test]
    fn the_first_failure_counts_and_an_answer_waits_for_the_verdicts() {
        let timer = ConnectionTimer::default();
        let refuses = || ready(Err(Failure::client_gone()));
        let refused = || Some(Err("client_closed_request".to_owned()));
        assert_eq!(gate(&timer, ready(Ok(())), ready(Ok(1))), Some(Ok(Some(Ok(1)))));
        assert_eq!(gate(&timer, ready(Ok(())), pending()), Some(Ok(None)));
        assert_eq!(gate(&timer, pending(), ready(Ok(1))), None);
        assert_eq!(gate(&timer, pending(), ready(Err(1))), Some(Ok(Some(Err(1)))));
        assert_eq!(gate(&timer, refuses(), pending()), refused());
        assert_eq!(gate(&timer, refuses(), ready(Ok(1))), refused());
        timer.cancel();
        let stops = Some(Err("shutting_down".to_owned()));
        assert_eq!(gate(&timer, pending(), ready(Ok(1))), stops);
    }

    #[test]
    fn an_answer_that_came_first_is_kept_and_not_asked_for_again() {
        let mut polls = 0;
        let verdicts = poll_fn(|context| {
            polls += 1;
            context.waker().wake_by_ref();
            if polls < 3 { Poll::Pending } else { Poll::Ready(Ok(())) }
        });
        let upstream = async { 7 };
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let timer = ConnectionTimer::default();
        let answer = runtime.block_on(passed(&timer, verdicts, pin!(upstream), |_| false));
        assert_eq!(answer.ok(), Some(Some(7)));
    }
}
