//! Warns of the usual variables for an HTTP proxy. The gateway ignores them, and behind a firewall
//! it then cannot reach its upstreams.

use super::Deployments;
use callgate_config::{Environment, HttpUrl, Problem, SourceLocation, quoted};
use std::{net::IpAddr, path::Path};

const VARIABLES: [&str; 6] =
    ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"];

/// One warning, if such a variable is set and an upstream is not on this machine.
pub fn proxy_warning(
    config: &Path,
    environment: &Environment,
    deployments: &Deployments,
) -> Option<Problem> {
    let variable = VARIABLES.into_iter().find(|name| environment.filled_var(name).is_some())?;
    let excepted = ["NO_PROXY", "no_proxy"].map(|it| environment.filled_var(it).unwrap_or(""));
    let direct = |base: &str| is_here(base) || excepted.iter().any(|list| excepts(list, base));
    let base = |base: &String| (!direct(base)).then(|| base.clone());
    let called = deployments.all().iter().filter(|it| it.mock_response.is_none());
    let base = called.filter_map(|it| it.api_base.set()).find_map(base)?;
    let text = format!(
        "`{variable}` is set, and proxies are not used: upstreams such as {} are called directly",
        quoted(&base)
    );
    let remedy =
        "let this machine reach them, or point `api_base` at a server that passes calls on";
    Some(Problem::warning(SourceLocation::whole_file(config), text).remedy(remedy))
}

/// Whether `NO_PROXY` exempts a base: by its host, by a parent domain, or by `*`.
fn excepts(list: &str, base: &str) -> bool {
    let Ok(url) = HttpUrl::parse(base) else { return false };
    let host = url.host().to_ascii_lowercase();
    let names = list.split([',', ' ']).map(|it| it.trim().to_ascii_lowercase());
    names.filter(|name| !name.is_empty()).any(|name| {
        let domain = name.trim_start_matches('*').trim_start_matches('.');
        let above = host.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.'));
        name == "*" || host == domain || (!domain.is_empty() && above)
    })
}

fn is_here(base: &str) -> bool {
    let Ok(url) = HttpUrl::parse(base) else { return false };
    let host = url.hostname();
    host == "localhost"
        || host.ends_with(".localhost")
        || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::{excepts, is_here};

    #[test]
    fn hosts_can_be_excepted() {
        for (list, excepted) in [
            ("*", true),
            ("a.example, api.example.com", true),
            (".example.com", true),
            ("example.com", true),
            ("ample.com", false),
            ("", false),
            ("other", false),
        ] {
            assert_eq!(excepts(list, "https://api.example.com/v1"), excepted, "{list}");
        }
    }

    #[test]
    fn loopback_is_known_by_name_and_address() {
        for (base, here) in [
            ("http://localhost:11434", true),
            ("http://127.1.2.3/v1", true),
            ("http://[::1]:8080/v1", true),
            ("https://api.openai.com/v1", false),
            ("http://10.0.0.1", false),
            ("http://localhost.example.com", false),
        ] {
            assert_eq!(is_here(base), here, "{base}");
        }
    }
}
