//! A gateway and an upstream for the rows of the table with the same ending: a deployment of each
//! provider for each row, one recorder first and one last, and between them a callback that acts,
//! one for each row.

use super::table::{Row, rows};
use crate::callbacks::faulty::{entry, with, with_policy};
use callgate_tests::{
    Gate, Gateway, Reply, Script, ScriptedUpstream,
    config::{config, deployment, with_param},
    scripted, within,
};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use tokio::task::JoinHandle;

/// The providers' labels, which are also the prefixes of their models.
pub(super) const PROVIDERS: [&str; 3] = ["openai", "groq", "ollama"];

/// The recorders' labels.
pub(super) const BEFORE: &str = "before";
pub(super) const BEHIND: &str = "behind";

/// How a callback's hooks run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Sync,
    Async,
    Blocking,
}

/// How the gateway ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// Without running calls; hooks of ended calls may still wait.
    Idle,
    /// The same, for a gateway without a master key.
    Keyless,
    /// The same, while another call's request takes all room for requests.
    Full,
    /// During calls, which then finish.
    Draining,
    /// During calls that do not finish.
    CutOff,
}

/// The running gateway and upstream, and the gates.
pub(super) struct CoverageSetup {
    pub(super) rows: Vec<Row>,
    pub(super) gateway: Gateway,
    pub(super) upstream: ScriptedUpstream,
    /// One gate for each row.
    pub(super) gates: BTreeMap<&'static str, Gate>,
    /// The call that takes all room, until its gate opens.
    pub(super) filler: Option<JoinHandle<Reply>>,
}

/// The row of calls that find no room; also names the call that takes it.
pub(super) const FULL: &str = "full";

/// The largest body for that gateway, and its room for all bodies.
const ROOM: usize = 100_000;

impl CoverageSetup {
    pub(super) async fn start(kind: Kind, ending: Ending) -> Self {
        let rows: Vec<Row> = rows().into_iter().filter(|row| row.ending == ending).collect();
        let gates: BTreeMap<_, _> = rows.iter().map(|row| (row.key, Gate::new())).collect();
        let script =
            |script: Script, row: &Row| script.model(row.key, (row.upstream)(&gates[row.key]));
        let upstream = scripted(rows.iter().fold(Script::default(), script)).await;
        let known = rows.iter().filter(|row| row.key != "unknown");
        let models: Vec<Value> = known
            .flat_map(|row| PROVIDERS.map(|provider| model(row, provider, &upstream)))
            .collect();
        let mut config = config(&models);
        let acting = rows.iter().filter_map(|row| acting(row, kind));
        let all =
            [recorder(BEFORE, kind)].into_iter().chain(acting).chain([recorder(BEHIND, kind)]);
        config["litellm_settings"] = json!({"callbacks": all.collect::<Vec<_>>()});
        if ending == Ending::CutOff {
            config["callgate"] = json!({"limits": {"drain_timeout": "200ms"}});
        }
        if ending == Ending::Keyless {
            config.as_object_mut().expect("an object").remove("general_settings");
        }
        if ending == Ending::Full {
            config["callgate"] =
                json!({"limits": {"max_body_bytes": ROOM, "max_inflight_bytes": ROOM}});
        }
        let gateway = Gateway::with_config(config).start().await;
        let filler = match gates.get(FULL) {
            Some(gate) => Some(fill(&gateway, gate).await),
            None => None,
        };
        Self { rows, gateway, upstream, gates, filler }
    }
}

/// A call with the largest body, which the upstream holds.
async fn fill(gateway: &Gateway, gate: &Gate) -> JoinHandle<Reply> {
    let body = |more: usize| {
        json!({"model": format!("{FULL}.openai"), "messages": [], "user": "x".repeat(more)})
            .to_string()
    };
    let request = gateway.client().chat("").body(body(ROOM - body(0).len()));
    let filler = request.spawn();
    within("the call that takes all room", gate.arrived(1)).await;
    filler
}

/// The name of a row's model at a provider.
pub(super) fn model_name(row: &Row, provider: &str) -> String {
    format!("{}.{provider}", row.key)
}

fn model(row: &Row, provider: &str, upstream: &ScriptedUpstream) -> Value {
    let (prefix, base) = match provider {
        "openai" => ("openai", upstream.openai_base()),
        "groq" => ("groq", upstream.groq_base()),
        _ => ("ollama_chat", upstream.ollama_base()),
    };
    let name = model_name(row, provider);
    let mut plain = deployment(&name, &format!("{prefix}/{}", row.key), &base);
    if provider == "openai" {
        // None of the providers here says of itself that it ranks.
        plain["model_info"] = json!({"mode": "rerank"});
    }
    let model =
        row.params.iter().fold(plain, |model, (name, value)| with_param(model, name, *value));
    if row.key == "mock" { with_param(model, "mock_response", "mocked") } else { model }
}

fn recorder(tag: &str, kind: Kind) -> Value {
    let name = if kind == Kind::Async { "recorder_async" } else { "recorder" };
    patient(entry(name, tag, json!({})), kind)
}

/// The callback that decides how the row's calls end; it also records what it sees of them.
fn acting(row: &Row, kind: Kind) -> Option<Value> {
    let mut acts = (row.acts?)();
    acts["record"] = json!(true);
    let kind = if row.waits { Kind::Async } else { kind };
    let name = match kind {
        _ if acts.get("on_llm_during").is_some() => "faulty_beside",
        Kind::Async => "faulty_async",
        Kind::Sync | Kind::Blocking => "faulty",
    };
    if row.key == "chunk" {
        acts["at_chunk"] = json!(1);
    }
    let acting = patient(entry(name, row.key, acts), kind);
    let acting = with(acting, "only", json!({"models": [format!("{}.*", row.key)]}));
    Some(if row.key == "ignored" { with_policy(acting, "ignore") } else { acting })
}

/// Gives hooks more time: a busy machine must not look like a hook that hangs.
fn patient(entry: Value, kind: Kind) -> Value {
    match kind {
        Kind::Sync => entry,
        Kind::Async => with(entry, "timeout", json!("1h")),
        Kind::Blocking => with(with(entry, "timeout", json!("1h")), "mode", json!("blocking")),
    }
}
