//! TLS settings of connections: whom to trust, and which certificate to show. Equal settings share
//! one configuration, also over reloads.

mod fault;
mod files;
mod unverified;
mod validity;

use super::descriptors::lacks_descriptors;
pub use fault::TlsFault;
pub use files::{CertificateFault, ClientCertificate, authorities};
use rustls::{
    ClientConfig, ConfigBuilder, RootCertStore, WantsVerifier, client::WantsClientCert,
    pki_types::CertificateDer, sign::SingleCertAndKey,
};
use rustls_native_certs::{CertificateResult, load_certs_from_paths, load_native_certs};
use std::{
    fs, io,
    os::unix::fs::MetadataExt as _,
    path::PathBuf,
    sync::{Arc, Mutex, OnceLock, PoisonError, Weak},
};
use unverified::Unverified;

/// All TLS settings in use. Locked only while a config is built.
static IN_USE: Mutex<Vec<Weak<Tls>>> = Mutex::new(Vec::new());

/// Settings of TLS, and the configuration for them. It is made at the first `https` call, so that a
/// gateway without trusted certificates still starts.
#[derive(Debug, Default)]
pub struct Tls {
    options: TlsOptions,
    config: OnceLock<Result<Arc<ClientConfig>, String>>,
}

/// Whom to trust, and which certificate to show to servers that ask for one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsOptions {
    pub trust: Trust,
    pub own: Option<ClientCertificate>,
}

/// Whose certificates a server may have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trust {
    /// Those that this machine trusts.
    System(SystemCertificates),
    /// These alone.
    Authorities(Arc<[CertificateDer<'static>]>),
    /// Anybody's.
    Anyone,
}

impl Default for Trust {
    fn default() -> Self {
        Self::System(SystemCertificates::default())
    }
}

/// `SSL_CERT_FILE` and the folders of `SSL_CERT_DIR`, in place of this machine's own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SystemCertificates {
    file: Option<PathBuf>,
    folders: Vec<PathBuf>,
    /// Identifies the content of the file.
    version: Option<(u64, u64, i64, i64)>,
}

impl SystemCertificates {
    #[must_use]
    pub fn new(file: Option<PathBuf>, folders: Vec<PathBuf>) -> Self {
        let metadata = file.as_ref().and_then(|file| fs::metadata(file).ok());
        let version = metadata.map(|it| (it.ino(), it.size(), it.mtime(), it.mtime_nsec()));
        Self { file, folders, version }
    }

    fn load(&self) -> CertificateResult {
        if self.file.is_none() && self.folders.is_empty() {
            return load_native_certs();
        }
        let mut found = CertificateResult::default();
        let file = self.file.iter().map(|file| load_certs_from_paths(Some(file), None));
        let folders = self.folders.iter().map(|it| load_certs_from_paths(None, Some(it)));
        for more in file.chain(folders) {
            found.certs.extend(more.certs);
            found.errors.extend(more.errors);
        }
        found
    }
}

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
    /// The settings with these options: those in use, if there are any.
    #[must_use]
    pub fn with(options: TlsOptions) -> Arc<Self> {
        let mut in_use = IN_USE.lock().unwrap_or_else(PoisonError::into_inner);
        in_use.retain(|it| it.strong_count() > 0);
        let same = |it: &Arc<Self>| it.options == options;
        if let Some(same) = in_use.iter().filter_map(Weak::upgrade).find(same) {
            return same;
        }
        let made = Arc::new(Self { options, config: OnceLock::new() });
        in_use.push(Arc::downgrade(&made));
        made
    }

    #[must_use]
    pub fn options(&self) -> &TlsOptions {
        &self.options
    }

    pub fn config(&self) -> Result<Arc<ClientConfig>, NoTls> {
        self.config_with(SystemCertificates::load)
    }

    /// Caches the result, unless a certificate could not be read because no descriptor was free.
    fn config_with(
        &self,
        load: impl FnOnce(&SystemCertificates) -> CertificateResult,
    ) -> Result<Arc<ClientConfig>, NoTls> {
        if self.config.get().is_none() {
            let certificates = match &self.options.trust {
                Trust::System(system) => {
                    let mut found = load(system);
                    if let Some(error) = found.errors.iter_mut().find_map(shortage) {
                        return Err(NoTls::Descriptors(error));
                    }
                    found.certs
                }
                Trust::Authorities(authorities) => authorities.to_vec(),
                Trust::Anyone => Vec::new(),
            };
            // Other threads that made it at the same time found the same.
            let _ = self.config.set(client_config(certificates, &self.options));
        }
        let known = self.config.get().cloned().unwrap_or_else(|| Err(String::new()));
        known.map_err(NoTls::Never)
    }
}

/// Reads the time in which a certificate is valid, for fuzz targets.
#[cfg(feature = "fuzzing")]
pub(super) fn read_validity(certificate: &[u8]) {
    let valid = validity::validity(certificate);
    valid
        .into_iter()
        .flat_map(|(first, last)| [first, last])
        .for_each(|it| drop(validity::day(it)));
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

fn client_config(
    certificates: Vec<CertificateDer<'static>>,
    options: &TlsOptions,
) -> Result<Arc<ClientConfig>, String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    let builder = match options.trust {
        Trust::Anyone => {
            let verifier = Unverified(provider.signature_verification_algorithms);
            builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier))
        }
        Trust::System(_) | Trust::Authorities(_) => trusting(builder, certificates)?,
    };
    let mut config = match &options.own {
        Some(own) => {
            let shown = SingleCertAndKey::from(Arc::clone(own.certified()));
            builder.with_client_cert_resolver(Arc::new(shown))
        }
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

fn trusting(
    builder: ConfigBuilder<ClientConfig, WantsVerifier>,
    certificates: Vec<CertificateDer<'static>>,
) -> Result<ConfigBuilder<ClientConfig, WantsClientCert>, String> {
    let mut roots = RootCertStore::empty();
    let (added, _) = roots.add_parsable_certificates(certificates);
    if added == 0 {
        return Err("this machine has no trusted certificates; install ca-certificates or set \
                    `SSL_CERT_FILE`"
            .to_owned());
    }
    Ok(builder.with_root_certificates(roots))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls_native_certs::{Error, ErrorKind};

    #[test]
    fn a_lack_of_descriptors_is_not_remembered_as_a_lack_of_certificates() {
        let tls = Tls::default();
        let short = |_: &SystemCertificates| {
            let inner = rustix::io::Errno::MFILE.into();
            let kind = ErrorKind::Io { inner, path: "certificates".into() };
            let mut found = CertificateResult::default();
            found.errors.push(Error { context: "", kind });
            found
        };
        let error = tls.config_with(short).unwrap_err();
        assert!(matches!(error, NoTls::Descriptors(_)), "{error:?}");
        // Now there are really none; they are loaded only once.
        let error = tls.config_with(|_| CertificateResult::default()).unwrap_err();
        assert!(matches!(error, NoTls::Never(_)), "{error:?}");
        let error = tls.config_with(|_| panic!("asked again")).unwrap_err();
        assert!(matches!(error, NoTls::Never(_)), "{error:?}");
    }

    #[test]
    fn equal_settings_are_one() {
        let anyone = || TlsOptions { trust: Trust::Anyone, own: None };
        let first = Tls::with(anyone());
        assert!(Arc::ptr_eq(&first, &Tls::with(anyone())));
        assert!(!Arc::ptr_eq(&first, &Tls::with(TlsOptions::default())));
        let shared = first.config().unwrap();
        assert!(Arc::ptr_eq(&shared, &Tls::with(anyone()).config().unwrap()));
    }

    #[test]
    fn a_file_that_changes_makes_other_settings() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("ca.pem");
        std::fs::write(&file, "1").unwrap();
        let system = || SystemCertificates::new(Some(file.clone()), Vec::new());
        let before = system();
        assert_eq!(before, system());
        std::fs::write(&file, "12").unwrap();
        assert_ne!(before, system());
    }
}
