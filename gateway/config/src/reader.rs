//! Reads one config value: checks its kind, expands it, and reports a problem with its location if
//! either fails. Reading never stops at a problem: the caller gets nothing and continues, so that
//! one start reports all problems. The files of the sections use it; it knows no key by name.

use super::{
    Setting, UnknownKeys, Unset,
    duration::parse_duration,
    environment::Environment,
    expand::{Expanded, expand},
    include::Files,
    litellm_keys::{ReportedKey, Standing},
    problem::{Problem, Severity, SourceLocation},
    quote::quoted,
    yaml::{Kind, Node, Scalar, Typed},
};
use callgate_secret::{Secret, Secrets};
use std::{path::Path, sync::Arc, time::Duration};

/// The context in which values are read, and the problems found.
pub(super) struct Reader<'e> {
    pub(super) file: Arc<Path>,
    /// The config and the files that it includes.
    pub(super) files: Files,
    pub(super) env: &'e Environment,
    pub(super) unknown: UnknownKeys,
    /// The severity of an unset variable in a value that is not a `Setting`. Only a `Setting` can
    /// leave the error to the calls that need it.
    pub(super) unset: Severity,
    pub(super) problems: Vec<Problem>,
    /// The keys that this gateway's own mappings may have, by their paths.
    pub(super) own: Vec<(String, Vec<&'static str>)>,
    /// Keys that ask for content to be kept out of callbacks.
    pub(super) silencing: Vec<Problem>,
    /// What becomes of each key.
    pub(super) keys: Vec<ReportedKey>,
    /// Protective keys that the operator accepts to be ignored.
    pub(super) accepted: Vec<String>,
    /// Values of variables that the config refers to; later messages must not show them.
    pub(super) hidden: Secrets,
}

/// An existing value (null counts as absent) and its key path.
#[derive(Clone, Debug)]
pub(super) struct Field<'n> {
    pub(super) node: &'n Node,
    pub(super) path: String,
}

impl<'e> Reader<'e> {
    pub(super) fn new(file: Arc<Path>, env: &'e Environment, unknown: UnknownKeys) -> Self {
        Self {
            files: vec![Arc::clone(&file)],
            file,
            env,
            unknown,
            unset: Severity::Error,
            problems: Vec::new(),
            own: Vec::new(),
            silencing: Vec::new(),
            keys: Vec::new(),
            accepted: Vec::new(),
            hidden: Secrets::default(),
        }
    }

    pub(super) fn place(&self, field: &Field<'_>) -> SourceLocation {
        field.node.mark.place(&self.files, &field.path)
    }

    /// Corrects what becomes of the key at `path`.
    pub(super) fn restate(&mut self, path: &str, standing: Standing) {
        if let Some(key) = self.keys.iter_mut().rfind(|key| key.place.path == path) {
            key.standing = standing;
            standing.reason().clone_into(&mut key.text);
        }
    }

    pub(super) fn error(&mut self, field: &Field<'_>, text: impl Into<String>) {
        self.problems.push(Problem::error(self.place(field), text));
    }

    pub(super) fn warning(&mut self, field: &Field<'_>, text: impl Into<String>) {
        self.problems.push(Problem::warning(self.place(field), text));
    }

    pub(super) fn expected(&mut self, field: &Field<'_>, what: &str) {
        let found = self.found(field);
        self.error(field, format!("expected {what}, found {found}"));
    }

    pub(super) fn list<'n>(&mut self, field: &Field<'n>) -> Vec<Field<'n>> {
        let Kind::Sequence(items) = &field.node.kind else {
            self.error(field, format!("expected a list, found {}", field.node.describe()));
            return Vec::new();
        };
        let path = |index| format!("{}[{index}]", field.path);
        items.iter().enumerate().map(|(index, node)| Field { node, path: path(index) }).collect()
    }

    /// Text that is required: an unset variable is a problem.
    pub(super) fn text(&mut self, field: &Field<'_>) -> Option<String> {
        let scalar = self.text_scalar(field)?;
        self.expanded(field, scalar).map(|(text, _)| text)
    }

    pub(super) fn texts(&mut self, field: &Field<'_>) -> Vec<String> {
        self.list(field).iter().filter_map(|item| self.text(item)).collect()
    }

    /// Text that only some calls need: an unset variable is left for them to report. Blank counts
    /// as absent.
    pub(super) fn setting(&mut self, field: &Field<'_>) -> Setting<String> {
        let Some(scalar) = self.text_scalar(field) else { return Setting::Absent };
        let variable = match self.expand(&scalar.text) {
            Expanded::Text(text, None) if text.trim().is_empty() => return Setting::Absent,
            Expanded::Text(text, Some(variable)) if text.trim().is_empty() => variable,
            Expanded::Text(text, _) => return Setting::Set(text),
            Expanded::Unset(variable) => variable,
            Expanded::Malformed(_) => {
                self.malformed(field);
                return Setting::Absent;
            }
        };
        Setting::Unset(self.note_unset(field, &variable, Severity::Warning))
    }

    pub(super) fn secret(&mut self, field: &Field<'_>) -> Setting<Secret> {
        match self.setting(field) {
            Setting::Set(text) => Setting::Set(Secret::new(&text)),
            Setting::Unset(unset) => Setting::Unset(unset),
            Setting::Absent => Setting::Absent,
        }
    }

    pub(super) fn boolean(&mut self, field: &Field<'_>) -> Option<bool> {
        let text = self.scalar_text(field, "true or false")?;
        match text.to_ascii_lowercase().as_str() {
            "true" | "yes" | "on" => Some(true),
            "false" | "no" | "off" => Some(false),
            _ => {
                self.expected(field, "true or false");
                None
            }
        }
    }

    /// As [`Reader::boolean`]; a list counts as true, as in LiteLLM, unless it is empty.
    pub(super) fn boolean_or_list(&mut self, field: &Field<'_>) -> Option<bool> {
        let Kind::Sequence(items) = &field.node.kind else { return self.boolean(field) };
        let on = !items.is_empty();
        let text = format!("expected true or false, found a list, which counts as {on}");
        let problem = Problem::warning(self.place(field), text);
        let remedy = "names of parameters belong in `additional_drop_params` of a model";
        self.problems.push(problem.remedy(remedy));
        Some(on)
    }

    /// A number that is neither negative nor infinite.
    pub(super) fn number(&mut self, field: &Field<'_>) -> Option<f64> {
        let text = self.scalar_text(field, "a number")?;
        let number = text.trim().parse().ok().filter(|it: &f64| it.is_finite() && *it >= 0.0);
        if number.is_none() {
            self.expected(field, "a number from 0");
        }
        number
    }

    pub(super) fn integer<T: std::str::FromStr>(&mut self, field: &Field<'_>) -> Option<T> {
        let text = self.scalar_text(field, "a whole number")?;
        let number = text.trim().parse().ok();
        if number.is_none() {
            self.expected(field, "a whole number in range");
        }
        number
    }

    /// A duration above zero: seconds as a number, or text such as `500ms`, `2s`, `1m`, `1h`.
    pub(super) fn duration(&mut self, field: &Field<'_>) -> Option<Duration> {
        let duration = self.duration_or_zero(field)?;
        if duration.is_zero() {
            self.error(field, "expected a duration above 0, found 0");
            return None;
        }
        Some(duration)
    }

    pub(super) fn duration_or_zero(&mut self, field: &Field<'_>) -> Option<Duration> {
        const WHAT: &str = "seconds as a number, or a duration such as `500ms`, `2s`, `1m`";
        let text = self.scalar_text(field, WHAT)?;
        let duration = parse_duration(text.trim());
        if duration.is_none() {
            self.expected(field, WHAT);
        }
        duration
    }

    /// A config value for `expected …, found …`: the text as written. For an environment variable
    /// that is only the reference.
    pub(super) fn found(&self, field: &Field<'_>) -> String {
        let Kind::Scalar(scalar) = &field.node.kind else {
            return field.node.describe().to_owned();
        };
        match expand(&scalar.text, self.env) {
            Expanded::Text(_, None) | Expanded::Malformed(_) => {
                format!("`{}`", quoted(&scalar.text))
            }
            Expanded::Text(_, Some(_)) | Expanded::Unset(_) => {
                format!("the value of `{}`", quoted(&scalar.text))
            }
        }
    }

    /// Any scalar, as its text.
    pub(super) fn any_text(&mut self, field: &Field<'_>) -> Option<String> {
        self.scalar_text(field, "text")
    }

    fn scalar_text(&mut self, field: &Field<'_>, what: &str) -> Option<String> {
        let Kind::Scalar(scalar) = &field.node.kind else {
            self.expected(field, what);
            return None;
        };
        self.expanded(field, scalar).map(|(text, _)| text)
    }

    fn text_scalar<'n>(&mut self, field: &Field<'n>) -> Option<&'n Scalar> {
        let Kind::Scalar(scalar) = &field.node.kind else {
            self.error(field, format!("expected text, found {}", field.node.describe()));
            return None;
        };
        match scalar.typed() {
            Typed::Text(_) => Some(scalar),
            Typed::Number(_) => {
                self.warning(field, "expected text, found a number; its digits are used as text");
                Some(scalar)
            }
            Typed::Bool(_) | Typed::Null => {
                let text = format!("expected text, found {}", field.node.describe());
                let problem = Problem::error(self.place(field), text).remedy("put it in quotes");
                self.problems.push(problem);
                None
            }
        }
    }

    /// The text and the variable it came from; `None` after a problem was reported.
    pub(super) fn expanded(
        &mut self,
        field: &Field<'_>,
        scalar: &Scalar,
    ) -> Option<(String, Option<String>)> {
        match self.expand(&scalar.text) {
            Expanded::Text(text, variable) => Some((text, variable)),
            Expanded::Malformed(_) => {
                self.malformed(field);
                None
            }
            Expanded::Unset(variable) => {
                self.note_unset(field, &variable, self.unset);
                None
            }
        }
    }

    /// Expands the text, and records the variables' values as hidden.
    pub(super) fn expand(&mut self, text: &str) -> Expanded {
        let expanded = expand(text, self.env);
        if let Expanded::Text(text, Some(variable)) = &expanded {
            self.hidden.add_variable(text);
            self.hidden.add_variable(self.env.var(variable).unwrap_or_default());
        }
        expanded
    }

    pub(super) fn malformed(&mut self, field: &Field<'_>) {
        let text = "expected a variable's name, as in `${NAME}` or `os.environ/NAME`, \
                    found something else";
        let problem =
            Problem::error(self.place(field), text).remedy("for a literal `${` write `$${`");
        self.problems.push(problem);
    }

    pub(super) fn note_unset(
        &mut self,
        field: &Field<'_>,
        variable: &str,
        severity: Severity,
    ) -> Unset {
        let state = match self.env.var(variable) {
            None => "is not set",
            Some(_) => "is blank",
        };
        let text = format!("the environment variable `{variable}` {state}");
        let remedy = match severity {
            Severity::Error => format!("set `{variable}` in the environment or in `.env`"),
            Severity::Warning => {
                format!("calls that need it will fail until `{variable}` is set")
            }
        };
        let place = self.place(field);
        self.problems.push(Problem { severity, place, text, remedy: Some(remedy) });
        Unset { variable: Arc::from(variable), path: Arc::from(field.path.as_str()) }
    }
}
