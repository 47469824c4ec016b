//! The options of kinds that speak TLS.

use apmon_core::config::{Count, Section, Text, one_or_many};
use apmon_tls::{Authorities, Fingerprint, Trust, legacy};
use rustls::pki_types::{DnsName, ServerName};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Tls;
use crate::one_or_many::OneOrMany;

/// Follows `"ssl_verify" `.
const NO_AUTHORITIES: &str =
    "needs certificate authorities, but this machine has none; install ca-certificates or set ssl_ca_file";

/// Options of kinds that speak TLS, in addition to their own.
#[derive(Debug, Default, Deserialize, Serialize, JsonSchema)]
pub struct TlsOptions {
    /// SHA-256 of the server's certificate, 64 hex digits with or without colons; a
    /// list if several certificates are accepted. It is compared within the
    /// handshake, so no other server sees the request. It also applies to every
    /// `https` address that the server redirects to. `apmon pin` prints it.
    #[serde(
        default,
        deserialize_with = "one_or_many",
        skip_serializing_if = "Vec::is_empty"
    )]
    #[schemars(with = "OneOrMany<Fingerprint>")]
    pub ssl_fingerprint: Vec<Fingerprint>,
    /// Whether a certificate outside its dates is accepted. Default no.
    #[serde(default)]
    pub ignore_ssl_expiry: bool,
    /// Whether the certificate must be issued for the host by an authority that
    /// this machine trusts. Default: the site's, else no; a monitor with a pin is
    /// verified only if it sets this option itself. (An addition.)
    pub ssl_verify: Option<bool>,
    /// A PEM file of authorities that are trusted instead of the system's; it may
    /// also contain the server's own certificate. The path is relative to the site
    /// file. Default: the site's. Needs `ssl_verify`. (An addition.)
    pub ssl_ca_file: Option<Text>,
    /// Whether TLS is spoken as old devices need it: TLS 1.0 and 1.1, CBC ciphers,
    /// DHE, RSA key exchange, and whatever newer the server has. It needs the program
    /// `apmon-tls-legacy`, and carries HTTP/1.1 only. A connection of this kind may be
    /// read or changed by others on its way. Default no. Not for `quic`. (An addition.)
    #[serde(default, skip_serializing_if = "is_false")]
    pub ssl_legacy: bool,
    /// The host name to ask for in the TLS handshake (SNI), and for which the
    /// certificate is verified. Default: `host` where a kind has it, else the host of
    /// the address. It applies to that host, not to others that it redirects to. (An
    /// addition.)
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sni: Option<Text>,
    /// A certificate that expires within this many days causes a warning. Default:
    /// the site's, else no warning. (An addition.)
    pub ssl_expiry_warn_days: Option<Count>,
}

/// Not written where it is not set, so that the checksums of other monitors stay.
#[allow(clippy::trivially_copy_pass_by_ref)] // serde's form
fn is_false(value: &bool) -> bool {
    !value
}

impl TlsOptions {
    /// Checks what types cannot. `missing` says what the section lacks to speak TLS
    /// at all, in words that follow an option's name. If the monitor `may_follow` a
    /// redirect to a server with TLS, its and the site's options hold there.
    pub(crate) fn plan(
        self,
        section: &mut Section<'_>,
        protocols: &[&[u8]],
        missing: Option<&str>,
        may_follow: bool,
    ) -> Option<Tls> {
        // An empty list would silently accept every certificate.
        if section.has("ssl_fingerprint")
            && self.ssl_fingerprint.is_empty()
            && !section.is_wrong("ssl_fingerprint")
        {
            section.error("ssl_fingerprint", "must not be an empty list");
        }
        if let Some(missing) = missing {
            // Rule 20. The others say how servers are judged to which the monitor is redirected.
            let keys: &[&str] = match may_follow {
                true => &["ssl_fingerprint", "ignore_ssl_expiry"],
                false => &[
                    "ssl_fingerprint",
                    "ignore_ssl_expiry",
                    "ssl_verify",
                    "ssl_ca_file",
                    "sni",
                    "ssl_expiry_warn_days",
                    "ssl_legacy",
                ],
            };
            for key in keys {
                if section.has(key) {
                    section.misplaced(key, missing);
                }
            }
        }
        if self.ssl_fingerprint.iter().any(Fingerprint::is_placeholder) {
            section.hint(
                "ssl_fingerprint",
                "is all zeros, as in examples, so every certificate is refused; use the one that apmon pin prints",
            );
        }
        let sni = self.sni.as_ref().and_then(|name| {
            let read = read_sni(name.as_str());
            if read.is_none() {
                section.error("sni", NOT_A_NAME);
            }
            read
        });
        let pinned = section.has("ssl_fingerprint");
        let site = section.defaults();
        let verify = self
            .ssl_verify
            .unwrap_or(site.ssl_verify.unwrap_or(false) && !pinned);
        if section.has("ssl_ca_file") && !verify && !section.is_wrong("ssl_verify") {
            section.misplaced("ssl_ca_file", "needs \"ssl_verify: yes\"");
        }
        let warn_days = self.ssl_expiry_warn_days.or(site.ssl_expiry_warn_days);
        section.depends_on((verify, warn_days));
        let uses_tls = missing.is_none() || may_follow;
        let file = self.ssl_ca_file.as_ref().or(site.ssl_ca_file.as_ref());
        section.effective("ssl_verify", uses_tls.then_some(verify));
        section.effective("ssl_ca_file", file.filter(|_| uses_tls && verify));
        section.effective("ssl_expiry_warn_days", warn_days.filter(|_| uses_tls));
        let authorities = if uses_tls && verify {
            let found = match file {
                Some(file) => Authorities::of_file(&section.path(file.as_str())),
                None => Authorities::system().map_err(|_| NO_AUTHORITIES.to_owned()),
            };
            match found {
                Ok(authorities) => {
                    section.depends_on(authorities.fingerprints());
                    Some(authorities)
                }
                Err(text) => {
                    let key = if file.is_some() {
                        "ssl_ca_file"
                    } else {
                        "ssl_verify"
                    };
                    section.error(key, text);
                    return None;
                }
            }
        } else {
            None
        };
        if missing.is_none() && !pinned && !verify {
            section.hint(
                "address",
                "is neither pinned nor verified, so the server's identity is not checked; use apmon pin, or set ssl_verify: yes",
            );
        }
        if self.ssl_legacy && !section.is_wrong("ssl_legacy") && uses_tls {
            legacy::check_option(section, "ssl_legacy");
        }
        let trust = Trust {
            pins: self.ssl_fingerprint,
            ignore_expiry: self.ignore_ssl_expiry,
            authorities,
            suggests_pin: true,
        };
        let warn_days = warn_days.map(|days| days.get().get());
        Some(Tls::new(trust, warn_days, protocols, self.ssl_legacy).named(sni))
    }
}

/// Follows `"sni" `.
pub(crate) const NOT_A_NAME: &str = "must be a host name such as www.example.com, without a port";

/// Reads the name of a server.
pub(crate) fn read_sni(name: &str) -> Option<ServerName<'static>> {
    let name = DnsName::try_from(name.to_owned()).ok()?;
    Some(ServerName::DnsName(name))
}
