//! Tests that work and memory are proportional to a body's size, whatever it contains and in
//! whatever pieces it arrives. Both are counted, not timed: steps are scanned bytes and members,
//! memory is the most that one thread holds at once.

use super::{Call, messages::MAX_MESSAGES, sample::call};
use allocation_counter::{AllocationInfo, measure};
use bytes::Bytes;
use callgate_json::{Body, IncomingBody, passed};
use callgate_providers::{Destination, ModelFamily, ParamRules, Quirks, by_prefix};
use serde_json::Map;

/// A body made of `unit`, repeated until it is `length` long.
fn filled(before: &str, unit: impl Fn(usize) -> String, after: &str, length: usize) -> Bytes {
    let mut body = before.to_owned();
    for at in 0.. {
        if body.len() + after.len() >= length {
            break;
        }
        if at > 0 {
            body.push(',');
        }
        body.push_str(&unit(at));
    }
    body.push_str(after);
    body.into()
}

/// Bodies that were once expensive, each of about this length.
fn hostile(length: usize) -> Vec<(&'static str, Bytes)> {
    let same = |unit: &'static str| move |_: usize| unit.to_owned();
    let named = |at: usize| format!("\"n{at}\":{at}");
    let in_messages = r#"{"model":"m","messages":["#;
    let in_content = r#"{"model":"m","messages":[{"role":"user","content":["#;
    let in_calls = r#"{"model":"m","messages":[{"role":"assistant","tool_calls":["#;
    let of = |name: &str| format!(r#"{{"model":"m","messages":[],"stream":true,"{name}":"#);
    vec![
        ("messages", filled(in_messages, same("{}"), "]}", length)),
        ("roles", filled(in_messages, same(r#"{"role":"user"}"#), "]}", length)),
        ("parts", filled(in_content, same(r#"{"type":"text","text":"a\n"}"#), "]}]}", length)),
        ("odd parts", filled(in_content, same("[]"), "]}]}", length)),
        ("calls", filled(in_calls, same("1"), "]}]}", length)),
        (
            "whole calls",
            filled(
                in_messages,
                |at| {
                    let call = format!(r#"{{"id":"{at}","function":{{"name":"f"}}}}"#);
                    format!(r#"{{"role":"assistant","tool_calls":[{call}]}}"#)
                },
                "]}",
                length,
            ),
        ),
        (
            "results",
            filled(in_messages, same(r#"{"role":"tool","tool_call_id":"1"}"#), "]}", length),
        ),
        ("names", filled(&(of("x") + "1,"), named, "}", length)),
        ("nested", filled(in_messages, same(r#"{"a":{"b":[{}]}}"#), "]}", length)),
        ("stream_options", filled(&(of("stream_options") + "{\"x\":["), same("[]"), "]}}", length)),
        ("extra_body", filled(&(of("extra_body") + "{"), named, "}}", length)),
        ("extra_body list", filled(&(of("extra_body") + "{\"x\":["), same("[]"), "]}}", length)),
        ("logit_bias", filled(&(of("logit_bias") + "{"), named, "}}", length)),
        ("logit_bias list", filled(&(of("logit_bias") + "{\"x\":["), same("[]"), "]}}", length)),
        ("options", filled(&(of("options") + "{"), named, "}}", length)),
        ("functions", filled(&(of("functions") + "["), same("1"), "]}", length)),
        ("empty functions", filled(&(of("functions") + "["), same("{}"), "]}", length)),
        ("user names", filled(in_messages, same(r#"{"role":"user","name":"n"}"#), "]}", length)),
        ("tools", filled(&(of("tools") + "["), same("{\"a\":[{}]}"), "]}", length)),
    ]
}

fn arrived(bytes: &Bytes, piece: usize) -> Option<Body> {
    let mut arriving = IncomingBody::announced(None);
    let mut at = 0;
    while at < bytes.len() {
        let end = bytes.len().min(at + piece);
        arriving.push(Bytes::copy_from_slice(&bytes[at..end])).ok()?;
        at = end;
    }
    arriving.finish().ok()
}

/// Does everything that is done with a body before it is sent: reads, edits and translates it.
/// Refusals do not matter here.
fn handled(bytes: &Bytes, provider: &str) {
    let Ok(body) = Body::parse(bytes.clone()) else { return };
    let mut call: Call = call(body);
    if call.readable().is_ok() {
        for index in 0..call.message_count() {
            let _ = (call.message_role(index), call.message_text(index));
            let _ = call.message_json(index);
        }
        let _ = call.param("stream_options.include_usage");
        let _ = call.edit_messages(1, |messages| messages.set_text(0, "x"));
        let _ = call.set_param("tools.0.x", "1");
        let _ = call.body_text();
        if let Some(unsettled) = call.unsettled() {
            let settled = unsettled();
            call.set_settled(settled);
        }
    }
    let to = Destination {
        model: "up",
        model_json: Bytes::from_static(b"\"up\""),
        params: &Map::new(),
        rules: &ParamRules { drop_unsupported: true, ..ParamRules::default() },
        family: ModelFamily::Any,
        stream: true,
        quirks: Quirks::default(),
        stream_usage: true,
    };
    let dialect = by_prefix(provider).unwrap().dialect;
    let _ = dialect.request(&call.body, &to);
}

fn counted(work: impl FnOnce()) -> (AllocationInfo, u64) {
    let before = passed::steps();
    let memory = measure(work);
    (memory, passed::steps() - before)
}

/// The memory that any body may take, however short.
const FIXED: u64 = 1 << 20;

/// The lists of a call's messages, whose number is bounded: about 100 bytes for each message, and
/// two lists while an edited body is written.
const LISTS: u64 = 2 * 100 * MAX_MESSAGES as u64;

#[test]
fn twice_the_body_is_at_most_twice_the_work_and_memory_is_a_few_times_its_length() {
    const LENGTH: usize = 512 << 10;
    for provider in ["openai", "ollama_chat"] {
        for ((name, once), (_, twice)) in hostile(LENGTH).iter().zip(&hostile(2 * LENGTH)) {
            let (memory, steps) = counted(|| handled(once, provider));
            let (more_memory, more_steps) = counted(|| handled(twice, provider));
            assert!(more_steps <= 2 * steps + 100_000, "{provider} {name}: {steps}, {more_steps}");
            let allocations = (memory.count_total, more_memory.count_total);
            assert!(
                allocations.1 <= 2 * allocations.0 + 10_000,
                "{provider} {name}: {allocations:?} allocations"
            );
            // Four times its length with the body itself, which is not counted here.
            let peak = more_memory.bytes_max;
            let limit = 3 * twice.len() as u64 + FIXED + LISTS;
            assert!(peak <= limit, "{provider} {name}: {peak} bytes");
        }
    }
}

#[test]
fn small_pieces_cost_no_more_steps_than_their_bytes() {
    let value = "v".repeat(500);
    let members: Vec<_> = (0..700).map(|at| format!("\"n{at}\":\"{value}\"")).collect();
    let body: Bytes = format!("{{{}}}", members.join(",")).into();
    let (_, whole) = counted(|| drop(arrived(&body, body.len())));
    for piece in [1, 3, 100, 4096] {
        let (memory, steps) = counted(|| {
            let body = arrived(&body, piece).unwrap();
            assert!(body.member("n699").is_some());
            assert_eq!(body.render().len(), 1);
        });
        assert!(steps <= whole + 3 * 4096, "{piece}: {steps} for {whole}");
        assert!(memory.bytes_max <= 4 * body.len() as u64, "{piece}: {memory:?}");
    }
}

#[test]
fn what_a_hook_reads_again_and_again_is_kept_once() {
    let text = "x".repeat(100_000);
    let json =
        format!(r#"{{"model":"m","messages":[{{"content":"{text}"}}],"a":{{"b":"{text}"}}}}"#);
    let mut call = call(Body::parse(json.into()).unwrap());
    call.set_param("a.c", "1").unwrap();
    let memory = measure(|| {
        for _ in 0..1000 {
            assert!(call.body_text().len() > 200_000);
            assert!(call.param("a.b").is_some() && call.message_text(0).is_some());
        }
    });
    assert!(memory.bytes_max < 1_000_000, "{memory:?}");
}

#[test]
fn messages_taken_out_one_by_one_do_not_cost_their_square() {
    let array = format!("[{}]", vec![r#"{"role":"user","content":"x"}"#; 10_000].join(","));
    let json = format!(r#"{{"model":"m","messages":{array}}}"#);
    let mut call = call(Body::parse(json.into()).unwrap());
    let memory = measure(|| {
        while call.message_count() > 0 {
            call.edit_messages(0, |messages| messages.remove(0)).unwrap();
        }
    });
    assert!(memory.count_total < 1000, "{memory:?}");
}
