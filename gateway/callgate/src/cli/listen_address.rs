//! The address to listen on, and whether a variable sets it.

use callgate_config::{Environment, SourceLocation};
use std::{io::ErrorKind, path::Path};

/// The address to listen on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListenAddress {
    /// An address or a name, without brackets.
    pub host: String,
    /// 0 takes a free one.
    pub port: u16,
    /// Whether the host comes from the variable `HOST`.
    pub host_is_variable: bool,
    /// Whether the port comes from the variable `PORT`.
    pub port_is_variable: bool,
}

impl ListenAddress {
    /// The place that sets the host: the command line, or the variable in its place.
    #[must_use]
    pub fn place_of_host(&self) -> SourceLocation {
        if self.host_is_variable {
            return Environment::place_of("HOST");
        }
        SourceLocation {
            path: "--host".into(),
            ..SourceLocation::whole_file(Path::new("command line"))
        }
    }

    /// The remedy for an address that the system refuses.
    #[must_use]
    pub fn remedy(&self, refusal: ErrorKind) -> &'static str {
        match refusal {
            ErrorKind::AddrInUse if self.port_is_variable => {
                "another program listens there; choose another port in the variable `PORT`"
            }
            ErrorKind::AddrInUse => "another program listens there; choose another `--port`",
            ErrorKind::PermissionDenied => "ports below 1024 need privileges",
            _ if self.host_is_variable => "is the variable `HOST` an address of this machine?",
            _ => "is `--host` an address of this machine?",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn problems_name_the_variable_if_one_sets_the_address() {
        for (is_variable, place, port, host) in [
            (true, "environment: HOST", "`PORT`", "`HOST`"),
            (false, "command line: --host", "`--port`", "`--host`"),
        ] {
            let (host_is_variable, port_is_variable) = (is_variable, is_variable);
            let address =
                ListenAddress { host_is_variable, port_is_variable, ..ListenAddress::default() };
            assert_eq!(address.place_of_host().to_string(), place);
            assert!(address.remedy(ErrorKind::AddrInUse).contains(port));
            assert!(address.remedy(ErrorKind::AddrNotAvailable).contains(host));
        }
    }
}
