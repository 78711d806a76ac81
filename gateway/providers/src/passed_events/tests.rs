//! Streams at any cut: what passes, what ends them, and what is no stream.

use super::*;

/// The events that passed, as the relay frames them.
#[derive(Default)]
struct Collected(Vec<String>);

impl ChunkSink for Collected {
    fn chunk(&mut self, json: &[&[u8]]) {
        self.event(b"", json);
    }

    fn event(&mut self, name: &[u8], json: &[&[u8]]) {
        let name = String::from_utf8_lossy(name).into_owned();
        self.0.push(format!("{name}|{}", String::from_utf8_lossy(&json.concat())));
    }
}

fn run(
    kind: CallKind,
    input: &str,
    size: usize,
) -> (Vec<String>, Option<AnswerFault>, Option<Usage>, u64) {
    let echo = Echo { id: "i".into(), created: 1, model: "m".into() };
    let mut stream = stream(kind, &echo, StreamRequest { usage: false, choices: 1 });
    let mut out = Collected::default();
    let mut fault = None;
    for bytes in input.as_bytes().chunks(size) {
        fault = stream.push(bytes, &mut out).err();
        if fault.is_some() || stream.complete() {
            break;
        }
    }
    if fault.is_none() && !stream.complete() {
        fault = stream.close(&mut out).err();
    }
    (out.0, fault, stream.usage(), stream.events())
}

/// Runs it whole and in pieces of every size.
fn at_any_cut(
    kind: CallKind,
    input: &str,
) -> (Vec<String>, Option<AnswerFault>, Option<Usage>, u64) {
    let whole = run(kind, input, input.len().max(1));
    for size in 1..input.len() {
        assert_eq!(run(kind, input, size), whole, "{input} by {size}");
    }
    whole
}

fn counted(prompt_tokens: u64, completion_tokens: u64) -> Option<Usage> {
    let total_tokens = prompt_tokens + completion_tokens;
    Some(Usage { prompt_tokens, completion_tokens, total_tokens })
}

#[test]
fn events_pass_with_their_names() {
    let (events, fault, usage, seen) = at_any_cut(
        CallKind::Responses,
        "event: response.created\r\ndata: {\"type\":\"response.created\", \"model\":\"up\"}\r\n\r\n\
         : note\nid: 7\nevent:x.delta\ndata:{\"type\":\"x.delta\",\ndata: \"delta\":\"a\"}\n\n\
         event: response.completed\ndata: {\"type\":\"response.completed\",\"response\":\
         {\"usage\":{\"input_tokens\":3,\"output_tokens\":4}}}\n\n",
    );
    assert_eq!(
        events,
        [
            r#"response.created|{"type":"response.created", "model":"up"}"#,
            "x.delta|{\"type\":\"x.delta\",\n\"delta\":\"a\"}",
            r#"response.completed|{"type":"response.completed","response":{"usage":{"input_tokens":3,"output_tokens":4}}}"#,
        ]
    );
    assert_eq!((fault, usage, seen), (None, counted(3, 4), 3));
}

#[test]
fn a_messages_tokens_add_up_and_pings_are_no_events() {
    let (events, fault, usage, seen) = at_any_cut(
        CallKind::Messages,
        "event: message_start\ndata: {\"type\":\"message_start\",\"message\":\
         {\"usage\":{\"input_tokens\":25,\"output_tokens\":1}}}\n\n\
         event: ping\ndata: {\"type\": \"ping\"}\n\n\
         event: message_delta\ndata: {\"type\":\"message_delta\",\"usage\":{\"output_tokens\":15}}\n\n\
         event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
    );
    assert_eq!((events.len(), fault, usage, seen), (4, None, counted(25, 15), 3));
    assert_eq!(events[1], r#"ping|{"type": "ping"}"#);
}

#[test]
fn a_completions_model_is_the_clients_and_its_usage_only_if_asked_for() {
    let (events, fault, usage, _) = at_any_cut(
        CallKind::Completions,
        "data: {\"model\":\"up\",\"choices\":[{\"text\":\"a\",\"finish_reason\":null}]}\n\n\
         data: {\"choices\":[{\"text\":\"\",\"finish_reason\":\"stop\"}]}\n\n\
         data: {\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":4}}\n\n\
         data: [DONE]\n\n",
    );
    assert_eq!(
        events,
        [
            r#"|{"model":"m","choices":[{"text":"a","finish_reason":null}]}"#,
            r#"|{"choices":[{"text":"","finish_reason":"stop"}]}"#,
        ]
    );
    assert_eq!((fault, usage), (None, counted(3, 4)));
}

#[test]
fn what_is_no_whole_stream_is_a_fault() {
    let begun = "event: response.created\ndata: {\"type\":\"response.created\"}\n\n";
    let text = "data: {\"choices\":[{\"text\":\"a\"}]}\n\n";
    let (responses, completions) = (CallKind::Responses, CallKind::Completions);
    for (kind, input, expected) in [
        (responses, begun.to_owned(), "it has no `response.completed`"),
        (CallKind::Messages, begun.to_owned(), "it has no `message_stop`"),
        (completions, text.to_owned(), "`finish_reason`"),
        (responses, format!("{begun}data: {{\"type\":\"x"), "it ended within an event"),
        (responses, format!("{begun}data: [1]\n\n"), "no JSON object"),
        (responses, format!("{begun}event: error\ndata: {{\"message\":\"words\"}}\n\n"), "words"),
        (
            responses,
            format!(
                "{begun}data: {{\"type\":\"response.failed\",\"response\":{{\"status\":\"failed\",\
                 \"error\":{{\"code\":\"server_error\",\"message\":\"words\"}}}}}}\n\n"
            ),
            "words",
        ),
        (responses, format!("{begun}data: {{\"type\":\"response.failed\"}}\n\n"), "failed without"),
        (
            CallKind::Messages,
            "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\
             \"message\":\"words\"}}\n\n"
                .to_owned(),
            "words",
        ),
        (completions, format!("{text}data: {{\"error\":{{\"message\":\"words\"}}}}\n\n"), "words"),
        (completions, "data: {\"detail\":\"words\"}\n\n".to_owned(), "words"),
        (responses, "{\"error\":{\"message\":\"words\"}}".to_owned(), "words"),
        (responses, "{\"output\":[]}".to_owned(), "JSON in place of a stream"),
        (responses, String::new(), "a body without events"),
        (responses, ": note\n\n".to_owned(), "a body without events"),
        (responses, "<html>\n".to_owned(), "neither events nor JSON"),
    ] {
        let (_, fault, ..) = at_any_cut(kind, &input);
        let fault = format!("{fault:?}");
        assert!(fault.contains(expected), "{input}: {fault}");
    }
}
