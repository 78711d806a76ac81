//! Every parameter of Ollama's and OpenAI's chat APIs, and its rule.
//!
//! A parameter without a row is unknown. It is refused, or dropped where that is allowed, because
//! Ollama would ignore it silently. `gateway_members` has the gateway's own members.

use ParamRule::{Call, Indifferent, Member, Runtime, Translated, Unsupported};
use serde_json::Value;

/// The treatment of a parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ParamRule {
    /// A part of the call itself; read by `request` and by the gateway.
    Call,
    /// A member of Ollama's request with the same name, sent unchanged.
    Member,
    /// One of Ollama's `options`, sent unchanged. A `stop` that is not a list becomes one.
    Runtime,
    /// Ollama expresses it differently; `params` translates it.
    Translated,
    /// Dropped whatever its value: it concerns speed, price or the user, and does not change the
    /// reply.
    Indifferent,
    /// Ollama has no counterpart. Dropping it changes nothing for these values; every other value
    /// is refused.
    Unsupported(&'static [&'static str]),
}

/// Values that leave the choice to the model, or forbid tools; dropping them has the same effect.
const TOOL_CHOICES: &[&str] = &[r#""auto""#, r#""none""#];

/// Sorted by name.
pub(super) const PARAMETERS: [(&str, ParamRule); 68] = [
    ("audio", Unsupported(&[])),
    ("draft_num_predict", Runtime),
    ("embedding_only", Runtime),
    ("f16_kv", Runtime),
    ("format", Member),
    ("frequency_penalty", Runtime),
    ("function_call", Translated),
    ("functions", Translated),
    ("keep_alive", Member),
    ("logit_bias", Unsupported(&["{}", "[]"])),
    ("logits_all", Runtime),
    ("logprobs", Member),
    ("low_vram", Runtime),
    ("main_gpu", Runtime),
    ("max_completion_tokens", Translated),
    ("max_tokens", Translated),
    ("messages", Call),
    ("min_p", Runtime),
    ("mirostat", Runtime),
    ("mirostat_eta", Runtime),
    ("mirostat_tau", Runtime),
    ("modalities", Unsupported(&[r#"["text"]"#])),
    ("model", Call),
    ("n", Unsupported(&["1"])),
    ("num_batch", Runtime),
    ("num_ctx", Runtime),
    ("num_gpu", Runtime),
    ("num_keep", Runtime),
    ("num_predict", Runtime),
    ("num_thread", Runtime),
    ("numa", Runtime),
    ("options", Translated),
    ("parallel_tool_calls", Unsupported(&["true"])),
    ("penalize_newline", Runtime),
    ("prediction", Indifferent),
    ("presence_penalty", Runtime),
    ("prompt_cache_key", Indifferent),
    ("prompt_cache_retention", Indifferent),
    ("reasoning", Translated),
    ("reasoning_effort", Translated),
    ("repeat_last_n", Runtime),
    ("repeat_penalty", Runtime),
    ("response_format", Translated),
    ("safety_identifier", Indifferent),
    ("seed", Runtime),
    ("service_tier", Unsupported(&[r#""auto""#, r#""default""#])),
    ("shift", Member),
    ("stop", Runtime),
    ("store", Unsupported(&["false"])),
    ("stream", Call),
    ("stream_options", Call),
    ("temperature", Runtime),
    ("tfs_z", Runtime),
    ("think", Member),
    ("thinking", Unsupported(&[])),
    ("tool_choice", Translated),
    ("tools", Translated),
    ("top_k", Runtime),
    ("top_logprobs", Member),
    ("top_p", Runtime),
    ("truncate", Member),
    ("typical_p", Runtime),
    ("use_mlock", Runtime),
    ("use_mmap", Runtime),
    ("user", Indifferent),
    ("verbosity", Unsupported(&[r#""medium""#])),
    ("vocab_only", Runtime),
    ("web_search_options", Unsupported(&[])),
];

/// The rule for a parameter.
pub(super) fn verdict(name: &str) -> Option<ParamRule> {
    let row = PARAMETERS.binary_search_by(|(row, _)| (*row).cmp(name)).ok()?;
    Some(PARAMETERS[row].1)
}

/// The static spelling of a known name.
pub(super) fn name(name: &str) -> &'static str {
    let row = PARAMETERS.binary_search_by(|(row, _)| (*row).cmp(name));
    row.map_or("", |row| PARAMETERS[row].0)
}

/// Whether dropping a tool choice has the effect it asks for.
pub(super) fn is_honoured_choice(value: &str) -> bool {
    TOOL_CHOICES.iter().any(|choice| same_value(value, choice))
}

/// Compares two JSON texts by value; numbers numerically, so that `1` equals `1.0`.
pub(super) fn same_value(left: &str, right: &str) -> bool {
    // No neutral value is longer, and parsing a long one would take many times its length.
    const LONGEST: usize = 256;
    let parse = |text: &str| {
        let short = text.len() <= LONGEST;
        short.then(|| serde_json::from_str::<Value>(text).ok()).flatten()
    };
    match (parse(left), parse(right)) {
        (Some(Value::Number(left)), Some(Value::Number(right))) => left.as_f64() == right.as_f64(),
        (left, right) => left.is_some() && left == right,
    }
}

#[cfg(test)]
mod tests {
    use super::{
        PARAMETERS,
        ParamRule::{self, Call, Indifferent, Member, Runtime, Translated, Unsupported},
        same_value,
    };

    #[test]
    fn the_reference_has_every_parameter_in_its_row() {
        let reference = include_str!("../../../../../docs/reference.md");
        let (_, section) = reference.split_once("### Parameters at Ollama").expect("the section");
        let row = |end: &str| {
            let row = section.lines().find(|line| line.starts_with("| `") && line.contains(end));
            row.expect("the row").split("` | ").next().expect("its names")
        };
        let rows = [
            (Call, row("part of the call itself")),
            (Member, row("sent unchanged |")),
            (Runtime, row("sent unchanged in `options`")),
            (Translated, row("translated, see below")),
            (Indifferent, row("the answer is the same |")),
            (Unsupported(&[]), row("has a value in brackets")),
        ];
        let same_kind = |one: &ParamRule, other: &ParamRule| {
            std::mem::discriminant(one) == std::mem::discriminant(other)
        };
        for (kind, names) in rows {
            for (name, verdict) in PARAMETERS {
                let told = format!("{names}`").contains(&format!("`{name}`"));
                assert_eq!(told, same_kind(&kind, &verdict), "{name}: {names}");
                if let (Unsupported(neutral), true) = (verdict, told) {
                    for value in neutral {
                        assert!(names.contains(&format!("`{value}`")), "{name}: {value}");
                    }
                }
            }
        }
    }

    #[test]
    fn every_parameter_has_one_row() {
        let names = PARAMETERS.map(|(name, _)| name);
        assert!(names.is_sorted_by(|one, next| one < next), "a row is out of its order");
    }

    #[test]
    fn numbers_compare_by_size_and_the_rest_by_value() {
        for (left, right, same) in [
            ("1", "1.0", true),
            ("0e5", "0", true),
            ("-0.0", "0", true),
            ("2", "1", false),
            ("{ }", "{}", true),
            ("\"1\"", "1", false),
            ("false", "0", false),
            ("[[[", "[]", false),
        ] {
            assert_eq!(same_value(left, right), same, "{left} {right}");
        }
    }
}
