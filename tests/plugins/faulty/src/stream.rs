//! Streams as answers, written by a task.

use crate::{
    act::Voice,
    settings::{StreamEnd, StreamPlan},
};
use plugin_api::{Flow, HookError, HostError, Level, LlmCall, ReplyWriter};
use std::{future::pending, panic::panic_any};

/// Opens a stream and has it written.
pub(crate) fn answer(
    voice: Voice<'_>,
    call: &mut LlmCall<'_>,
    plan: &StreamPlan,
) -> Result<Flow, HookError> {
    let (writer, reply) = call.reply_stream()?;
    let (host, label, plan) = (voice.host, voice.label.to_owned(), plan.clone());
    let task = host.task().ok_or_else(|| HookError::internal("there are no tasks"))?;
    let work = async move {
        let voice = Voice { host, label: &label };
        let kind = match written(voice, writer, plan).await {
            Ok(()) => "none".to_owned(),
            Err(error) => error.kind.0.to_string(),
        };
        voice.say(Level::Info, "stream ended", &[("error", &kind)]);
    };
    task.spawn(work).map_err(HookError::internal)?;
    Ok(Flow::Reply(reply))
}

#[expect(clippy::panic, reason = "the settings ask for it")]
async fn written(
    voice: Voice<'_>,
    mut writer: ReplyWriter,
    plan: StreamPlan,
) -> Result<(), HostError> {
    for part in &plan.parts {
        let json = part.strip_prefix('!').or(part.starts_with(['{', '[']).then_some(part));
        let sent = match json {
            Some(json) => writer.json(json).await,
            None => writer.text(part).await,
        };
        if let Err(error) = sent {
            voice.say(Level::Warn, "part refused", &[("kind", &error.kind.0.to_string())]);
        }
    }
    match plan.end {
        StreamEnd::Finish => match plan.usage {
            Some((prompt, completion)) => {
                writer.finish_with_usage("stop", prompt, completion).await
            }
            None => writer.finish("stop").await,
        },
        StreamEnd::Done => writer.done().await,
        StreamEnd::Drop => Ok(()),
        StreamEnd::Panic => panic_any("in the stream"),
        StreamEnd::Hang => pending().await,
        StreamEnd::UntilClosed => loop {
            writer.text(&"x".repeat(10_000)).await?;
        },
    }
}
