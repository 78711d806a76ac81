//! Callbacks for the tests of the gateway that use what it lends: store, metrics, HTTP, timer,
//! tasks and secrets, as their settings say. `liball_services.so` exports `all_services` (sync) and
//! `all_services_async`.
//!
//! ```yaml
//! callbacks:
//!   - name: all_services
//!     grants: {http_hosts: ["127.0.0.1"], secrets: [SOME_KEY]}
//!     settings:
//!       on_llm_start: [{kv_set: {key: a, value: b, live_ms: 1000}}, {kv_get: a}]
//!       shutdown: [{spawn: [{http: {url: "http://127.0.0.1:1/bye"}}]}]
//! ```
//!
//! Each step is documented at [`Step`]. A step logs one line at level info: its name as message,
//! and what came of it in the fields `outcome` (`ok`, or the kind of the refusal in words) and
//! `detail` (what the step says, or the refusal itself).

mod newer;
mod step;

pub use newer::Newer;
use plugin_api::{AsyncCallback, Callback, Flow, Hook, Host, InitError, LlmCall, export_callbacks};
use serde::Deserialize;
use step::Runner;
pub use step::Step;

/// See the crate's documentation.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    on_llm_start: Vec<Step>,
    shutdown: Vec<Step>,
    /// A secret that becomes the model name.
    as_model: Option<String>,
    /// A secret that becomes the upstream's model and the end of its base URL.
    as_route: Option<String>,
    /// A URL without whose grant it refuses to start.
    needs_url: Option<String>,
    /// A secret without which it refuses to start.
    needs_variable: Option<String>,
    /// A model without which it refuses to start.
    needs_model: Option<String>,
}

impl Settings {
    fn check(&self, host: Host) -> Result<(), InitError> {
        if let (Some(url), Some(http)) = (&self.needs_url, host.http()) {
            http.permits(url).map_err(|error| InitError(format!("needs_url: {error}")))?;
        }
        if let (Some(name), Some(secrets)) = (&self.needs_variable, host.secrets())
            && !secrets.has(name)
        {
            return Err(InitError(format!(
                "needs_variable: expected `{name}` to be granted and set"
            )));
        }
        if let Some(model) = &self.needs_model
            && host.has_model(model) == Some(false)
        {
            let models = host.models().unwrap_or_default().join(", ");
            let text = format!("needs_model: expected one of {models}, found `{model}`");
            return Err(InitError(text));
        }
        Ok(())
    }
}

/// Runs its steps in place; steps that wait run as a task.
#[derive(Debug)]
pub struct AllServices {
    runner: Runner,
    settings: Settings,
}

impl Callback for AllServices {
    type Settings = Settings;

    fn new(host: Host, settings: Settings) -> Result<Self, InitError> {
        settings.check(host)?;
        Ok(Self { runner: Runner::new(host)?, settings })
    }

    fn on_llm_start(&self, call: &mut LlmCall<'_>) -> Hook {
        self.runner.note_headers(call);
        self.runner.repeat(
            call,
            self.settings.as_model.as_deref(),
            self.settings.as_route.as_deref(),
        );
        self.settings.on_llm_start.iter().for_each(|step| self.runner.run(step));
        Ok(Flow::Continue)
    }

    fn shutdown(&self) {
        self.settings.shutdown.iter().for_each(|step| self.runner.run(step));
    }
}

/// Runs its steps within the hook, and waits for each.
#[derive(Debug)]
pub struct AllServicesAsync {
    runner: Runner,
    settings: Settings,
}

impl AsyncCallback for AllServicesAsync {
    type Settings = Settings;

    fn new(host: Host, settings: Settings) -> Result<Self, InitError> {
        Ok(Self { runner: Runner::new(host)?, settings })
    }

    async fn on_llm_start(&self, _: &mut LlmCall<'_>) -> Hook {
        for step in &self.settings.on_llm_start {
            self.runner.wait_for(step).await;
        }
        Ok(Flow::Continue)
    }
}

export_callbacks! {
    AllServices {
        name: "all_services",
        kind: sync,
        hooks: [on_llm_start],
        reads: ["headers"],
        writes: [],
        needs: {
            secrets: ["ALL_SERVICES_API_KEY", "OPENAI_API_KEY"],
            http_hosts: ["ALL_SERVICES_BASE_URL=https://all-services.example"],
        },
        settings_schema: r#"{"type": "object"}"#,
    }
    AllServicesAsync {
        name: "all_services_async",
        kind: async,
        hooks: [on_llm_start],
        reads: [],
        writes: [],
        settings_schema: r#"{"type": "object"}"#,
    }
}

#[cfg(test)]
mod tests {
    use super::{AllServices, AllServicesAsync};
    use plugin_api::{
        HttpResponse,
        testing::{MockHost, Outcome, TestCall, Tester},
    };
    use serde_json::json;
    use std::time::Duration;

    fn told(host: &MockHost) -> Vec<String> {
        let lines = host.log();
        lines
            .iter()
            .map(|line| {
                let field = |name| line.field(name).unwrap_or_default();
                format!("{} {} {}", line.message, field("outcome"), field("detail"))
            })
            .collect()
    }

    #[test]
    fn every_service_works_in_a_plugins_own_test() {
        let host = MockHost::new();
        host.set_secret("K", "12345");
        host.answer_http(|request| Ok(HttpResponse::new(201).with_body(request.url())));
        let tester = Tester::on::<AllServices>(
            &host,
            json!({"on_llm_start": [
                {"kv_set": {"key": "a", "value": "b", "live_ms": 10}}, {"kv_get": "a"},
                {"count": "n_total"}, {"secret": "K"}, {"secret": "L"},
                {"newer": {"add_for": {"name": "n", "live_ms": 10}}}, {"newer": {"numbers": ""}},
                {"newer": {"kv_set_evicting": {"key": "c", "value": "d"}}},
                {"newer": {"kv_keys": ""}},
                {"newer": {"count_with": {"name": "m_total", "labels": {"team": "blue"}}}},
                {"at_shutdown": ["trace", {"http": {"url": "http://h/bye"}}]},
                {"newer": {"permits": "ftp://h"}}, {"newer": {"has_secret": "K"}},
                {"spawn": [{"sleep_ms": 5}, {"http": {"url": "http://h/x"}}]},
                "job", {"spawn": ["panic"]},
            ]}),
        )
        .unwrap();
        assert_eq!(tester.start(&mut TestCall::chat("m")), Outcome::Continue);
        assert_eq!(
            told(&host)[2..],
            [
                "kv_set ok ",
                "kv_get ok b",
                "count ok ",
                "secret ok 5",
                "secret not granted `L` is not granted",
                "add_for ok 1",
                "numbers ok n=1",
                "kv_set_evicting ok ",
                "kv_keys ok a c",
                "count_with ok ",
                "permits invalid expected an `http://` or `https://` URL, found something else",
                "has_secret ok true",
            ]
        );
        assert_eq!(host.metric("m_total{team=\"blue\"}"), Some(1.0));
        assert_eq!(host.metric("n_total"), Some(1.0));
        assert_eq!(host.run_tasks(), 2, "one sleeps, one waits for the shutdown");
        assert!(told(&host).contains(&"job ok ".to_owned()));
        assert!(told(&host).iter().any(|line| line.contains("a background task panicked")));
        host.advance(Duration::from_millis(5));
        assert_eq!(host.run_tasks(), 1);
        assert_eq!(host.http_requests().len(), 1);
        assert_eq!(told(&host).last().unwrap(), "http ok 201 http://h/x");
        host.advance(Duration::from_millis(5));
        assert_eq!(host.kv("a"), None);
        tester.shutdown();
        assert_eq!(host.run_tasks(), 0);
        assert_eq!(host.http_requests()[1].url(), "http://h/bye");
    }

    #[test]
    fn a_test_sets_models_state_and_grants() {
        let host = MockHost::new();
        let folder = std::env::temp_dir().join(format!("all-services-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        host.set_models(&["gpt", "groq/*"]);
        host.set_state_dir(folder.to_str().unwrap());
        let steps = json!({"on_llm_start": [
            {"newer": "entry"}, {"newer": "models"}, {"newer": {"has_model": "groq/x"}},
            {"newer": {"has_model": "gpt2"}}, {"newer": "append_state"},
        ]});
        let tester = Tester::on::<AllServices>(&host, steps).unwrap();
        tester.start(&mut TestCall::chat("m"));
        std::fs::remove_dir_all(&folder).unwrap();
        assert_eq!(
            told(&host)[2..],
            [
                "entry ok callback callback Some(0)",
                "models ok gpt groq/*",
                "has_model ok true",
                "has_model ok false",
                "append_state ok 1",
            ]
        );
        let needs = |settings| Tester::on::<AllServices>(&host, settings).map(drop);
        assert!(needs(json!({"needs_model": "gpt2"})).is_err());
        needs(json!({"needs_model": "gpt", "needs_url": "https://a.example/x"})).unwrap();
        host.deny_http("https://a.example/");
        assert!(needs(json!({"needs_url": "https://a.example/x"})).is_err());
    }

    #[test]
    fn an_async_hook_may_wait_for_the_host() {
        let host = MockHost::new();
        host.answer_http(|_| Ok(HttpResponse::new(204)));
        let settings = json!({"on_llm_start": [{"http": {"url": "http://h/"}}]});
        let tester = Tester::on_async::<AllServicesAsync>(&host, settings).unwrap();
        assert_eq!(tester.start(&mut TestCall::chat("m")), Outcome::Continue);
        assert_eq!(told(&host), ["http ok 204 "]);
    }
}
