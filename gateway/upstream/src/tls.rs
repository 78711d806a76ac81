//! The TLS settings of this machine, and why TLS fails.

use super::descriptors::lacks_descriptors;
use rustls::{CertificateError, ClientConfig, RootCertStore, pki_types::CertificateDer};
use rustls_native_certs::CertificateResult;
use std::{
    io,
    sync::{Arc, LazyLock, OnceLock},
};

/// The TLS settings of this machine; loaded at the first `https` call, so that a gateway without
/// trusted certificates still starts.
#[derive(Debug, Default)]
pub struct Tls(OnceLock<Result<Arc<ClientConfig>, String>>);

/// Why TLS is not available.
#[derive(Debug, thiserror::Error)]
pub enum NoTls {
    /// This machine has no trusted certificates, or no usable TLS.
    #[error("{0}")]
    Never(String),
    /// The certificates could not be read because no file descriptor was free; the next call may
    /// succeed.
    #[error("the trusted certificates cannot be read: {0}")]
    Descriptors(io::Error),
}

impl Tls {
    /// The one for all upstreams of the process that have no settings of their own.
    #[must_use]
    pub fn system() -> Arc<Self> {
        static SYSTEM: LazyLock<Arc<Tls>> = LazyLock::new(Arc::default);
        Arc::clone(&SYSTEM)
    }

    pub fn config(&self) -> Result<Arc<ClientConfig>, NoTls> {
        self.config_with(rustls_native_certs::load_native_certs)
    }

    /// Caches the result, unless a certificate could not be read because no descriptor was free.
    fn config_with(
        &self,
        load: impl FnOnce() -> CertificateResult,
    ) -> Result<Arc<ClientConfig>, NoTls> {
        if self.0.get().is_none() {
            let mut found = load();
            if let Some(error) = found.errors.iter_mut().find_map(shortage) {
                return Err(NoTls::Descriptors(error));
            }
            // Other threads that loaded it at the same time found the same.
            let _ = self.0.set(client_config(found.certs));
        }
        let known = self.0.get().cloned().unwrap_or_else(|| Err(String::new()));
        known.map_err(NoTls::Never)
    }
}

/// The error, if it says that no descriptor is free.
fn shortage(error: &mut rustls_native_certs::Error) -> Option<io::Error> {
    match &mut error.kind {
        rustls_native_certs::ErrorKind::Io { inner, .. } if lacks_descriptors(inner) => {
            Some(std::mem::replace(inner, io::ErrorKind::Other.into()))
        }
        _ => None,
    }
}

fn client_config(certificates: Vec<CertificateDer<'static>>) -> Result<Arc<ClientConfig>, String> {
    let mut roots = RootCertStore::empty();
    let (added, _) = roots.add_parsable_certificates(certificates);
    if added == 0 {
        return Err("this machine has no trusted certificates; install ca-certificates or set \
                    `SSL_CERT_FILE`"
            .to_owned());
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// Why a TLS connection failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsFault {
    /// This machine trusts no certificates.
    NoRoots,
    /// The issuer of its certificate is not trusted.
    UnknownIssuer,
    /// Its certificate is for other names.
    WrongName,
    /// Its certificate has expired.
    Expired,
    /// Its certificate is not valid yet.
    NotYetValid,
    /// It does not speak TLS.
    NotTls,
    /// The handshake broke off, or another error.
    Other,
}

impl TlsFault {
    pub(super) fn of(error: &io::Error) -> Self {
        let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
        match inner {
            Some(rustls::Error::InvalidCertificate(fault)) => match fault {
                // The issuer has a trusted name, but another key.
                CertificateError::UnknownIssuer | CertificateError::BadSignature => {
                    Self::UnknownIssuer
                }
                CertificateError::NotValidForName
                | CertificateError::NotValidForNameContext { .. } => Self::WrongName,
                CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                    Self::Expired
                }
                CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                    Self::NotYetValid
                }
                _ => Self::Other,
            },
            Some(rustls::Error::InvalidMessage(_)) => Self::NotTls,
            _ => Self::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls_native_certs::{Error, ErrorKind};

    #[test]
    fn a_lack_of_descriptors_is_not_remembered_as_a_lack_of_certificates() {
        let tls = Tls::default();
        let short = || {
            let inner = rustix::io::Errno::MFILE.into();
            let kind = ErrorKind::Io { inner, path: "certificates".into() };
            let mut found = CertificateResult::default();
            found.errors.push(Error { context: "", kind });
            found
        };
        let error = tls.config_with(short).unwrap_err();
        assert!(matches!(error, NoTls::Descriptors(_)), "{error:?}");
        // Now there are really none; they are loaded only once.
        let error = tls.config_with(CertificateResult::default).unwrap_err();
        assert!(matches!(error, NoTls::Never(_)), "{error:?}");
        let error = tls.config_with(|| panic!("asked again")).unwrap_err();
        assert!(matches!(error, NoTls::Never(_)), "{error:?}");
    }
}
