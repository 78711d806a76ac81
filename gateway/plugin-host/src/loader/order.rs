//! Warns of a chain whose order makes callbacks ineffective. Such a chain is allowed.

use super::ListedPlugin;
use callgate_config::Problem;

/// The parts that decide where a call goes, so that later callbacks depend on them.
const DECISIVE: [&str; 2] = ["model", "route"];

/// A warning for each callback that goes by what a later one changes.
pub(super) fn doubts(plugins: &[ListedPlugin]) -> Vec<Problem> {
    let mut doubts = Vec::new();
    for (position, reader) in plugins.iter().enumerate() {
        for writer in &plugins[position + 1..] {
            let Some(what) = overruled(&reader.reads, &reader.writes, &writer.writes) else {
                continue;
            };
            let (first, second) = (&reader.name, &writer.name);
            let text =
                format!("`{first}` reads the {what}, which `{second}`, listed after it, changes");
            let place = reader.entry.place.clone();
            doubts.push(Problem::warning(place, text).remedy(format!("list `{second}` first")));
        }
    }
    doubts
}

/// The part that a callback reads and does not change, and that a later one changes.
fn overruled(
    reads: &[String],
    own_writes: &[String],
    later_writes: &[String],
) -> Option<&'static str> {
    let is_in = |words: &[String], what: &str| words.iter().any(|word| word == what);
    DECISIVE
        .into_iter()
        .find(|what| is_in(reads, what) && !is_in(own_writes, what) && is_in(later_writes, what))
}

#[cfg(test)]
mod tests {
    use super::overruled;

    #[test]
    fn only_what_is_read_and_then_changed_by_another_is_doubtful() {
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        for (reads, own, later, expected) in [
            ("route", "", "route", Some("route")),
            ("messages model", "metadata", "model route", Some("model")),
            ("route", "route", "route", None),
            ("messages", "", "messages", None),
            ("route", "", "messages", None),
        ] {
            assert_eq!(
                overruled(&words(reads), &words(own), &words(later)),
                expected,
                "{reads} {own} {later}"
            );
        }
    }
}
