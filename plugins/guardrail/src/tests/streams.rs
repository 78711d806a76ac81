//! Tests streams: a text comes out as in a JSON reply, however chunks divide it.

use super::{refused, rules};
use crate::Guardrail;
use plugin_api::testing::{Outcome, TestCall, TestChunk, TestReply, Tester};
use serde_json::{Value, json};

fn adding(choice: u64, delta: &Value, finish: &Value) -> TestChunk {
    TestChunk::json(json!({"choices": [
        {"index": choice, "delta": delta, "finish_reason": finish},
    ]}))
}

/// Returns the output for each piece, and for the finish chunk.
fn stream(tester: &Tester, pieces: &[&str]) -> Vec<String> {
    let mut call = TestCall::chat("m").stream();
    let mut chunks: Vec<_> = pieces.iter().map(|piece| TestChunk::text(piece)).collect();
    chunks.push(adding(0, &json!({}), &json!("stop")));
    let sent = chunks.iter_mut().map(|chunk| {
        assert_eq!(tester.new_token(&mut call, chunk), Outcome::Continue);
        assert!(!chunk.dropped());
        chunk.added().to_owned()
    });
    let sent = sent.collect();
    assert!(call.note().is_empty(), "the last chunk leaves nothing behind");
    sent
}

fn whole(tester: &Tester, text: &str) -> String {
    let mut reply = TestReply::text(text);
    assert_eq!(tester.end(&mut TestCall::chat("m"), &mut reply), Outcome::Continue);
    reply.value()["choices"][0]["message"]["content"].as_str().unwrap().to_owned()
}

#[test]
fn only_what_may_become_a_match_is_kept_back() {
    let tester = rules(&json!([{"pattern": "nightfall", "action": "mask", "replacement": "#"}]));
    for (pieces, expected) in [
        (&["Hello ", "world", "!"][..], &["Hello ", "world", "!", ""][..]),
        (&["at ni", "ght", "fall", " it"], &["at ", "", "#", " it", ""]),
        (&["ni", "ce"], &["", "nice", ""]),
        (&["in n", "night"], &["in ", "n", "night"]),
        (&["nightfal"], &["", "nightfal"]),
        (&["nightfall"], &["#", ""]),
    ] {
        // A complete match that cannot grow is sent at once.
        assert_eq!(stream(&tester, pieces), expected, "{pieces:?}");
    }
}

/// Returns random numbers that are the same in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963);
        usize::try_from(self.0 >> 33).unwrap() % bound
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.below(from.len())]
    }

    fn text(&mut self) -> String {
        (0..self.below(14)).map(|_| self.pick(&["a", "b", "c", "é", " ", "\n", "\r"])).collect()
    }

    /// Divides a text into pieces, some of them empty.
    fn cut<'t>(&mut self, mut text: &'t str) -> Vec<&'t str> {
        let mut pieces = Vec::new();
        while !text.is_empty() {
            let count = self.below(4);
            let at = text.char_indices().nth(count).map_or(text.len(), |(at, _)| at);
            let (piece, rest) = text.split_at(at);
            pieces.push(piece);
            text = rest;
        }
        pieces
    }

    /// Returns a bounded expression with all difficult features.
    fn pattern(&mut self, depth: usize) -> String {
        if depth == 0 {
            return self.pick(&["a", "ab", "é", ".", "[ab]", "[^a]", r"\w", "", "cab"]).to_owned();
        }
        let part = self.pattern(depth - 1);
        match self.below(6) {
            0 => format!("{part}{}", self.pattern(depth - 1)),
            1 => format!("(?:{part}|{})", self.pattern(depth - 1)),
            2 => format!("(?:{part}){}", self.pick(&["?", "??", "{2}", "{1,3}", "{0,2}?"])),
            3 => format!("({part}){}", self.pattern(depth - 1)),
            4 => format!("{}{part}", self.pick(&[r"\b", r"\B", "^", "(?m:^)"])),
            _ => format!("{part}{}", self.pick(&[r"\b", r"\B", "$", "(?m:$)", "(?Rm:$)"])),
        }
    }
}

#[test]
fn every_cut_gives_what_the_whole_gives() {
    let mut random = Random(7);
    let mut tried = 0;
    while tried < 100 {
        let mut rule = || {
            let depth = 1 + random.below(4);
            json!({"pattern": random.pattern(depth), "action": "mask", "replacement": "b"})
        };
        let rule_set = json!([rule(), rule()]);
        // Expressions that match empty text are refused.
        let Ok(tester) = Tester::of::<Guardrail>(json!({"rules": rule_set})) else { continue };
        tried += 1;
        for _ in 0..20 {
            let text = random.text();
            let pieces = random.cut(&text);
            let streamed = stream(&tester, &pieces).concat();
            assert_eq!(streamed, whole(&tester, &text), "{pieces:?} {rule_set}");
        }
    }
}

#[test]
fn presets_are_found_over_every_cut() {
    let tester = rules(&json!([
        {"preset": "email", "action": "mask"}, {"preset": "credit_card", "action": "mask"},
        {"preset": "api_key", "action": "mask"},
    ]));
    let text = "a: x.y@mail.example.com b: 4111 1111 1111 1111 12, \
                c: sk-abcdefghijklmnop0123. d: 4111 1111 1111 1112";
    let expected = "a: [email] b: [credit_card] 12, c: [api_key]. d: 4111 1111 1111 1112";
    assert_eq!(whole(&tester, text), expected);
    for first in 0..text.len() {
        for second in [first, (first + 3).min(text.len()), text.len()] {
            let pieces = [&text[..first], &text[first..second], &text[second..]];
            assert_eq!(stream(&tester, &pieces).concat(), expected, "{pieces:?}");
        }
    }
    let letters: Vec<&str> = text.split("").collect();
    assert_eq!(stream(&tester, &letters).concat(), expected);
}

#[test]
fn never_more_is_kept_than_the_settings_allow() {
    let settings = json!({"hold_back": 32, "rules": [
        {"pattern": "[a-z]{1,31}!", "action": "mask", "replacement": "#"},
    ]});
    let tester = Tester::of::<Guardrail>(settings).unwrap();
    let mut call = TestCall::chat("m").stream();
    let mut sent = 0;
    for count in 1..200 {
        let mut chunk = TestChunk::text("a");
        assert_eq!(tester.new_token(&mut call, &mut chunk), Outcome::Continue);
        sent += chunk.added().len();
        assert!(count - sent <= 32, "{count} {sent}");
    }
}

#[test]
fn choices_and_texts_are_kept_apart() {
    let tester = rules(&json!([{"pattern": "abc", "action": "mask", "replacement": "#"}]));
    let mut call = TestCall::chat("m").stream();
    let tool = |text: &str| {
        let arguments = format!("{{\"x\":\"{text}\"}}");
        json!([{"index": 0, "function": {"name": "f", "arguments": arguments}}])
    };
    let none = Value::Null;
    let steps = [
        (
            0,
            json!({"role": "assistant", "content": "ab"}),
            none.clone(),
            json!({"role": "assistant", "content": ""}),
        ),
        (1, json!({"content": "c"}), none.clone(), json!({"content": "c"})),
        (0, json!({"reasoning_content": "c"}), none.clone(), json!({"reasoning_content": "c"})),
        (1, json!({"content": "xa"}), none.clone(), json!({"content": "x"})),
        (0, json!({"tool_calls": tool("abc")}), none.clone(), json!({"tool_calls": tool("#")})),
        (
            0,
            json!({"content": "c", "reasoning": "a"}),
            none.clone(),
            json!({"content": "#", "reasoning": ""}),
        ),
        (0, json!({"content": null}), none, json!({"content": null})),
        (0, json!({}), json!("tool_calls"), json!({"reasoning": "a"})),
        (1, Value::Null, json!("stop"), json!({"content": "a"})),
    ];
    for (choice, delta, finish, expected) in steps {
        let mut chunk = adding(choice, &delta, &finish);
        assert_eq!(tester.new_token(&mut call, &mut chunk), Outcome::Continue);
        assert_eq!(chunk.value()["choices"][0]["delta"], expected, "{delta}");
    }
    let usage = json!({"choices": [], "usage": {"total_tokens": 3}});
    let mut chunk = TestChunk::json(usage.clone());
    assert_eq!(tester.new_token(&mut call, &mut chunk), Outcome::Continue);
    assert_eq!(chunk.value(), usage);
    assert!(call.note().is_empty());
}

#[test]
fn several_choices_of_one_chunk_finish_together() {
    let tester = rules(&json!([{"pattern": "abc", "action": "mask", "replacement": "#"}]));
    let mut call = TestCall::chat("m").stream();
    let chunk = |contents: [Value; 2], finish: &Value| {
        let choice = |(index, content): (usize, &Value)| {
            json!({"index": index, "delta": {"content": content}, "finish_reason": finish,
                "logprobs": {"content": []}})
        };
        TestChunk::json(
            json!({"choices": contents.iter().enumerate().map(choice).collect::<Vec<_>>()}),
        )
    };
    let mut first = chunk([json!("ab"), json!("xa")], &Value::Null);
    assert_eq!(tester.new_token(&mut call, &mut first), Outcome::Continue);
    let mut last = chunk([json!("c"), Value::Null], &json!("length"));
    assert_eq!(tester.new_token(&mut call, &mut last), Outcome::Continue);
    let content = |chunk: &TestChunk| {
        [0, 1].map(|at| chunk.value()["choices"][at]["delta"]["content"].clone())
    };
    assert_eq!(
        (content(&first), content(&last)),
        ([json!(""), json!("x")], [json!("#"), json!("a")])
    );
    assert!(first.value()["choices"][1]["logprobs"].is_null());
}

#[test]
fn a_denied_match_ends_the_stream_before_any_of_it_is_sent() {
    let tester = rules(&json!([{"pattern": "abc", "action": "deny", "name": "no"}]));
    let mut call = TestCall::chat("m").stream();
    let mut chunk = TestChunk::text("so ab");
    assert_eq!(tester.new_token(&mut call, &mut chunk), Outcome::Continue);
    assert_eq!(chunk.added(), "so ");
    let rejection = refused(tester.new_token(&mut call, &mut TestChunk::text("c")));
    assert_eq!(rejection.message, "the reply is withheld by the rule `no`");
}

#[test]
fn text_kept_by_a_stream_without_an_end_is_withheld_and_told_without_it() {
    let tester = rules(&json!([{"pattern": "abc", "action": "mask"}]));
    let mut call = TestCall::chat("m").stream();
    assert_eq!(tester.new_token(&mut call, &mut TestChunk::text("ab")), Outcome::Continue);
    assert_eq!(tester.end(&mut call, &mut TestReply::streamed("")), Outcome::Continue);
    let told = tester.host().log().pop().unwrap();
    assert_eq!(told.field("bytes"), Some("2"));
    assert!(!told.to_string().contains("ab "), "{told}");
}

#[test]
fn a_reply_without_json_that_is_no_stream_is_withheld() {
    let tester = rules(&json!([{"pattern": "abc", "action": "mask"}]));
    let mut reply = TestReply::streamed("abc");
    assert_eq!(refused(tester.end(&mut TestCall::chat("m"), &mut reply)).status, 502);
}

#[test]
fn chunks_that_cannot_be_judged_end_the_stream() {
    let tester = rules(&json!([{"pattern": "abc", "action": "mask"}]));
    for choice in [
        json!({"delta": {"content": ["abc"]}}),
        json!({"delta": {"reasoning": 7}}),
        json!({"delta": "abc"}),
        json!({"index": 128, "delta": {"content": "x"}}),
        json!({"index": -1, "delta": {}}),
        json!({"message": {"content": "abc"}}),
        json!({"text": "abc"}),
        json!("abc"),
    ] {
        let mut chunk = TestChunk::json(json!({"choices": [choice]}));
        let outcome = tester.new_token(&mut TestCall::chat("m").stream(), &mut chunk);
        assert_eq!(refused(outcome).status, 502, "{choice}");
    }
    let mut call = TestCall::chat("m").with_note(b"not ours");
    let outcome = tester.new_token(&mut call, &mut TestChunk::text("x"));
    assert!(matches!(outcome, Outcome::Fault(_)), "{outcome:?}");
}

#[test]
fn without_rules_for_replies_streams_are_not_touched() {
    let tester = rules(&json!([{"pattern": "abc", "action": "mask", "on": ["prompt"]}]));
    assert_eq!(stream(&tester, &["ab", "c"]), ["ab", "c", ""]);
}

/// Joins the arguments of each tool call of a stream, as a client does.
fn called(tester: &Tester, deltas: &[Value]) -> Vec<String> {
    let mut call = TestCall::chat("m").stream();
    let mut texts = vec![String::new(); 3];
    for (at, delta) in deltas.iter().enumerate() {
        let finish = if at + 1 == deltas.len() { json!("tool_calls") } else { Value::Null };
        let mut chunk = adding(0, delta, &finish);
        assert_eq!(tester.new_token(&mut call, &mut chunk), Outcome::Continue);
        let delta = chunk.value()["choices"][0]["delta"].clone();
        for one in delta["tool_calls"].as_array().into_iter().flatten() {
            let index = usize::try_from(one["index"].as_u64().unwrap()).unwrap();
            texts[index].push_str(one["function"]["arguments"].as_str().unwrap_or_default());
        }
        texts[2].push_str(delta["function_call"]["arguments"].as_str().unwrap_or_default());
    }
    assert!(call.note().is_empty(), "the last chunk leaves nothing behind");
    texts
}

#[test]
fn what_tools_are_called_with_is_looked_at_over_chunks() {
    let tester = rules(&json!([{"pattern": "abc", "action": "mask", "replacement": "#"}]));
    let adding = |index: u64, text: &str| json!({"tool_calls": [{"index": index, "function": {"arguments": text}}]});
    let old = |text: &str| json!({"function_call": {"arguments": text}});
    for (deltas, expected) in [
        (
            vec![adding(0, "xa"), adding(1, "ab"), adding(0, "bc"), adding(1, "d"), json!({})],
            ["x#", "abd", ""],
        ),
        (vec![adding(0, "xa"), adding(1, "ab"), json!({})], ["xa", "ab", ""]),
        (vec![adding(0, "xa"), adding(0, "bca")], ["x#a", "", ""]),
        (vec![old("a"), old("bc"), old("a"), json!({})], ["", "", "#a"]),
        (vec![old("a"), old("bca")], ["", "", "#a"]),
    ] {
        assert_eq!(called(&tester, &deltas), expected, "{deltas:?}");
    }
    for call in
        [json!(7), json!([7]), json!([{"index": 239}]), json!([{"function": {"arguments": 7}}])]
    {
        let mut chunk = super::streams::adding(0, &json!({"tool_calls": call}), &Value::Null);
        let outcome = tester.new_token(&mut TestCall::chat("m").stream(), &mut chunk);
        assert_eq!(refused(outcome).status, 502, "{call}");
    }
}

#[test]
fn what_was_kept_of_a_call_goes_out_with_a_last_chunk_that_has_no_delta() {
    let tester = rules(&json!([{"pattern": "abc", "action": "mask", "replacement": "#"}]));
    for (delta, kept) in [
        (
            json!({"function_call": {"name": "f", "arguments": "xab"}}),
            json!({"function_call": {"arguments": "ab"}}),
        ),
        (
            json!({"tool_calls": [{"index": 1, "function": {"arguments": "xab"}}]}),
            json!({"tool_calls": [{"index": 1, "function": {"arguments": "ab"}}]}),
        ),
    ] {
        let mut call = TestCall::chat("m").stream();
        let mut first = adding(0, &delta, &Value::Null);
        assert_eq!(tester.new_token(&mut call, &mut first), Outcome::Continue);
        let mut last = TestChunk::json(json!({"choices": [{"finish_reason": "stop"}]}));
        assert_eq!(tester.new_token(&mut call, &mut last), Outcome::Continue);
        assert_eq!(last.value()["choices"][0]["delta"], kept);
    }
}

#[test]
fn other_texts_of_a_chunk_are_looked_at_each_by_itself() {
    let tester = rules(&json!([{"pattern": "abc", "action": "mask", "replacement": "#"}]));
    let mut chunk = TestChunk::json(json!({"id": "abc", "note": "abc", "choices": [{
        "index": 0, "seen": "abc",
        "delta": {"content": "x", "Content": "abc", "annotations": [{"title": "abc"}]},
    }]}));
    let mut call = TestCall::chat("m").stream();
    assert_eq!(tester.new_token(&mut call, &mut chunk), Outcome::Continue);
    let expected = json!({"id": "abc", "note": "#", "choices": [{
        "index": 0, "seen": "#",
        "delta": {"content": "x", "Content": "#", "annotations": [{"title": "#"}]},
    }]});
    assert_eq!(chunk.value(), expected);
}
