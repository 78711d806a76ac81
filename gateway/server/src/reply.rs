//! A JSON reply: read whole, checked and translated for the client.

use super::{
    access_log::Record,
    connection_timer::ConnectionTimer,
    fault, response_headers,
    unreachable::unreachable,
    upstream_failure,
    upstream_request::Sent,
    whole_body::{self, Unread, Whole},
};
use crate::app::App;
use bytes::Bytes;
use callgate_callbacks::offload::offload;
use callgate_failure::{Failure, Form};
use callgate_json::{BodyError, LARGE, joined};
use callgate_providers::{
    AnswerFault, CallKind, Translated, Usage, error_text::is_page, reasoning_in_text,
    stream_as_completion::CompletionFromStream, through_chat,
};
use callgate_upstream::{UpstreamError, UpstreamResponse};
use http::HeaderMap;

/// Reads, checks and translates a JSON reply. Returns it with the client's headers.
pub(super) async fn json_reply(
    (app, timer, record): (&App, &ConnectionTimer, &mut Record),
    answer: &mut UpstreamResponse,
    sent: &Sent,
) -> Result<(Bytes, HeaderMap), Failure> {
    let headers = response_headers::json_headers(app, sent, &answer.headers);
    let limit = app.limits.max_reply_bytes;
    let end = sent.started.checked_add(sent.timeout);
    let mut together = together_of(sent);
    let is_chat = sent.kind == CallKind::Chat;
    let waits = (timer, end);
    let body = whole_body::read(answer, waits, limit, |piece| is_chat && together.push(piece));
    let body = body.await;
    record.upstream = Some(sent.started.elapsed());
    let body = body.map_err(|unread| match unread {
        Unread::TooLarge => upstream_failure::too_large(limit, sent),
        Unread::TooLate => unreachable(&UpstreamError::Timeout(sent.timeout), sent),
        Unread::Broken(error) => fault::broken(&error, Form::Json),
    })?;
    let (body, usage) = translated(body, together, answer.status, sent).await?;
    record.usage = usage;
    Ok((body, headers))
}

/// Translates a JSON reply in one piece. A large one is translated outside the worker; the reply to
/// a stream request was scanned as it arrived.
async fn translated(
    body: Whole,
    together: CompletionFromStream<'_>,
    status: u16,
    sent: &Sent,
) -> Result<(Bytes, Option<Usage>), Failure> {
    let work = move |body, together: CompletionFromStream<'_>, sent: &Sent| {
        let translated = match sent.kind {
            CallKind::Chat => translate(body, together, status, sent)?,
            _ => translate_other(body, status, sent)?,
        };
        let body = joined(translated.body);
        if sent.kind != sent.asked_kind {
            let answer = through_chat::reply(sent.asked_kind, &body, (&sent.echo, &sent.echoed));
            let answer = answer.map_err(|fault| fault::failure(fault, Form::Json))?;
            return Ok((answer.into(), translated.usage));
        }
        let merges = sent.kind == CallKind::Chat && sent.target.deployment().merges_reasoning;
        Ok((if merges { reasoning_in_text::in_completion(body) } else { body }, translated.usage))
    };
    if body.len() <= LARGE || together.has_begun() {
        return work(body, together, sent);
    }
    let sent = sent.clone();
    offload(move || work(body, together_of(&sent), &sent)).await?
}

fn together_of(sent: &Sent) -> CompletionFromStream<'_> {
    let dialect = sent.target.deployment().provider.dialect;
    CompletionFromStream::new(dialect, &sent.echo, sent.asked.choices)
}

/// Translates a JSON reply. A body that is not a JSON object may be an error of another shape, or a
/// stream that was not requested.
fn translate(
    body: Whole,
    together: CompletionFromStream<'_>,
    status: u16,
    sent: &Sent,
) -> Result<Translated, Failure> {
    let dialect = sent.target.deployment().provider.dialect;
    let translated = match body {
        Whole::Empty => return Err(upstream_failure::no_completion(status, String::new(), sent)),
        Whole::Json(body) => dialect.reply(body, &sent.echo),
        Whole::Other(error, body) => match together.end(&body) {
            Err(AnswerFault::Other(_)) if !is_page(&body) => {
                return Err(upstream_failure::no_completion(status, error.to_string(), sent));
            }
            Err(AnswerFault::Other(_)) => {
                return Err(upstream_failure::no_json(status, &body, sent));
            }
            ended => ended.map(|ended| {
                // It would stand beside the completion.
                drop(body);
                ended.completion()
            }),
        },
    };
    translated.map_err(|fault| fault::failure(fault, Form::Json))
}

/// Translates the reply to a call of another kind than chat.
fn translate_other(body: Whole, status: u16, sent: &Sent) -> Result<Translated, Failure> {
    let dialect = sent.target.deployment().provider.dialect;
    let translated = match body {
        Whole::Json(body) => dialect.reply_of(sent.kind, body, &sent.echo, sent.base64),
        Whole::Empty => Err(AnswerFault::Malformed("an empty body".to_owned())),
        Whole::Other(_, body) if is_page(&body) => {
            return Err(upstream_failure::no_json(status, &body, sent));
        }
        Whole::Other(BodyError::NotJson(error), _) if error.is_cut() => {
            Err(AnswerFault::Incomplete("its JSON ends too soon".to_owned()))
        }
        Whole::Other(error, _) => Err(AnswerFault::Malformed(error.to_string())),
    };
    translated.map_err(|fault| match fault {
        AnswerFault::Malformed(how) => upstream_failure::unusable(status, &how, sent),
        fault => fault::failure(fault, Form::Json),
    })
}
