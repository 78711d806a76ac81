//! `router_settings`: timeouts, aliases, and the routing strategy, of which only one exists.

use super::{
    closest::closest,
    litellm_keys::{KeySection, Standing},
    problem::{Problem, SourceLocation},
    reader::{Field, Reader},
    section::Section,
    yaml::Kind,
};
use std::time::Duration;

/// `router_settings`.
#[derive(Clone, Debug, Default)]
pub struct RouterSettings {
    /// The timeout of calls if neither the deployment nor `litellm_settings.request_timeout` sets
    /// one.
    pub timeout: Option<Duration>,
    /// The timeout of streamed calls whose deployment sets none.
    pub stream_timeout: Option<Duration>,
    /// Aliases, in the order of the file.
    pub aliases: Vec<Alias>,
}

/// One entry of `router_settings.model_group_alias`.
#[derive(Clone, Debug)]
pub struct Alias {
    /// The public alias.
    pub alias: String,
    /// The model name it stands for.
    pub target: String,
    /// Usable, but not listed.
    pub hidden: bool,
    /// Its location.
    pub place: SourceLocation,
}

const STRATEGY: &str = "simple-shuffle";

const OTHER_STRATEGIES: &[&str] = &[
    "cost-based-routing",
    "lar1",
    "latency-based-routing",
    "least-busy",
    "provider-budget-routing",
    "usage-based-routing",
    "usage-based-routing-v2",
];

pub(super) fn read(reader: &mut Reader<'_>, mut section: Section<'_>) -> RouterSettings {
    let strategy = section.take("routing_strategy");
    let is_ours = strategy.as_ref().is_some_and(|field| check_strategy(reader, field));
    let timeout = section.take("timeout");
    let stream_timeout = section.take("stream_timeout");
    let aliases = section.take("model_group_alias");
    let settings = RouterSettings {
        timeout: timeout.and_then(|field| reader.duration(&field)),
        stream_timeout: stream_timeout.and_then(|field| reader.duration(&field)),
        aliases: aliases.map(|field| read_aliases(reader, &field)).unwrap_or_default(),
    };
    section.finish(reader, KeySection::RouterSettings);
    if let Some(field) = strategy.filter(|_| is_ours) {
        reader.restate(&field.path, Standing::Honoured);
    }
    settings
}

/// Whether it is the strategy that exists here.
fn check_strategy(reader: &mut Reader<'_>, field: &Field<'_>) -> bool {
    let Some(strategy) = reader.text(field) else { return false };
    if strategy == STRATEGY {
        return true;
    }
    if OTHER_STRATEGIES.contains(&strategy.as_str()) {
        let text = format!("`{strategy}` is not acted on yet; `{STRATEGY}` is used");
        reader.warning(field, text);
        return false;
    }
    let known = || OTHER_STRATEGIES.iter().copied().chain([STRATEGY]);
    let text = format!("expected a routing strategy, found {}", reader.found(field));
    let remedy = match closest(&strategy, known()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("known are: {}", known().collect::<Vec<_>>().join(", ")),
    };
    let problem = Problem::error(reader.place(field), text).remedy(remedy);
    reader.problems.push(problem);
    false
}

/// `alias: name`, or `alias: {model: name, hidden: true}`.
fn read_aliases(reader: &mut Reader<'_>, field: &Field<'_>) -> Vec<Alias> {
    let Some(section) = reader.section(field) else { return Vec::new() };
    let mut aliases = Vec::new();
    for (alias, field) in section.members() {
        let place = reader.place(&field);
        let (target, hidden) = if let Kind::Mapping(_) = field.node.kind {
            let Some(mut entry) = reader.section(&field) else { continue };
            let (model, hidden) = (entry.take("model"), entry.take("hidden"));
            entry.finish_own(reader);
            let hidden = hidden.and_then(|field| reader.boolean(&field)).unwrap_or_default();
            if model.is_none() {
                reader.error(&field, "expected the `model` this alias stands for, found none");
            }
            (model.and_then(|model| reader.text(&model)), hidden)
        } else {
            (reader.text(&field), false)
        };
        if let Some(target) = target {
            aliases.push(Alias { alias: alias.to_owned(), target, hidden, place });
        }
    }
    aliases
}
