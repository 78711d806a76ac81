//! Why a TLS connection failed, as far as the remedy differs.

use rustls::{AlertDescription, CertificateError, Error};
use std::io;

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
    /// It wants a certificate from the client, and got none.
    WantsCertificate,
    /// It refuses the client's certificate.
    RefusesCertificate,
    /// The handshake broke off, or another error.
    Other,
}

impl TlsFault {
    pub(crate) fn of(error: &io::Error) -> Self {
        let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
        match inner {
            Some(Error::InvalidCertificate(fault)) => match fault {
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
            Some(Error::InvalidMessage(_)) => Self::NotTls,
            Some(Error::AlertReceived(alert)) => Self::of_alert(*alert),
            _ => Self::Other,
        }
    }

    /// The fault that a server reports after its part of the handshake, while the request is sent.
    pub(crate) fn of_broken(error: &io::Error) -> Option<Self> {
        let inner = error.get_ref()?.downcast_ref::<Error>()?;
        matches!(inner, Error::AlertReceived(_)).then(|| Self::of(error))
    }

    fn of_alert(alert: AlertDescription) -> Self {
        match alert {
            AlertDescription::CertificateRequired | AlertDescription::NoCertificate => {
                Self::WantsCertificate
            }
            AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown
            | AlertDescription::UnknownCA
            | AlertDescription::AccessDenied => Self::RefusesCertificate,
            _ => Self::Other,
        }
    }
}
