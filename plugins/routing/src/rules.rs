//! The rules: reads them from the settings, and finds the rule for a model name.

use serde::Deserialize;
use std::fmt;

const EXAMPLE: &str = "`{prefix: groq-, provider: groq, model: llama-3.3-70b-versatile}`";

/// The settings as written in the config. The crate's documentation explains them.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    rules: Option<Vec<RuleSettings>>,
    otherwise: Option<RouteTarget>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleSettings {
    exact: Option<String>,
    prefix: Option<String>,
    suffix: Option<String>,
    provider: String,
    model: Option<String>,
    #[serde(default)]
    always: bool,
}

/// The destination of a call.
#[derive(Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub(crate) struct RouteTarget {
    pub(crate) provider: String,
    /// `None` stands for the requested name.
    pub(crate) model: Option<String>,
}

/// The valid rules.
#[derive(Debug)]
pub(crate) struct Rules {
    rules: Vec<Rule>,
    otherwise: Option<RouteTarget>,
    /// Whether any rule applies to names in the model list.
    any_always: bool,
}

#[derive(Debug)]
struct Rule {
    names: Names,
    target: RouteTarget,
    always: bool,
}

#[derive(Debug)]
enum Names {
    Exact(String),
    Prefix(String),
    Suffix(String),
}

/// The reason why the settings cannot work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum RulesError {
    NoMatcher { rule: usize },
    SeveralMatchers { rule: usize },
    Empty { path: String },
}

impl fmt::Display for RulesError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoMatcher { rule } => write!(
                out,
                "rules[{rule}]: expected one of `exact`, `prefix`, `suffix`, found none; write for \
                 example {EXAMPLE}"
            ),
            Self::SeveralMatchers { rule } => write!(
                out,
                "rules[{rule}]: expected one of `exact`, `prefix`, `suffix`, found several; make \
                 each a rule of its own"
            ),
            Self::Empty { path } => {
                write!(out, "{path}: expected a text, found an empty one; fill it in or remove it")
            }
        }
    }
}

impl std::error::Error for RulesError {}

impl Rules {
    pub(crate) fn from_settings(settings: Settings) -> Result<Self, RulesError> {
        let rules: Vec<Rule> = match settings.rules {
            Some(rules) => rules
                .into_iter()
                .enumerate()
                .map(|(index, rule)| Rule::from_settings(rule, index))
                .collect::<Result<_, _>>()?,
            None => default_rules(),
        };
        if let Some(otherwise) = &settings.otherwise {
            check_target(otherwise, "otherwise")?;
        }
        let any_always = rules.iter().any(|rule| rule.always);
        Ok(Self { rules, otherwise: settings.otherwise, any_always })
    }

    /// Returns whether a rule can apply to names in the model list.
    pub(crate) fn concern_listed(&self) -> bool {
        self.any_always
    }

    /// Returns the destination for a model name, or `None` to leave it to the config. `listed` says
    /// whether the model list has the name.
    pub(crate) fn target(&self, model: &str, listed: bool) -> Option<&RouteTarget> {
        let decides = |rule: &&Rule| (rule.always || !listed) && rule.names.include(model);
        match self.rules.iter().find(decides) {
            Some(rule) => Some(&rule.target),
            None if listed => None,
            None => self.otherwise.as_ref(),
        }
    }
}

impl Rule {
    fn from_settings(settings: RuleSettings, rule: usize) -> Result<Self, RulesError> {
        let RuleSettings { exact, prefix, suffix, provider, model, always } = settings;
        let names = match (exact, prefix, suffix) {
            (Some(name), None, None) => Names::Exact(name),
            (None, Some(start), None) => Names::Prefix(start),
            (None, None, Some(end)) => Names::Suffix(end),
            (None, None, None) => return Err(RulesError::NoMatcher { rule }),
            _ => return Err(RulesError::SeveralMatchers { rule }),
        };
        let (Names::Exact(text) | Names::Prefix(text) | Names::Suffix(text)) = &names;
        let target = RouteTarget { provider, model };
        let path = format!("rules[{rule}]");
        if text.is_empty() {
            return Err(RulesError::Empty { path });
        }
        check_target(&target, &path)?;
        Ok(Self { names, target, always })
    }
}

fn check_target(target: &RouteTarget, path: &str) -> Result<(), RulesError> {
    if target.provider.is_empty() || target.model.as_ref().is_some_and(String::is_empty) {
        return Err(RulesError::Empty { path: path.to_owned() });
    }
    Ok(())
}

fn default_rules() -> Vec<Rule> {
    let rule = |prefix: &str, provider: &str, model: &str| Rule {
        names: Names::Prefix(prefix.to_owned()),
        target: RouteTarget { provider: provider.to_owned(), model: Some(model.to_owned()) },
        always: false,
    };
    vec![rule("groq-", "groq", "llama-3.3-70b-versatile"), rule("openai-", "openai", "gpt-4o-mini")]
}

impl Names {
    fn include(&self, model: &str) -> bool {
        match self {
            Self::Exact(name) => model == name,
            Self::Prefix(start) => model.starts_with(start.as_str()),
            Self::Suffix(end) => model.ends_with(end.as_str()),
        }
    }
}
