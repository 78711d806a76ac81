//! Pinned text, byte for byte, in every layout a list may have.

use super::{PinError, apply, edits};

const A: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const B: &str = "1111111111111111111111111111111111111111111111111111111111111111";

fn pinned(text: &str, hashes: &[(usize, &str)]) -> Result<String, PinError> {
    let hashes: Vec<_> = hashes.iter().map(|(at, hash)| (*at, (*hash).to_owned())).collect();
    let found = edits(text, &hashes)?;
    let edited = apply(text, &found);
    assert_eq!(edits(&edited, &hashes), Ok(Vec::new()), "a second time changes nothing: {edited}");
    Ok(edited)
}

#[test]
fn comments_order_and_layout_stay() {
    let text = "\u{feff}# ünïcode\nlitellm_settings:   # s\n  callbacks:\n    - routing   # first\n\n    # between\n    - name: x # n\n      settings: {a: 1}\n    - path: './libz.so'\n      on_error: ignore\n    - \"quoted\"\nmodel_list: []\n";
    let expected = format!(
        "\u{feff}# ünïcode\nlitellm_settings:   # s\n  callbacks:\n    - name: routing   # first\n      sha256: {A}\n\n    # between\n    - name: x # n\n      sha256: \"{B}\"\n      settings: {{a: 1}}\n    - path: './libz.so'\n      sha256: {A}\n      on_error: ignore\n    - name: \"quoted\"\n      sha256: {A}\nmodel_list: []\n"
    );
    assert_eq!(pinned(text, &[(0, A), (1, B), (2, A), (3, A)]), Ok(expected));
}

#[test]
fn every_layout_of_a_list_can_be_pinned() {
    for (text, expected) in [
        (
            "litellm_settings: {callbacks: [a, {name: b, on_error: fail}]}",
            "litellm_settings: {callbacks: [{name: a, sha256: A}, {name: b, sha256: A, on_error: fail}]}",
        ),
        (
            "litellm_settings:\n  callbacks: [a,\n    b]",
            "litellm_settings:\n  callbacks: [{name: a, sha256: A},\n    {name: b, sha256: A}]",
        ),
        (
            "litellm_settings:\n  callbacks:\n  - a\n  - b",
            "litellm_settings:\n  callbacks:\n  - name: a\n    sha256: A\n  - name: b\n    sha256: A",
        ),
        (
            "litellm_settings:\r\n  callbacks:\r\n  - a\r\n  - b\r\n",
            "litellm_settings:\r\n  callbacks:\r\n  - name: a\r\n    sha256: A\r\n  - name: b\r\n    sha256: A\r\n",
        ),
        (
            "litellm_settings:\n  callbacks:\n    -   name: a\n        sha256: 00\n    - sha256:\n      name: b\n",
            "litellm_settings:\n  callbacks:\n    -   name: a\n        sha256: A\n    - sha256: A\n      name: b\n",
        ),
        (
            "{\"litellm_settings\": {\"callbacks\": [\"a\", {\"path\": \"./b.so\"}]}}",
            "{\"litellm_settings\": {\"callbacks\": [{name: \"a\", sha256: A}, {\"path\": \"./b.so\", sha256: A}]}}",
        ),
        ("litellm_settings:\n  callbacks:\n    -\n      name: a\n    - &x b\n", "refused"),
    ] {
        let found = pinned(text, &[(0, A), (1, A)]);
        if expected == "refused" {
            assert!(matches!(found, Err(PinError::Entry { line: 5, .. })), "{found:?}");
        } else {
            assert_eq!(found, Ok(expected.replace('A', A)), "{text}");
        }
    }
    let single = "litellm_settings:\n  callbacks: ./lib,x.so # c\n";
    let expected =
        format!("litellm_settings:\n  callbacks: {{name: \"./lib,x.so\", sha256: {A}}} # c\n");
    assert_eq!(pinned(single, &[(0, A)]), Ok(expected));
}

#[test]
fn what_cannot_be_edited_safely_is_refused() {
    for text in [
        "litellm_settings:\n  callbacks:\n    - *x\nx: &x a\n",
        "x: &x {name: a}\nlitellm_settings:\n  callbacks:\n    - *x\n",
        "x: &x {name: a}\nlitellm_settings:\n  callbacks:\n    - {<<: *x}\n",
        "litellm_settings:\n  callbacks:\n    - long\n      name\n",
        "litellm_settings:\n  callbacks:\n    - name: a\n      sha256: ${PIN}\n",
        "litellm_settings:\n  callbacks:\n    - name: |\n        a\n",
        "litellm_settings:\n  callbacks:\n    - !!str a\n",
        "litellm_settings: {}\n",
        "[]",
        "",
    ] {
        assert!(pinned(text, &[(0, A)]).is_err(), "{text}");
    }
}
