//! OpenAI's reasoning models: they name the limit of tokens in the newer way, and refuse some
//! parameters of other models, unless a value changes nothing. `model_family` says which.

use crate::{Destination, ModelFamily, model_family::changes};
use callgate_failure::Failure;
use callgate_json::{Body, Edits, slices};

/// Drops or refuses what the model does not take. A deployment's defaults are dropped: the operator
/// was warned at startup.
pub(super) fn fit(edits: &mut Edits<'_>, body: &Body, to: &Destination<'_>) -> Result<(), Failure> {
    if matches!(to.family, ModelFamily::Any | ModelFamily::NewerLimit) {
        return Ok(());
    }
    plain_effort(edits);
    let effort = edits.member("reasoning_effort");
    let mut unfit = to.family.refused(effort.as_deref());
    unfit.retain(|(name, neutral)| {
        let value = edits.member(name);
        !to.rules.allows(name) && value.is_some_and(|value| changes(&value, neutral))
    });
    if unfit.is_empty() {
        return Ok(());
    }
    let asks_to_drop = body.member("drop_params").is_some_and(|asked| *asked == *b"true");
    let by_client = |name: &str| body.member(name).is_some() || !to.params.contains_key(name);
    let refused: Vec<&str> =
        unfit.iter().map(|(name, _)| *name).filter(|name| by_client(name)).collect();
    if !refused.is_empty() && !to.rules.drop_unsupported && !asks_to_drop {
        return Err(Failure::not_for_reasoning(to.model, &refused));
    }
    edits.remove_all(|name| unfit.iter().any(|(unfit, _)| unfit.as_bytes() == name));
    Ok(())
}

/// Chats take only the effort of `{"effort": "high", "summary": …}`, the form of other calls.
fn plain_effort(edits: &mut Edits<'_>) {
    let Some(json) = edits.member_bytes("reasoning_effort") else { return };
    if json.first() == Some(&b'{')
        && let Some(effort) = slices::member(&json, "effort")
    {
        edits.set("reasoning_effort", json.slice_ref(effort));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Dialect as _, ParamRules, Quirks, openai::OpenAi};
    use callgate_json::{joined, json_text};
    use serde_json::{Value, json};

    const O: ModelFamily = ModelFamily::OSeries;
    const GPT: ModelFamily = ModelFamily::Gpt { rests: false };
    const RESTING: ModelFamily = ModelFamily::Gpt { rests: true };

    fn send(
        family: ModelFamily,
        rules: &ParamRules,
        params: &Value,
        body: &str,
    ) -> Result<Value, Failure> {
        let body = Body::parse(body.to_owned().into()).unwrap();
        let to = Destination {
            model: "m",
            model_json: json_text("m"),
            params: params.as_object().unwrap(),
            rules,
            family,
            stream: false,
            quirks: Quirks::default(),
            stream_usage: false,
        };
        let made = OpenAi.request(&body, &to)?;
        let mut sent: Value = serde_json::from_slice(&joined(made.body)).unwrap();
        sent.as_object_mut().unwrap().shift_remove("model");
        Ok(sent)
    }

    #[test]
    fn what_a_model_does_not_take_is_refused_by_name_or_dropped() {
        let rules = ParamRules::default();
        let dropping = ParamRules { drop_unsupported: true, ..ParamRules::default() };
        for (family, body, kept, refused) in [
            (O, r#"{"max_tokens":5}"#, json!({"max_completion_tokens": 5}), None),
            (O, r#"{"temperature":1,"top_p":1.0}"#, json!({"temperature": 1, "top_p": 1.0}), None),
            (O, r#"{"temperature":0,"seed":1}"#, json!({"seed": 1}), Some("`temperature`")),
            (
                O,
                r#"{"logprobs":false,"presence_penalty":0}"#,
                json!({"logprobs": false, "presence_penalty": 0}),
                None,
            ),
            (
                O,
                r#"{"top_p":0.5,"frequency_penalty":1}"#,
                json!({}),
                Some("`top_p` and `frequency_penalty`"),
            ),
            (O, r#"{"stop":["a"]}"#, json!({"stop": ["a"]}), None),
            (
                GPT,
                r#"{"stop":["a"],"temperature":null}"#,
                json!({"temperature": null}),
                Some("`stop`"),
            ),
            (
                GPT,
                r#"{"logit_bias":{},"modalities":["text"]}"#,
                json!({"logit_bias": {}, "modalities": ["text"]}),
                None,
            ),
            (
                GPT,
                r#"{"temperature":0.2,"reasoning_effort":"none"}"#,
                json!({"temperature": 0.2, "reasoning_effort": "none"}),
                None,
            ),
            (GPT, r#"{"temperature":0.2}"#, json!({}), Some("`temperature`")),
            (RESTING, r#"{"temperature":0.2}"#, json!({"temperature": 0.2}), None),
            (
                RESTING,
                r#"{"temperature":0.2,"reasoning_effort":"low"}"#,
                json!({"reasoning_effort": "low"}),
                Some("`temperature`"),
            ),
            (
                GPT,
                r#"{"reasoning_effort":{"effort":"high","summary":"auto"}}"#,
                json!({"reasoning_effort": "high"}),
                None,
            ),
            (
                ModelFamily::NewerLimit,
                r#"{"max_tokens":5,"temperature":0}"#,
                json!({"temperature": 0, "max_completion_tokens": 5}),
                None,
            ),
            (
                ModelFamily::Any,
                r#"{"max_tokens":5,"temperature":0}"#,
                json!({"max_tokens": 5, "temperature": 0}),
                None,
            ),
        ] {
            assert_eq!(send(family, &dropping, &json!({}), body).unwrap(), kept, "{body}");
            match (send(family, &rules, &json!({}), body), refused) {
                (Ok(sent), None) => assert_eq!(sent, kept, "{body}"),
                (Err(failure), Some(names)) => {
                    let said = format!("model `m` does not take {names}");
                    assert!(failure.message.starts_with(&said), "{}", failure.message);
                    assert_eq!(failure.status, 400);
                }
                (sent, refused) => panic!("{body}: {sent:?}, expected {refused:?}"),
            }
        }
    }

    #[test]
    fn a_parameter_may_be_allowed_and_a_default_is_only_dropped() {
        let allowed =
            ParamRules { allowed: vec!["temperature".to_owned()], ..ParamRules::default() };
        let sent = send(O, &allowed, &json!({}), r#"{"temperature":0}"#).unwrap();
        assert_eq!(sent, json!({"temperature": 0}));
        let defaults = json!({"temperature": 0, "max_tokens": 9, "seed": 1});
        let sent = send(O, &ParamRules::default(), &defaults, "{}").unwrap();
        assert_eq!(sent, json!({"max_completion_tokens": 9, "seed": 1}));
        assert_eq!(O.unfit(defaults.as_object().unwrap()), ["temperature"]);
        let asked = r#"{"temperature":0,"drop_params":true}"#;
        assert_eq!(send(O, &ParamRules::default(), &json!({}), asked).unwrap(), json!({}));
    }
}
