//! Counts the memory used while a request or chunk of any form is searched.

use crate::{
    growth::GrowthLimit,
    preset::Preset,
    reply,
    rule::{Action, Rule},
    stream_buffer::StreamBuffer as Note,
    text::{Kind, under},
    withheld::Withheld,
};
use allocation_counter::measure;

fn rules() -> Vec<Rule> {
    let mask = |preset: Preset| {
        Rule::new(preset.pattern(), Some(preset), Action::Mask("[masked]".to_owned()), None)
    };
    [Preset::Email, Preset::CreditCard].map(|preset| mask(preset).unwrap()).into()
}

/// Returns requests of about this length.
fn filled(before: &str, unit: &str, after: &str, length: usize) -> String {
    [before, &unit.repeat((length - before.len() - after.len()) / unit.len()), after].concat()
}

fn shapes(length: usize) -> Vec<(&'static str, String)> {
    let content = |unit: &str| filled(r#"{"content":""#, unit, "\"}", length);
    vec![
        ("plain", content("hello world ")),
        ("quotes", content(r#"\""#)),
        ("escapes", content(r"\n\u00e9")),
        ("e-mails", content("someone@example.com ")),
        ("e-mails and escapes", content(r"someone@example.com\n")),
        ("digits", content("1234567890123456")),
        ("parts", filled(r#"{"content":["#, r#"{"text":"someone@example.com"},"#, "{}]}", length)),
        ("a name", filled("{\"\\n", "a", r#"":[[[[[[[[1]]]]]]]]}"#, length)),
        ("a name to mask", filled("{\"\\n", "someone@example.com ", r#"":[[[[1]]]]}"#, length)),
        ("arguments", filled(r#"{"arguments":"\""#, "someone@example.com ", r#"\""}"#, length)),
    ]
}

#[test]
fn twice_the_request_is_twice_the_memory_and_little_more_than_twice_its_length() {
    const LENGTH: usize = 256 << 10;
    let rules = rules();
    for ((name, once), (_, twice)) in shapes(LENGTH).into_iter().zip(shapes(2 * LENGTH)) {
        let count = |json: &str| {
            measure(|| drop(under(&rules, json, Kind::Message, &mut GrowthLimit::of(json.len()))))
        };
        // The first search creates the caches of the expressions.
        count(&once);
        let (memory, more) = (count(&once), count(&twice));
        assert!(
            more.count_total <= 2 * memory.count_total + 100,
            "{name}: {} allocations, then {}",
            memory.count_total,
            more.count_total
        );
        // Arguments are copied once more, so they have a limit.
        let halves = if name == "arguments" { 7 } else { 5 };
        let bound = halves * twice.len() as u64 / 2 + (64 << 10);
        assert!(more.bytes_max <= bound, "{name}: {} bytes", more.bytes_max);
    }
}

#[test]
fn long_arguments_are_refused_before_they_are_held_once_more() {
    let json = filled(r#"{"arguments":"\""#, "x", r#"\""}"#, 9 << 20);
    let memory = measure(|| {
        let held =
            under(&rules(), &json, Kind::Message, &mut GrowthLimit::of(json.len())).unwrap_err();
        assert!(matches!(held, Withheld::TooLarge), "{held:?}");
    });
    assert!(memory.bytes_max < 8 << 20, "{memory:?}");
}

/// Returns chunks of streams, each of about this length.
fn chunks(length: usize) -> Vec<(&'static str, String)> {
    let within = |before: &str, unit: &str, after: &str| {
        let before = format!(r#"{{"choices":[{{"index":0,"delta":{{{before}"#);
        filled(&before, unit, &format!("{after}}}}}]}}"), length)
    };
    vec![
        ("text", within(r#""content":""#, "hello world ", "\"")),
        ("escapes", within(r#""content":""#, r"\n\u00e9", "\"")),
        ("e-mails", within(r#""content":""#, "someone@example.com ", "\"")),
        ("calls", within(r#""tool_calls":["#, r#"{"index":0},"#, "{}]")),
        (
            "pieces of a call",
            within(
                r#""tool_calls":["#,
                r#"{"function":{"arguments":"x@y.example "},"index":0},"#,
                "{}]",
            ),
        ),
        ("lists", within(r#""x":["#, "[],", "1]")),
        ("a name again and again", within(r#""x":[{"#, r#""a":1,"#, r#""a":2}]"#)),
        ("members", within("", r#""a":1,"#, r#""b":2"#)),
        ("choices", filled(r#"{"choices":["#, r#"{"index":0},"#, "{}]}", length)),
    ]
}

#[test]
fn what_is_held_beside_a_chunk_is_in_proportion_to_it() {
    const LENGTH: usize = 256 << 10;
    let mask = |preset: Preset| {
        let mask = Action::Mask("[masked]".to_owned());
        Rule::new(preset.pattern(), Some(preset), mask, Some(1024)).unwrap()
    };
    let rules = [Preset::Email, Preset::CreditCard].map(mask);
    for ((name, once), (_, twice)) in chunks(LENGTH).into_iter().zip(chunks(2 * LENGTH)) {
        let count = |json: &str| measure(|| drop(reply::chunk(&rules, &mut Note::default(), json)));
        count(&once);
        let (memory, more) = (count(&once), count(&twice));
        let allocations = (memory.count_total, more.count_total);
        assert!(allocations.1 <= 2 * allocations.0 + 100, "{name}: {allocations:?} allocations");
        let bound = 5 * twice.len() as u64 / 2 + (512 << 10);
        assert!(more.bytes_max <= bound, "{name}: {} bytes", more.bytes_max);
    }
}
