//! Compares the layouts of the plugin's tables with ours, and picks the useful lines from
//! abi_stable's long error.

use abi_stable::{
    StableAbi,
    abi_stability::abi_checking::{
        AbiInstability, AbiInstabilityError, AbiInstabilityErrors, CheckingGlobals,
        check_layout_compatibility_with_globals,
    },
    type_layout::{TLFieldOrFunction, TypeLayout},
};
use plugin_api::abi::PluginRootRef;

/// Whether a plugin's tables can be used as ours; on either side a table may be longer. The checks
/// keep state, so each direction starts afresh.
pub(super) fn check(theirs: &'static TypeLayout) -> Result<(), String> {
    let ours = PluginRootRef::LAYOUT;
    let compare = |interface, implementation| {
        let fresh = CheckingGlobals::new();
        check_layout_compatibility_with_globals(interface, implementation, &fresh)
    };
    let Err(newer) = compare(ours, theirs) else { return Ok(()) };
    let Err(older) = compare(theirs, ours) else { return Ok(()) };
    tracing::debug!(
        target: "callgate::callbacks::loader::layout",
        "as a newer plugin: {newer}\nas an older plugin: {older}"
    );
    Err(summary(&newer))
}

/// The first three differences, each with its location.
fn summary(errors: &AbiInstabilityErrors) -> String {
    let mut lines = Vec::new();
    for error in &errors.errors {
        let place = place(error);
        lines.extend(error.errs.iter().filter_map(difference).map(|line| format!("{place}{line}")));
    }
    lines.dedup();
    if lines.is_empty() {
        return "their types differ".to_owned();
    }
    let more = lines.len().saturating_sub(3);
    lines.truncate(3);
    if more > 0 {
        lines.push(format!("{more} more"));
    }
    lines.join("; ")
}

/// ```create.host` (`HostHandle`): ``, or nothing for the root itself.
fn place(error: &AbiInstabilityError) -> String {
    let mut names: Vec<&str> = Vec::new();
    let mut within = "";
    for step in &error.stack_trace {
        let name = match &step.found {
            TLFieldOrFunction::Field(field) => {
                within = field.layout().name();
                field.name()
            }
            TLFieldOrFunction::Function(function) => function.name.as_str(),
        };
        // Parameters and type parameters have no useful names.
        if name.starts_with(|first: char| first.is_alphabetic()) && names.last() != Some(&name) {
            names.push(name);
        }
    }
    if names.is_empty() { String::new() } else { format!("`{}` (`{within}`): ", names.join(".")) }
}

fn difference(difference: &AbiInstability) -> Option<String> {
    use AbiInstability as Differs;
    Some(match difference {
        Differs::PackageVersion(it) => {
            format!("expected package version {}, found {}", it.expected, it.found)
        }
        Differs::Package(it) => {
            format!("expected a type of `{}`, found one of `{}`", it.expected, it.found)
        }
        Differs::Name(it) => format!("expected type {}, found {}", it.expected, it.found),
        Differs::Size(it) => format!("expected {} bytes, found {}", it.expected, it.found),
        Differs::MismatchedPrefixSize(it) => {
            format!("expected a table that starts with {} entries, found {}", it.expected, it.found)
        }
        Differs::Alignment(it) => format!("expected alignment {}, found {}", it.expected, it.found),
        Differs::FieldCountMismatch(it) => {
            format!("expected {} fields, found {}", it.expected, it.found)
        }
        Differs::UnexpectedField(it) => {
            format!("expected field `{}`, found `{}`", it.expected.name(), it.found.name())
        }
        _ => return None,
    })
}
