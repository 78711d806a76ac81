//! The source of a new plugin: a callback that does something small but real in each of its hooks.

use super::plan::Plan;
use callgate_plugin_host::Hook;
use std::fmt::Write as _;

/// `src/lib.rs`, formatted as rustfmt would.
pub(super) fn lib(plan: &Plan) -> String {
    let mut text = String::new();
    let (title, hosted) = (&plan.type_name, plan.has(Hook::End));
    let _ = writeln!(text, "//! The callback `{}`.\n", plan.name);
    let _ = writeln!(text, "{}\n", imports(plan));
    text.push_str("/// Keeps texts within a bound.\n");
    let host = if hosted { "    host: Host,\n" } else { "" };
    let _ = writeln!(text, "struct {title} {{\n{host}    settings: Settings,\n}}\n");
    text.push_str(SETTINGS);
    let _ = writeln!(text, "\nimpl {} for {title} {{", plan.trait_name());
    text.push_str("    type Settings = Settings;\n\n");
    let (parameter, made) = if hosted { ("host", "host, settings") } else { ("_host", "settings") };
    let _ = writeln!(
        text,
        "    fn new({parameter}: Host, settings: Settings) -> Result<Self, InitError> {{\n        \
         Ok(Self {{ {made} }})\n    }}"
    );
    for hook in plan.hooks() {
        let code = body(hook).replace("fn on_", &format!("{}fn on_", plan.asyncness()));
        let _ = write!(text, "\n{code}");
    }
    text.push_str("}\n\n");
    text.push_str(&export(plan));
    let _ = write!(text, "\n#[cfg(test)]\nmod tests;\n");
    text
}

/// `src/tests.rs`. The tests import the callback under a fixed name, so that no line's length
/// depends on it.
pub(super) fn tests(plan: &Plan) -> String {
    let made = if plan.waits { "of_async" } else { "of" };
    let suite = if plan.waits { "check_async" } else { "check" };
    let listed: Vec<_> = plan.hooks().map(Hook::name).collect();
    let mut kit = vec!["Tester"];
    if plan.hooks().any(Hook::has_call) {
        kit.push("TestCall");
    }
    if plan.hooks().any(|hook| hook != Hook::Auth) {
        kit.push("Outcome");
    }
    kit.extend(plan.hooks().filter_map(|hook| match hook {
        Hook::Start | Hook::During => None,
        Hook::NewToken => Some("TestChunk"),
        Hook::End => Some("TestReply"),
        Hook::Error => Some("TestFailure"),
        Hook::Auth => Some("TestRequest"),
        Hook::ListModels => Some("TestModelList"),
    }));
    kit.sort_unstable();
    // After the types, in rustfmt's order.
    kit.push("conformance");
    let mut text = String::from("//! The callback without a gateway.\n\n");
    let _ = writeln!(text, "use super::{} as Subject;", plan.type_name);
    if plan.has(Hook::Auth) {
        text.push_str("use plugin_api::Auth;\n");
    }
    if plan.has(Hook::Error) {
        text.push_str("use plugin_api::FailureKind;\n");
    }
    let _ = writeln!(text, "{}", use_of("plugin_api::testing", &kit));
    text.push_str("use serde_json::json;\n");
    let tester = format!("Tester::{made}::<Subject>(json!({{\"longest\": 5}})).unwrap()");
    for hook in plan.hooks() {
        let _ = write!(text, "\n{}", test(hook).replace("{tester}", &tester));
    }
    let _ = write!(
        text,
        "\n#[test]\nfn it_stands_what_every_callback_must() {{\n    \
         let hooks = conformance::{suite}::<Subject>(&json!({{}})).unwrap();\n    \
         let listed = \"{}\";\n    \
         assert_eq!(hooks.join(\" \"), listed);\n}}\n",
        listed.join(" ")
    );
    text
}

fn imports(plan: &Plan) -> String {
    let mut names = vec![plan.trait_name(), "Host", "InitError"];
    if plan.hooks().any(|hook| hook != Hook::Auth) {
        names.extend(["Flow", "Hook"]);
    }
    for hook in plan.hooks() {
        names.extend(match hook {
            Hook::Start => &["LlmCall", "Rejection"][..],
            Hook::During => &["CallView", "Rejection"],
            Hook::NewToken => &["CallView", "Chunk"],
            Hook::End => &["CallView", "Level", "LlmReply"],
            Hook::Error => &["CallView", "LlmFailure"],
            Hook::Auth => &["Auth", "AuthRequest", "AuthResult", "Rejection"],
            Hook::ListModels => &["ModelList"],
        });
    }
    names.sort_unstable();
    names.dedup();
    use_of("plugin_api", &names)
}

/// On one line if it fits, as rustfmt formats it.
fn use_of(path: &str, names: &[&str]) -> String {
    let line = format!("use {path}::{{{}}};", names.join(", "));
    if line.len() < 100 {
        return line;
    }
    let (mut lines, mut current) = (Vec::new(), String::from("   "));
    for name in names {
        if current.len() + name.len() + 2 > 100 {
            lines.push(std::mem::replace(&mut current, String::from("   ")));
        }
        let _ = write!(current, " {name},");
    }
    lines.push(current);
    format!("use {path}::{{\n{}\n}};", lines.join("\n"))
}

const SETTINGS: &str = "\
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// The most bytes a text may have.
    #[serde(default = \"longest\")]
    longest: usize,
}

fn longest() -> usize {
    20_000
}
";

fn body(hook: Hook) -> &'static str {
    match hook {
        Hook::Start => {
            "    \
    fn on_llm_start(&self, call: &mut LlmCall<'_>) -> Hook {
        if call.prompt_len() > self.settings.longest {
            return Err(Rejection::new(413, \"the prompt is too long\").into());
        }
        Ok(Flow::Continue)
    }
"
        }
        Hook::During => {
            "    \
    fn on_llm_during(&self, call: &mut CallView<'_>) -> Hook {
        let longest = self.settings.longest;
        if call.messages().any(|(_, text)| text.len() > longest) {
            return Err(Rejection::new(413, \"a message is too long\").into());
        }
        Ok(Flow::Continue)
    }
"
        }
        Hook::NewToken => {
            "    \
    fn on_llm_new_token(&self, _call: &mut CallView<'_>, chunk: &mut Chunk<'_>) -> Hook {
        if chunk.text().len() > self.settings.longest {
            chunk.set_text(\"…\")?;
        }
        Ok(Flow::Continue)
    }
"
        }
        Hook::End => {
            "    \
    fn on_llm_end(&self, _call: &mut CallView<'_>, reply: &mut LlmReply<'_>) -> Hook {
        if reply.text().len() > self.settings.longest {
            self.host.log(Level::Info, \"a long answer\");
        }
        Ok(Flow::Continue)
    }
"
        }
        Hook::Error => {
            "    \
    fn on_llm_error(&self, _call: &mut CallView<'_>, failure: &mut LlmFailure<'_>) -> Hook {
        if !failure.sent() && failure.message().len() > self.settings.longest {
            failure.set_message(\"the call failed\")?;
        }
        Ok(Flow::Continue)
    }
"
        }
        Hook::Auth => {
            "    \
    fn on_auth(&self, request: &AuthRequest<'_>) -> AuthResult {
        if request.bearer_token().unwrap_or_default().len() > self.settings.longest {
            return Err(Rejection::new(401, \"the token is too long\").into());
        }
        Ok(Auth::Pass)
    }
"
        }
        Hook::ListModels => {
            "    \
    fn on_list_models(&self, list: &mut ModelList<'_>) -> Hook {
        list.retain(|model| model.len() <= self.settings.longest)?;
        Ok(Flow::Continue)
    }
"
        }
    }
}

fn test(hook: Hook) -> &'static str {
    match hook {
        Hook::Start => {
            "#[test]
fn long_prompts_are_refused() {
    let tester = {tester};
    let mut short = TestCall::chat(\"any\").message(\"user\", \"hi\");
    assert_eq!(tester.start(&mut short), Outcome::Continue);
    let mut long = TestCall::chat(\"any\").message(\"user\", \"far too long\");
    assert!(matches!(tester.start(&mut long), Outcome::Reject(it) if it.status == 413));
}
"
        }
        Hook::During => {
            "#[test]
fn long_messages_are_refused_beside_the_upstream_call() {
    let tester = {tester};
    let mut short = TestCall::chat(\"any\").message(\"user\", \"hi\");
    assert_eq!(tester.during(&mut short), Outcome::Continue);
    let mut long = TestCall::chat(\"any\").message(\"user\", \"far too long\");
    assert!(matches!(tester.during(&mut long), Outcome::Reject(it) if it.status == 413));
}
"
        }
        Hook::NewToken => {
            "#[test]
fn long_chunks_are_replaced() {
    let tester = {tester};
    let mut chunk = TestChunk::text(\"far too long\");
    let outcome = tester.new_token(&mut TestCall::chat(\"any\"), &mut chunk);
    assert_eq!((outcome, chunk.added()), (Outcome::Continue, \"…\"));
}
"
        }
        Hook::End => {
            "#[test]
fn long_answers_are_noted() {
    let tester = {tester};
    let mut reply = TestReply::text(\"far too long\");
    let outcome = tester.end(&mut TestCall::chat(\"any\"), &mut reply);
    assert_eq!((outcome, tester.host().log().len()), (Outcome::Continue, 1));
}
"
        }
        Hook::Error => {
            "#[test]
fn long_messages_are_replaced() {
    let tester = {tester};
    let mut failure = TestFailure::new(FailureKind::TIMEOUT, 504, \"far too long\");
    let outcome = tester.error(&mut TestCall::chat(\"any\"), &mut failure);
    assert_eq!(outcome, Outcome::Continue);
    assert_eq!(failure.shown(), (504, \"the call failed\"));
}
"
        }
        Hook::Auth => {
            "#[test]
fn long_tokens_are_refused() {
    let tester = {tester};
    let sent = |token| TestRequest::new().header(\"authorization\", token);
    assert_eq!(tester.auth(&sent(\"Bearer hi\")), Ok(Auth::Pass));
    let long = tester.auth(&sent(\"Bearer far-too-long\"));
    assert!(matches!(long, Ok(Auth::Refuse(it, _)) if it.status == 401));
}
"
        }
        Hook::ListModels => {
            "#[test]
fn long_names_are_hidden() {
    let tester = {tester};
    let mut list = TestModelList::of([\"short\", \"far-too-long\"]);
    assert_eq!(tester.list_models(&mut list), Outcome::Continue);
    assert_eq!(list.models(), [\"short\"]);
}
"
        }
    }
}

fn export(plan: &Plan) -> String {
    let (mut reads, mut writes) = (Vec::new(), Vec::new());
    for hook in plan.hooks() {
        match hook {
            Hook::Start | Hook::During if reads.contains(&"\"messages\"") => {}
            Hook::Start | Hook::During => reads.push("\"messages\""),
            Hook::NewToken => writes.push("\"chunk\""),
            Hook::End => reads.push("\"reply\""),
            Hook::Error => writes.push("\"error\""),
            Hook::Auth | Hook::ListModels => {}
        }
    }
    let hooks: Vec<_> = plan.hooks().map(Hook::name).collect();
    // An older gateway would load the callback and never run the hook.
    let is_newer = [Hook::During, Hook::Auth, Hook::ListModels].into_iter().any(|it| plan.has(it));
    let min_api = if is_newer { "    min_api: \"1.1\",\n" } else { "" };
    let inputs = match plan.has(Hook::Auth) {
        true => "\n        auth_headers: [\"authorization\"],",
        false => "",
    };
    format!(
        "plugin_api::export_callbacks! {{
{min_api}    {} {{
        name: \"{}\",
        kind: {},
        hooks: [{}],{inputs}
        reads: [{}],
        writes: [{}],
        settings_schema: r#\"{{
            \"type\": \"object\",
            \"properties\": {{
                \"longest\": {{
                    \"description\": \"The most bytes a text may have.\",
                    \"type\": \"integer\",
                    \"minimum\": 1,
                    \"default\": 20000
                }}
            }},
            \"additionalProperties\": false
        }}\"#,
        sample_settings: \"{{}}\",
    }}
}}
",
        plan.type_name,
        plan.name,
        if plan.waits { "async" } else { "sync" },
        hooks.join(", "),
        reads.join(", "),
        writes.join(", "),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::New;
    use std::path::PathBuf;

    #[test]
    fn a_callback_that_older_gateways_would_pass_over_needs_a_newer_one() {
        for (hook, says) in [("on_llm_start", false), ("on_llm_during", true)] {
            let options = New {
                name: "a".to_owned(),
                waits: true,
                hooks: vec![hook.to_owned()],
                path: PathBuf::new(),
                api_path: None,
                api_version: None,
            };
            let source = lib(&Plan::of(&options).unwrap());
            let export = "export_callbacks! {\n    min_api: \"1.1\",\n    A {";
            assert_eq!(source.contains(export), says, "{source}");
        }
    }
}
