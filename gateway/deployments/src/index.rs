//! The indexes over a config's deployments: by name, by wildcard, by raw model and by provider, and
//! the public list. Aliases are resolved here, so that a call never follows one.

use super::{
    deployment::Deployment,
    lookup::{ByName, Deployments, GroupMembers},
    wildcard::Wildcard,
};
use callgate_config::{Alias, ModelEntry, Problem, closest, quoted};
use std::sync::Arc;

/// An entry of `model_list` and its deployment.
pub(super) type BuiltEntry<'c> = (&'c ModelEntry, Arc<Deployment>);

/// `stand_ins` serve providers that no entry uses.
pub(super) fn build(
    built: Vec<BuiltEntry<'_>>,
    stand_ins: Vec<Deployment>,
    aliases: &[Alias],
    problems: &mut Vec<Problem>,
) -> Deployments {
    let mut named: ByName<GroupMembers> = ByName::default();
    let mut wildcards: Vec<(Wildcard, GroupMembers)> = Vec::new();
    let mut raw: ByName<GroupMembers> = ByName::default();
    for (entry, deployment) in &built {
        let members = match Wildcard::new(&entry.model_name) {
            None => named.entry(entry.model_name.as_str().into()).or_default(),
            Some(wildcard) => match wildcards.iter().position(|(known, _)| *known == wildcard) {
                Some(known) => &mut wildcards[known].1,
                None => &mut wildcards.push_mut((wildcard, GroupMembers::default())).1,
            },
        };
        members.deployments.push(Arc::clone(deployment));
        // A client cannot ask for a pattern by its raw name.
        if !entry.model.0.contains('*') {
            let members = raw.entry(entry.model.0.as_str().into()).or_default();
            members.deployments.push(Arc::clone(deployment));
        }
    }
    let groups = named.values_mut().chain(raw.values_mut());
    for members in groups.chain(wildcards.iter_mut().map(|(_, members)| members)) {
        members.deployments.sort_by_key(|deployment| deployment.order);
        // An entry that cannot be served must not take calls that another one could.
        if members.deployments.iter().any(|deployment| deployment.unserved.is_none()) {
            members.deployments.retain(|deployment| deployment.unserved.is_none());
        }
    }
    wildcards.sort_by_key(|(wildcard, _)| std::cmp::Reverse(wildcard.specificity()));
    let mut deployments = Deployments {
        by_provider: by_provider(&built, stand_ins),
        connector: Arc::default(),
        listed: Vec::new(),
        all: built.into_iter().map(|(_, deployment)| deployment).collect(),
        named,
        wildcards,
        raw,
    };
    let resolved = resolve_aliases(&deployments, aliases, problems);
    deployments.listed = listed(&deployments, &resolved);
    let resolved =
        resolved.into_iter().map(|(alias, members)| (alias.alias.as_str().into(), members));
    deployments.named.extend(resolved);
    deployments
}

/// An alias stands for a model name, never for another alias.
fn resolve_aliases<'a>(
    deployments: &Deployments,
    aliases: &'a [Alias],
    problems: &mut Vec<Problem>,
) -> Vec<(&'a Alias, GroupMembers)> {
    let mut resolved = Vec::new();
    for alias in aliases {
        if let Some(group) = deployments.resolve(&alias.target) {
            resolved.push((alias, group.to_members()));
            continue;
        }
        let text =
            format!("no model is called `{}`; this alias is not used", quoted(&alias.target));
        let problem = Problem::warning(alias.place.clone(), text);
        let names = deployments.named.keys().map(|name| &**name);
        problems.push(match closest(&alias.target, names) {
            Some(near) => problem.remedy(format!("did you mean `{near}`?")),
            None => problem,
        });
    }
    resolved
}

fn listed(deployments: &Deployments, aliases: &[(&Alias, GroupMembers)]) -> Vec<Arc<str>> {
    let aliases = aliases.iter().filter(|(alias, _)| !alias.hidden);
    let aliases = aliases.map(|(alias, _)| Arc::from(alias.alias.as_str()));
    let names = deployments.all.iter().map(|deployment| Arc::clone(&deployment.model_name));
    let mut seen = std::collections::HashSet::new();
    aliases
        .chain(names.filter(|name| !name.contains('*')))
        .filter(|name| seen.insert(Arc::clone(name)))
        .collect()
}

fn by_provider(built: &[BuiltEntry<'_>], stand_ins: Vec<Deployment>) -> ByName<Arc<Deployment>> {
    let served = |deployment: &&Arc<Deployment>| deployment.unserved.is_none();
    let configured = || built.iter().map(|(_, deployment)| deployment).filter(served);
    let whole = configured().filter(|deployment| deployment.first_unset().is_none());
    let mut found: ByName<Arc<Deployment>> = ByName::default();
    for deployment in whole.chain(configured()).cloned().chain(stand_ins.into_iter().map(Arc::new))
    {
        found.entry((&*deployment.label).into()).or_insert(deployment);
    }
    found
}
