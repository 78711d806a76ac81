//! A key in a file that another program keeps, such as LiteLLM's login at GitHub Copilot. Read at
//! each start and reload.

use callgate_config::{Environment, ModelEntry, Problem, SourceLocation, read_text};
use callgate_providers::{Provider, TokenFile};
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

fn path(file: &TokenFile, env: &Environment) -> PathBuf {
    let dir = env.filled_var(file.dir_env).map(PathBuf::from);
    let home = || Path::new(env.filled_var("HOME").unwrap_or_default()).join(file.dir);
    dir.unwrap_or_else(home).join(env.filled_var(file.name_env).unwrap_or(file.name))
}
