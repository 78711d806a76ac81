//! Names that are refused, and names that are not.

use super::*;

fn wrong(text: &str) -> Option<(String, AmbiguityKind)> {
    check(text, "", |_| {}).err().map(|error| (error.path, error.kind))
}

#[test]
fn a_name_that_two_readers_take_differently_is_found_at_every_level() {
    use AmbiguityKind::{Case, Repeated};
    for (text, path, kind) in [
        (r#"{"role":"user","role":"user"}"#, "role", Repeated),
        (r#"{"role":"user","rol\u0065":5}"#, "role", Repeated),
        (r#"[{"a":1},{"b":[{"c":1,"d":2 , "c":{}}]}]"#, "[1].b[0].c", Repeated),
        (r#"{"content":"x","Content":"y"}"#, "Content", Case),
        (r#"{"Content":"y"}"#, "Content", Case),
        (r#"{"a":{"ROLE":"y"}}"#, "a.ROLE", Case),
        ("{\"me\u{17f}\u{17f}ages\":1}", r"me\u{17f}\u{17f}ages", Case),
        ("{\"to\u{212a}\":1,\"tools\":2,\"\u{212a}eep_alive\":1}", r"\u{212a}eep_alive", Case),
        (r#"{"\u0043ontent":1}"#, "Content", Case),
        (r#"{"own":1,"OWN":2}"#, "OWN", Repeated),
        (
            r#"{"tools":[{"function":{"parameters":{"properties":{"a":1,"a":2}}}}]}"#,
            "tools[0].function.parameters.properties.a",
            Repeated,
        ),
        (r#"{"x":{"a":1},"y":{"a":{"z":1,"z":2}}}"#, "y.a.z", Repeated),
    ] {
        let (found, why) = wrong(text).unwrap_or_else(|| panic!("{text}"));
        assert_eq!((&*found, why), (path, kind), "{text}");
    }
}

#[test]
fn usual_names_and_the_clients_own_pass() {
    for text in [
        "5",
        "\"x\"",
        "{}",
        "[]",
        "[[],{}]",
        r#"{"role":"user","content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]}"#,
        r#"{"tools":[{"function":{"parameters":{"properties":{"Id":1,"id":2,"Content":3}}}}]}"#,
        r#"{"type":"tool_use","input":{"Content":1,"content":2,"a":{"Url":3}}}"#,
        r#"{"metadata":{"Model":1},"topK":5,"role":"role","x":"\",\"role\":1"}"#,
    ] {
        assert_eq!(wrong(text), None, "{text}");
    }
}

#[test]
fn the_ranges_of_an_arrays_elements_are_reported() {
    for (text, expected) in [
        ("[]", vec![]),
        (" [ 1 , {\"a\":[2,3]},\"x,]\" ,[4] ] ", vec!["1", "{\"a\":[2,3]}", "\"x,]\"", "[4]"]),
        ("{\"a\":[1,2]}", vec![]),
    ] {
        let mut found = Vec::new();
        check(text, "", |place| found.push(&text[place])).unwrap();
        assert_eq!(found, expected, "{text}");
    }
}

#[test]
fn many_members_are_bounded() {
    let object = |count: usize| {
        let members: Vec<_> = (0..count).map(|at| format!("\"n{at}\":1")).collect();
        format!("{{{}}}", members.join(","))
    };
    assert_eq!(wrong(&object(MAX_NAMES)), None);
    assert_eq!(wrong(&object(MAX_NAMES + 1)).unwrap().1, AmbiguityKind::TooMany);
    let free = format!("{{\"schema\":{}}}", object(MAX_FREE_NAMES + 1));
    assert_eq!(wrong(&free).unwrap(), ("schema".to_owned(), AmbiguityKind::TooMany));
}

#[test]
fn random_documents_agree_with_a_tree_that_counts_names() {
    /// Whether any object of the text repeats a name, as serde reads it.
    struct Strict;
    impl<'de> serde::Deserialize<'de> for Strict {
        fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
            struct See;
            impl<'de> serde::de::Visitor<'de> for See {
                type Value = Strict;
                fn expecting(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                    Ok(())
                }
                fn visit_bool<E>(self, _: bool) -> Result<Strict, E> {
                    Ok(Strict)
                }
                fn visit_i64<E>(self, _: i64) -> Result<Strict, E> {
                    Ok(Strict)
                }
                fn visit_u64<E>(self, _: u64) -> Result<Strict, E> {
                    Ok(Strict)
                }
                fn visit_f64<E>(self, _: f64) -> Result<Strict, E> {
                    Ok(Strict)
                }
                fn visit_str<E>(self, _: &str) -> Result<Strict, E> {
                    Ok(Strict)
                }
                fn visit_unit<E>(self) -> Result<Strict, E> {
                    Ok(Strict)
                }
                fn visit_seq<A: serde::de::SeqAccess<'de>>(
                    self,
                    mut seq: A,
                ) -> Result<Strict, A::Error> {
                    while seq.next_element::<Strict>()?.is_some() {}
                    Ok(Strict)
                }
                fn visit_map<A: serde::de::MapAccess<'de>>(
                    self,
                    mut map: A,
                ) -> Result<Strict, A::Error> {
                    let mut seen = std::collections::BTreeSet::new();
                    while let Some((name, _)) = map.next_entry::<String, Strict>()? {
                        if !seen.insert(name) {
                            return Err(serde::de::Error::custom("twice"));
                        }
                    }
                    Ok(Strict)
                }
            }
            from.deserialize_any(See)
        }
    }
    let mut random = fastrand::Rng::with_seed(11);
    let mut refused = 0;
    for _ in 0..4000 {
        // Names end in their number; without it some would be equal.
        let text = super::super::walk::tests::random_document(&mut random, 4);
        let text = if random.bool() { text.replace("1\"", "0\"") } else { text };
        let strict = serde_json::from_str::<Strict>(&text).is_ok();
        assert_eq!(wrong(&text).is_none(), strict, "{text}");
        refused += usize::from(!strict);
    }
    assert!(refused > 100, "{refused}");
}
