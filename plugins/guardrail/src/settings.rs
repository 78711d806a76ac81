//! Reads the settings and compiles the rules. All errors name the rule and say what to do.

use crate::{
    denial::Denial,
    preset::Preset,
    rule::{Action, PatternError, Rule},
};
use serde::Deserialize;
use std::fmt;

const MOST_RULES: usize = 64;

/// The settings as written in the config. The crate's documentation explains them.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    rules: Vec<RuleSettings>,
    #[serde(default = "default_hold_back")]
    hold_back: usize,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleSettings {
    name: Option<String>,
    pattern: Option<String>,
    preset: Option<Preset>,
    action: ActionName,
    on: Option<Vec<AppliesTo>>,
    replacement: Option<String>,
    message: Option<String>,
    status: Option<u16>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum ActionName {
    Deny,
    Mask,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum AppliesTo {
    Prompt,
    Reply,
}

fn default_hold_back() -> usize {
    256
}

/// The reason why the settings cannot work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SettingsError {
    Count(usize),
    HoldBack(usize),
    Rule { index: usize, name: String, problem: Problem },
}

/// The reason why a rule cannot work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Problem {
    NoPattern,
    TwoPatterns,
    NoPlace,
    Stray { member: &'static str, action: &'static str },
    Status(u16),
    Pattern(PatternError),
}

impl fmt::Display for SettingsError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count(found) => write!(
                out,
                "expected 1 to {MOST_RULES} rules, found {found}; join patterns with `|`, or \
                 remove `guardrail` from the callbacks"
            ),
            Self::HoldBack(found) => {
                write!(out, "hold_back: expected `hold_back` from 1 to 65536 bytes, found {found}")
            }
            Self::Rule { index, name, problem } => {
                write!(out, "rules[{index}]{}: rule `{name}`: {problem}", problem.member())
            }
        }
    }
}

impl Problem {
    /// Returns the path of the faulty setting within the rule, if there is one.
    fn member(&self) -> String {
        match self {
            Self::NoPattern | Self::TwoPatterns => String::new(),
            Self::NoPlace => ".on".to_owned(),
            Self::Stray { member, .. } => format!(".{member}"),
            Self::Status(_) => ".status".to_owned(),
            Self::Pattern(_) => ".pattern".to_owned(),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoPattern => out.write_str(
                "expected a `pattern` or a `preset`, found neither; write for example `preset: email`",
            ),
            Self::TwoPatterns => out.write_str(
                "expected a `pattern` or a `preset`, found both; make each a rule of its own",
            ),
            Self::NoPlace => out.write_str(
                "expected `prompt` or `reply` in `on`, found an empty list; remove it for both",
            ),
            Self::Stray { member, action } => {
                write!(out, "`{member}` is for `action: {action}`; remove it or change the action")
            }
            Self::Status(found) => write!(out, "expected a `status` from 400 to 599, found {found}"),
            Self::Pattern(error) => write!(out, "{error}"),
        }
    }
}

impl std::error::Error for SettingsError {}

impl Settings {
    /// Returns the rules for prompts, and those for replies.
    pub(crate) fn rules(self) -> Result<(Vec<Rule>, Vec<Rule>), SettingsError> {
        let Self { rules, hold_back } = self;
        if !(1..=MOST_RULES).contains(&rules.len()) {
            return Err(SettingsError::Count(rules.len()));
        }
        if !(1..=65536).contains(&hold_back) {
            return Err(SettingsError::HoldBack(hold_back));
        }
        let (mut prompt, mut reply) = (Vec::new(), Vec::new());
        for (index, settings) in rules.into_iter().enumerate() {
            let name = settings.name(index + 1);
            settings
                .add(&name, hold_back, &mut prompt, &mut reply)
                .map_err(|problem| SettingsError::Rule { index, name, problem })?;
        }
        Ok((prompt, reply))
    }
}

impl RuleSettings {
    fn name(&self, number: usize) -> String {
        match (&self.name, self.preset) {
            (Some(name), _) => name.clone(),
            (None, Some(preset)) => preset.name().to_owned(),
            (None, None) => format!("rule {number}"),
        }
    }

    fn add(
        self,
        name: &str,
        hold_back: usize,
        prompt: &mut Vec<Rule>,
        reply: &mut Vec<Rule>,
    ) -> Result<(), Problem> {
        let pattern = match (&self.pattern, self.preset) {
            (Some(pattern), None) => pattern,
            (None, Some(preset)) => preset.pattern(),
            (None, None) => return Err(Problem::NoPattern),
            (Some(_), Some(_)) => return Err(Problem::TwoPatterns),
        };
        let on = self.on.as_deref().unwrap_or(&[AppliesTo::Prompt, AppliesTo::Reply]);
        if on.is_empty() {
            return Err(Problem::NoPlace);
        }
        for (place, room, rules) in
            [(AppliesTo::Prompt, None, prompt), (AppliesTo::Reply, Some(hold_back), reply)]
        {
            if on.contains(&place) {
                let action = self.action(name, place)?;
                let rule = Rule::new(pattern, self.preset, action, room);
                rules.push(rule.map_err(Problem::Pattern)?);
            }
        }
        Ok(())
    }

    fn action(&self, name: &str, place: AppliesTo) -> Result<Action, Problem> {
        let stray = |given: bool, member, action| match given {
            true => Err(Problem::Stray { member, action }),
            false => Ok(()),
        };
        match self.action {
            ActionName::Mask => {
                stray(self.message.is_some(), "message", "deny")?;
                stray(self.status.is_some(), "status", "deny")?;
                let replacement = self.replacement.clone();
                Ok(Action::Mask(replacement.unwrap_or_else(|| format!("[{name}]"))))
            }
            ActionName::Deny => {
                stray(self.replacement.is_some(), "replacement", "mask")?;
                let status = self.status.unwrap_or(400);
                if !(400..=599).contains(&status) {
                    return Err(Problem::Status(status));
                }
                let told = || match place {
                    AppliesTo::Prompt => format!("the prompt is refused by the rule `{name}`"),
                    AppliesTo::Reply => format!("the reply is withheld by the rule `{name}`"),
                };
                let message = self.message.clone().unwrap_or_else(told);
                Ok(Action::Deny(Denial { status, message }))
            }
        }
    }
}
