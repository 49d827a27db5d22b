//! The CA itself: its key and certificate, and what it signs.

use std::{
    io,
    path::{Path, PathBuf},
};

use jiff::{SignedDuration, Timestamp};
use plugmend_shared::{ids::Digest, protocol::identity::AgentName};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PublicKeyData, SanType, SubjectPublicKeyInfo,
};
use rustls_pki_types::{CertificateDer, pem::PemObject as _};
use secrecy::{ExposeSecret as _, SecretString};
use thiserror::Error;
use zeroize::Zeroizing;

use super::{dates, secret_file, serial};

/// The CA's certificate below the PKI directory.
const CERTIFICATE_FILE: &str = "ca.pem";
/// Its key, unless that comes from elsewhere.
pub const KEY_FILE: &str = "ca-key.pem";
/// How long the CA's own certificate is good for.
const CA_LIFETIME: SignedDuration = SignedDuration::from_hours(24 * 365 * 10);
/// How far before the present a certificate begins: replicas' and hosts' clocks may be a day apart.
pub const BACKDATED: SignedDuration = SignedDuration::from_hours(25);

/// Where the CA lies.
#[derive(Debug, Clone)]
pub struct CaOptions {
    /// Folder with `ca.pem` and, unless the key is given otherwise, `ca-key.pem` (0600).
    pub dir: PathBuf,
    /// The key itself, PEM, from a secret in the environment.
    pub key_pem: Option<SecretString>,
    /// The file with the key, when it is not in `dir`.
    pub key_file: Option<PathBuf>,
}

/// Why there is no CA.
#[derive(Debug, Error)]
pub enum CaError {
    /// A file could not be read or made.
    #[error("{what} {path} can not be {verb}")]
    File {
        /// What it is.
        what: &'static str,
        /// Which.
        path: PathBuf,
        /// What was tried.
        verb: &'static str,
        /// Why not.
        source: io::Error,
    },
    /// There is no CA yet.
    #[error("there is no CA in {0}; make one with 'plugmend-control-plane ca init'")]
    Missing(PathBuf),
    /// There is one already.
    #[error("there is a CA in {0} already; it is left as it is")]
    Exists(PathBuf),
    /// Key and certificate are not a CA.
    #[error("the CA in {path} can not be used: {why}")]
    Unusable {
        /// Its folder.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// Signing failed.
    #[error("a certificate could not be signed")]
    Sign(#[from] rcgen::Error),
}

/// The CA, with its key.
pub struct AgentCa {
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
    certificate_pem: String,
}

/// A certificate that was just signed.
#[derive(Debug, Clone)]
pub struct Issued {
    /// The certificate.
    pub der: CertificateDer<'static>,
    /// The same as text.
    pub pem: String,
    /// Its serial number, hexadecimal.
    pub serial: String,
}

/// The CA's certificate alone: what whoever makes enrolment tokens needs to know of it.
pub fn certificate_of(options: &CaOptions) -> Result<CertificateDer<'static>, CaError> {
    let path = options.dir.join(CERTIFICATE_FILE);
    let pem = read_certificate(&path, options)?;
    CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|error| unusable(options, &error))
}

fn read_certificate(path: &Path, options: &CaOptions) -> Result<String, CaError> {
    std::fs::read_to_string(path).map_err(|source| match source.kind() {
        io::ErrorKind::NotFound => CaError::Missing(options.dir.clone()),
        _ => CaError::File {
            what: "the CA's certificate",
            path: path.to_owned(),
            verb: "read",
            source,
        },
    })
}

fn unusable(options: &CaOptions, why: &dyn std::fmt::Display) -> CaError {
    CaError::Unusable {
        path: options.dir.clone(),
        why: why.to_string(),
    }
}

impl AgentCa {
    /// Makes a new CA in an empty place: a P-256 key for its owner only, and a certificate that anyone may read.
    pub fn create(options: &CaOptions, now: Timestamp, random: [u8; 16]) -> Result<Self, CaError> {
        let certificate_path = options.dir.join(CERTIFICATE_FILE);
        if certificate_path.exists() {
            return Err(CaError::Exists(options.dir.clone()));
        }
        let key = match given_key(options)? {
            Some(pem) => KeyPair::from_pem(&pem).map_err(|error| unusable(options, &error))?,
            None => KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?,
        };
        let certificate = ca_params(now, random).self_signed(&key)?;
        if options.key_pem.is_none() && options.key_file.is_none() {
            let path = options.dir.join(KEY_FILE);
            let pem = Zeroizing::new(key.serialize_pem());
            secret_file::create(&path, pem.as_bytes(), 0o600).map_err(|source| CaError::File {
                what: "the CA's key",
                path,
                verb: "made",
                source,
            })?;
        }
        secret_file::create(&certificate_path, certificate.pem().as_bytes(), 0o644).map_err(|source| {
            CaError::File {
                what: "the CA's certificate",
                path: certificate_path,
                verb: "made",
                source,
            }
        })?;
        Self::load(options)
    }

    /// Reads key and certificate; they have to belong together.
    pub fn load(options: &CaOptions) -> Result<Self, CaError> {
        let certificate_pem = read_certificate(&options.dir.join(CERTIFICATE_FILE), options)?;
        let certificate =
            CertificateDer::from_pem_slice(certificate_pem.as_bytes()).map_err(|error| unusable(options, &error))?;
        let key_pem = match given_key(options)? {
            Some(pem) => pem,
            None => read_key(options.dir.join(KEY_FILE))?,
        };
        let key = KeyPair::from_pem(&key_pem).map_err(|error| unusable(options, &error))?;
        check_pair(&certificate, &key).map_err(|why| unusable(options, &why))?;
        let issuer = Issuer::from_ca_cert_der(&certificate, key)?;
        Ok(Self {
            issuer,
            certificate,
            certificate_pem,
        })
    }

    /// The CA's certificate, PEM.
    pub fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }

    /// The same, DER.
    pub fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// What a person compares: SHA-256 of the certificate (DER).
    pub fn fingerprint(&self) -> Digest {
        Digest::of(&self.certificate)
    }

    /// Signs an agent's certificate. The name is ours; of the request only the key is used. The certificate can prove
    /// an agent to the gateway and nothing else.
    pub fn issue_agent(
        &self,
        name: &AgentName,
        spki_der: &[u8],
        (now, not_after): (Timestamp, Timestamp),
        random: [u8; 16],
    ) -> Result<Issued, CaError> {
        let key = SubjectPublicKeyInfo::from_der(spki_der)?;
        let mut params = leaf_params(ExtendedKeyUsagePurpose::ClientAuth, (now, not_after), random);
        params
            .distinguished_name
            .push(DnType::CommonName, name.plugin_id.to_string());
        params.subject_alt_names = vec![SanType::URI(name.to_uri().try_into()?)];
        self.sign(&params, &key)
    }

    /// Signs the gateway's own certificate for these DNS names and addresses.
    pub fn issue_gateway(
        &self,
        names: &[String],
        key: &KeyPair,
        (now, not_after): (Timestamp, Timestamp),
        random: [u8; 16],
    ) -> Result<Issued, CaError> {
        let mut params = leaf_params(ExtendedKeyUsagePurpose::ServerAuth, (now, not_after), random);
        params.distinguished_name.push(DnType::CommonName, "plugmend gateway");
        params.subject_alt_names = names.iter().map(|name| alt_name(name)).collect::<Result<_, _>>()?;
        self.sign(&params, key)
    }

    fn sign(&self, params: &CertificateParams, key: &impl PublicKeyData) -> Result<Issued, CaError> {
        let certificate = params.signed_by(key, &self.issuer)?;
        Ok(Issued {
            pem: certificate.pem(),
            serial: params.serial_number.as_ref().map(serial::text).unwrap_or_default(),
            der: certificate.der().clone(),
        })
    }
}

fn alt_name(name: &str) -> Result<SanType, rcgen::Error> {
    match name.parse() {
        Ok(address) => Ok(SanType::IpAddress(address)),
        Err(_) => Ok(SanType::DnsName(name.try_into()?)),
    }
}

fn ca_params(now: Timestamp, random: [u8; 16]) -> CertificateParams {
    let mut params = CertificateParams::default();
    let name = format!("Plugmend agents' CA {}", hex::encode(&random[..4]));
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.serial_number = Some(serial::from_random(random));
    dates::set(&mut params, back(now), forth(now, CA_LIFETIME));
    params
}

fn leaf_params(
    purpose: ExtendedKeyUsagePurpose,
    (now, not_after): (Timestamp, Timestamp),
    random: [u8; 16],
) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![purpose];
    params.use_authority_key_identifier_extension = true;
    params.serial_number = Some(serial::from_random(random));
    dates::set(&mut params, back(now), not_after);
    params
}

fn back(now: Timestamp) -> Timestamp {
    now.checked_sub(BACKDATED).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// `now` and `lifetime` later; never further than dates go.
pub fn forth(now: Timestamp, lifetime: SignedDuration) -> Timestamp {
    now.checked_add(lifetime).unwrap_or(Timestamp::MAX)
}

fn given_key(options: &CaOptions) -> Result<Option<Zeroizing<String>>, CaError> {
    if let Some(pem) = &options.key_pem {
        // One line with `\n` in it is how most secret stores put a PEM into the environment.
        return Ok(Some(Zeroizing::new(pem.expose_secret().replace("\\n", "\n"))));
    }
    options.key_file.clone().map(read_key).transpose()
}

fn read_key(path: PathBuf) -> Result<Zeroizing<String>, CaError> {
    secret_file::read(&path).map_err(|source| CaError::File {
        what: "the CA's key",
        path,
        verb: "read",
        source,
    })
}

fn check_pair(certificate: &CertificateDer<'_>, key: &KeyPair) -> Result<(), String> {
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate).map_err(|error| error.to_string())?;
    if !parsed.is_ca() {
        return Err("ca.pem is not the certificate of a CA".to_owned());
    }
    if parsed.public_key().subject_public_key.data.as_ref() != key.public_key_raw() {
        return Err("ca.pem and the key do not belong together".to_owned());
    }
    Ok(())
}
