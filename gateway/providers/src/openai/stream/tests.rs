//! Streams in the client's own dialect, complete and broken, split at every byte.

use super::*;
use std::sync::Arc;

#[derive(Default)]
struct Collected(Vec<String>);

impl ChunkSink for Collected {
    fn chunk(&mut self, json: &[&[u8]]) {
        self.0.push(String::from_utf8(json.concat()).expect("utf-8"));
    }
}

/// The result of a stream.
#[derive(Debug, PartialEq)]
struct Outcome {
    chunks: Vec<String>,
    usage: Option<Usage>,
    /// Whether it ended before the upstream closed.
    complete: bool,
    fault: Option<AnswerFault>,
}

fn run(input: &[u8], asked: StreamRequest, size: usize) -> Outcome {
    let echo = Echo { id: "i".into(), created: 1, model: "asked\"".into() };
    let mut passing = Passing::new(&echo, asked);
    let mut out = Collected::default();
    let mut fault = None;
    for chunk in input.chunks(size) {
        fault = passing.push(chunk, &mut out).err();
        if fault.is_some() || passing.complete() {
            break;
        }
    }
    let complete = passing.complete();
    if fault.is_none() && !complete {
        fault = passing.close(&mut out).err();
    }
    Outcome { chunks: out.0, usage: passing.usage(), complete, fault }
}

const ONE: StreamRequest = StreamRequest { usage: false, choices: 1 };

/// The result of the stream, which must be the same however it is split.
fn at_any_cut(input: impl AsRef<[u8]>, asked: StreamRequest) -> Outcome {
    let input = input.as_ref();
    let whole = run(input, asked, input.len().max(1));
    for size in 1..input.len() {
        assert_eq!(
            run(input, asked, size),
            whole,
            "{:?} by {size}",
            String::from_utf8_lossy(input)
        );
    }
    whole
}

const STREAM: &str = concat!(
    ": hello\r\n\r\n",
    "data: {\"id\":\"1\",\"model\":\"up\",\"choices\":[{\"delta\":{\"content\":\"a \\\"finish_reason\\\":\\\"\"},\"finish_reason\":null}]}\r\n\r\n",
    "data:{\"choices\":[{\"delta\":{},\"finish_reason\" : \"stop\"}], \"model\" : \"up\"}\n\n",
    "data: {\"model\":\"up\",\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":4,\"total_tokens\":7}}\n\n",
    "data: [DONE]\n\ndata: {\"late\":1}\n\n",
);

#[test]
fn frames_pass_with_the_requested_name() {
    let outcome = at_any_cut(STREAM, ONE);
    assert_eq!((outcome.fault, outcome.complete, outcome.chunks.len()), (None, true, 2));
    assert_eq!(
        outcome.chunks[1],
        r#"{"choices":[{"delta":{},"finish_reason" : "stop"}], "model" : "asked\""}"#
    );
    assert_eq!(outcome.usage.map(|usage| usage.total_tokens), Some(7));
    assert_eq!(at_any_cut(STREAM, StreamRequest { usage: true, ..ONE }).chunks.len(), 3);
}

#[test]
fn every_form_of_the_wire_reads_alike() {
    let plain = STREAM.replace("\r\n", "\n");
    let expected = at_any_cut(&plain, ONE);
    for (what, stream) in [
        ("CR", plain.replace('\n', "\r")),
        ("CRLF", plain.replace('\n', "\r\n")),
        ("mixed", plain.replace("\n\n", "\r\n\r").replace("}\n", "}\r")),
        ("mark", format!("\u{feff}{plain}")),
        ("mark and blanks", format!("\u{feff}\r\n \n{plain}")),
        ("no blank after `data:`", plain.replace("data: ", "data:")),
        ("other fields", plain.replace("data: ", "event: x\nid: 7\nretry: 5\nodd\nodd:\ndata: ")),
        ("comments", plain.replace("data:", ": PROCESSING\n\n:\ndata:")),
        ("no blank lines", plain.replace("\n\n", "\n")),
        ("empty data", plain.replace("data: {", "data:\n\ndata: {")),
        ("two data lines", plain.replace(", \"model\"", ",\ndata: \"model\"")),
    ] {
        let mut outcome = at_any_cut(&stream, ONE);
        outcome.chunks.iter_mut().for_each(|chunk| *chunk = chunk.replace(",\n", ", "));
        let chunks = expected.chunks.iter().map(|chunk| chunk.replace(",\n", ", "));
        assert!(
            outcome
                .chunks
                .iter()
                .map(|it| it.replace(", \"", ",\""))
                .eq(chunks.map(|it| it.replace(", \"", ",\""))),
            "{what}: {outcome:?}"
        );
        assert_eq!((outcome.fault, outcome.usage), (None, expected.usage), "{what}");
    }
}

fn event(choices: &str) -> String {
    format!("data: {{\"choices\":[{choices}]}}\n\n")
}

#[test]
fn what_is_missing_is_never_taken_for_whole() {
    let open = event(r#"{"index":0,"delta":{"content":"x"},"finish_reason":null}"#);
    let ended = event(r#"{"index":0,"delta":{},"finish_reason":"length"}"#);
    let other = event(r#"{"index":1,"delta":{"content":"x"},"finish_reason":null}"#);
    let empty = event(r#"{"index":0,"delta":{"content":"x"},"finish_reason":""}"#);
    let nested = event(
        r#"{"index":0,"delta":{"content":"x"},"logprobs":{"finish_reason":"stop"},"finish_reason":null}"#,
    );
    let silent = event(r#"{"index":0,"delta":{"content":"x"}}"#);
    let done = "data: [DONE]\n\n";
    let half = "data: {\"choices\":[{\"ind";
    for (stream, asked, whole) in [
        (vec![&*open, &*ended], 1, true),
        (vec![&open, &ended, done], 1, true),
        (vec![&open], 1, false),
        (vec![&open, done], 1, false),
        (vec![&open, &ended], 2, false),
        // An upstream that only supports one choice marks its end.
        (vec![&open, &ended, done], 2, true),
        (vec![&open, &other, &ended], 1, false),
        (vec![&open, &other, &ended, done], 2, false),
        (vec![&empty], 1, false),
        (vec![&empty, done], 1, false),
        (vec![&nested], 1, false),
        (vec![&silent], 1, false),
        (vec![&silent, done], 1, true),
        (vec![done], 1, false),
        (vec![&open, &ended, half], 1, false),
        (vec![&open, &ended, half, "\n\n"], 1, false),
        (vec![&open, &ended, "data: {\"a\":\ndata: 1"], 1, false),
        (vec![&open, &ended, "data: {\"a\":\ndata: 1}"], 1, true),
        (vec![&open, half], 1, false),
        (vec![&ended[..ended.len() - 2]], 1, true),
        (vec![&ended[..ended.len() - 3]], 1, false),
    ] {
        let outcome = at_any_cut(stream.concat(), StreamRequest { usage: false, choices: asked });
        assert_eq!(outcome.fault.is_none(), whole, "{stream:?} of {asked}: {outcome:?}");
        let incomplete = matches!(outcome.fault, None | Some(AnswerFault::Incomplete(_)));
        let said_whole = stream.ends_with(&[half, "\n\n"]);
        assert!(incomplete != said_whole, "{stream:?}: {outcome:?}");
    }
}

#[test]
fn errors_are_read_in_every_shape_and_place() {
    let good = event(r#"{"index":0,"delta":{"content":"x"},"finish_reason":null}"#);
    for error in [
        "data: {\"error\":{\"message\":\"words\",\"code\":\"c\"}}\n\n",
        "data: {\"error\":\"words\",\"code\":\"c\"}\n\n",
        "data: {\"err\\u006fr\":{\"message\":\"words\",\"code\":\"c\"}}\n\n",
        "data: {\"object\":\"error\",\"message\":\"words\",\"code\":\"c\"}\n\n",
        "data: {\"choices\":null,\"detail\":\"words\",\"code\":\"c\"}\n\n",
        "data: {\"choices\":[],\"error\":{\"message\":\"words\",\"code\":\"c\"}}\n\n",
        "data: {\"error\":{\"message\":\ndata: \"words\",\"code\":\"c\"}}\n\n",
        "event: error\ndata: {\"message\":\"words\",\"code\":\"c\"}\n\n",
        "event: error\ndata: {\"x\":{\"message\":\"no\"},\"message\":\"words\",\"code\":\"c\"}\n\n",
        "{\"error\":{\"message\":\"words\",\"code\":\"c\"}}\n",
    ] {
        for stream in [error.to_owned(), format!("{good}{error}"), format!("{good}{error}{good}")] {
            let fault = at_any_cut(&stream, ONE).fault;
            let Some(AnswerFault::Upstream(said)) = &fault else { panic!("{stream}: {fault:?}") };
            assert_eq!((&*said.message, said.code.as_deref()), ("words", Some("c")), "{stream}");
        }
    }
    let plain = at_any_cut("event: error\ndata: out of memory\n\n", ONE).fault;
    let Some(AnswerFault::Upstream(said)) = &plain else { panic!("{plain:?}") };
    assert_eq!(said.message, "out of memory");
}

#[test]
fn a_null_error_beside_a_chunk_is_none() {
    let chunk = r#"data: {"error":null,"choices":[{"delta":{},"finish_reason":"stop"}]}"#;
    for stream in [chunk.to_owned(), chunk.replace("null", "{}"), chunk.replace("null", "\"\"")] {
        assert_eq!(at_any_cut(stream, ONE).fault, None);
    }
}

#[test]
fn garbage_ends_the_stream() {
    let good = event(r#"{"index":0,"delta":{"content":"x"},"finish_reason":null}"#);
    for garbage in [
        "data: {\"a\":\n\n",
        "data: <html>\n\n",
        "data: 7\n\n",
        "data: {\"choices\":7}\n\n",
        "data: {\"choices\":[7]}\n\n",
        "Internal Server Error\n\n",
        "<html>\n",
    ] {
        let outcome = at_any_cut(format!("{good}{garbage}{good}"), ONE);
        let malformed = matches!(outcome.fault, Some(AnswerFault::Malformed(_)));
        assert!(malformed, "{garbage}: {outcome:?}");
    }
    for (other, what) in [
        ("", "an empty body"),
        (" \r\n", "an empty body"),
        ("\u{feff}", "an empty body"),
        ("garbage\n\nmore", "neither events nor JSON"),
        ("<html>Log in", "neither events nor JSON"),
        (": only a comment\n\n", "neither events nor JSON"),
        ("{\"x\":1}", "JSON that is not a chat completion"),
        ("[1,2]", "JSON that is not a chat completion"),
        ("{\"choices\":[]}", "JSON that is not a chat completion"),
    ] {
        let fault = at_any_cut(other, ONE).fault;
        let Some(AnswerFault::Other(found)) = fault else { panic!("{other:?}: {fault:?}") };
        assert!(found.contains(what), "{other:?}: {found}");
    }
}

#[test]
fn a_surrogate_pair_that_was_cut_is_whole_again() {
    let chunk =
        |text: &str| format!(r#"{{"choices":[{{"index":0,"delta":{{"content":"{text}"}}}}]}}"#);
    let stream = |texts: &[&str]| {
        let events = texts.iter().map(|text| format!("data: {}\n\n", chunk(text)));
        format!("{}data: [DONE]\n\n", events.collect::<String>())
    };
    for (sent, expected) in [
        (&[r"a\ud83d", r"\ude00b", "c"][..], &["a", r"\ud83d\ude00b", "c"][..]),
        (&[r"\ud83d", r"\ude00\ud83d", r"\ude01"], &["", r"\ud83d\ude00", r"\ud83d\ude01"]),
        (&[r"a\ud83d", "b"], &[r"a\ud83d", "b"]),
        (&["b", r"a\ud83d"], &["b", r"a\ud83d"]),
        (&[r"\ude00"], &[r"\ude00"]),
    ] {
        let outcome = at_any_cut(stream(sent), ONE);
        let expected: Vec<_> = expected.iter().map(|text| chunk(text)).collect();
        assert_eq!((outcome.fault, outcome.chunks), (None, expected), "{sent:?}");
    }
    let broken = format!("data: {}\n\n", chunk(r"a\ud83d"));
    assert_eq!(at_any_cut(&broken, ONE).chunks, [chunk(r"a\ud83d")], "what came before a break");
}

#[test]
fn json_in_place_of_a_stream_is_judged_as_a_reply() {
    let good = r#"{"choices":[{"message":{"content":"a"},"finish_reason":"stop"}]}"#;
    for (json, expected) in [
        (good.to_owned(), None),
        (format!("\u{feff} \n{good}\n"), None),
        (good.replace("\"stop\"", "null"), Some("Incomplete")),
        (good.replace("stop", ""), Some("Incomplete")),
        (format!("{good}{good}"), Some("not a chat completion")),
        (good[..good.len() - 1].to_owned(), Some("Incomplete")),
        (good[..9].to_owned(), Some("Incomplete")),
        (good.replace("\"a\"", "\"a\\ud83d\""), None),
        (r#"[{"error":{"message":"words"}}]"#.to_owned(), Some("words")),
        (r#"{"detail":[{"loc":["body"],"msg":"words"}]}"#.to_owned(), Some("words")),
    ] {
        let outcome = at_any_cut(&json, ONE);
        let fault = outcome.fault.map(|fault| format!("{fault:?}"));
        match expected {
            None => assert_eq!((fault, outcome.chunks.len()), (None, 2), "{json}"),
            Some(text) => assert!(fault.as_ref().is_some_and(|it| it.contains(text)), "{fault:?}"),
        }
    }
}

#[test]
fn an_event_of_many_lines_is_scanned_twice_at_most_and_bounded() {
    let scanned = |lines: usize| {
        let echo = Echo { id: Arc::default(), created: 1, model: Arc::default() };
        let mut passing = Passing::new(&echo, ONE);
        let event = format!("data: [\n{}", "data: 1,\n".repeat(lines));
        passing.push(event.as_bytes(), &mut Collected::default()).unwrap();
        let fault = passing.push(b"data: 1]\n\n", &mut Collected::default());
        assert!(matches!(fault, Err(AnswerFault::Malformed(_))));
        passing.frames.scanned
    };
    let (once, twice) = (scanned(1000), scanned(2000));
    assert!(once < 2 * 3 * 1002 && twice < 2 * once, "{once} {twice}");

    let echo = Echo { id: Arc::default(), created: 1, model: Arc::default() };
    let mut passing = Passing::new(&echo, ONE);
    let line = format!("data: {}\n", "[".repeat(1024 * 1024));
    let mut pushed = (0..40).map(|_| passing.push(line.as_bytes(), &mut Collected::default()));
    assert!(pushed.any(|result| matches!(result, Err(AnswerFault::Malformed(_)))));
    assert!(passing.frames.open.capacity() <= 2 * MAX_LINE);
}

#[test]
fn events_and_content_are_counted_and_nothing_else() {
    let echo = Echo { id: Arc::default(), created: 1, model: Arc::default() };
    let mut passing = Passing::new(&echo, ONE);
    let role = event(r#"{"delta":{"role":"assistant","content":""},"finish_reason":null}"#);
    let said = event(r#"{"delta":{"content":"x"},"finish_reason":null}"#);
    for (bytes, events, content) in [
        (": PROCESSING\n\n", 0, false),
        (" \n\n   ", 0, false),
        ("\ndata: {\"cho", 0, false),
        ("ices\":[]}\n\n", 1, false),
        (&role, 2, false),
        (&said, 3, true),
        (&role, 4, true),
        ("\n: more\n", 4, true),
    ] {
        passing.push(bytes.as_bytes(), &mut Collected::default()).unwrap();
        assert_eq!((passing.events(), passing.content()), (events, content), "{bytes:?}");
    }
}

#[test]
fn what_a_chunk_says_stands_in_its_delta() {
    // Perplexity sends the whole text so far beside the new part; others send a completion as one
    // event.
    let both = r#"data: {"object":"chat.completion","model":"up","choices":[{"index":0,"message":{"content":"ab"},"delta":{"content":"b"},"finish_reason":"stop"}]}"#;
    let whole = r#"data: {"id":"x","choices":[{"message":{"content":null,"tool_calls":[{"id":"c"}]},"finish_reason":"tool_calls"}],"choices":[{"message":{"content":"a"},"finish_reason":"stop"}]}"#;
    for (stream, chunk) in [
        (
            both,
            r#"{"object":"chat.completion.chunk","model":"asked\"","choices":[{"index":0,"delta":{"content":"b"},"finish_reason":"stop"}]}"#,
        ),
        (
            whole,
            r#"{"object":"chat.completion.chunk","id":"x","choices":[{"index":0,"delta":{"content":"a"},"finish_reason":"stop"}]}"#,
        ),
    ] {
        let outcome = at_any_cut([stream, "\n\n"].concat(), ONE);
        assert_eq!((outcome.fault, &outcome.chunks[..]), (None, &[chunk.to_owned()][..]));
    }
    let text =
        at_any_cut("data: {\"choices\":[{\"text\":\"a\",\"finish_reason\":\"stop\"}]}\n\n", ONE);
    assert!(matches!(text.fault, Some(AnswerFault::Malformed(_))) && text.chunks.is_empty());
}

#[test]
fn pings_are_no_chunks_and_usage_has_a_list_of_choices() {
    let chunk = r#"{"choices":[{"index":0,"delta":{"content":"a"},"finish_reason":"stop"}]}"#;
    let counted = r#"{"object":"chat.completion.chunk","usage":{"total_tokens":7},"choices":[]}"#;
    let stream = [
        "event: ping\ndata: {\"type\":\"ping\"}\n\ndata: {}\n\ndata: {\"choices\":null}\n\ndata: ",
        chunk,
        "\n\ndata: {\"usage\":{\"total_tokens\":7}}\n\ndata: [DONE]\n\n",
    ]
    .concat();
    let outcome = at_any_cut(&stream, ONE);
    assert_eq!((outcome.fault, &outcome.chunks[..]), (None, &[chunk.to_owned()][..]));
    let outcome = at_any_cut(&stream, StreamRequest { usage: true, choices: 1 });
    assert_eq!(outcome.chunks, [chunk, counted]);
    assert_eq!(outcome.usage.map(|usage| usage.total_tokens), Some(7));
    let fault = at_any_cut("event: ping\ndata: {\"type\":\"ping\"}\n\n", ONE).fault;
    assert!(matches!(fault, Some(AnswerFault::Incomplete(_))), "{fault:?}");
}

#[test]
fn an_error_in_a_field_of_its_own_is_read() {
    let error = "error: {\"code\":500,\"message\":\"slot gone\",\"type\":\"server_error\"}\n\n";
    for before in
        ["", "data: {\"choices\":[{\"delta\":{\"content\":\"a\"},\"finish_reason\":null}]}\n\n"]
    {
        let outcome = at_any_cut([before, error].concat(), ONE);
        let Some(AnswerFault::Upstream(error)) = outcome.fault else {
            panic!("{:?}", outcome.fault);
        };
        assert_eq!(error.message, "slot gone");
    }
}

/// Chunks that match the previous one are not scanned, which is visible in nothing else.
#[test]
fn a_chunk_means_the_same_behind_one_that_it_is_like() {
    let chunk = |id: &str, delta: &str, rest: &str| {
        format!(
            r#"{{"id":"{id}","model":"m","choices":[{{"index":0,"delta":{{{delta}}},"finish_reason":null}}]{rest}}}"#
        )
    };
    let content = |text: &str| format!(r#""content":"{text}""#);
    let arguments =
        |text: &str| format!(r#""tool_calls":[{{"index":0,"function":{{"arguments":"{text}"}}}}]"#);
    let usage = r#","usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}"#;
    for (delta, rest) in [
        (&content as &dyn Fn(&str) -> String, ""),
        (&arguments, ""),
        (&content, r#","usage":null,"error":null"#),
        (&content, usage),
        (&content, r#","model":"again""#),
    ] {
        for text in [
            "",
            "a",
            "é",
            r#"\n\\\""#,
            r#"x"},"finish_reason":"stop","y":{"z":""#,
            "a\"",
            "\t",
            r"\ud83d",
            r"\q",
        ] {
            let stream = |first: &str| {
                let chunks =
                    [first, &chunk("i", &delta(text), rest), &chunk("i", &delta("."), rest)];
                chunks.map(|chunk| format!("data: {chunk}\n\n")).concat()
            };
            let like = at_any_cut(stream(&chunk("i", &delta("a"), rest)), ONE);
            let unlike = at_any_cut(stream(&chunk("another", &delta("a"), rest)), ONE);
            assert_eq!(like.chunks[1..], unlike.chunks[1..], "{text}");
            assert_eq!((like.usage, like.fault), (unlike.usage, unlike.fault), "{text}");
        }
    }
}

#[test]
fn chunks_that_are_like_the_one_before_are_not_scanned() {
    let chunk = |id: usize, text: &str| {
        format!(
            "data: {{\"id\":\"{id}\",\"model\":\"m\",\"choices\":[{{\"index\":0,\"delta\":\
             {{\"content\":\"{text}\"}},\"finish_reason\":null}}]}}\n\n"
        )
    };
    let scanned = |stream: String| {
        let echo = Echo { id: "i".into(), created: 1, model: "asked".into() };
        let mut passing = Passing::new(&echo, ONE);
        let mut out = Collected::default();
        passing.push(stream.as_bytes(), &mut out).unwrap();
        assert_eq!((out.0.len(), passing.events()), (100, 100));
        assert!(out.0.iter().all(|chunk| chunk.contains("\"model\":\"asked\"")));
        (passing.frames.scanned, passing.frames.pattern.is_some())
    };
    let of_one = scanned((0..100).map(|at| chunk(7, &format!("word{at}"))).collect());
    let numbered = scanned((100..200).map(|at| chunk(at, "word")).collect());
    assert!(of_one.0 < 200 && of_one.1, "{of_one:?}");
    assert!(numbered.0 > 9_000 && !numbered.1, "{numbered:?}");
}
