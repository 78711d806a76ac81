//! The budget without a gateway.

use super::*;
use plugin_api::testing::{MockHost, Outcome, TestCall, TestReply, Tester, conformance};
use serde_json::json;

fn call(team: &str) -> TestCall {
    TestCall::chat("gpt").metadata("callgate.caller.team", team)
}

fn used(tester: &Tester, team: &str, tokens: u64) {
    let mut call = call(team);
    assert_eq!(tester.start(&mut call), Outcome::Continue);
    tester.end(&mut call, &mut TestReply::text("hi").usage(tokens, 0));
}

#[test]
fn each_team_has_its_own_tokens_until_midnight() {
    let settings = json!({"tokens": 100, "teams": {"big": 1000}});
    let tester = Tester::of::<Budget>(settings).unwrap();
    used(&tester, "small", 60);
    let mut second = call("small");
    assert_eq!(tester.start(&mut second), Outcome::Continue);
    assert_eq!(second.reply_header("x-ratelimit-remaining-tokens"), Some("40"));
    used(&tester, "small", 60);
    used(&tester, "big", 100);
    let Outcome::Reject(refused) = tester.start(&mut call("small")) else { panic!("it passes") };
    assert_eq!(refused.status, 429);
    let wait = refused.retry_after.unwrap();
    assert!(wait <= Duration::from_secs(DAY));
    tester.host().advance(wait);
    assert_eq!(tester.start(&mut call("small")), Outcome::Continue);
}

#[test]
fn the_numbers_of_a_day_survive_a_restart_and_a_new_instance() {
    let folder = std::env::temp_dir().join(format!("budget-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let host = || {
        let host = MockHost::new();
        host.set_state_dir(folder.display().to_string());
        host
    };
    let made = |host: &MockHost| Tester::on::<Budget>(host, json!({"tokens": 100})).unwrap();
    let first = host();
    let tester = made(&first);
    used(&tester, "a", 70);
    tester.shutdown();
    // After a panic the gateway makes a new instance, and the counters are still there.
    for tester in [made(&first), made(&host())] {
        let mut next = call("a");
        assert_eq!(tester.start(&mut next), Outcome::Continue);
        assert_eq!(next.reply_header("x-ratelimit-remaining-tokens"), Some("30"));
    }
    fs::write(folder.join("tokens.json"), "garbage").unwrap();
    let refused = Tester::on::<Budget>(&host(), json!({"tokens": 1})).err().unwrap();
    assert!(refused.to_string().contains("repair or remove it"), "{refused}");
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn it_stands_what_every_callback_must() {
    let hooks = conformance::check::<Budget>(&json!({"tokens": 1000})).unwrap();
    assert_eq!(hooks.join(" "), "on_llm_start on_llm_end on_llm_error");
}
