//! Checks the names in callbacks' settings: a limit or rule for an unknown provider, model or key
//! does nothing, so a misspelt name silently removes a limit.

use callgate_config::{Config, Problem, SourceLocation, closest, quoted};
use callgate_deployments::Deployments;
use callgate_plugin_host::{Hook, ListedPlugin};
use plugin_api::{Pattern, in_lower_case};

/// A warning for each name in the callbacks' settings, in an entry's `only` or `except`, or in a
/// key's `models`, that the config does not know.
pub fn unknown_names(
    plugins: &[ListedPlugin],
    deployments: &Deployments,
    config: &Config,
) -> Vec<Problem> {
    let known = KnownNames::of(plugins, deployments, config.key_ids());
    let mut problems = Vec::new();
    for key in &config.gateway.keys {
        let unknown = key.models.iter().enumerate().filter_map(|(index, name)| {
            let path = format!("{}.models[{index}]", key.place.path);
            known.complaint("models", name, SourceLocation { path, ..key.place.clone() })
        });
        problems.extend(unknown);
    }
    for plugin in plugins {
        for naming in &plugin.namings {
            let place = plugin.entry.place_of_setting(&naming.path);
            problems.extend(known.complaint(&naming.what, &naming.text, place));
        }
        let entry = &plugin.entry;
        let scopes = [("only", Some(&entry.only)), ("except", entry.except.as_ref())];
        for (key, scope) in scopes {
            let Some(scope) = scope else { continue };
            for (what, names) in [("models", &scope.models), ("keys", &scope.keys)] {
                let unknown = names.iter().enumerate().filter_map(|(index, name)| {
                    let path = format!("{}.{key}.{what}[{index}]", entry.place.path);
                    known.complaint(what, name, SourceLocation { path, ..entry.place.clone() })
                });
                problems.extend(unknown);
            }
        }
    }
    problems
}

/// The names that the config knows.
struct KnownNames<'d> {
    providers: Vec<&'d str>,
    /// `None` if calls may have any name: with a wildcard, or if a callback changes it.
    models: Option<Vec<&'d str>>,
    /// `None` if a callback knows others.
    keys: Option<Vec<&'d str>>,
}

impl<'d> KnownNames<'d> {
    fn of(plugins: &[ListedPlugin], deployments: &'d Deployments, keys: Vec<&'d str>) -> Self {
        let changes =
            |plugin: &ListedPlugin| plugin.writes.iter().any(|it| it == "model" || it == "route");
        let names: Vec<_> = deployments.all().iter().map(|it| &*it.model_name).collect();
        let any = plugins.iter().any(changes) || names.iter().any(|name| name.contains('*'));
        let models = (!any).then_some(names);
        let knows_others =
            |plugin: &ListedPlugin| plugin.chosen_hooks.iter().any(|it| it == Hook::Auth.name());
        let keys = (!plugins.iter().any(knows_others)).then_some(keys);
        Self { providers: deployments.providers(), models, keys }
    }

    fn complaint(&self, what: &str, name: &str, place: SourceLocation) -> Option<Problem> {
        let shown = quoted(name);
        let (names, text) = match what {
            "providers" => (&self.providers, format!("no deployment has the provider `{shown}`")),
            "models" => {
                (self.models.as_ref()?, format!("no `model_name` of the config fits `{shown}`"))
            }
            "keys" => (self.keys.as_ref()?, format!("no key has the id `{shown}`")),
            _ => return None,
        };
        // Case does not matter for models, as in limits and `only`.
        let fits = |known: &&str| match what {
            "models" => Pattern::new(&in_lower_case(name)).matches(&in_lower_case(known)),
            _ => Pattern::new(name).matches(known),
        };
        if names.iter().any(fits) {
            return None;
        }
        let effect = match what {
            "models" => "so this applies to no call, or only to those that ask by an alias",
            _ => "so this applies to no call",
        };
        let problem = Problem::warning(place, format!("{text}, {effect}"));
        Some(match closest(name, names.iter().copied()) {
            Some(near) => problem.remedy(format!("did you mean `{near}`?")),
            None if names.len() <= 20 => {
                problem.remedy(format!("the {what} are {}", names.join(", ")))
            }
            None => problem.remedy("correct the name"),
        })
    }
}
