//! `--http FILE`: answers to the callbacks' own requests, in place of the network.

use callgate_config::HostPattern;
use callgate_host::{Asked, HttpAnswers};
use plugin_api::{HostError, HostErrorKind, HttpRequest, HttpResponse, Pattern as UrlPattern};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

/// One rule of the file. The first rule that matches and is not used up answers.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Rule {
    request: Pattern,
    response: Option<Scripted>,
    error: Option<ErrorName>,
    /// How often it answers; any number of times if absent.
    times: Option<u64>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Pattern {
    method: Option<String>,
    /// `*` stands for any text.
    url: String,
    body_contains: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Scripted {
    #[serde(default = "ok")]
    status: u16,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    /// A text, or JSON.
    #[serde(default)]
    body: Value,
}

fn ok() -> u16 {
    200
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum ErrorName {
    Timeout,
    Unreachable,
    TooLarge,
    Full,
    Ending,
}

/// A request of a callback, as it is shown: without secrets.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Requested {
    callback: String,
    method: String,
    url: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    body: String,
    /// The number of the rule that answered, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    rule: Option<usize>,
    /// The status, or the failure.
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

impl Requested {
    pub(super) fn line(&self) -> String {
        let Self { callback, method, url, .. } = self;
        let answered = match (self.status, &self.error) {
            (Some(status), _) => status.to_string(),
            (None, error) => error.clone().unwrap_or_default(),
        };
        let by = self.rule.map_or_else(String::new, |rule| format!(" (rule {rule})"));
        format!("{callback}: {method} {url} → {answered}{by}")
    }
}

/// The rules of one run, and what was requested so far.
#[derive(Debug)]
pub(super) struct HttpRules {
    file: String,
    rules: Arc<[Rule]>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// By rule.
    used: Vec<u64>,
    requested: Vec<Requested>,
}

/// Reads the rules. The error names the faulty one.
pub(super) fn parse(json: Value) -> Result<Arc<[Rule]>, String> {
    let rules: Vec<Rule> = serde_json::from_value(json)
        .map_err(|error| format!("expected a list of rules such as {EXAMPLE}: {error}"))?;
    for (index, rule) in rules.iter().enumerate() {
        let number = index + 1;
        if rule.response.is_some() == rule.error.is_some() {
            return Err(format!("rule {number}: expected either `response` or `error`"));
        }
        if let Some(Scripted { status, .. }) = &rule.response
            && !(100..600).contains(status)
        {
            return Err(format!(
                "rule {number}: expected a status from 100 to 599, found {status}"
            ));
        }
    }
    Ok(rules.into())
}

const EXAMPLE: &str =
    r#"{"request": {"url": "https://api.example/*"}, "response": {"status": 200, "body": "ok"}}"#;

/// The hosts that the rules' URLs name.
pub(super) fn hosts(rules: &[Rule]) -> Vec<HostPattern> {
    rules.iter().filter_map(|rule| host(&rule.request.url)).collect()
}

/// The host that a URL names.
pub(super) fn host(url: &str) -> Option<HostPattern> {
    let (_, rest) = url.split_once("://")?;
    HostPattern::parse(rest.split(['/', '?', '#']).next()?)
}

impl HttpRules {
    pub(super) fn new(file: &str, rules: &Arc<[Rule]>) -> Self {
        let used = vec![0; rules.len()];
        let state = Mutex::new(State { used, requested: Vec::new() });
        Self { file: file.to_owned(), rules: Arc::clone(rules), state }
    }

    /// The requests since the last time.
    pub(super) fn take_requested(&self) -> Vec<Requested> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut state.requested)
    }

    /// The rules that answered nothing.
    pub(super) fn unused(&self) -> Vec<String> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let rules = self.rules.iter().zip(&state.used).enumerate();
        let unused = rules.filter(|(_, (_, used))| **used == 0);
        unused.map(|(index, (rule, _))| rule.request.line(index + 1)).collect()
    }
}

impl HttpAnswers for HttpRules {
    fn answer(&self, asked: &Asked<'_>) -> Result<HttpResponse, HostError> {
        let request = asked.request;
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let found = self.rules.iter().zip(&mut state.used).position(|(rule, used)| {
            let is_left = rule.times.is_none_or(|times| *used < times);
            let answers = is_left && rule.request.matches(request);
            *used += u64::from(answers);
            answers
        });
        let answer = match found.and_then(|index| self.rules.get(index)) {
            Some(rule) => rule.answer(),
            None => Err(self.no_rule(request)),
        };
        state.requested.push(Requested {
            callback: asked.callback.to_owned(),
            method: request.method().to_owned(),
            url: (asked.mask)(request.url()),
            body: (asked.mask)(&String::from_utf8_lossy(request.body_bytes())),
            rule: found.map(|index| index + 1),
            status: answer.as_ref().ok().map(|response| response.status),
            error: answer.as_ref().err().map(|error| (asked.mask)(&error.message)),
        });
        answer
    }
}

impl HttpRules {
    fn no_rule(&self, request: &HttpRequest) -> HostError {
        // The query may hold a key.
        let url = request.url().split('?').next().unwrap_or_default();
        let text = format!("no rule of `{}` matches {} {url}", self.file, request.method());
        HostError::new(HostErrorKind::UNREACHABLE, text)
    }
}

impl Rule {
    fn answer(&self) -> Result<HttpResponse, HostError> {
        if let Some(error) = self.error {
            return Err(error.error());
        }
        let mut response = HttpResponse::new(200);
        if let Some(scripted) = &self.response {
            response.status = scripted.status;
            response.body = match &scripted.body {
                Value::Null => Vec::new(),
                Value::String(text) => text.clone().into_bytes(),
                json => json.to_string().into_bytes(),
            };
            let headers = scripted.headers.iter();
            response.headers =
                headers.map(|(name, value)| (name.to_lowercase(), value.clone())).collect();
        }
        Ok(response)
    }
}

impl ErrorName {
    fn error(self) -> HostError {
        let (kind, text) = match self {
            Self::Timeout => (HostErrorKind::TIMEOUT, "the server did not answer in time"),
            Self::Unreachable => (HostErrorKind::UNREACHABLE, "the server cannot be reached"),
            Self::TooLarge => (HostErrorKind::TOO_LARGE, "the answer is too large"),
            Self::Full => (HostErrorKind::FULL, "too many requests of this callback are not done"),
            Self::Ending => (HostErrorKind::ENDING, "the gateway is ending"),
        };
        HostError::new(kind, text)
    }
}

impl Pattern {
    fn matches(&self, request: &HttpRequest) -> bool {
        let method = self.method.as_ref();
        let wanted = self.body_contains.as_ref();
        method.is_none_or(|method| method.eq_ignore_ascii_case(request.method()))
            && UrlPattern::new(&self.url).matches(request.url())
            && wanted.is_none_or(|part| {
                String::from_utf8_lossy(request.body_bytes()).contains(part.as_str())
            })
    }

    fn line(&self, number: usize) -> String {
        let method = self.method.as_deref().unwrap_or("*");
        format!("rule {number}: {method} {}", self.url)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn answer(rules: &HttpRules, request: &HttpRequest) -> Result<HttpResponse, HostError> {
        let mask = |text: &str| text.replace("secret", "***");
        rules.answer(&Asked { callback: "c", request, mask: &mask })
    }

    #[test]
    fn the_first_rule_that_is_left_answers_and_all_requests_are_kept_without_secrets() {
        let json = json!([
            {"request": {"method": "post", "url": "https://a/*", "body_contains": "x"},
             "response": {"status": 201, "headers": {"X-A": "1"}, "body": {"n": 1}}, "times": 1},
            {"request": {"url": "https://a/*"}, "error": "timeout"},
            {"request": {"url": "https://b/"}, "response": {}},
        ]);
        let rules = HttpRules::new("rules.json", &parse(json).unwrap());
        let post = HttpRequest::post("https://a/1").body("x secret");
        let first = answer(&rules, &post).unwrap();
        assert_eq!((first.status, &*first.body), (201, &b"{\"n\":1}"[..]));
        assert_eq!(first.headers, [("x-a".to_owned(), "1".to_owned())]);
        assert_eq!(answer(&rules, &post).unwrap_err().kind, HostErrorKind::TIMEOUT);
        let error = answer(&rules, &HttpRequest::get("https://c/?key=secret")).unwrap_err();
        assert_eq!(error.kind, HostErrorKind::UNREACHABLE);
        assert_eq!(error.message, "no rule of `rules.json` matches GET https://c/");
        assert_eq!(rules.unused(), ["rule 3: * https://b/"]);
        let requested = rules.take_requested();
        let lines: Vec<_> = requested.iter().map(Requested::line).collect();
        assert_eq!(
            lines,
            [
                "c: POST https://a/1 → 201 (rule 1)",
                "c: POST https://a/1 → the server did not answer in time (rule 2)",
                "c: GET https://c/?key=*** → no rule of `rules.json` matches GET https://c/",
            ]
        );
        assert_eq!(requested[0].body, "x ***");
        assert!(rules.take_requested().is_empty());
    }

    #[test]
    fn unusable_rules_are_refused() {
        for json in [
            json!({}),
            json!([{"request": {"url": "x"}}]),
            json!([{"request": {"url": "x"}, "error": "nonsense"}]),
            json!([{"request": {"url": "x"}, "error": "timeout", "response": {}}]),
            json!([{"request": {"url": "x", "path": "/"}, "error": "timeout"}]),
            json!([{"request": {"url": "x"}, "response": {"status": 7}}]),
        ] {
            assert!(parse(json.clone()).is_err(), "{json}");
        }
    }

    #[test]
    fn hosts_are_those_of_the_urls() {
        let rule = |url: &str| json!({"request": {"url": url}, "error": "timeout"});
        let rules = parse(json!([rule("https://a.example:81/x*"), rule("*"), rule("http://b/")]));
        let hosts = hosts(&rules.unwrap());
        assert_eq!(
            hosts,
            [HostPattern::parse("a.example:81").unwrap(), HostPattern::parse("b").unwrap()]
        );
    }
}
