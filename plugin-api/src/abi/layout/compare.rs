//! Explains the differences between two layouts, one sentence each. The texts come from
//! [`super::present`]: facts, then types with their fields, then kinds with their numbers.

use std::collections::HashSet;

/// A difference.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// Existing plugins would be refused or misread.
    Breaks(String),
    /// Allowed in a new minor version.
    Grows(String),
}

const REFUSED: &str = "all existing plugins would be refused";
const MISREAD: &str = "existing plugins would be misread";

/// A type or a kind.
struct Item<'a> {
    /// `type CallVt`.
    name: &'a str,
    /// The text after the name.
    head: &'a str,
    fields: Vec<Field<'a>>,
}

struct Field<'a> {
    /// An offset, or the number of a kind.
    place: &'a str,
    name: &'a str,
    of: &'a str,
}

/// Facts, and items.
fn parse(text: &str) -> (Vec<(&str, &str)>, Vec<Item<'_>>) {
    let mut parts = text.split("\n\n");
    let facts = parts.next().unwrap_or_default().lines();
    let facts = facts.map(|line| line.split_once(": ").unwrap_or((line, ""))).collect();
    let items = parts.filter_map(|part| {
        let mut lines = part.lines();
        let (name, head) = lines.next()?.split_once(':')?;
        let fields = lines.filter_map(|line| {
            let (place, rest) = line.trim_start().split_once(' ')?;
            let (name, of) = rest.split_once(": ").unwrap_or((rest, ""));
            Some(Field { place, name, of })
        });
        Some(Item { name, head: head.trim_start(), fields: fields.collect() })
    });
    (facts, items.collect())
}

/// Returns all differences from `before` to `now`.
pub(super) fn changes(before: &str, now: &str) -> Vec<Change> {
    let ((old_facts, old_items), (new_facts, new_items)) = (parse(before), parse(now));
    let mut found = facts(&old_facts, &new_facts);
    for old in &old_items {
        match new_items.iter().find(|new| new.name == old.name) {
            Some(new) if old.name.starts_with("kind ") => kind(old, new, &mut found),
            Some(new) => described(old, new, &mut found),
            // The fields that held a foreign type are reported instead.
            None if old.head.starts_with("of ") => {}
            None => found.push(Change::Breaks(format!(
                "`{}` no longer crosses the boundary under that name: {REFUSED}",
                bare(old.name)
            ))),
        }
    }
    for new in new_items.iter().filter(|new| old_items.iter().all(|old| old.name != new.name)) {
        if new.name.starts_with("kind ") || !new.head.starts_with("of ") {
            found.push(Change::Grows(format!("`{}` is new", bare(new.name))));
        }
    }
    found
}

fn bare(name: &str) -> &str {
    name.split_once(' ').map_or(name, |(_, name)| name)
}

fn facts(old: &[(&str, &str)], new: &[(&str, &str)]) -> Vec<Change> {
    let gone = old.iter().filter(|fact| !new.contains(fact)).map(|(name, value)| {
        Change::Breaks(match *name {
            "manifest key" => format!(
                "the manifest's key `{value}` was removed or renamed: older gateways refuse a \
                 plugin without it"
            ),
            _ => format!(
                "the {name} `{value}` was renamed: {REFUSED}, and older gateways refuse new ones"
            ),
        })
    });
    let added = new.iter().filter(|fact| !old.contains(fact) && fact.0 == "manifest key");
    let added = added.map(|(_, key)| Change::Grows(format!("the manifest has a new key `{key}`")));
    gone.chain(added).collect()
}

fn kind(old: &Item<'_>, new: &Item<'_>, found: &mut Vec<Change>) {
    let name = bare(old.name);
    for was in &old.fields {
        let (number, constant) = (was.place, was.name);
        if let Some(is) = new.fields.iter().find(|it| it.name == constant) {
            if is.place != number {
                found.push(Change::Breaks(format!(
                    "`{name}::{constant}` was {number} and is {}: {MISREAD}",
                    is.place
                )));
            }
            continue;
        }
        found.push(Change::Breaks(match new.fields.iter().find(|it| it.place == number) {
            Some(is) => format!(
                "`{name}::{constant}` ({number}) was renamed to `{}`: sources of plugins no longer \
                 compile",
                is.name
            ),
            None => format!(
                "`{name}::{constant}` ({number}) was removed: existing plugins still use it"
            ),
        }));
    }
    for added in &new.fields {
        let (number, constant) = (added.place, added.name);
        if old.fields.iter().all(|was| was.name != constant && was.place != number) {
            found.push(Change::Grows(format!("`{name}::{constant}` ({number}) is new")));
        }
    }
}

/// Compares two versions of a type.
fn described(old: &Item<'_>, new: &Item<'_>, found: &mut Vec<Change>) {
    let name = bare(old.name);
    let before = found.len();
    fields(old, new, found);
    // A sentence about a field explains the new size too.
    if old.head == new.head || found[before..].iter().any(|it| matches!(it, Change::Breaks(_))) {
        return;
    }
    let (was, is) = (old.head, new.head);
    found.push(Change::Breaks(if was.starts_with("of ") {
        format!(
            "`{name}` was {was} and is {is}: {REFUSED}; the ABI depends on that crate's version"
        )
    } else if was.starts_with("table") && is.starts_with("table") {
        let (was, is) = (fixed(was), fixed(is));
        format!(
            "the mark `last_prefix_field` of `{name}` moved: it was after {was} entries and is \
             after {is}: {REFUSED}"
        )
    } else {
        format!("`{name}` was a {was} and is a {is}: {REFUSED}")
    }));
}

fn fixed(head: &str) -> &str {
    head.rsplit(", ").next().and_then(|it| it.split(' ').next()).unwrap_or(head)
}

fn fields(old: &Item<'_>, new: &Item<'_>, found: &mut Vec<Change>) {
    let name = bare(old.name);
    let index = |item: &Item<'_>, name: &str| item.fields.iter().position(|it| it.name == name);
    let mut renamed = HashSet::new();
    for (at, was) in old.fields.iter().enumerate() {
        let field = was.name;
        if let Some(is) = index(new, field).map(|at| &new.fields[at]) {
            if is.of != was.of {
                found.push(Change::Breaks(format!(
                    "field `{field}` of `{name}` has another type: it was `{}` and is `{}`: {REFUSED}",
                    was.of, is.of
                )));
            }
            continue;
        }
        let instead = new.fields.get(at).filter(|is| is.of == was.of);
        let instead = instead.filter(|is| index(old, is.name).is_none());
        found.push(Change::Breaks(match instead {
            Some(is) => {
                renamed.insert(is.name);
                format!("field `{field}` of `{name}` was renamed to `{}`: {REFUSED}", is.name)
            }
            None => format!(
                "field `{field}` of `{name}` was removed: {REFUSED}; keep it, and let it do nothing"
            ),
        }));
    }
    let stays = |item: &Item<'_>, other: &Item<'_>| -> Vec<String> {
        let kept = item.fields.iter().filter(|it| index(other, it.name).is_some());
        kept.map(|it| it.name.to_owned()).collect()
    };
    let (was, is) = (stays(old, new), stays(new, old));
    if let Some((was, is)) = was.iter().zip(&is).find(|(was, is)| was != is) {
        found.push(Change::Breaks(format!(
            "the fields of `{name}` changed their order: `{is}` stands where `{was}` was: {REFUSED}"
        )));
    }
    let last = new.fields.iter().rposition(|it| index(old, it.name).is_some());
    let is_table = old.head.starts_with("table");
    for (at, added) in new.fields.iter().enumerate() {
        let field = added.name;
        if index(old, field).is_some() || renamed.contains(field) {
            continue;
        }
        found.push(if !is_table {
            Change::Breaks(format!(
                "field `{field}` was added to `{name}`, which is passed by value: {REFUSED}; use a new entry at the \
                 end of a table instead"
            ))
        } else if last.is_some_and(|last| at < last) {
            Change::Breaks(format!(
                "field `{field}` was inserted into `{name}` before its end: {REFUSED}; append it"
            ))
        } else {
            Change::Grows(format!("`{field}` was appended to `{name}`"))
        });
    }
}

#[cfg(test)]
mod tests {
    use super::{Change, changes};

    const BEFORE: &str = "\
symbol rust: _root
section: .callgate.manifest
manifest key: api
manifest key: name

type CallVt: table, align 8, 3 fixed
  16 id: fn(*const ()) -> View
  24 model: fn(*const ()) -> View
  32 fault: fn(*mut (), View)

type RString: of abi_stable 0.11, 32 bytes, align 8

type View: struct, 16 bytes, align 8
  0 ptr: *const u8
  8 len: usize

kind Verdict:
  0 CONTINUE
  1 REPLY
";

    /// Returns the one change that replacing texts makes.
    #[track_caller]
    fn after(edits: &[(&str, &str)]) -> Change {
        let now = edits.iter().fold(BEFORE.to_owned(), |text, (from, to)| {
            assert!(text.contains(from), "{from}");
            text.replacen(from, to, 1)
        });
        let mut found = changes(BEFORE, &now);
        assert_eq!(found.len(), 1, "{found:#?}");
        found.remove(0)
    }

    #[track_caller]
    fn breaks(edits: &[(&str, &str)], expected: &str) {
        match after(edits) {
            Change::Breaks(sentence) => assert_eq!(sentence, expected),
            grows @ Change::Grows(_) => panic!("{grows:?} is allowed"),
        }
    }

    #[test]
    fn nothing_is_no_change() {
        assert_eq!(changes(BEFORE, BEFORE), []);
    }

    #[test]
    fn what_grows_at_its_end_is_a_minor() {
        for (from, to, expected) in [
            ("(), View)\n", "(), View)\n  40 later: fn()\n", "`later` was appended to `CallVt`"),
            ("  1 REPLY\n", "  1 REPLY\n  2 LATER\n", "`Verdict::LATER` (2) is new"),
            ("key: name", "key: name\nmanifest key: more", "the manifest has a new key `more`"),
            ("kind V", "type B: struct, 1 bytes, align 1\n  0 a: u8\n\nkind V", "`B` is new"),
        ] {
            assert_eq!(after(&[(from, to)]), Change::Grows(expected.to_owned()));
        }
    }

    #[test]
    fn each_change_of_a_table_has_its_sentence() {
        breaks(
            &[("model:", "model_name:")],
            "field `model` of `CallVt` was renamed to `model_name`: all existing plugins would be refused",
        );
        breaks(
            &[("24 model: fn(*const ()) -> View", "24 model: fn(*const ()) -> u32")],
            "field `model` of `CallVt` has another type: it was `fn(*const ()) -> View` and is `fn(*const ()) -> u32`: all existing plugins would be refused",
        );
        breaks(
            &[("16 id", "16 swap"), ("24 model", "24 id"), ("16 swap", "16 model")],
            "the fields of `CallVt` changed their order: `model` stands where `id` was: all existing plugins would be refused",
        );
        breaks(
            &[("  24 model", "  24 new: fn()\n  32 model"), ("32 fault", "40 fault")],
            "field `new` was inserted into `CallVt` before its end: all existing plugins would be refused; append it",
        );
        breaks(
            &[("  24 model: fn(*const ()) -> View\n", ""), ("3 fixed", "2 fixed")],
            "field `model` of `CallVt` was removed: all existing plugins would be refused; keep it, and let it do nothing",
        );
        breaks(
            &[("3 fixed", "2 fixed")],
            "the mark `last_prefix_field` of `CallVt` moved: it was after 3 entries and is after 2: all existing plugins would be refused",
        );
    }

    #[test]
    fn each_change_of_a_struct_has_its_sentence() {
        breaks(
            &[("16 bytes", "24 bytes"), ("  8 len: usize", "  8 len: usize\n  16 more: u64")],
            "field `more` was added to `View`, which is passed by value: all existing plugins would be refused; use a new entry at the end of a table instead",
        );
        breaks(
            &[("16 bytes", "32 bytes")],
            "`View` was a struct, 16 bytes, align 8 and is a struct, 32 bytes, align 8: all existing plugins would be refused",
        );
        breaks(
            &[("abi_stable 0.11", "abi_stable 0.12")],
            "`RString` was of abi_stable 0.11, 32 bytes, align 8 and is of abi_stable 0.12, 32 bytes, align 8: all existing plugins would be refused; the ABI depends on that crate's version",
        );
    }

    #[test]
    fn a_type_of_another_name_is_another_type() {
        let found = changes(BEFORE, &BEFORE.replace("type View:", "type Slice:"));
        let gone = "`View` no longer crosses the boundary under that name: all existing plugins would be refused";
        assert_eq!(
            found,
            [Change::Breaks(gone.to_owned()), Change::Grows("`Slice` is new".to_owned())]
        );
    }

    #[test]
    fn each_change_of_numbers_and_names_has_its_sentence() {
        breaks(
            &[("1 REPLY", "7 REPLY")],
            "`Verdict::REPLY` was 1 and is 7: existing plugins would be misread",
        );
        breaks(
            &[("1 REPLY", "1 ANSWER")],
            "`Verdict::REPLY` (1) was renamed to `ANSWER`: sources of plugins no longer compile",
        );
        breaks(
            &[("  1 REPLY\n", "")],
            "`Verdict::REPLY` (1) was removed: existing plugins still use it",
        );
        breaks(
            &[("_root", "_other")],
            "the symbol rust `_root` was renamed: all existing plugins would be refused, and older gateways refuse new ones",
        );
        breaks(
            &[("manifest key: name\n", "")],
            "the manifest's key `name` was removed or renamed: older gateways refuse a plugin without it",
        );
    }
}
