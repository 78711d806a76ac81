//! LiteLLM's options, so that a start command needs no change: some are applied, the others are
//! accepted with a warning that they have no effect. They are removed before the rest of the line
//! is parsed.

use callgate_config::{Environment, Problem, SourceLocation, closest, quoted};
use std::{ffi::OsString, num::NonZero, path::Path, time::Duration};

/// The values of LiteLLM's options.
#[derive(Clone, Debug, Default)]
pub struct LitellmOptions {
    /// `--num_workers`.
    pub workers: Option<NonZero<usize>>,
    /// `--debug` or `--detailed_debug`.
    pub debug: bool,
    /// `--request_timeout`.
    pub request_timeout: Option<Duration>,
    /// `--drop_params`.
    pub drop_params: bool,
    /// `--validate_config`: check instead of serving.
    pub only_check: bool,
    /// Options that protect in LiteLLM, but not here.
    pub unprotected: Vec<&'static str>,
    /// The problems of these options.
    pub problems: Vec<Problem>,
}

/// Each worker has its own thread, runtime and descriptors.
const MOST_WORKERS: usize = 1024;

/// Options with an argument.
const VALUED: &[&str] = &[
    "alias",
    "api_base",
    "api_version",
    "ciphers",
    "headers",
    "keepalive_timeout",
    "limit_concurrency",
    "log_config",
    "loop",
    "max_budget",
    "max_requests_before_restart",
    "max_requests_before_restart_jitter",
    "max_tokens",
    "model",
    "num_requests",
    "num_workers",
    "request_timeout",
    "ssl_certfile_path",
    "ssl_keyfile_path",
    "temperature",
    "timeout_worker_healthcheck",
];

const PLAIN: &[&str] = &[
    "add_function_to_prompt",
    "debug",
    "detailed_debug",
    "drop_params",
    "enforce_prisma_migration_check",
    "health",
    "iam_token_db_auth",
    "local",
    "reload",
    "run_granian",
    "run_gunicorn",
    "run_hypercorn",
    "save",
    "skip_server_startup",
    "test",
    "test_async",
    "use_litellm_proxy_deps",
    "use_prisma_db_push",
    "use_prisma_migrate",
    "use_queue",
    "use_v2_migration_resolver",
    "validate_config",
];

/// Variables that stand for an option.
const VARIABLES: &[(&str, &str)] = &[
    ("DEBUG", "debug"),
    ("DETAILED_DEBUG", "detailed_debug"),
    ("NUM_WORKERS", "num_workers"),
    ("SSL_CERTFILE_PATH", "ssl_certfile_path"),
    ("SSL_KEYFILE_PATH", "ssl_keyfile_path"),
];

/// LiteLLM accepts both `--telemetry True` and a bare `--telemetry`.
const EITHER: &str = "telemetry";

impl LitellmOptions {
    /// Removes LiteLLM's options from a command line that serves or checks; keeps the order of the
    /// rest.
    #[must_use]
    pub fn take_off(line: impl IntoIterator<Item = OsString>) -> (Vec<OsString>, Self) {
        let mut options = Self::default();
        let mut line = line.into_iter().peekable();
        let mut rest: Vec<_> = line.next().into_iter().collect();
        let other = |word: &OsString| {
            word.to_str().is_some_and(|it| matches!(it, "config" | "demo" | "plugin"))
        };
        if line.peek().is_some_and(other) {
            rest.extend(line);
            return (rest, options);
        }
        while let Some(word) = line.next() {
            if word == "--" {
                rest.push(word);
                rest.extend(line);
                break;
            }
            let Some((name, value)) = word.to_str().and_then(spelled) else {
                rest.push(word);
                continue;
            };
            let needs = VALUED.contains(&&*name);
            let mut value = value.map(str::to_owned);
            if needs && value.is_none() {
                value = line.next().map(|it| it.to_string_lossy().into_owned());
            }
            let truth = |it: &OsString| {
                it.to_str().is_some_and(|it| matches!(&*it.to_lowercase(), "true" | "false"))
            };
            if name == EITHER && value.is_none() && line.peek().is_some_and(truth) {
                line.next();
            }
            options.apply(&name, value.as_deref(), &place(&name));
        }
        (rest, options)
    }

    /// The LiteLLM option that an unknown one was most likely meant to be.
    #[must_use]
    pub fn closest(word: &str) -> Option<String> {
        let name = word.strip_prefix("--")?.split('=').next()?.replace('-', "_");
        let known = VALUED.iter().chain(PLAIN).copied().chain([EITHER]);
        closest(&name, known).map(|near| format!("--{near}"))
    }

    /// Adds the values of LiteLLM's variables for options that were not given.
    #[must_use]
    pub fn with_environment(&self, environment: &Environment) -> Self {
        let mut options = self.clone();
        for (variable, option) in VARIABLES {
            let Some(value) = environment.filled_var(variable) else { continue };
            let place = Environment::place_of(variable);
            match (value.trim().to_ascii_lowercase().as_str(), PLAIN.contains(option)) {
                (_, false) if *option == "num_workers" && options.workers.is_some() => {}
                (_, false) | ("1" | "true" | "t" | "yes" | "y" | "on", true) => {
                    options.apply(option, Some(value), &place);
                }
                ("0" | "false" | "f" | "no" | "n" | "off", true) => {}
                (_, true) => {
                    let text = format!("expected true or false, found `{}`", quoted(value));
                    options.problems.push(Problem::warning(place, text).remedy("it is not used"));
                }
            }
        }
        options
    }

    fn apply(&mut self, name: &str, value: Option<&str>, place: &SourceLocation) {
        let wrong = |expected: &str| {
            let found = value.map_or("nothing".to_owned(), |value| format!("`{}`", quoted(value)));
            Problem::error(place.clone(), format!("expected {expected}, found {found}"))
        };
        let meaningless = |why: &str| Problem::warning(place.clone(), why);
        let trimmed = value.unwrap_or_default().trim();
        match name {
            "num_workers" => match trimmed.parse::<NonZero<usize>>() {
                Ok(workers) if workers.get() <= MOST_WORKERS => self.workers = Some(workers),
                _ => self
                    .problems
                    .push(wrong(&format!("a number of workers from 1 to {MOST_WORKERS}"))),
            },
            "request_timeout" => {
                let seconds = trimmed.parse::<f64>().ok().filter(|seconds| *seconds > 0.0);
                match seconds.and_then(|it| Duration::try_from_secs_f64(it).ok()) {
                    Some(timeout) => self.request_timeout = Some(timeout),
                    None => self.problems.push(wrong("seconds above 0")),
                }
            }
            "debug" | "detailed_debug" => self.debug = true,
            "drop_params" => self.drop_params = true,
            "validate_config" => self.only_check = true,
            "max_budget" => self.unprotected.push("max_budget"),
            "model" | "alias" | "api_base" | "api_version" | "temperature" | "max_tokens"
            | "headers" => self
                .problems
                .push(meaningless("this has no effect here").remedy("write it in `model_list`")),
            "ssl_certfile_path" | "ssl_keyfile_path" | "ciphers" => self.problems.push(
                meaningless("this gateway does not serve HTTPS").remedy("put a proxy in front"),
            ),
            _ => self.problems.push(meaningless("this has no effect here")),
        }
    }
}

/// The name of a LiteLLM option in any spelling, and the text after its `=`.
fn spelled(word: &str) -> Option<(String, Option<&str>)> {
    if word == "-m" {
        return Some(("model".to_owned(), None));
    }
    let word = word.strip_prefix("--")?;
    let (name, value) = match word.split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (word, None),
    };
    let name = name.replace('-', "_");
    let known = name == EITHER || VALUED.contains(&&*name) || PLAIN.contains(&&*name);
    known.then_some((name, value))
}

fn place(name: &str) -> SourceLocation {
    SourceLocation {
        path: format!("--{name}"),
        ..SourceLocation::whole_file(Path::new("command line"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(line: &str) -> (String, LitellmOptions) {
        let (rest, options) = LitellmOptions::take_off(line.split(' ').map(OsString::from));
        let rest: Vec<_> = rest.into_iter().map(|it| it.into_string().unwrap()).collect();
        (rest.join(" "), options)
    }

    #[test]
    fn a_start_command_of_litellms_can_stay() {
        let line = "callgate --config c.yaml --num_workers 4 --detailed_debug --run_gunicorn \
                    --port 4000 --telemetry False --request-timeout=30 --drop_params -m gpt \
                    --max_budget 10";
        let (rest, options) = taken(line);
        assert_eq!(rest, "callgate --config c.yaml --port 4000");
        assert_eq!(options.workers.map(NonZero::get), Some(4));
        assert_eq!(options.request_timeout, Some(Duration::from_secs(30)));
        assert!(options.debug && options.drop_params && !options.only_check);
        let told: Vec<_> = options.problems.iter().map(|it| it.place.path.as_str()).collect();
        assert_eq!(told, ["--run_gunicorn", "--telemetry", "--model"]);
        assert_eq!(options.unprotected, ["max_budget"]);
        assert!(options.problems.iter().all(|problem| !problem.is_error()));
        let (rest, options) = taken("callgate check --num-workers=2 --telemetry --port 1");
        assert_eq!((&*rest, options.problems.len()), ("callgate check --port 1", 1));
    }

    #[test]
    fn variables_stand_for_options() {
        let read = |line: &str, pairs: &[(&str, &str)]| {
            let environment = Environment::from_pairs(pairs.iter().copied());
            taken(line).1.with_environment(&environment)
        };
        let options = read("callgate", &[("NUM_WORKERS", "3"), ("DEBUG", "True")]);
        assert!(options.debug && options.problems.is_empty());
        assert_eq!(options.workers.map(NonZero::get), Some(3));
        let options = read("callgate --num_workers 2", &[("NUM_WORKERS", "x"), ("DEBUG", "off")]);
        assert!(!options.debug && options.problems.is_empty());
        assert_eq!(options.workers.map(NonZero::get), Some(2));
        for (variable, value, said) in [
            ("NUM_WORKERS", "many", "expected a number of workers from 1 to 1024, found `many`"),
            ("DEBUG", "app:*", "expected true or false, found `app:*`; it is not used"),
            ("SSL_KEYFILE_PATH", "k.pem", "this gateway does not serve HTTPS"),
        ] {
            let problems = read("callgate", &[(variable, value)]).problems;
            let found = problems[0].to_string();
            assert!(found.starts_with(&format!("environment: {variable}: {said}")), "{found}");
        }
    }

    #[test]
    fn nonsense_is_refused_and_other_options_stay() {
        for line in
            ["callgate --num_workers 0", "callgate --num_workers", "callgate --request_timeout -1"]
        {
            assert!(taken(line).1.problems.iter().any(Problem::is_error), "{line}");
        }
        for line in
            ["callgate plugin test x.so --model a", "callgate --num_wrokers 4", "callgate -c x"]
        {
            assert_eq!(taken(line).0, line);
        }
    }
}
