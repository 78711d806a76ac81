//! A plugin of ABI 1.2: uses what that appended, and goes on where it is absent.

use plugin_api::{Callback, Flow, Hook, Host, InitError, LlmCall, export_callbacks};

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// What is left in the prompt.
    mark: String,
}

struct Next {
    host: Host,
    mark: String,
}

impl Callback for Next {
    type Settings = Settings;

    fn new(host: Host, settings: Settings) -> Result<Self, InitError> {
        Ok(Self { host, mark: settings.mark })
    }

    fn on_llm_start(&self, call: &mut LlmCall<'_>) -> Hook {
        let clock = self.host.clock().and_then(|clock| clock.tick());
        let found = [call.later(), clock, self.host.later()];
        let found = found.map(|it| it.map_or("absent".to_owned(), |it| it.to_string()));
        call.set_upstream_header("x-next", &found.join(" "))?;
        let prompt = format!("{}{}", call.message_text(0).unwrap_or_default(), self.mark);
        call.set_message_text(0, &prompt)?;
        Ok(Flow::Continue)
    }
}

export_callbacks! {
    Next {
        name: "next",
        kind: sync,
        hooks: [on_llm_start, on_llm_later],
        reads: [],
        writes: ["messages", "headers"],
        settings_schema: r#"{"type": "object"}"#,
        sample_settings: r#"{"mark": "n"}"#,
    }
}
