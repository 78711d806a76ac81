//! What a deployment's entry says about parameters: which are never sent, which parts of them, and
//! what happens to those that a provider refuses.

use crate::cuts::{spliced, without};
use callgate_json::{Edits, text, walk};
use std::ops::Range;

/// The rules of one deployment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ParamRules {
    /// Drops parameters that the upstream does not support, instead of refusing the call.
    pub drop_unsupported: bool,
    /// Parameters that are never sent.
    pub leave_out: Vec<String>,
    /// Parts of parameters that are never sent.
    pub cut: Vec<ParamPath>,
    /// Parameters that are sent although they count as unsupported.
    pub allowed: Vec<String>,
}

impl ParamRules {
    /// Whether a parameter is never sent.
    pub(crate) fn leaves_out(&self, name: &[u8]) -> bool {
        self.leave_out.iter().any(|left_out| left_out.as_bytes() == name)
    }

    pub(crate) fn allows(&self, name: &str) -> bool {
        self.allowed.iter().any(|allowed| allowed == name)
    }

    /// Cuts the parts that are never sent.
    pub(crate) fn cut(&self, edits: &mut Edits<'_>) {
        for path in &self.cut {
            let Some(value) = edits.member_bytes(&path.param) else { continue };
            let mut ranges = Vec::new();
            found(text(&value), 0, &path.steps, &mut ranges);
            if !ranges.is_empty() {
                let changes: Vec<_> = ranges.into_iter().map(|range| (range, "")).collect();
                edits.set(&path.param, spliced(text(&value), &changes));
            }
        }
    }
}

/// The place of a member within a parameter, such as `tools[*].function.strict`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParamPath {
    param: String,
    /// At least one; the last one is a name.
    steps: Vec<Step>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    Member(String),
    Element(usize),
    EveryElement,
}

impl ParamPath {
    /// Reads a path in LiteLLM's form; `None` if it is none, or does not end with a member's name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (param, mut rest) = text.split_at(text.find(['.', '['])?);
        let mut steps = Vec::new();
        while !rest.is_empty() {
            let step;
            (step, rest) = match rest.strip_prefix('[') {
                Some(bracket) => {
                    let (inside, after) = bracket.split_once(']')?;
                    let element = || Some(Step::Element(inside.parse().ok()?));
                    let step = if inside == "*" { Step::EveryElement } else { element()? };
                    (step, after)
                }
                None => {
                    let name = rest.strip_prefix('.')?;
                    let (name, after) = name.split_at(name.find(['.', '[']).unwrap_or(name.len()));
                    (Step::Member((!name.is_empty()).then(|| name.to_owned())?), after)
                }
            };
            steps.push(step);
        }
        let ends_with_name = matches!(steps.last(), Some(Step::Member(_)));
        (ends_with_name && !param.is_empty()).then(|| Self { param: param.to_owned(), steps })
    }

    /// The parameter that it leads into.
    #[must_use]
    pub fn param(&self) -> &str {
        &self.param
    }
}

/// Adds the ranges to cut, in their order. `start` is the position of `json` in the whole.
fn found(json: &str, start: usize, steps: &[Step], ranges: &mut Vec<Range<usize>>) {
    let mut within = |value: Range<usize>, rest: &[Step]| {
        if let Some(inner) = json.get(value.clone()) {
            found(inner, start + value.start, rest, ranges);
        }
    };
    match steps {
        [] => {}
        [Step::Member(name)] => {
            let inside = without(json, name);
            ranges.extend(inside.map(|range| start + range.start..start + range.end));
        }
        [Step::Member(name), rest @ ..] => {
            for member in walk::members(json).into_iter().flatten() {
                if walk::name_of(json, &member) == **name {
                    within(member.value, rest);
                }
            }
        }
        [Step::Element(at), rest @ ..] => {
            let element = walk::elements(json).and_then(|mut elements| elements.nth(*at));
            element.into_iter().for_each(|element| within(element.value, rest));
        }
        [Step::EveryElement, rest @ ..] => {
            walk::elements(json).into_iter().flatten().for_each(|it| within(it.value, rest));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use callgate_json::{Body, joined};

    #[track_caller]
    fn check(path: &str, body: &str, expected: &str) {
        let parsed = Body::parse(body.to_owned().into()).unwrap();
        let mut edits = Edits::of(&parsed);
        let cut = vec![ParamPath::parse(path).unwrap()];
        ParamRules { cut, ..ParamRules::default() }.cut(&mut edits);
        let sent = joined(edits.render());
        assert_eq!(std::str::from_utf8(&sent), Ok(expected), "{path}");
        assert!(serde_json::from_slice::<serde_json::Value>(&sent).is_ok());
    }

    #[test]
    fn parts_of_parameters_are_cut() {
        let tools = r#"{"tools":[{"type":"function","function":{"strict":true,"name":"f"}}, {"function":{"name":"g","strict":false}},{"strict":1}],"n":1}"#;
        check(
            "tools[*].function.strict",
            tools,
            r#"{"tools":[{"type":"function","function":{"name":"f"}}, {"function":{"name":"g"}},{"strict":1}],"n":1}"#,
        );
        check(
            "tools[1].function.strict",
            tools,
            r#"{"tools":[{"type":"function","function":{"strict":true,"name":"f"}}, {"function":{"name":"g"}},{"strict":1}],"n":1}"#,
        );
        check("a.b", r#"{"a":{"b":1}}"#, r#"{"a":{}}"#);
        check("a.b", r#"{"a":{"b":1,"c":2,"b":3}}"#, r#"{"a":{"c":2}}"#);
        check("a[*][0].b", r#"{"a":[[{"b":1},{"b":2}]]}"#, r#"{"a":[[{},{"b":2}]]}"#);
        check("a.b.c", r#"{"a":{"\u0062":{"c":1}}}"#, r#"{"a":{"\u0062":{}}}"#);
        for (path, body) in [
            ("a.b", r#"{"a":[{"b":1}]}"#),
            ("a[*].b", r#"{"a":{"b":1}}"#),
            ("a[7].b", r#"{"a":[{"b":1}]}"#),
            ("a.b", r#"{"a":"b"}"#),
            ("a.b", r#"{"b":{"a":1}}"#),
        ] {
            check(path, body, body);
        }
    }

    #[test]
    fn a_path_leads_to_a_member() {
        for text in
            ["a", "a.", ".b", "a[*]", "a[0]", "a[x].b", "a[*.b", "[*].a", "a..b", "a]b", "a.b[*]"]
        {
            assert_eq!(ParamPath::parse(text), None, "{text}");
        }
        assert_eq!(ParamPath::parse("tools[*].x").unwrap().param(), "tools");
    }
}
