//! Certificates that the user names: of a private authority, or a server's own that nobody else has signed.
//!
//! `openssl req -x509` makes a certificate that calls itself an authority and may name no host; a verifier of chains refuses it as a
//! server's. Where exactly this certificate was named, the server that holds its key is the right one, whatever it calls itself.

use std::path::Path;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

/// Variables that name a file of certificates, as other tools have them.
const VARIABLES: [&str; 2] = ["AWS_CA_BUNDLE", "SSL_CERT_FILE"];

/// The settings of TLS with the certificates that are named, beside the system's; `None` where none are.
///
/// # Errors
/// When a file cannot be read or holds no certificate.
pub(super) fn load(env: &[(String, String)], setting: Option<&Path>) -> Result<Option<ClientConfig>, String> {
    let variables = env.iter().filter(|(name, _)| VARIABLES.contains(&name.as_str())).map(|(name, path)| (name.as_str(), Path::new(path)));
    let mut named = Vec::new();
    for (origin, path) in setting.map(|path| ("ca-file", path)).into_iter().chain(variables) {
        let said = |why: String| format!("{origin}: '{}' {why}", path.display());
        let text = std::fs::read(path).map_err(|error| said(format!("cannot be read: {error}")))?;
        let before = named.len();
        for certificate in CertificateDer::pem_slice_iter(&text) {
            named.push(certificate.map_err(|error| said(format!("is no file of certificates: {error}")))?);
        }
        if named.len() == before {
            return Err(said("holds no certificate (PEM, `-----BEGIN CERTIFICATE-----`)".into()));
        }
    }
    if named.is_empty() { Ok(None) } else { settings(named).map(Some).map_err(|error| error.to_string()) }
}

fn settings(named: Vec<CertificateDer<'static>>) -> Result<ClientConfig, Error> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(named.iter().cloned());
    // A machine without certificates of its own reaches the servers that are named.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let chains = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
        .build()
        .map_err(|error| Error::General(error.to_string()))?;
    let verifier = Arc::new(Verifier { named, chains, provider: Arc::clone(&provider) });
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(config.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth())
}

/// Accepts a certificate that was named itself, and otherwise what leads to a root.
#[derive(Debug)]
struct Verifier {
    named: Vec<CertificateDer<'static>>,
    chains: Arc<WebPkiServerVerifier>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if self.named.iter().any(|named| named.as_ref() == end_entity.as_ref()) {
            return Ok(ServerCertVerified::assertion());
        }
        self.chains.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.chains.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.chains.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
