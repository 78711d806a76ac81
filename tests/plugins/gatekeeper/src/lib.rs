//! Callbacks for the tests of the gateway that say who may call, by their settings:
//! `libgatekeeper.so` exports `gatekeeper` (sync), `gatekeeper_async`, and `half_gatekeeper`, which
//! lists `on_auth` and has no code for it. `lister` and `lister_async` say which models a caller
//! sees.
//!
//! ```yaml
//! callbacks:
//!   - name: gatekeeper
//!     settings:
//!       tokens:                  # of `Authorization: Bearer`
//!         tok-ann: {caller: {key_id: ann, user: ann@example.com, keep_for_ms: 60000}}
//!         tok-old: {refuse: [403, 60000]}   # the status, and for how many ms it is kept
//!         tok-odd: panic         # or fail, never (async only), block
//!       otherwise: {refuse: [401, 0]}       # or pass, which is the default
//! ```
//!
//! Each run logs one line at level info: `asked`, with all inputs in the field `inputs`.

mod lister;

pub use lister::{Lister, ListerAsync};
use plugin_api::{
    AsyncCallback, Auth, AuthCaller, AuthRequest, AuthResult, Callback, HookError, Host, InitError,
    Level, Rejection, export_callbacks,
};
use serde::Deserialize;
use std::{collections::BTreeMap, future::pending, thread, time::Duration};

/// See the crate's documentation.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    tokens: BTreeMap<String, Act>,
    otherwise: Act,
}

/// What a token leads to.
#[derive(Debug, Default, Clone, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Act {
    /// Passes the request on.
    #[default]
    Pass,
    /// Describes the caller.
    Caller(Box<AuthCaller>),
    /// Refuses with a status, for this many milliseconds.
    Refuse(u16, u64),
    /// Reports a fault whose message has the token.
    Fail,
    /// Panics.
    Panic,
    /// Never ends; async only.
    Never,
    /// Holds its thread for a second.
    Block,
}

#[derive(Debug)]
struct Gate {
    host: Host,
    settings: Settings,
}

impl Gate {
    fn act(&self, request: &AuthRequest<'_>) -> Act {
        let inputs: Vec<_> =
            request.headers().map(|(name, value)| format!("{name}={value}")).collect();
        self.host.log_with(Level::Info, "asked", &[("inputs", &inputs.join(" "))]);
        let token = request.bearer_token().unwrap_or_default();
        self.settings.tokens.get(token).unwrap_or(&self.settings.otherwise).clone()
    }

    fn done(&self, request: &AuthRequest<'_>, act: Act) -> AuthResult {
        match act {
            Act::Pass | Act::Never => Ok(Auth::Pass),
            Act::Caller(caller) => Ok(Auth::Caller(*caller)),
            Act::Refuse(status, 0) => Err(refusal(status).into()),
            Act::Refuse(status, ms) => Ok(Auth::Refuse(refusal(status), Duration::from_millis(ms))),
            Act::Fail => {
                let token = request.bearer_token().unwrap_or_default();
                Err(HookError::Internal(format!("cannot ask about {token}")))
            }
            Act::Panic => panics(),
            Act::Block => {
                thread::sleep(Duration::from_secs(1));
                Ok(Auth::Pass)
            }
        }
    }
}

#[expect(clippy::panic, reason = "that is what it is for")]
fn panics() -> AuthResult {
    panic!("oops")
}

fn refusal(status: u16) -> Rejection {
    Rejection::new(status, "the gatekeeper says no").code("not_known")
}

/// See the crate's documentation.
#[derive(Debug)]
pub struct Gatekeeper(Gate);

impl Callback for Gatekeeper {
    type Settings = Settings;

    fn new(host: Host, settings: Settings) -> Result<Self, InitError> {
        Ok(Self(Gate { host, settings }))
    }

    fn on_auth(&self, request: &AuthRequest<'_>) -> AuthResult {
        self.0.done(request, self.0.act(request))
    }
}

/// The same as a future.
#[derive(Debug)]
pub struct GatekeeperAsync(Gate);

impl AsyncCallback for GatekeeperAsync {
    type Settings = Settings;

    fn new(host: Host, settings: Settings) -> Result<Self, InitError> {
        Ok(Self(Gate { host, settings }))
    }

    async fn on_auth(&self, request: &AuthRequest<'_>) -> AuthResult {
        let act = self.0.act(request);
        if matches!(act, Act::Never) {
            pending::<()>().await;
        }
        self.0.done(request, act)
    }
}

/// Lists a hook that it does not have.
#[derive(Debug)]
pub struct HalfGatekeeper;

impl Callback for HalfGatekeeper {
    type Settings = Settings;

    fn new(_: Host, _: Settings) -> Result<Self, InitError> {
        Ok(Self)
    }
}

export_callbacks! {
    min_api: "1.1",
    Gatekeeper {
        name: "gatekeeper",
        kind: sync,
        hooks: [on_auth],
        auth_headers: ["authorization", "x-tenant"],
        reads: [],
        writes: [],
        settings_schema: r#"{"type": "object"}"#,
    }
    GatekeeperAsync {
        name: "gatekeeper_async",
        kind: async,
        hooks: [on_auth],
        auth_headers: ["authorization", ":method", ":path", ":client_address"],
        reads: [],
        writes: [],
        settings_schema: r#"{"type": "object"}"#,
    }
    Lister {
        name: "lister",
        kind: sync,
        hooks: [on_list_models],
        reads: [],
        writes: [],
        settings_schema: r#"{"type": "object"}"#,
    }
    ListerAsync {
        name: "lister_async",
        kind: async,
        hooks: [on_list_models],
        reads: [],
        writes: [],
        settings_schema: r#"{"type": "object"}"#,
    }
    HalfGatekeeper {
        name: "half_gatekeeper",
        kind: sync,
        hooks: [on_auth],
        auth_headers: ["authorization"],
        reads: [],
        writes: [],
        settings_schema: r#"{"type": "object"}"#,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use plugin_api::testing::{TestRequest, Tester, conformance};
    use serde_json::json;

    #[test]
    fn tokens_lead_to_what_the_settings_say() {
        let settings = json!({
            "tokens": {"a": {"caller": {"key_id": "ann"}}, "b": {"refuse": [403, 5]}, "c": "panic"},
        });
        let sent =
            |token: &str| TestRequest::new().header("Authorization", format!("bearer  {token}"));
        let sync = Tester::of::<Gatekeeper>(settings.clone()).unwrap();
        let waits = Tester::of_async::<GatekeeperAsync>(settings).unwrap();
        for tester in [sync, waits] {
            assert_eq!(tester.auth(&sent("a")), Ok(Auth::Caller(AuthCaller::new("ann"))));
            let kept = Duration::from_millis(5);
            assert_eq!(tester.auth(&sent("b")), Ok(Auth::Refuse(refusal(403), kept)));
            assert!(tester.auth(&sent("c")).unwrap_err().contains("oops"));
            assert_eq!(tester.auth(&sent("d")), Ok(Auth::Pass));
        }
    }

    #[test]
    fn they_stand_what_every_callback_must() {
        let settings = json!({"otherwise": {"refuse": [401, 0]}});
        assert_eq!(conformance::check::<Gatekeeper>(&settings).unwrap(), ["on_auth"]);
        assert_eq!(conformance::check_async::<GatekeeperAsync>(&settings).unwrap(), ["on_auth"]);
        assert!(conformance::check::<HalfGatekeeper>(&json!({})).unwrap().is_empty());
    }
}
