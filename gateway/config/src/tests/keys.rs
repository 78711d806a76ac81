//! `callgate.keys`: what an entry may have, and what is reported.

use super::{read, refused, warned};
use crate::KeyScopes;
use callgate_secret::KeyDigest;

const HASHED: &str = "sha256: ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

fn list(entries: &[&str]) -> String {
    let entries: Vec<_> = entries.iter().map(|it| format!("  - {{{it}}}\n")).collect();
    format!("callgate:\n  keys:\n{}", entries.concat())
}

#[test]
fn an_entry_says_whose_a_key_is_and_what_it_may_do() {
    let all = format!(
        "name: ann, {HASHED}, alias: Ann, user: ann@example.com, team: blue, tags: [a, b], \
         metadata: {{cost_centre: 17, site: Ulm}}, models: ['gpt-*'], \
         expires: 2999-01-31T18:00:00Z, scopes: [metrics, admin]"
    );
    let mut config = warned(&list(&[&all, "name: ci, key: '${KEY}-0123456789'"]), &[]);
    assert_eq!(config.key_ids(), ["ann", "ci"]);
    assert!(config.is_keyed() && config.require_key(false).is_ok());
    assert!(config.warn_of_no_key(true).is_none());
    let ci = config.gateway.keys.pop().unwrap();
    assert_eq!(ci.digest, KeyDigest::of(b"sk-from-env-0123456789"));
    assert!(ci.value.unwrap().matches(b"sk-from-env-0123456789"));
    assert_eq!((ci.alias, ci.models, ci.expires_ms), (None, Vec::new(), None));
    assert_eq!(ci.scopes, KeyScopes { calls: true, metrics: false, admin: false });
    let ann = config.gateway.keys.pop().unwrap();
    assert_eq!((ann.digest, ann.value), (KeyDigest::of(b"abc"), None));
    let texts = [ann.alias, ann.user, ann.team].map(Option::unwrap);
    assert_eq!(texts, ["Ann", "ann@example.com", "blue"]);
    assert_eq!((ann.tags, ann.models), (vec!["a".into(), "b".into()], vec!["gpt-*".into()]));
    let member = |name: &str, text: &str| (name.to_owned(), text.to_owned());
    assert_eq!(ann.metadata, [member("cost_centre", "17"), member("site", "Ulm")]);
    assert_eq!(ann.scopes, KeyScopes { calls: false, metrics: true, admin: true });
    assert_eq!(ann.expires_ms, Some(32_474_800_800_000));
}

#[test]
fn a_config_with_and_without_keys_knows_who_may_call() {
    let ids = |text: &str| read(text).unwrap().key_ids().join(" ");
    let both = format!("general_settings: {{master_key: sk-x}}\n{}", list(&[&named("a")]));
    assert_eq!(ids("model_list: []\n"), "anonymous");
    assert_eq!(ids("general_settings: {master_key: sk-x}\n"), "master_key");
    assert_eq!(ids(&both), "master_key a");
}

fn named(name: &str) -> String {
    format!("name: {name}, {HASHED}")
}

#[test]
fn faulty_entries_are_reported_where_they_stand() {
    let one = |entry: &str, problem: &str| refused(&list(&[entry]), &[problem]);
    refused(
        "callgate:\n  keys: []\n",
        &[":2:9: callgate.keys: expected at least one key, found none; leave `keys` out for none"],
    );
    one(
        HASHED,
        ":3:5: callgate.keys[0]: expected a `name`, found none; the log and limits name a \
                 key by it",
    );
    one(
        "name: a",
        ":3:5: callgate.keys[0]: expected either `key` or `sha256`, found neither; \
                    `callgate key new` prints a key with both",
    );
    one(
        &format!("{}, key: sk-0123456789abcdef", named("a")),
        ":3:5: callgate.keys[0]: expected either `key` or `sha256`, found both; `callgate key new` \
         prints a key with both",
    );
    one(
        "name: a, sha256: 0123",
        ":3:23: callgate.keys[0].sha256: expected the 64 hex digits of a \
                                  key's SHA-256, found something else; `callgate key new` prints a \
                                  key with them",
    );
    for key in ["key: os.environ/NO", "key: '${NO}'"] {
        one(
            &format!("name: a, {key}"),
            ":3:20: callgate.keys[0].key: the environment variable `NO` is not set; set `NO` in \
             the environment or in `.env`",
        );
    }
    one(
        "name: a, key: '${BLANK}'",
        ":3:20: callgate.keys[0].key: the environment variable \
                                     `BLANK` is blank; set a long random key",
    );
    one(
        "name: a, key: ''",
        ":3:20: callgate.keys[0].key: expected a key, found a blank one; set a \
                             long random key",
    );
    one(
        "name: a, key: sk-1234",
        ":3:20: callgate.keys[0].key: this is the key of LiteLLM's \
                                  documentation, which everybody knows; set a long random key",
    );
    one(
        "name: a, key: ' sk-0123456789abcdef'",
        ":3:20: callgate.keys[0].key: expected a key that an HTTP header can carry, found control \
         characters or blanks around it; set a long random key",
    );
    for name in ["master_key", "anonymous"] {
        one(
            &named(name),
            &format!(
                ":3:12: callgate.keys[0].name: expected another name: `{name}` is the gateway's own"
            ),
        );
    }
    one(
        &named("'team*'"),
        ":3:12: callgate.keys[0].name: expected a name of 1 to 128 bytes without `*`, control \
         characters and blanks around it, found `team*`",
    );
}

#[test]
fn limits_of_a_key_are_checked() {
    let one = |member: &str, place: &str, problem: &str| {
        let problem = format!(":3:{place}{problem}");
        refused(&list(&[&format!("name: a, {member}, {HASHED}")]), &[&problem]);
    };
    one(
        "models: []",
        "23: callgate.keys[0].models: ",
        "expected at least one, found none; leave \
                                                         the key out for all models",
    );
    one("scopes: []", "23: callgate.keys[0].scopes: ", "expected at least one scope, found none");
    one(
        "scopes: [call]",
        "24: callgate.keys[0].scopes[0]: ",
        "expected one of `calls`, `metrics`, \
                                                               `admin`, found `call`",
    );
    one(
        "expires: soon",
        "24: callgate.keys[0].expires: ",
        "expected a date such as `2027-01-31` \
                                                            or a time such as \
                                                            `2027-01-31T18:00:00Z`, found `soon`",
    );
    one(
        "expire: 2999-01-31",
        "15: callgate.keys[0].expire: ",
        "unknown key `expire`; did you mean \
                                                               `expires`?",
    );
    one(
        "modles: [a]",
        "15: callgate.keys[0].modles: ",
        "unknown key `modles`; did you mean \
                                                        `models`?",
    );
    refused(
        "callgate:\n  kyes: [a]\n",
        &[":2:3: callgate.kyes: unknown key `kyes`; did you mean `keys`?"],
    );
}

#[test]
fn weak_and_expired_keys_draw_warnings() {
    warned(
        &list(&["name: a, key: short"]),
        &[
            ":3:20: callgate.keys[0].key: expected a key of 16 characters at least, found a shorter \
         one, which can be guessed; set a long random key",
        ],
    );
    warned(
        &list(&[&format!("name: a, expires: 2020-01-31, {HASHED}")]),
        &[":3:24: callgate.keys[0].expires: this key has expired; remove it, or give it a later \
         `expires`"],
    );
}

#[test]
fn two_keys_have_two_names_and_two_values() {
    let other = "name: a, key: sk-0123456789abcdef";
    refused(
        &list(&[&named("a"), other]),
        &[
            ":4:5: callgate.keys[1]: another key is called `a`, on line 3; give each key a name of its \
         own",
        ],
    );
    refused(
        &list(&[&named("a"), "name: b, key: abc"]),
        &[
            ":4:5: callgate.keys[1]: the key `a` has the same value, so nobody can tell them apart; \
         give each key a value of its own",
            ":4:20: callgate.keys[1].key: expected a key of 16 characters at least, found a shorter \
         one, which can be guessed; set a long random key",
        ],
    );
    let master = format!("{}general_settings: {{master_key: abc}}\n", list(&[&named("a")]));
    refused(
        &master,
        &[
            ":3:5: callgate.keys[0]: the master key has the same value, so nobody can tell them apart; \
         give each key a value of its own",
        ],
    );
}
