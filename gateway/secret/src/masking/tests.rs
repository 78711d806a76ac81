//! Texts that are masked, and texts that must not be.

use super::{kind::tokens_in_path, *};

fn masking(secrets: &[&str]) -> Masking {
    let mut all = Secrets::default();
    secrets.iter().for_each(|secret| all.add(secret));
    all.masking()
}

#[test]
fn a_key_is_masked_wherever_it_stands() {
    let masking = masking(&["sk-upstream-000000", "p@ss/w0rd+1"]);
    for (text, expected) in [
        ("the key sk-upstream-000000 is not known", "the key *** is not known"),
        ("bad:sk-upstream-000000", "bad:***"),
        ("xsk-upstream-000000x", "x***x"),
        ("sk-upstream-000000sk-upstream-000000", "******"),
        ("p%40ss%2Fw0rd%2B1 p%40ss%2fw0rd%2b1", "*** ***"),
        (r"p@ss\/w0rd+1", "***"),
        ("Basic dXNlcjpzay11cHN0cmVhbS0wMDAwMDA=", "Basic dXNlcjp***A="),
        ("sk-upstream-", "sk-upstream-"),
        ("nothing", "nothing"),
        ("", ""),
    ] {
        assert_eq!(masking.mask(text), expected, "{text}");
    }
}

#[test]
fn what_is_left_of_a_key_that_was_cut_is_masked() {
    let masking = masking(&["sk-upstream-77ab02-xyzQ9", "my-company-production-gateway-7"]);
    for (text, expected) in [
        (r#"{"message":"key sk-upstream-77ab02-x"#, r#"{"message":"key ***"#),
        ("key sk-upstream-7", "key ***"),
        ("sk-upstream-77ab02-xyz and sk-upstream-77ab02-xyzQ9.", "*** and ***."),
        ("…am-77ab02-xyzQ9 is wrong", "…*** is wrong"),
        ("sk-upstream-77ab0?-77ab02-xyzQ9", "***?***"),
        // Common beginnings and ends of names are not masked.
        ("sk-upstream- my-company-production xyzQ9", "sk-upstream- my-company-production xyzQ9"),
    ] {
        assert_eq!(masking.mask(text), expected, "{text}");
    }
}

#[test]
fn the_case_of_a_key_hides_nothing_and_a_word_keeps_its_own() {
    let masking = masking(&["sk-Upstream-77ab02", "blueberry"]);
    let text = "SK-UPSTREAM-77AB02 sk-upstream-77ab02 Blueberry blueberry";
    assert_eq!(masking.mask(text), "*** *** Blueberry ***");
}

#[test]
fn a_key_in_a_text_of_json_is_known_by_its_escapes() {
    let masking = masking(&["ab+c/d=e&f'9<1>"]);
    for text in [
        r"ab\u002Bc/d=e\u0026f\u00279\u003C1\u003E",
        r"ab+c/d\u003de\u0026f\u00279\u003c1\u003e",
        r"ab+c/d=e\u0026f'9\u003c1\u003e",
    ] {
        assert_eq!(masking.mask(text), "***", "{text}");
    }
}

#[test]
fn placeholders_and_short_values_mask_nothing() {
    for placeholder in [
        "none",
        "1",
        "EMPTY",
        "sk-xxx",
        "sk-xxxxxxxxxxxx",
        "fake-api-key",
        "not-needed",
        "lm-studio",
        "1234567",
        "dummy-key",
        "no-key-required",
        "sk-1234",
        "",
        "   ",
        "********",
        "Password",
        "YOUR_API_KEY",
    ] {
        let text = format!("one of none, auto; 1024 and 1234567 {placeholder}");
        assert_eq!(masking(&[placeholder]).mask(&text), text, "{placeholder}");
    }
}

#[test]
fn what_could_be_a_word_is_masked_as_a_word() {
    let masking = masking(&["blueberry", "20240731"]);
    for (text, expected) in [
        ("blueberry", "***"),
        ("(blueberry): 20240731.", "(***): ***."),
        ("blueberry-pie blueberrys 120240731", "blueberry-pie blueberrys 120240731"),
    ] {
        assert_eq!(masking.mask(text), expected);
    }
}

#[test]
fn secrets_that_overlap_go_as_a_whole() {
    let masking = masking(&["sk-priv4te", "sk-priv4te-22", "22-other-3", "priv4te-2"]);
    for (text, expected) in [
        ("sk-priv4te-22", "***"),
        ("sk-priv4te-22-other-3", "***"),
        ("a sk-priv4te-2 b", "a *** b"),
        ("sk-priv4te-22 sk-priv4te-22", "*** ***"),
    ] {
        assert_eq!(masking.mask(text), expected);
    }
}

#[test]
fn headers_hold_secrets_by_name_scheme_and_look() {
    for (name, value, secret) in [
        ("X-Secret", "header-secret-b6a2", "header-secret-b6a2"),
        ("Authorization", "Bearer tok-4711-abc", "tok-4711-abc"),
        ("X-Up", "Bearer tok-4711-abc", "tok-4711-abc"),
        ("Authorization", "Token token=\"tok-4711-abc\"", "tok-4711-abc"),
        ("Cookie", "session=s3ss10n-id; theme=dark", "s3ss10n-id"),
        ("X-Anything", "sk-proj-abcdef1234", "sk-proj-abcdef1234"),
        ("X-Anything", "a1b2c3d4e5f6a7b8", "a1b2c3d4e5f6a7b8"),
    ] {
        let mut secrets = Secrets::default();
        secrets.add_header(name, value);
        let text = format!("found {secret}, dark");
        assert_eq!(secrets.masking().mask(&text), "found ***, dark", "{name}: {value}");
    }
    for (name, value) in [
        ("X-Team", "blue-team"),
        ("anthropic-beta", "prompt-caching-2024-07-31"),
        ("User-Agent", "Callgate/1.2.3 (linux; x86_64)"),
        ("HTTP-Referer", "https://app.example.com/chat"),
        ("X-Tenant", "550e8400-e29b-41d4-a716-446655440000"),
    ] {
        let mut secrets = Secrets::default();
        secrets.add_header(name, value);
        assert_eq!(secrets.masking().mask(value), value, "{name}: {value}");
    }
}

#[test]
fn names_show_what_is_secret() {
    for (name, expected) in [
        ("api_key", true),
        ("X-Auth-Token", true),
        ("clientSecret", true),
        ("accesstoken", true),
        ("XAPIKey", true),
        ("Ocp-Apim-Subscription-Key", true),
        ("max_tokens", false),
        ("keyboard", false),
        ("X-Team", false),
        ("monkey", false),
        ("author", false),
    ] {
        assert_eq!(names_a_secret(name), expected, "{name}");
    }
}

#[test]
fn a_path_hides_what_is_plainly_a_key() {
    for (url, expected) in [
        ("https://host/v1/a1b2c3d4e5f6a7b8c9/openai", Some("a1b2c3d4e5f6a7b8c9")),
        ("https://host/sk-abc123def/v1", Some("sk-abc123def")),
        ("https://gateway.ai.cloudflare.com/v1/openai", None),
        ("http://127.0.0.1:11434/v1", None),
    ] {
        assert_eq!(tokens_in_path(url).next(), expected, "{url}");
    }
}

/// At most one mask for each match; overlapping matches get one together.
#[test]
fn a_text_full_of_secrets_is_masked_as_a_whole() {
    let masking = masking(&["aaaaaaaa1", "aaaaaaaa1aaaaaaaa1"]);
    assert_eq!(masking.mask(&"aaaaaaaa1".repeat(20_000)), "***");
}
