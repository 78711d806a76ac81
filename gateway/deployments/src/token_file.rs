//! A key in a file that another program keeps, such as LiteLLM's login at GitHub Copilot. Read at
//! each start and reload.

use super::Setting;
use callgate_config::{Config, Environment, ModelEntry, Problem, SourceLocation, read_text};
use callgate_providers::{Provider, TokenFile, by_prefix};
use callgate_secret::Secret;
use std::path::{Path, PathBuf};

/// The token in the provider's file; `None` if the provider has none.
pub(super) fn read(
    provider: &Provider,
    entry: &ModelEntry,
    env: &Environment,
) -> Result<Option<Secret>, Problem> {
    let Some(file) = &provider.token_file else { return Ok(None) };
    let path = path(file, env);
    let place = SourceLocation {
        path: format!("{}.litellm_params", entry.place.path),
        ..entry.place.clone()
    };
    let problem = |found: String| {
        let text = format!("expected an access token in the file `{}`, found {found}", file.name);
        let remedy = format!(
            "log in with LiteLLM once, which writes `{}`, or name its folder in `{}`",
            path.display(),
            file.dir_env
        );
        Problem::error(place.clone(), text).remedy(remedy)
    };
    if !path.exists() {
        return Err(problem("no such file".to_owned()));
    }
    let text = read_text(&path).map_err(|error| problem(format!("that {error}")))?;
    let token = text.trim();
    if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(problem("something else".to_owned()));
    }
    Ok(Some(Secret::new(token)))
}

/// The files from which the config's entries take their keys, whether they exist or not.
#[must_use]
pub fn token_files(config: &Config) -> Vec<PathBuf> {
    let mut paths = Vec::new();
    for entry in config.models.iter().filter(|entry| matches!(entry.api_key, Setting::Absent)) {
        let prefix = entry.model.0.split('/').next();
        let name = entry.provider.as_ref().map(|(name, _)| name.as_str()).or(prefix);
        let file = name.and_then(by_prefix).and_then(|provider| provider.token_file.as_ref());
        let path = file.map(|file| path(file, &config.environment));
        paths.extend(path.filter(|path| !paths.contains(path)));
    }
    paths
}

fn path(file: &TokenFile, env: &Environment) -> PathBuf {
    let dir = env.filled_var(file.dir_env).map(PathBuf::from);
    let home = || Path::new(env.filled_var("HOME").unwrap_or_default()).join(file.dir);
    dir.unwrap_or_else(home).join(env.filled_var(file.name_env).unwrap_or(file.name))
}

#[cfg(test)]
mod tests {
    use super::token_files;
    use callgate_config::{Environment, UnknownKeys, parse};
    use std::{path::Path, sync::Arc};

    #[test]
    fn the_files_are_those_of_entries_without_a_key() {
        let text = "model_list:\n\
            - {model_name: a, litellm_params: {model: github_copilot/x}}\n\
            - {model_name: b, litellm_params: {model: x, custom_llm_provider: github_copilot}}\n\
            - {model_name: c, litellm_params: {model: github_copilot/x, api_key: k}}\n\
            - {model_name: d, litellm_params: {model: openai/x}}\n";
        for (variables, expected) in [
            (vec![("HOME", "/home/me")], "/home/me/.config/litellm/github_copilot/access-token"),
            (
                vec![
                    ("GITHUB_COPILOT_TOKEN_DIR", "/tokens"),
                    ("GITHUB_COPILOT_ACCESS_TOKEN_FILE", "mine"),
                ],
                "/tokens/mine",
            ),
        ] {
            let env = Environment::from_pairs(variables);
            let file = Arc::from(Path::new("c.yaml"));
            let config = parse(&file, text, &env, UnknownKeys::Warn).unwrap();
            assert_eq!(token_files(&config), [Path::new(expected)]);
        }
    }
}
