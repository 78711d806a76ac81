//! From a config's text to the deployment of a call: inference as a whole, defaults and missing
//! variables, name resolution, and the choice within a group.

use super::{Deployment, Deployments, Setting, lookup::weighted};
use callgate_config::{Environment, Problem, Problems, UnknownKeys, parse};
use std::{path::Path, sync::Arc, time::Duration};

const SEED: &str = include_str!("../../../tests/fixtures/seed/config.yaml");
const OWN: &str = include_str!("../../../config.yaml");

fn env() -> Environment {
    Environment::from_pairs([
        ("GROQ_API_KEY", "gsk-env"),
        ("OPENAI_API_KEY", "sk-env"),
        ("OPENAI_API_BASE", "https://x.ngrok-free.dev/api/v1"),
    ])
}

fn try_build(text: &str, env: &Environment) -> Result<(Deployments, Vec<Problem>), Problems> {
    let file = Arc::from(Path::new("c.yaml"));
    Deployments::from_config(&parse(&file, text, env, UnknownKeys::Warn).unwrap())
}

fn build(text: &str) -> Deployments {
    try_build(text, &env()).unwrap().0
}

/// `model_list` from `name: params` pairs; `params` is a flow mapping.
fn list(entries: &[(&str, &str)]) -> String {
    entries.iter().fold("model_list:\n".to_owned(), |text, (name, params)| {
        text + &format!("- {{model_name: '{name}', litellm_params: {params}}}\n")
    })
}

/// The label, upstream model and base that a name resolves to.
#[track_caller]
fn served(deployments: &Deployments, name: &str) -> (String, String, String) {
    let chosen = deployments.resolve(name).unwrap().choose(None).unwrap();
    let base = chosen.deployment.api_base.set().cloned().unwrap_or_default();
    (chosen.deployment.label.to_string(), chosen.upstream_model().to_string(), base)
}

#[track_caller]
fn errors(text: &str, expected: &[&str]) {
    let problems = try_build(text, &env()).unwrap_err();
    let found: Vec<_> = problems.errors().map(ToString::to_string).collect();
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    for (found, expected) in found.iter().zip(expected) {
        assert!(found.contains(expected), "{found}\nlacks {expected}");
    }
}

#[test]
fn the_deployment_of_the_field_works_as_meant() {
    let ngrok = "https://x.ngrok-free.dev/api/v1";
    for (text, notices) in [(SEED, 1), (OWN, 0)] {
        let file = Arc::from(Path::new("c.yaml"));
        let env = env().below([("LITELLM_MASTER_KEY".to_owned(), "k".to_owned())]);
        let config = parse(&file, text, &env, UnknownKeys::Refuse).unwrap();
        let (deployments, warnings) = Deployments::from_config(&config).unwrap();
        assert_eq!(warnings.len(), notices, "{warnings:?}");
        for (name, label, model, base) in [
            (
                "groq-llama-3.3-70b-versatile",
                "groq",
                "llama-3.3-70b-versatile",
                "https://api.groq.com/openai/v1",
            ),
            ("openai-oss-120b", "openai", "gpt-4o-mini", ngrok),
            ("openai-04mini", "openai", "gpt-4o-mini", ngrok),
            ("gpt-oss", "ollama", "gpt-oss:20b", "http://localhost:11434"),
            (
                "moonshot-kimi-instruct-0905",
                "ollama",
                "moonshotai/kimi-k2-instruct-0905",
                "http://localhost:11434",
            ),
        ] {
            let expected = (label.to_owned(), model.to_owned(), base.to_owned());
            assert_eq!(served(&deployments, name), expected);
        }
        assert_eq!(deployments.models().len(), 10);
        let groq = deployments.for_provider("groq").unwrap();
        assert!(groq.api_key.set().unwrap().matches(b"gsk-env"));
        let ollama = deployments.for_provider("ollama").unwrap();
        assert_eq!(ollama.api_key, Setting::Absent);
    }
}

#[test]
fn a_path_that_was_put_right_is_reported_once() {
    let text = list(&[
        ("a", "{model: llama, base_url: 'https://api.groq.com/v1', api_key: k}"),
        ("b", "{model: groq/llama, base_url: 'https://api.groq.com/v1/', api_key: k}"),
    ]);
    let (deployments, warnings) = try_build(&text, &env()).unwrap();
    assert_eq!(warnings.len(), 1);
    assert!(warnings[0].text.ends_with("is used (and in 1 more entry)"), "{}", warnings[0]);
    assert_eq!(warnings[0].place.path, "model_list[0].litellm_params.base_url");
    assert_eq!(served(&deployments, "b").2, "https://api.groq.com/openai/v1");
}

#[test]
fn all_faults_are_reported_at_once() {
    errors(
        &list(&[
            ("a", "{model: qwen3}"),
            ("b", "{model: OpenAI/gpt-4o, api_base: 'http://h/v1'}"),
            ("c", "{model: openai/x, api_base: 'localhost:8000'}"),
            ("d", "{model: hosted_vllm/x}"),
            ("e", "{model: x, custom_llm_provider: gorq}"),
            ("f", "{model: bedrock/x}"),
            ("g", "{model: 'openai/*'}"),
            ("h**", "{model: openai/x}"),
        ]),
        &[
            "c.yaml:2:45: model_list[0].litellm_params.model: expected a model such as \
             `provider/name`, or an `api_base`; found `qwen3` with neither, and no entry of \
             `model_list` works; name the provider",
            "c.yaml:3:45: model_list[1].litellm_params.model: expected a known provider, found \
             `OpenAI`, and no entry of `model_list` works; did you mean `openai`?",
            "c.yaml:4:65: model_list[2].litellm_params.api_base: expected a URL that begins with \
             `http://` or `https://`, found neither",
            "model_list[3].litellm_params: expected an `api_base` for `hosted_vllm`, found none",
            "model_list[4].litellm_params.custom_llm_provider: expected a known provider, found \
             `gorq`, and no entry of `model_list` works; did you mean `groq`?",
            "model_list[5].litellm_params.model: the provider `bedrock` is not supported",
            "model_list[6].litellm_params.model: found a `*`, but `model_name` has none",
            "model_list[7]: expected at most one `*`",
        ],
    );
    let same = list(&[("a", "{model: openai/x}"), ("b", "{model: openai/x}")])
        .replace("}}", "}, model_info: {id: same}}");
    let (deployments, warnings) = try_build(&same, &env()).unwrap();
    assert_ne!(deployments.all()[0].id, deployments.all()[1].id);
    let said = "model_list[1].model_info.id: the id `same` is already taken";
    assert!(warnings[0].to_string().contains(said), "{warnings:?}");
}

#[test]
fn an_entry_that_cannot_be_served_leaves_the_others_alone() {
    let text = list(&[
        ("a", "{model: bedrock/x, api_key: k}"),
        ("b", "{model: hosted_vllm/x}"),
        ("c", "{model: 'python:mine/x'}"),
        ("d", "{model: ollama_chat/x}"),
    ]);
    let (deployments, warnings) = try_build(&text, &env()).unwrap();
    for (at, reason) in [
        (0, "the provider `bedrock` is not supported"),
        (1, "expected an `api_base` for `hosted_vllm`, found none"),
        (2, "expected a model such as `provider/name`, or an `api_base`"),
    ] {
        let unserved = deployments.all()[at].unserved.as_deref().unwrap();
        assert!(unserved.starts_with(reason), "{unserved}");
        let said = warnings[at].to_string();
        assert!(said.contains(reason) && said.contains("; calls of this model fail; "), "{said}");
    }
    assert_eq!((warnings.len(), &*deployments.all()[0].label), (3, "bedrock"));
    assert!(deployments.all()[3].unserved.is_none());
    let mixed = build(&list(&[("m", "{model: bedrock/x}"), ("m", "{model: openai/x, order: 2}")]));
    assert_eq!(mixed.resolve("m").unwrap().deployments().len(), 1);
    assert_eq!(served(&mixed, "m").0, "openai");
    assert!(deployments.for_provider("bedrock").is_none());
    assert!(deployments.for_provider("hosted_vllm").is_none());
}

#[test]
fn a_base_may_hold_a_variable_of_its_provider() {
    let text = list(&[("a", "{model: cloudflare/x, api_key: k}")]);
    let (deployments, warnings) = try_build(&text, &env()).unwrap();
    let unset = deployments.all()[0].first_unset().unwrap();
    assert_eq!((&*unset.variable, warnings.len()), ("CLOUDFLARE_ACCOUNT_ID", 1));
    let env = Environment::from_pairs([("CLOUDFLARE_ACCOUNT_ID", "me")]);
    let (deployments, _) = try_build(&text, &env).unwrap();
    let base = "https://api.cloudflare.com/client/v4/accounts/me/ai/v1";
    assert_eq!(deployments.all()[0].api_base.set().unwrap(), base);
}

#[test]
fn a_missing_key_fails_only_the_calls_that_need_it() {
    let text = list(&[
        ("a", "{model: openai/x}"),
        ("b", "{model: gpt-4o, api_base: '${OPENAI_API_BASE}', api_key: '${OPENAI_API_KEY}'}"),
        ("c", "{model: qwen, api_base: 'http://h/v1'}"),
        ("d", "{model: ollama_chat/x}"),
        ("e", "{model: hosted_vllm/x, api_base: 'http://h/v1'}"),
    ]);
    let (deployments, warnings) = try_build(&text, &Environment::default()).unwrap();
    let all = deployments.all();
    let missing = |at: usize| all[at].first_unset().map(|unset| unset.variable.to_string());
    assert_eq!(missing(0).as_deref(), Some("OPENAI_API_KEY"));
    assert_eq!(missing(1).as_deref(), Some("OPENAI_API_BASE"));
    assert_eq!((missing(2), missing(3), missing(4)), (None, None, None));
    assert_eq!(&*all[1].label, "openai");
    assert_eq!(&*all[2].label, "openai_compatible");
    assert!(all[4].api_key.set().is_some());
    assert_eq!(warnings.len(), 1);
    assert_eq!(warnings[0].place.path, "model_list[0].litellm_params.api_key");
}

#[test]
fn a_config_whose_entries_all_lack_a_variable_does_not_work() {
    let keyless = |text: &str| {
        let file = Arc::from(Path::new("c.yaml"));
        let config = parse(&file, text, &Environment::default(), UnknownKeys::Warn).unwrap();
        let (deployments, _) = Deployments::from_config(&config).unwrap();
        super::nothing_but_unset(&config, &deployments).map(|problem| problem.to_string())
    };
    let both = list(&[
        ("a", "{model: groq/x}"),
        ("b", "{model: openai/x, api_base: '${BASE}', api_key: k}"),
        ("c", "{model: groq/y}"),
    ]);
    let said = "c.yaml: model_list: no entry works, because each needs a variable that is not set \
                or blank: `GROQ_API_KEY`, `BASE`; set at least one of them in the environment or \
                in `.env`";
    assert_eq!(keyless(&both).as_deref(), Some(said));
    for works in
        ["{model: ollama/x}", "{model: openai/x, api_key: k}", "{model: groq/x, mock_response: hi}"]
    {
        let more = list(&[("d", works)]);
        assert_eq!(keyless(&(both.clone() + &more["model_list:\n".len()..])), None, "{works}");
    }
    assert_eq!(keyless("model_list: []"), None);
    // A callback may bring the base and the key, but no header.
    let routed = "litellm_settings: {callbacks: [routing]}\n";
    assert_eq!(keyless(&format!("{routed}{both}")), None);
    let header = list(&[("a", "{model: groq/x, extra_headers: {x-a: '${NO}'}}")]);
    assert!(keyless(&format!("{routed}{header}")).is_some());
}

#[test]
fn an_unknown_host_is_never_sent_the_key_of_a_known_provider() {
    let deployments = build(&list(&[("a", "{model: qwen, api_base: 'http://h/v1'}")]));
    let key = deployments.all()[0].api_key.set();
    assert!(key.is_none_or(|key| !key.matches(b"sk-env") && !key.matches(b"gsk-env")));
}

#[test]
fn names_resolve_in_order_of_precedence() {
    let text = list(&[
        ("exact", "{model: openai/one}"),
        ("my/*", "{model: 'openai/zz-*'}"),
        ("my/special-*", "{model: openai/fixed}"),
        ("openai/one", "{model: openai/shadow}"),
        ("aliased", "{model: openai/hidden-by-alias}"),
        ("other", "{model: ollama_chat/gemma3:4b}"),
    ]) + "router_settings:\n  model_group_alias:\n    aliased: exact\n    wild: my/foo\n    \
          quiet: {model: exact, hidden: true}\n    lost: exat\n";
    let (deployments, warnings) = try_build(&text, &env()).unwrap();
    let upstream = |name| served(&deployments, name).1;
    assert_eq!(upstream("aliased"), "one");
    assert_eq!(upstream("quiet"), "one");
    assert_eq!(upstream("wild"), "zz-foo");
    assert_eq!(upstream("exact"), "one");
    assert_eq!(upstream("my/foo"), "zz-foo");
    assert_eq!(upstream("my/"), "zz-");
    assert_eq!(upstream("my/special-1"), "fixed");
    assert_eq!(upstream("openai/one"), "shadow");
    assert_eq!(upstream("ollama_chat/gemma3:4b"), "gemma3:4b");
    for unknown in ["Exact", "exact ", "", "lost", "gemma3:4b", "openai/zz-*"] {
        assert!(deployments.resolve(unknown).is_none(), "{unknown}");
    }
    let listed: Vec<_> = deployments.models().iter().map(|name| &**name).collect();
    assert_eq!(listed, ["aliased", "wild", "exact", "openai/one", "other"]);
    assert_eq!(warnings.len(), 1);
    assert!(warnings[0].to_string().ends_with("did you mean `exact`?"), "{}", warnings[0]);
}

#[test]
fn a_catch_all_passes_the_whole_name_on() {
    let deployments = build(&list(&[("*", "{model: 'openai/*'}")]));
    assert_eq!(served(&deployments, "groq/foo").1, "groq/foo");
    assert!(deployments.models().is_empty());
}

#[test]
fn an_entry_of_stars_alone_serves_every_provider_that_has_a_key() {
    let text = list(&[("*", "{model: '*'}"), ("groq/*", "{model: openai/fixed}")]);
    let deployments = build(&text);
    let to = |name| served(&deployments, name);
    assert_eq!((&*to("openai/gpt-4o").0, &*to("openai/gpt-4o").1), ("openai", "gpt-4o"));
    assert_eq!((&*to("gpt-4o").0, &*to("gpt-4o").1), ("openai", "gpt-4o"));
    assert_eq!(to("groq/llama").1, "fixed");
    let keyless = try_build(&list(&[("*", "{model: '*'}")]), &Environment::default());
    assert!(keyless.unwrap_err().0[0].to_string().contains("no entry of `model_list` works"));
}

#[test]
fn the_lowest_order_is_chosen_by_weight_among_one_provider() {
    let text = list(&[
        ("m", "{model: openai/late, order: 2, weight: 100}"),
        ("m", "{model: openai/heavy, order: 1, weight: 9}"),
        ("m", "{model: openai/light, order: 1, weight: 1}"),
        ("m", "{model: groq/only, order: 3, weight: 1}"),
    ]);
    let deployments = build(&text);
    let group = deployments.resolve("m").unwrap();
    let at = |label, draw| weighted(group.deployments(), label, draw).map(|it| &*it.upstream_model);
    assert_eq!(at(None, 0.0), Some("heavy"));
    assert_eq!(at(None, 0.899), Some("heavy"));
    assert_eq!(at(None, 0.901), Some("light"));
    assert_eq!(at(None, 1.0), Some("light"));
    assert_eq!(at(Some("groq"), 0.5), Some("only"));
    assert_eq!(at(Some("ollama"), 0.5), None);
    assert_eq!(&**group.choose(Some("groq")).unwrap().upstream_model(), "only");
    let single = build(&list(&[("s", "{model: openai/x}")]));
    assert!(single.resolve("s").unwrap().choose(Some("groq")).is_none());
    assert!(single.resolve("s").unwrap().choose(Some("openai")).is_some());
}

#[test]
fn weights_come_from_one_figure_for_the_whole_group() {
    let weights = |text: &str| -> Vec<f64> {
        build(text).all().iter().map(|deployment| deployment.weight).collect()
    };
    assert_eq!(
        weights(&list(&[("m", "{model: openai/a}"), ("m", "{model: openai/b}")])),
        [1.0, 1.0]
    );
    assert_eq!(
        weights(&list(&[
            ("m", "{model: openai/a, rpm: 5, tpm: 1}"),
            ("m", "{model: openai/b, rpm: 7}")
        ])),
        [5.0, 7.0]
    );
    let mixed = list(&[("m", "{model: openai/a, weight: 2}"), ("m", "{model: openai/b, rpm: 7}")]);
    assert_eq!(weights(&mixed), [2.0, 0.0]);
    assert_eq!(try_build(&mixed, &env()).unwrap().1.len(), 1);
    let zeros = build(&list(&[
        ("m", "{model: openai/a, weight: 0}"),
        ("m", "{model: openai/b, weight: 0}"),
    ]));
    let group = zeros.resolve("m").unwrap();
    let at = |draw| weighted(group.deployments(), None, draw).unwrap().upstream_model.clone();
    assert_eq!((&*at(0.0), &*at(0.6), &*at(1.0)), ("a", "b", "b"));
}

#[test]
fn the_nearest_timeout_counts() {
    let settings = "litellm_settings: {request_timeout: 50}\n\
                    router_settings: {timeout: 2, stream_timeout: 4}\n";
    let text = list(&[
        ("a", "{model: openai/x, timeout: 1, request_timeout: 3}"),
        ("b", "{model: openai/x}"),
        ("c", "{model: openai/x, request_timeout: 3, stream_timeout: 9}"),
    ]);
    let timeouts = |text: &str| -> Vec<_> {
        let of = |it: &Arc<Deployment>| (it.timeout.as_secs(), it.stream_timeout.as_secs());
        build(text).all().iter().map(of).collect()
    };
    assert_eq!(timeouts(&(text.clone() + settings)), [(1, 4), (50, 4), (3, 9)]);
    assert_eq!(timeouts(&text), [(1, 1), (6000, 6000), (3, 9)]);
    let router = text + "router_settings: {timeout: 2}\n";
    assert_eq!(timeouts(&router)[1], (2, 2));
    let stand_in = build("litellm_settings: {request_timeout: 7}\n");
    assert_eq!(stand_in.for_provider("groq").unwrap().timeout, Duration::from_secs(7));
}

#[test]
fn a_provider_is_served_by_the_first_whole_deployment_or_a_stand_in() {
    let deployments = build(&list(&[
        ("a", "{model: openai/one, api_key: '${NO}'}"),
        ("b", "{model: openai/two, api_key: k}"),
    ]));
    assert_eq!(&*deployments.for_provider("openai").unwrap().upstream_model, "two");
    let groq = deployments.for_provider("groq").unwrap();
    assert_eq!(groq.api_base.set().unwrap(), "https://api.groq.com/openai/v1");
    assert!(groq.api_key.set().unwrap().matches(b"gsk-env"));
    assert!(deployments.for_provider("hosted_vllm").is_none());
    assert!(deployments.for_provider("nobody").is_none());
    let (bare, warnings) = try_build("model_list: []\n", &Environment::default()).unwrap();
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].to_string().contains("found no entry in `model_list`"), "{warnings:?}");
    let unset = bare.for_provider("groq").unwrap().first_unset().unwrap().to_string();
    assert!(unset.contains("`GROQ_API_KEY`"), "{unset}");
}

#[test]
fn ids_are_given_or_stable_and_never_depend_on_the_key() {
    let ids = |text: &str| -> Vec<_> { build(text).all().iter().map(|it| it.id.clone()).collect() };
    let one = ids(&list(&[
        ("m", "{model: openai/x, api_key: k1}"),
        ("m", "{model: openai/x, api_key: k2}"),
    ]));
    let two = ids(&list(&[
        ("m", "{model: openai/x, api_key: k3}"),
        ("m", "{model: openai/x, api_key: k4}"),
    ]));
    assert_eq!(one, two);
    assert_ne!(one[0], one[1]);
    assert_eq!(one[0].len(), 64);
    let given = "model_list:\n- {model_name: m, litellm_params: {model: openai/x}, model_info: {id: mine}}\n";
    assert_eq!(ids(given), ["mine"]);
}

#[test]
fn nothing_secret_is_printed() {
    let deployments = build(&list(&[(
        "m",
        "{model: openai/x, api_key: topsecret, headers: {a: topsecret}, token: topsecret}",
    )]));
    assert!(!format!("{deployments:?}").contains("topsecret"));
    let problems = try_build(
        &list(&[("m", "{model: openai/x, api_base: 'https://u:topsecret@h/v1'}")]),
        &env(),
    );
    assert!(!format!("{:?}", problems.unwrap_err()).contains("topsecret"));
}

#[test]
fn what_a_provider_does_not_serve_becomes_a_chat_where_that_can_answer() {
    use callgate_providers::CallKind::{Chat, CountTokens, Embeddings, Messages, Responses};
    let text = "model_list:
- {model_name: gpt, litellm_params: {model: openai/x, api_key: k}}
- {model_name: claude, litellm_params: {model: anthropic/x, api_key: k}}
- {model_name: any, litellm_params: {model: hosted_vllm/x, api_base: 'http://h/v1'}}
- {model_name: told, litellm_params: {model: hosted_vllm/x, api_base: 'http://h/v1'},
   model_info: {mode: responses}}
- {model_name: mock, litellm_params: {model: anthropic/x, api_key: k, mock_response: hi}}
";
    let deployments = build(text);
    for (name, asked, expected) in [
        ("gpt", Chat, Some(Chat)),
        ("gpt", Responses, Some(Responses)),
        ("gpt", Messages, Some(Chat)),
        ("gpt", CountTokens, None),
        ("claude", Messages, Some(Messages)),
        ("claude", CountTokens, Some(CountTokens)),
        ("claude", Responses, Some(Chat)),
        ("claude", Embeddings, None),
        ("any", Messages, Some(Chat)),
        ("any", Responses, Some(Chat)),
        ("any", Embeddings, Some(Embeddings)),
        ("told", Responses, Some(Responses)),
        ("told", Messages, Some(Chat)),
        ("mock", Messages, Some(Chat)),
        ("mock", CountTokens, None),
    ] {
        let chosen = deployments.resolve(name).unwrap().choose(None).unwrap();
        assert_eq!(chosen.deployment.sent_as(asked), expected, "{name} {asked:?}");
    }
}
