//! Reads the files that the TLS settings of the config name. Whatever is wrong with one is an error
//! at its key: every call through it would fail.

use callgate_config::{
    Problem, SourceLocation, TlsSettings, Verify, quoted,
    regular_file::{self, ReadError},
};
use callgate_upstream::{
    CertificateFault, ClientCertificate, SystemCertificates, Trust, authorities,
};
use std::{path::Path, time::SystemTime};

/// The largest file in MiB.
pub(super) const MOST: u64 = 64;

/// Whom `ssl_verify` trusts.
pub(super) fn trust(
    (verify, place): &(Verify, SourceLocation),
    system: &SystemCertificates,
    now: SystemTime,
) -> Result<Trust, Problem> {
    match verify {
        Verify::System => Ok(Trust::System(system.clone())),
        Verify::Nothing => Ok(Trust::Anyone),
        Verify::File(file) => {
            let pem = read(file, place, "true, false, or a file with PEM certificates")?;
            let found = authorities(&pem, now);
            found.map(|it| Trust::Authorities(it.into())).map_err(|it| unusable(file, place, &it))
        }
    }
}

/// A warning, if any server is taken for the right one.
pub(super) fn warning(settings: &TlsSettings) -> Option<Problem> {
    let (_, place) = settings.verify.as_ref().filter(|(it, _)| *it == Verify::Nothing)?;
    let text = "no server's identity is checked: whoever is on the way to one can read and change \
                keys, prompts and answers";
    let remedy = "write the file with the certificate of its authority in place of false";
    Some(Problem::warning(place.clone(), text).remedy(remedy))
}

/// The certificate that is shown to servers, if these settings name one.
pub(super) fn own(
    settings: &TlsSettings,
    now: SystemTime,
) -> Result<Option<ClientCertificate>, Problem> {
    let Some((file, place)) = &settings.certificate else {
        let Some((_, place)) = &settings.certificate_key else { return Ok(None) };
        let text = "expected `ssl_certificate` beside it, found none";
        return Err(Problem::error(place.clone(), text));
    };
    let pem = read(file, place, "a file with PEM certificates")?;
    let Some((key_file, key_place)) = &settings.certificate_key else {
        return ClientCertificate::read(&pem, &pem, now).map(Some).map_err(|fault| {
            let problem = unusable(file, place, &fault);
            match fault {
                CertificateFault::NoKey => {
                    problem.remedy("write the file of its key in `ssl_certificate_key`")
                }
                _ => problem,
            }
        });
    };
    let key = read(key_file, key_place, "a file with a private key in PEM")?;
    ClientCertificate::read(&pem, &key, now).map(Some).map_err(|fault| match fault.is_of_key() {
        true => unusable(key_file, key_place, &fault),
        false => unusable(file, place, &fault),
    })
}

fn read(file: &Path, place: &SourceLocation, what: &str) -> Result<Vec<u8>, Problem> {
    regular_file::read(file, MOST).map_err(|error| {
        let found = match error {
            ReadError::NotRegular(what) => what.to_owned(),
            error => error.to_string(),
        };
        let path = quoted(&file.to_string_lossy());
        let text = format!("expected {what} at `{path}`, found {found}");
        Problem::error(place.clone(), text).remedy("relative paths start at the config's folder")
    })
}

fn unusable(file: &Path, place: &SourceLocation, fault: &CertificateFault) -> Problem {
    let text = format!("in `{}`: {fault}", quoted(&file.to_string_lossy()));
    Problem::error(place.clone(), text)
}
