//! What PEM files of the config hold: trusted authorities, and the gateway's own certificate with
//! its key. `deployments` reads the files; everything wrong with them is found here, at the start.

use super::validity::{day, validity};
use rustls::{
    Error, InconsistentKeys, RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    sign::CertifiedKey,
};
use std::{fmt, sync::Arc, time::SystemTime};

/// The beginning of a key that only its passphrase opens.
const ENCRYPTED: [&[u8]; 2] = [b"BEGIN ENCRYPTED PRIVATE KEY", b"Proc-Type: 4,ENCRYPTED"];

/// Why a file is of no use. Shows nothing of its content.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CertificateFault {
    #[error("expected certificates in PEM, found none")]
    NoCertificate,
    #[error("expected certificates in PEM, found a broken one: {0}")]
    Broken(String),
    #[error("expected a valid certificate, found one that expired on {0}")]
    Expired(String),
    #[error("expected a valid certificate, found one that is valid only from {0} on")]
    NotYetValid(String),
    #[error("expected a private key in PEM, found none")]
    NoKey,
    #[error("expected a private key in PEM, found a broken one")]
    BrokenKey,
    #[error("expected a private key without a passphrase, found an encrypted one")]
    EncryptedKey,
    #[error("expected the private key of the certificate, found another one")]
    OtherKey,
}

/// The authorities in a file. Some of many may have expired, but not all of them.
///
/// # Errors
/// If it holds none, or one that cannot be read.
pub fn authorities(
    pem: &[u8],
    now: SystemTime,
) -> Result<Vec<CertificateDer<'static>>, CertificateFault> {
    let found = certificates(pem)?;
    let mut store = RootCertStore::empty();
    for certificate in &found {
        store.add(certificate.clone()).map_err(|error| broken(&error))?;
    }
    let faults: Vec<_> = found.iter().map_while(|it| expired(it, now)).collect();
    match faults.into_iter().nth(found.len() - 1) {
        Some(fault) => Err(fault),
        None => Ok(found),
    }
}

/// The gateway's own certificate, with its chain and its key. Its `Debug` shows neither.
#[derive(Clone)]
pub struct ClientCertificate(Arc<CertifiedKey>, Arc<PrivateKeyDer<'static>>);

impl ClientCertificate {
    /// Reads it from a certificate's file and a key's, which may be the same.
    ///
    /// # Errors
    /// If it cannot be used.
    pub fn read(pem: &[u8], key: &[u8], now: SystemTime) -> Result<Self, CertificateFault> {
        let chain = certificates(pem)?;
        let fault = chain.first().and_then(|own| expired(own, now));
        let key = private_key(key)?;
        let provider = rustls::crypto::ring::default_provider();
        let certified = CertifiedKey::from_der(chain, key.clone_key(), &provider);
        let certified = certified.map_err(|error| match error {
            Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => CertificateFault::OtherKey,
            Error::InvalidCertificate(_) => broken(&error),
            _ => CertificateFault::BrokenKey,
        })?;
        fault.map_or_else(|| Ok(Self(Arc::new(certified), Arc::new(key))), Err)
    }

    pub(super) fn certified(&self) -> &Arc<CertifiedKey> {
        &self.0
    }
}

impl CertificateFault {
    /// Whether it is a fault of the key's file.
    #[must_use]
    pub fn is_of_key(&self) -> bool {
        matches!(self, Self::NoKey | Self::BrokenKey | Self::EncryptedKey | Self::OtherKey)
    }
}

impl PartialEq for ClientCertificate {
    fn eq(&self, other: &Self) -> bool {
        self.0.cert == other.0.cert && self.1 == other.1
    }
}

impl Eq for ClientCertificate {}

impl fmt::Debug for ClientCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientCertificate")
    }
}

/// All certificates in a file, at least one.
fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, CertificateFault> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let found = found.map_err(|_| CertificateFault::Broken("it is no whole PEM".to_owned()))?;
    if found.is_empty() { Err(CertificateFault::NoCertificate) } else { Ok(found) }
}

fn private_key(pem: &[u8]) -> Result<PrivateKeyDer<'static>, CertificateFault> {
    if ENCRYPTED.iter().any(|mark| memchr::memmem::find(pem, mark).is_some()) {
        return Err(CertificateFault::EncryptedKey);
    }
    match PrivateKeyDer::pem_slice_iter(pem).next() {
        Some(Ok(key)) => Ok(key),
        Some(Err(_)) => Err(CertificateFault::BrokenKey),
        None => Err(CertificateFault::NoKey),
    }
}

fn broken(error: &Error) -> CertificateFault {
    CertificateFault::Broken(error.to_string())
}

fn expired(certificate: &[u8], now: SystemTime) -> Option<CertificateFault> {
    let (first, last) = validity(certificate)?;
    if now > last {
        return Some(CertificateFault::Expired(day(last)));
    }
    (now < first).then(|| CertificateFault::NotYetValid(day(first)))
}

#[cfg(test)]
mod tests;
