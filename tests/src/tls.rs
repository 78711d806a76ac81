//! TLS in front of a plain server: the test's own certificate authority, and a loopback proxy that
//! ends TLS with one of its certificates.

use rcgen::{
    BasicConstraints, Certificate, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair,
};
use rustls::{RootCertStore, ServerConfig, pki_types::PrivateKeyDer, server::WebPkiClientVerifier};
use std::{net::SocketAddr, sync::Arc};
use tokio::{
    net::{TcpListener, TcpStream},
    task::{JoinHandle, JoinSet},
};
use tokio_rustls::TlsAcceptor;

/// Signs certificates; trusted by processes that get its own certificate.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Authority")
    }
}

impl Authority {
    /// A new authority, which nobody trusts yet, even if another one has the same name.
    #[must_use]
    pub fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        Self(CertifiedIssuer::self_signed(params, key).expect("a certificate"))
    }

    /// Its own certificate, for `SSL_CERT_FILE`.
    #[must_use]
    pub fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate for `name`, valid until `year`, and its key.
    fn signed(&self, name: &str, year: i32) -> (Certificate, KeyPair) {
        let mut params = CertificateParams::new([name.to_owned()]).expect("a name");
        params.not_before = rcgen::date_time_ymd(2000, 1, 1);
        params.not_after = rcgen::date_time_ymd(year, 1, 1);
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.0).expect("a certificate");
        (certificate, key)
    }

    /// A client's certificate and its key, each in PEM.
    #[must_use]
    pub fn client(&self, name: &str, year: i32) -> (String, String) {
        let (certificate, key) = self.signed(name, year);
        (certificate.pem(), key.serialize_pem())
    }

    /// A server's certificate for `name`, valid until `year`.
    #[must_use]
    pub fn certificate(&self, name: &str, year: i32) -> ServerConfig {
        self.server(name, year, None)
    }

    /// The same for a server that wants a certificate of `clients` from its clients.
    #[must_use]
    pub fn certificate_for(&self, name: &str, clients: &Authority) -> ServerConfig {
        self.server(name, 2100, Some(clients))
    }

    fn server(&self, name: &str, year: i32, clients: Option<&Authority>) -> ServerConfig {
        let (certificate, key) = self.signed(name, year);
        let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .expect("versions");
        let builder = match clients {
            Some(clients) => {
                let mut roots = RootCertStore::empty();
                roots.add(clients.0.der().clone()).expect("a certificate");
                let verifier =
                    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
                builder.with_client_cert_verifier(verifier.build().expect("an authority"))
            }
            None => builder.with_no_client_auth(),
        };
        builder.with_single_cert(vec![certificate.der().clone()], key).expect("a key that fits")
    }
}

/// A running proxy; it ends when dropped.
#[derive(Debug)]
pub struct TlsFront {
    address: SocketAddr,
    accepting: JoinHandle<()>,
}

impl TlsFront {
    /// Ends TLS in front of `server`.
    pub async fn start(certificate: ServerConfig, server: SocketAddr) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
        let address = listener.local_addr().expect("a bound address");
        let acceptor = TlsAcceptor::from(Arc::new(certificate));
        let accepting = tokio::spawn(async move {
            let mut open = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                open.spawn(pass(acceptor.clone(), stream, server));
            }
        });
        Self { address, accepting }
    }

    #[must_use]
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// `https://127.0.0.1:<port>/v1`.
    #[must_use]
    pub fn openai_base(&self) -> String {
        format!("https://{}/v1", self.address)
    }
}

impl Drop for TlsFront {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// The server gets no bytes before the handshake is done.
async fn pass(acceptor: TlsAcceptor, stream: TcpStream, server: SocketAddr) {
    let Ok(mut stream) = acceptor.accept(stream).await else { return };
    let Ok(mut server) = TcpStream::connect(server).await else { return };
    let _ = tokio::io::copy_bidirectional(&mut stream, &mut server).await;
}
