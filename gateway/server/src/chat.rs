//! The steps of a call, in order. Most calls are chats; other kinds take the same way.

use super::{
    AnswerBody, RequestBody,
    access_log::Record,
    attempt::{answered, prepare},
    attempted::Attempted,
    body, call_paths,
    client::ClientAddress,
    completion,
    connection_timer::ConnectionTimer,
    error,
    error::ErrorForm,
    flight::{Flight, refused},
    made_answer, prepared,
    relay::CallbackStream,
    request,
};
use crate::app::App;
use callgate_callbacks::{CallbackReply, Started};
use callgate_failure::Failure;
use callgate_host::depth::AtDepth;
use callgate_providers::CallKind;
use http::{HeaderValue, Request, Response, Uri};
use std::{borrow::Cow, sync::Arc, time::Instant};

/// Accept → start hooks → choose → translate → send → relay → end or error hooks → record.
/// The kind comes from the path, and so does the model in a path of Azure's form, still encoded.
pub(super) fn call(
    app: Arc<App>,
    (timer, client): (ConnectionTimer, ClientAddress),
    request: Request<RequestBody>,
    (kind, path_model): (CallKind, Option<String>),
) -> impl Future<Output = Response<AnswerBody>> + use<> {
    let accepted = Instant::now();
    // Destructured here, because the future would otherwise hold both the whole and its parts.
    let (mut head, mut body) = request.into_parts();
    let id = request::call_id(&app, &head.headers);
    let mut record = Record::new(id.clone(), path(&head.uri), accepted);
    record.client = client.of_request(&app.trusted_proxies, &head.headers);
    async move {
        let asked = (kind, path_model);
        let call = request::accept((&app, &timer), &mut head, &mut body, asked, &mut record);
        let call = call.await;
        let mut response = match call {
            Err(failure) => {
                let mut response = refused(&app, &record, &failure).map(AnswerBody::Right);
                body::end(&head.headers, &mut body, response.headers_mut()).await;
                response
            }
            Ok((call, held, upload)) => {
                timer.request_is_whole();
                record.requested_model = Some(Arc::clone(&call.requested_model));
                record.stream = call.stream;
                let depth = request::depth(&app, &call.headers);
                let flight = Flight::new(app, timer, record, (call, held, upload));
                match depth {
                    0 => answer(flight).await,
                    // Rare, so it takes no room in every call's future.
                    _ => AtDepth::new(depth, answer(flight)).await,
                }
            }
        };
        if let Ok(id) = HeaderValue::from_str(&id) {
            response.headers_mut().insert(request::CALL_ID, id);
        }
        response
    }
}

/// Runs a call from the start hooks to its end. Not an `async fn`, whose future would have room for
/// the flight twice.
#[expect(clippy::manual_async_fn, reason = "the future of an `async fn` is larger")]
pub(super) fn answer(mut flight: Flight) -> impl Future<Output = Response<AnswerBody>> {
    async move {
        let form = ErrorForm::of(flight.parts().2.kind);
        match attempt(&mut flight).await {
            Ok(Attempted::Json(body, headers)) => match flight.finish_json(body, headers).await {
                Ok(response) => response.map(AnswerBody::Left),
                Err(failure) => error::response(&failure, form).map(AnswerBody::Right),
            },
            Ok(Attempted::Raw(answer)) => match Box::pin(flight.finish_raw(*answer)).await {
                Ok(response) => response.map(AnswerBody::Left),
                Err(failure) => error::response(&failure, form).map(AnswerBody::Right),
            },
            Ok(Attempted::Stream(relay, head)) => {
                relay.into_response(flight, head).map(AnswerBody::Right)
            }
            // Rare futures are boxed where they are awaited, because otherwise every call's future
            // would have room for them.
            Err(failure) => {
                let failure = Box::pin(flight.fail(failure)).await;
                error::response(&failure, form).map(AnswerBody::Right)
            }
        }
    }
}

/// The path as the log shows it; borrowed if it names no model.
fn path(uri: &Uri) -> Cow<'static, str> {
    let owned = || Cow::Owned(crate::refusal_log::shortened(uri.path()).into_owned());
    call_paths::named(uri.path()).map_or_else(owned, |(named, _)| Cow::Borrowed(named))
}

/// Makes one attempt at one deployment.
async fn attempt(flight: &mut Flight) -> Result<Attempted, Failure> {
    if let Some(done) = start(flight).await? {
        return Ok(done);
    }
    let attempt = prepare(flight).await?;
    answered(flight, attempt).await
}

/// Runs the start hooks. A reply from a callback ends the call here.
async fn start(flight: &mut Flight) -> Result<Option<Attempted>, Failure> {
    let (app, chain, call) = flight.parts();
    match chain.start(call, &app.deployments).await {
        Started::Continue => Ok(None),
        Started::Failed(failure) => Err(failure),
        Started::Replied { by, reply } => {
            let (echo, usage) = (completion::echo(call), prepared::usage(call).await?);
            flight.record.callback = Some(Arc::clone(&by));
            let done = match reply {
                CallbackReply::Whole(reply) => {
                    Box::pin(made_answer::made(flight, &reply, &echo, usage)).await
                }
                CallbackReply::Stream(reader) => {
                    let stream = CallbackStream { by, reader };
                    Box::pin(made_answer::streamed(flight, stream, &echo, usage)).await
                }
            };
            done.map(Some)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The size of the future of an async function with four arguments.
    fn future_of<A, B, C, D, F>(_: impl Fn(A, B, C, D) -> F) -> usize {
        size_of::<F>()
    }

    /// Every connection has room for one such future for as long as it is open.
    #[test]
    fn the_future_of_a_call_is_small() {
        let size = future_of(call);
        assert!(size < 4096, "expected less than 4096 bytes, found {size}");
    }
}
