//! Which certificate of a receiver is accepted.

use std::sync::Arc;

use apmon_core::config::{Section, Text, one_or_many};
use apmon_tls::{Authorities, Fingerprint, Trust, legacy};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::authority::{AuthorityError, authorities};

/// Options of every receiver that may be reached over TLS, in addition to its own.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
pub struct ReceiverTlsOptions {
    /// SHA-256 of the receiver's certificate, 64 hex digits with or without colons; a list if
    /// several certificates are accepted. No other server sees the notification. Neither the
    /// authority nor the dates of a pinned certificate are checked, unless `ssl_verify` is set.
    /// `apmon pin` prints it. (An addition.)
    #[serde(default, deserialize_with = "one_or_many")]
    #[schemars(with = "Fingerprints")]
    pub ssl_fingerprint: Vec<Fingerprint>,
    /// Whether the certificate must be issued for the host by an authority that this machine, or
    /// `ssl_ca_file`, trusts. Default yes, or no with `ssl_fingerprint`. (An addition.)
    pub ssl_verify: Option<bool>,
    /// A PEM file of authorities that are trusted instead of the system's; it may also contain
    /// the receiver's own certificate. The path is relative to the site file. (An addition.)
    pub ssl_ca_file: Option<Text>,
    /// Whether TLS is spoken as old receivers need it: TLS 1.0 and 1.1, CBC ciphers, DHE, RSA
    /// key exchange, and whatever newer the receiver has. It needs the program
    /// `apmon-tls-legacy`. Others on the way may then be able to read or change what is sent,
    /// tokens and passwords included. Default no. (An addition.)
    #[serde(default)]
    pub ssl_legacy: bool,
}

/// Options of a heartbeat whose URL is `https`, for the site or a monitor.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
pub struct HeartbeatTlsOptions {
    /// SHA-256 of the certificate of the heartbeat's receiver, 64 hex digits with or without
    /// colons; a list if several are accepted. Neither its authority nor its dates are checked,
    /// unless `heartbeat_ssl_verify` is set. Needs `heartbeat_url`. (An addition.)
    #[serde(default, deserialize_with = "one_or_many")]
    #[schemars(with = "Fingerprints")]
    pub heartbeat_ssl_fingerprint: Vec<Fingerprint>,
    /// Whether the certificate of the heartbeat's receiver must be issued for the host by an
    /// authority that this machine, or `heartbeat_ssl_ca_file`, trusts. Default yes, or no with
    /// `heartbeat_ssl_fingerprint`. Needs `heartbeat_url`. (An addition.)
    pub heartbeat_ssl_verify: Option<bool>,
    /// A PEM file of authorities that are trusted for heartbeats instead of the system's; it may
    /// also contain the receiver's own certificate. The path is relative to the site file. Needs
    /// `heartbeat_url`. (An addition.)
    pub heartbeat_ssl_ca_file: Option<Text>,
    /// Whether TLS is spoken to the heartbeat's receiver as old receivers need it, like
    /// `ssl_legacy` of a webhook. Default no. Needs `heartbeat_url`. (An addition.)
    #[serde(default)]
    pub heartbeat_ssl_legacy: bool,
}

#[derive(JsonSchema)]
#[schemars(untagged)]
#[allow(dead_code)] // only its schema is used
enum Fingerprints {
    One(Fingerprint),
    Many(Vec<Fingerprint>),
}

/// Whether a receiver is reached over TLS. If not, the words say what is missing, and follow the
/// name of an option.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Encryption {
    Always,
    /// Only after a redirect, as far as there is one. What is sent before reaches anybody, so
    /// that a pin would promise too much.
    AfterRedirect(&'static str),
    Never(&'static str),
}

/// The names of the options in a section.
#[derive(Clone, Copy)]
pub(crate) struct Names {
    pub(crate) fingerprint: &'static str,
    pub(crate) verify: &'static str,
    pub(crate) ca_file: &'static str,
    pub(crate) legacy: &'static str,
}

impl Names {
    pub(crate) fn all(&self) -> [&'static str; 4] {
        [self.fingerprint, self.verify, self.ca_file, self.legacy]
    }

    /// Those that promise what does not hold, and why.
    fn vain(&self, encryption: Encryption) -> (Vec<&'static str>, &'static str) {
        match encryption {
            Encryption::Always => (Vec::new(), ""),
            Encryption::AfterRedirect(words) => (vec![self.fingerprint], words),
            Encryption::Never(words) => (self.all().to_vec(), words),
        }
    }
}

/// The names of [`ReceiverTlsOptions`].
pub(crate) const RECEIVER: Names = Names {
    fingerprint: "ssl_fingerprint",
    verify: "ssl_verify",
    ca_file: "ssl_ca_file",
    legacy: "ssl_legacy",
};

/// The names of [`HeartbeatTlsOptions`].
pub(crate) const HEARTBEAT: Names = Names {
    fingerprint: "heartbeat_ssl_fingerprint",
    verify: "heartbeat_ssl_verify",
    ca_file: "heartbeat_ssl_ca_file",
    legacy: "heartbeat_ssl_legacy",
};

impl From<HeartbeatTlsOptions> for ReceiverTlsOptions {
    fn from(options: HeartbeatTlsOptions) -> Self {
        Self {
            ssl_fingerprint: options.heartbeat_ssl_fingerprint,
            ssl_verify: options.heartbeat_ssl_verify,
            ssl_ca_file: options.heartbeat_ssl_ca_file,
            ssl_legacy: options.heartbeat_ssl_legacy,
        }
    }
}

impl ReceiverTlsOptions {
    /// An option that promises what does not hold, and why.
    pub(crate) fn vain(&self, encryption: Encryption) -> Option<(&'static str, &'static str)> {
        let given = [
            !self.ssl_fingerprint.is_empty(),
            self.ssl_verify.is_some(),
            self.ssl_ca_file.is_some(),
            self.ssl_legacy,
        ];
        let given: Vec<_> = RECEIVER.all().into_iter().zip(given).collect();
        let (vain, words) = RECEIVER.vain(encryption);
        let option = vain.into_iter().find(|name| given.contains(&(*name, true)))?;
        Some((option, words))
    }
}

/// Which certificate of one receiver is accepted. The default is one that is issued for the host
/// by an authority that this machine trusts.
#[derive(Clone, Default)]
pub(crate) struct ReceiverTrust(Option<Arc<Chosen>>);

/// What the options chose.
struct Chosen {
    pins: Vec<Fingerprint>,
    verify: bool,
    /// Those of `ssl_ca_file`.
    authorities: Option<Arc<Authorities>>,
    is_legacy: bool,
}

impl ReceiverTrust {
    /// What the options say. `ssl_ca_file` is relative to the working directory.
    ///
    /// # Errors
    /// What is wrong with `ssl_ca_file`, in words that begin with its path.
    pub(crate) fn of(options: &ReceiverTlsOptions) -> Result<Self, String> {
        let file = options.ssl_ca_file.as_ref();
        let authorities = file.map(|file| Authorities::of_file(file.as_str().as_ref()));
        Ok(Self::chosen(options, authorities.transpose()?))
    }

    /// What the options of a section say, and checks what types cannot.
    pub(crate) fn read(
        section: &mut Section<'_>,
        options: &ReceiverTlsOptions,
        names: &Names,
        encryption: Encryption,
    ) -> Option<Self> {
        let (vain, missing) = names.vain(encryption);
        for name in vain {
            if section.has(name) {
                section.misplaced(name, missing);
            }
        }
        if matches!(encryption, Encryption::Never(_)) {
            return Some(Self::default());
        }
        // An empty list would silently accept every certificate.
        if is_given(section, names.fingerprint) && options.ssl_fingerprint.is_empty() {
            section.error(names.fingerprint, "must not be an empty list");
        }
        let verify = verifies(options);
        if is_given(section, names.ca_file) && !verify && !section.is_wrong(names.verify) {
            section.misplaced(names.ca_file, format!("needs \"{}: yes\"", names.verify));
        }
        if !verify && options.ssl_fingerprint.is_empty() && options.ssl_verify == Some(false) {
            section.hint(
                names.verify,
                format!(
                    "is no, so the receiver's identity is not checked; pin its certificate with {} instead",
                    names.fingerprint
                ),
            );
        }
        if options.ssl_legacy && !section.is_wrong(names.legacy) {
            legacy::check_option(section, names.legacy);
        }
        let authorities = match options.ssl_ca_file.as_ref().filter(|_| verify) {
            None => None,
            Some(file) => match Authorities::of_file(&section.path(file.as_str())) {
                Ok(authorities) => Some(authorities),
                Err(text) => {
                    section.error(names.ca_file, text);
                    return None;
                }
            },
        };
        Some(Self::chosen(options, authorities))
    }

    fn chosen(options: &ReceiverTlsOptions, authorities: Option<Arc<Authorities>>) -> Self {
        let chosen = Chosen {
            pins: options.ssl_fingerprint.clone(),
            verify: verifies(options),
            authorities,
            is_legacy: options.ssl_legacy,
        };
        let is_default = chosen.is_of_system() && !chosen.is_legacy;
        Self((!is_default).then(|| Arc::new(chosen)))
    }

    /// Whether nothing was chosen.
    pub(crate) fn is_default(&self) -> bool {
        self.0.is_none()
    }

    /// Whether the authorities of this machine alone decide.
    #[cfg_attr(not(feature = "mail"), allow(dead_code))]
    pub(crate) fn is_of_system(&self) -> bool {
        self.0.as_ref().is_none_or(|chosen| chosen.is_of_system())
    }

    /// Whether old TLS is spoken.
    pub(crate) fn is_legacy(&self) -> bool {
        self.0.as_ref().is_some_and(|chosen| chosen.is_legacy)
    }

    /// The conditions of a handshake. Those of this machine's authorities take some time to
    /// read.
    ///
    /// # Errors
    /// They are needed, and not known.
    pub(crate) async fn conditions(&self) -> Result<Trust, AuthorityError> {
        let Some(chosen) = self.0.as_deref() else {
            return Ok(Trust::signed_by(Arc::new(authorities().await?)));
        };
        let authorities = match (chosen.verify, &chosen.authorities) {
            (false, _) => None,
            (true, Some(own)) => Some(Arc::clone(own)),
            (true, None) => Some(Arc::new(authorities().await?)),
        };
        Ok(Trust {
            pins: chosen.pins.clone(),
            // A certificate that is pinned, or not checked at all, is as good as before on the
            // day after its end, and notifications must not stop on that day.
            ignore_expiry: !chosen.verify,
            authorities,
            suggests_pin: true,
        })
    }
}

impl Chosen {
    fn is_of_system(&self) -> bool {
        self.pins.is_empty() && self.verify && self.authorities.is_none()
    }
}

fn is_given(section: &Section<'_>, name: &str) -> bool {
    section.has(name) && !section.is_wrong(name)
}

/// Whether the authority is checked.
fn verifies(options: &ReceiverTlsOptions) -> bool {
    options.ssl_verify.unwrap_or(options.ssl_fingerprint.is_empty())
}
