//! Gives each team a number of tokens a day. A call beyond it is refused with 429 and the wait
//! until midnight (UTC). What a day has used so far survives a restart of the gateway.

use plugin_api::{
    CallView, Callback, Counter, Flow, Hook, Host, InitError, Labeled, LlmCall, LlmFailure,
    LlmReply, Rejection, is_probe,
};
use serde::Deserialize;
use std::{collections::BTreeMap, fs, path::PathBuf, time::Duration};

const DAY: u64 = 86_400;
/// The most counters on one page of a list.
const PAGE: usize = 1000;

/// The callback.
#[derive(Debug)]
pub struct Budget {
    host: Host,
    settings: Settings,
    /// The file that keeps the numbers between starts.
    file: Option<PathBuf>,
    used: Option<Labeled<Counter>>,
}

/// The settings.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The tokens of a team that `teams` does not name.
    tokens: i64,
    /// The tokens of each team.
    #[serde(default)]
    teams: BTreeMap<String, i64>,
}

/// The team that pays: the one of the key, or the key itself.
fn payer<'c>(call: &'c CallView<'_>) -> &'c str {
    call.caller().team().unwrap_or(call.key_id())
}

impl Budget {
    /// The day and the seconds that are left of it.
    fn day(&self) -> (u64, u64) {
        let now = self.host.clock().map_or(0, |clock| clock.unix_ms() / 1000);
        (now / DAY, DAY - now % DAY)
    }

    /// Adds tokens to a payer's number of today, and returns it.
    fn add(&self, payer: &str, tokens: i64) -> i64 {
        let (day, left) = self.day();
        let Some(counters) = self.host.counters() else { return 0 };
        let name = format!("{day}/{payer}");
        counters.add_for(&name, tokens, Duration::from_secs(left)).unwrap_or_default()
    }

    fn charge(&self, call: &CallView<'_>, tokens: Option<u64>) {
        let tokens = tokens.unwrap_or_default();
        self.add(payer(call), i64::try_from(tokens).unwrap_or(i64::MAX));
        if let Some(Ok(used)) = self.used.as_ref().map(|used| used.with(&[payer(call)])) {
            used.add(tokens as f64);
        }
    }

    /// Reads the numbers of today, unless an earlier instance of this process left them.
    fn restore(&self) -> Result<(), InitError> {
        let Some(file) = self.file.as_ref().filter(|file| file.exists()) else { return Ok(()) };
        let wrong = |error: &dyn std::fmt::Display| {
            let file = file.display();
            InitError::new(format!("`{file}` cannot be read: {error}; repair or remove it"))
        };
        let text = fs::read_to_string(file).map_err(|error| wrong(&error))?;
        let numbers: BTreeMap<String, i64> =
            serde_json::from_str(&text).map_err(|error| wrong(&error))?;
        let today = format!("{}/", self.day().0);
        for (name, tokens) in numbers {
            if let Some(payer) = name.strip_prefix(&today)
                && self.add(payer, 0) == 0
            {
                self.add(payer, tokens);
            }
        }
        Ok(())
    }

    /// All numbers, by name.
    fn numbers(&self) -> BTreeMap<String, i64> {
        let mut numbers = BTreeMap::new();
        let Some(counters) = self.host.counters() else { return numbers };
        let mut after = String::new();
        while let Some(page) = counters.list("", &after, PAGE) {
            let Some((last, _)) = page.last() else { break };
            after.clone_from(last);
            numbers.extend(page);
        }
        numbers
    }
}

impl Callback for Budget {
    type Settings = Settings;

    fn new(host: Host, settings: Settings) -> Result<Self, InitError> {
        let file = host.state_dir().filter(|_| !is_probe()).map(|dir| dir.join("tokens.json"));
        let used = host.metrics().and_then(|metrics| {
            metrics.counter_with("tokens_total", "Tokens by team", &["team"]).ok()
        });
        let budget = Self { host, settings, file, used };
        budget.restore()?;
        Ok(budget)
    }

    fn on_llm_start(&self, call: &mut LlmCall<'_>) -> Hook {
        let limit = self.settings.teams.get(payer(call)).unwrap_or(&self.settings.tokens);
        let left = (limit - self.add(payer(call), 0)).max(0);
        call.set_reply_header("x-ratelimit-remaining-tokens", &left.to_string())?;
        if left == 0 {
            let text = format!("the tokens of `{}` for today are used up", payer(call));
            let wait = Duration::from_secs(self.day().1);
            return Err(Rejection::new(429, text).retry_after(wait).into());
        }
        Ok(Flow::Continue)
    }

    fn on_llm_end(&self, call: &mut CallView<'_>, reply: &mut LlmReply<'_>) -> Hook {
        self.charge(call, reply.total_tokens());
        Ok(Flow::Continue)
    }

    fn on_llm_error(&self, call: &mut CallView<'_>, failure: &mut LlmFailure<'_>) -> Hook {
        self.charge(call, failure.total_tokens());
        Ok(Flow::Continue)
    }

    fn shutdown(&self) {
        let Some(file) = &self.file else { return };
        let text = serde_json::json!(self.numbers()).to_string();
        let new = file.with_extension("new");
        // Written beside it and renamed, so that a full disk leaves the old file.
        if let Err(error) = fs::write(&new, text).and_then(|()| fs::rename(&new, file)) {
            self.host.log(plugin_api::Level::Warn, &format!("numbers are not kept: {error}"));
        }
    }
}

plugin_api::export_callbacks! {
    min_api: "1.1",
    Budget {
        name: "budget",
        kind: sync,
        hooks: [on_llm_start, on_llm_end, on_llm_error],
        reads: ["reply", "error"],
        writes: ["reply"],
        settings_schema: r#"{
            "type": "object",
            "required": ["tokens"],
            "properties": {
                "tokens": {"description": "Tokens a day for each other team.", "type": "integer", "minimum": 0},
                "teams": {
                    "description": "Tokens a day by team.",
                    "type": "object",
                    "additionalProperties": {"type": "integer", "minimum": 0}
                }
            },
            "additionalProperties": false
        }"#,
        sample_settings: r#"{"tokens": 1000}"#,
    }
}

#[cfg(test)]
mod tests;
