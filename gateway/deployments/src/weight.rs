//! How often each member of a group is chosen. The first of `weight`, `rpm`, `tpm` that any member
//! sets counts for the whole group; without any, all are equal.

use super::deployment::Deployment;
use callgate_config::{ModelEntry, Problem, Weights, quoted};
use std::collections::HashMap;

type Figure = (&'static str, fn(&Weights) -> Option<f64>);

const FIGURES: [Figure; 3] =
    [("weight", |it| it.weight), ("rpm", |it| it.rpm), ("tpm", |it| it.tpm)];

/// Sets the weight of every deployment. A member without the figure is never chosen, as in LiteLLM,
/// and a warning says so.
pub(super) fn assign(built: &mut [(&ModelEntry, Deployment)], problems: &mut Vec<Problem>) {
    let mut figures: HashMap<&str, usize> = HashMap::new();
    for (entry, _) in built.iter() {
        if let Some(used) = FIGURES.iter().position(|(_, of)| of(&entry.weights).is_some()) {
            let first = figures.entry(&entry.model_name).or_insert(used);
            *first = used.min(*first);
        }
    }
    for (entry, deployment) in built {
        let Some(&used) = figures.get(entry.model_name.as_str()) else { continue };
        let (name, of) = FIGURES[used];
        deployment.weight = of(&entry.weights).unwrap_or_else(|| {
            let text = format!(
                "no `{name}` is given while others of `{}` have one: this entry is never chosen",
                quoted(&entry.model_name)
            );
            problems.push(Problem::warning(entry.place.clone(), text));
            0.0
        });
    }
}
