//! A callback of ABI 1.0 with all four hooks, async. Each leaves its mark on what it is lent, in a way that
//! client or upstream sees; what it reads of the call goes into a header.

use std::time::Duration;

use plugin_api::{
    AsyncCallback, CallView, Chunk, Flow, Hook, Host, InitError, Level, LlmCall, LlmFailure,
    LlmReply,
};

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// What is left.
    mark: String,
    /// How long `on_llm_start` waits for the host's timer.
    #[serde(default)]
    wait_ms: u64,
}

pub struct FrozenAsync {
    host: Host,
    mark: String,
    wait: Duration,
}

impl AsyncCallback for FrozenAsync {
    type Settings = Settings;

    fn new(host: Host, settings: Settings) -> Result<Self, InitError> {
        Ok(Self { host, mark: settings.mark, wait: Duration::from_millis(settings.wait_ms) })
    }

    async fn on_llm_start(&self, call: &mut LlmCall<'_>) -> Hook {
        if let Some(timer) = self.host.timer().filter(|_| !self.wait.is_zero()) {
            timer.sleep(self.wait).await;
        }
        let text = |value: Option<&str>| value.unwrap_or("-").to_owned();
        let seen = [
            call.endpoint().0.to_string(),
            call.stream().to_string(),
            call.requested_model().to_owned(),
            call.model().to_owned(),
            text(call.provider()),
            text(call.upstream_model()),
            (!call.id().is_empty()).to_string(),
            text(call.param("temperature")),
            text(call.header("x-asked")),
            call.message_count().to_string(),
            text(call.message_role(0)),
            (!call.body().is_empty()).to_string(),
            call.cancelled().to_string(),
        ];
        let prompt = format!("{}{}", call.message_text(0).unwrap_or_default(), self.mark);
        // A call without messages stays without.
        let _ = call.set_message_text(0, &prompt);
        call.set_upstream_header(
            &format!("x-start-{}", self.mark),
            &seen.join(" ").escape_default().to_string(),
        )?;
        call.set_param("seed", "7")?;
        let shared = format!("{}{}", call.metadata("marks").unwrap_or_default(), self.mark);
        call.set_metadata("marks", &shared)?;
        call.set_local(self.mark.as_bytes())?;
        Ok(Flow::Continue)
    }

    async fn on_llm_new_token(&self, _: &mut CallView<'_>, chunk: &mut Chunk<'_>) -> Hook {
        if !chunk.text().is_empty() {
            chunk.set_text(&format!("{}{}", chunk.text(), self.mark))?;
        }
        Ok(Flow::Continue)
    }

    async fn on_llm_end(&self, call: &mut CallView<'_>, reply: &mut LlmReply<'_>) -> Hook {
        let note = String::from_utf8_lossy(call.local()).into_owned();
        let said = format!(
            "{} {} {} {} {}",
            note,
            call.metadata("marks").unwrap_or_default(),
            reply.status(),
            reply.finish_reason().unwrap_or("-"),
            reply.from_callback()
        );
        if reply.json().is_some() {
            reply.set_header(&format!("x-end-{}", self.mark), &said)?;
        }
        self.host.log_with(Level::Info, "ended", &[("said", &said)]);
        Ok(Flow::Continue)
    }

    async fn on_llm_error(&self, _: &mut CallView<'_>, failure: &mut LlmFailure<'_>) -> Hook {
        let kind = failure.kind().0;
        let message = format!("{} [{} {kind}]", failure.message(), self.mark);
        if !failure.sent() {
            failure.set_message(&message)?;
        }
        Ok(Flow::Continue)
    }
}
