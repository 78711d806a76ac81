//! Real and faulty PEM files.

use super::*;
use rcgen::{CertificateParams, KeyPair, PublicKeyData as _};
use std::time::Duration;

/// A self-signed certificate of these years, and its key.
fn made(from: i32, to: i32) -> (String, KeyPair) {
    let mut params = CertificateParams::new(["gateway.example".to_owned()]).unwrap();
    params.not_before = rcgen::date_time_ymd(from, 1, 1);
    params.not_after = rcgen::date_time_ymd(to, 1, 1);
    let key = KeyPair::generate().unwrap();
    assert!(!key.der_bytes().is_empty());
    (params.self_signed(&key).unwrap().pem(), key)
}

/// In the year 2020.
fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(50 * 366 * 86_400)
}

fn own(pem: &str, key: &str) -> Result<ClientCertificate, CertificateFault> {
    ClientCertificate::read(pem.as_bytes(), key.as_bytes(), now())
}

#[test]
fn a_certificate_fits_its_key_in_one_file_or_two() {
    let (pem, key) = made(2000, 2100);
    let key = key.serialize_pem();
    let both = [&*key, &*pem].concat();
    let one = own(&both, &both).unwrap();
    assert_eq!(one, own(&pem, &key).unwrap());
    assert_eq!(one.clone(), one);
    let (other, other_key) = made(2000, 2100);
    assert_ne!(one, own(&other, &other_key.serialize_pem()).unwrap());
    assert_eq!(format!("{one:?}"), "ClientCertificate");
}

#[test]
fn each_fault_of_a_certificate_and_its_key_is_named() {
    let (pem, key) = made(2000, 2100);
    let key = key.serialize_pem();
    let (expired, future) = (made(2000, 2010).0, made(2090, 2100).0);
    let other = made(2000, 2100).1.serialize_pem();
    let encrypted =
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
    let not_der = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let not_a_key = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    for (pem, key, expected, of_key) in [
        ("", &*key, "found none", false),
        ("text", &*key, "found none", false),
        (not_der, &*key, "found a broken one", false),
        (&pem[..pem.len() - 20], &*key, "it is no whole PEM", false),
        (&*pem, "", "expected a private key in PEM, found none", true),
        (&*pem, &*pem, "expected a private key in PEM, found none", true),
        (&*pem, not_a_key, "a private key in PEM, found a broken one", true),
        (&*pem, encrypted, "found an encrypted one", true),
        (&*pem, &*other, "found another one", true),
    ] {
        let fault = own(pem, key).unwrap_err();
        assert!(fault.to_string().contains(expected), "{expected}: {fault}");
        assert_eq!(fault.is_of_key(), of_key, "{fault}");
    }
    let old = |from, to| {
        let (pem, key) = made(from, to);
        own(&pem, &key.serialize_pem()).unwrap_err()
    };
    assert_eq!(old(2000, 2010), CertificateFault::Expired("2010-01-01".to_owned()));
    assert_eq!(old(2090, 2100), CertificateFault::NotYetValid("2090-01-01".to_owned()));
    assert!(authorities(expired.as_bytes(), now()).is_err());
    assert!(authorities(future.as_bytes(), now()).is_err());
}

#[test]
fn a_bundle_may_hold_expired_authorities_among_others() {
    let (valid, expired) = (made(2000, 2100).0, made(2000, 2010).0);
    let both = [&*expired, &*valid].concat();
    assert_eq!(authorities(both.as_bytes(), now()).unwrap().len(), 2);
    let only = [&*expired, &*expired].concat();
    let fault = authorities(only.as_bytes(), now()).unwrap_err();
    assert_eq!(fault, CertificateFault::Expired("2010-01-01".to_owned()));
    assert_eq!(authorities(b"", now()).unwrap_err(), CertificateFault::NoCertificate);
}
