//! A config in which every entry lacks a variable. A start refuses it; tools that need only names
//! do not ask.

use super::Deployments;
use callgate_config::{Config, Problem, SourceLocation, quoted};

/// Reports that each entry that is served needs a variable that is not set.
#[must_use]
pub fn nothing_but_unset(config: &Config, deployments: &Deployments) -> Option<Problem> {
    // A callback may bring a base and a key.
    let brings_routes = !config.callbacks.is_empty();
    let mut variables: Vec<&str> = Vec::new();
    for deployment in deployments.all().iter().filter(|it| it.unserved.is_none()) {
        let unset = if brings_routes {
            deployment.first_unset_beside_route()
        } else {
            deployment.first_unset()
        };
        let variable = &*unset.filter(|_| deployment.mock_response.is_none())?.variable;
        if !variables.contains(&variable) {
            variables.push(variable);
        }
    }
    if variables.is_empty() {
        return None;
    }
    let named: Vec<_> = variables.iter().map(|it| format!("`{}`", quoted(it))).collect();
    let text = format!(
        "no entry works, because each needs a variable that is not set or blank: {}",
        named.join(", ")
    );
    let mut place = SourceLocation::whole_file(&config.file);
    "model_list".clone_into(&mut place.path);
    let remedy = "set at least one of them in the environment or in `.env`";
    Some(Problem::error(place, text).remedy(remedy))
}
