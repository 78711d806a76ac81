//! GitHub Copilot: OpenAI's wire, with headers that say which program calls, who began the
//! conversation's turn, and whether there are pictures. `openai` does the rest.

use crate::{
    AnswerFault, CallKind, ChatAddress, Destination, Dialect, Echo, ErrorText, Outgoing,
    StreamRequest, StreamTranslator, Translated, openai::OpenAi, other_calls,
};
use callgate_failure::Failure;
use callgate_json::{Body, text, walk};

#[derive(Clone, Copy, Debug)]
pub(crate) struct Copilot;

type Header = (&'static str, &'static str);

/// The headers of every call, as LiteLLM sends them, with these beside them.
macro_rules! headers {
    ($($beside:expr),*) => {
        &[
            ("copilot-integration-id", "vscode-chat"),
            ("editor-version", "vscode/1.95.0"),
            ("editor-plugin-version", "copilot-chat/0.26.7"),
            ("user-agent", "GitHubCopilotChat/0.26.7"),
            ("openai-intent", "conversation-panel"),
            ("x-github-api-version", "2025-04-01"),
            ("x-vscode-user-agent-library-version", "electron-fetch"),
            $($beside),*
        ]
    };
}

const USER: Header = ("x-initiator", "user");
const AGENT: Header = ("x-initiator", "agent");
const VISION: Header = ("copilot-vision-request", "true");

/// By whether an agent continues, and whether there are pictures.
static HEADERS: [[&[Header]; 2]; 2] =
    [[headers!(USER), headers!(USER, VISION)], [headers!(AGENT), headers!(AGENT, VISION)]];

impl Dialect for Copilot {
    fn chat_url(&self, at: &ChatAddress<'_>) -> String {
        OpenAi.chat_url(at)
    }

    fn request(&self, body: &Body, to: &Destination<'_>) -> Result<Outgoing, Failure> {
        let messages = body.member_bytes("messages").unwrap_or_default();
        let (agent, pictures) = kinds_of(text(&messages));
        let headers = HEADERS[usize::from(agent)][usize::from(pictures)];
        Ok(Outgoing { headers, ..OpenAi.request(body, to)? })
    }

    fn url(&self, kind: CallKind, at: &ChatAddress<'_>) -> String {
        other_calls::url(&self.chat_url(at), kind)
    }

    fn request_of(
        &self,
        kind: CallKind,
        body: &Body,
        to: &Destination<'_>,
    ) -> Result<Outgoing, Failure> {
        OpenAi.request_of(kind, body, to)
    }

    fn reply_of(
        &self,
        kind: CallKind,
        body: Body,
        echo: &Echo,
        base64: bool,
    ) -> Result<Translated, AnswerFault> {
        OpenAi.reply_of(kind, body, echo, base64)
    }

    fn reply(&self, body: Body, echo: &Echo) -> Result<Translated, AnswerFault> {
        OpenAi.reply(body, echo)
    }

    fn stream(&self, echo: &Echo, asked: StreamRequest) -> Box<dyn StreamTranslator> {
        OpenAi.stream(echo, asked)
    }

    fn error(&self, status: u16, body: &[u8]) -> ErrorText {
        OpenAi.error(status, body)
    }
}

/// Whether any message is an agent's, and whether any has a picture.
fn kinds_of(messages: &str) -> (bool, bool) {
    let (mut agent, mut pictures) = (false, false);
    for message in walk::elements(messages).into_iter().flatten() {
        let Some(message) = messages.get(message.value) else { continue };
        let role = walk::value(message, "role").map(walk::decoded);
        agent |= role.is_some_and(|role| matches!(&*role, "assistant" | "tool"));
        let content = walk::value(message, "content").unwrap_or_default();
        for part in walk::elements(content).into_iter().flatten() {
            let part = content.get(part.value).unwrap_or_default();
            pictures |= walk::member(part, "image_url").is_some()
                || walk::value(part, "type").is_some_and(|it| walk::decoded(it) == "image_url");
        }
    }
    (agent, pictures)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turn_is_a_users_or_an_agents_with_pictures_or_without() {
        for (messages, expected) in [
            (r#"[{"role":"system","content":"s"},{"role":"user","content":"u"}]"#, (false, false)),
            (r#"[{"role":"user"},{"role":"assistant"},{"role":"user"}]"#, (true, false)),
            (r#"[{"role":"t\u006fol","content":"x"}]"#, (true, false)),
            (r#"[{"role":"user","content":[{"type":"text","text":"image_url"}]}]"#, (false, false)),
            (
                r#"[{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:"}}]}]"#,
                (false, true),
            ),
            (r#"[{"role":"tool"},{"role":"user","content":[{"image_url":"u"}]}]"#, (true, true)),
            (r#"[1,"assistant",{"role":1,"content":[1]}]"#, (false, false)),
            ("", (false, false)),
        ] {
            assert_eq!(kinds_of(messages), expected, "{messages}");
        }
        assert_eq!(HEADERS[1][1].len(), 9);
        assert!(HEADERS[0][1].contains(&USER) && HEADERS[0][1].contains(&VISION));
    }
}
