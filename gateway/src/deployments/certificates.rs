//! The certificates this machine trusts, as far as a variable chooses them: a file that holds none is
//! told at start, for otherwise every call to an upstream by `https` fails with a general sentence.

use std::path::Path;

use super::Deployments;
use crate::config::problem::{Place, Problem};
use crate::config::{Environment, read_text};

const FILE: &str = "SSL_CERT_FILE";

/// Told once, when some upstream is reached by `https`.
pub(crate) fn certificate_warning(
    config: &Path,
    environment: &Environment,
    deployments: &Deployments,
) -> Option<Problem> {
    let secure = |base: &String| base.to_ascii_lowercase().starts_with("https:");
    let called = deployments.all().iter().filter(|it| it.mock_response.is_none());
    if !called.filter_map(|it| it.api_base.set()).any(secure) {
        return None;
    }
    let warning = |text: String, remedy: &str| {
        Some(Problem::warning(Place::whole_file(config), text).remedy(remedy))
    };
    let Some(path) = std::env::var_os(FILE).filter(|path| !path.is_empty()) else {
        environment.filled_var(FILE)?;
        let text = format!("`{FILE}` of the environment file is not used");
        return warning(text, "set it in the environment the gateway is started with");
    };
    let path = Path::new(&path);
    let found = match read_text(path) {
        Ok(text) if text.contains("-----BEGIN CERTIFICATE-----") => return None,
        Ok(_) => "one without certificates".to_owned(),
        Err(error) => error.to_string(),
    };
    let text = format!(
        "`{FILE}`: expected a file with PEM certificates at `{}`, found {found}",
        path.display()
    );
    warning(text, "no upstream can be reached by `https` until it has some, or is not set")
}
