//! The certificates a server shows, for an operator who wants to pin one.

use apmon_core::{
    Check, Failure, FailureClass,
    config::{Host, Remote, ResolveOptions},
    text::{excerpt, without_userinfo},
};
pub use apmon_tls::CertificateSummary;
use apmon_tls::Trust;
use rustls::pki_types::{CertificateDer, ServerName};
use url::Url;

use crate::{
    endpoint::Endpoint,
    local::Local,
    quic,
    recorder::CheckRecorder,
    starttls::StartTls,
    tls::{self, NOT_A_NAME, Prelude, Tls},
};

/// A server whose certificates are wanted.
#[derive(Clone)]
pub struct PinTarget {
    url: Url,
    endpoint: Endpoint,
    by: By,
    is_legacy: bool,
    /// The name to ask for, instead of the host's own.
    sni: Option<ServerName<'static>>,
}

/// The transport of TLS.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum By {
    /// TCP, from the first byte.
    Tls,
    /// TCP, after a dialogue that asks for TLS.
    StartTls(StartTls),
    /// QUIC.
    Quic,
}

impl PinTarget {
    /// Reads an address: `https://host[:port]`, `tls://host:port`, and with a
    /// [`StartTls`] `tcp://host:port`.
    ///
    /// # Errors
    /// What is wrong with it, in words that follow the address.
    pub fn read(address: &str, by: By) -> Result<Self, String> {
        let schemes: &[&str] = match by {
            By::Tls => &["https", "tls"],
            By::Quic => &["https"],
            By::StartTls(_) => &["tcp"],
        };
        if !address.contains("://") {
            let has_port = address
                .rsplit_once(':')
                .is_some_and(|(_, port)| port.parse::<u16>().is_ok());
            let (scheme, port) = match (by, has_port) {
                (By::StartTls(_), true) => ("tcp", ""),
                (By::StartTls(_), false) => ("tcp", ":PORT"),
                (By::Tls, true) => ("tls", ""),
                _ => ("https", ""),
            };
            let shown = excerpt(&without_userinfo(address), 80);
            return Err(format!("is not a URL; write {scheme}://{shown}{port}"));
        }
        let url = Url::parse(address).map_err(|error| {
            let host = address.split("://").nth(1).unwrap_or_default();
            Host::fault(host).unwrap_or_else(|| format!("is not a URL: {error}"))
        })?;
        if !schemes.contains(&url.scheme()) {
            let list: Vec<_> = schemes.iter().map(|scheme| format!("{scheme}://")).collect();
            return Err(format!("must begin with {}", list.join(" or ")));
        }
        let host = url.host_str().and_then(Host::parse).ok_or("has no host")?;
        let port = url.port_or_known_default().ok_or("has no port")?;
        let resolve = ResolveOptions::default();
        Ok(Self {
            endpoint: Endpoint {
                remote: Remote { host, resolve },
                port,
            },
            url,
            by,
            is_legacy: false,
            sni: None,
        })
    }

    /// Speaks the TLS of old devices too, as a monitor with `ssl_legacy` does.
    #[must_use]
    pub fn legacy(mut self, is_legacy: bool) -> Self {
        self.is_legacy = is_legacy;
        self
    }

    /// Asks for the host `name`, as a monitor with `sni` does.
    ///
    /// # Errors
    /// It is not a host name.
    pub fn sni(mut self, name: &str) -> Result<Self, String> {
        self.sni = Some(tls::read_sni(name).ok_or_else(|| NOT_A_NAME.to_owned())?);
        Ok(self)
    }

    /// Whether a monitor of `kind` at `address` is shown the same certificate: it
    /// checks the same server, with TLS over the same transport.
    #[must_use]
    pub fn is_at(&self, kind: &str, address: &str) -> bool {
        let with_tls = match self.by {
            By::StartTls(_) => address.starts_with("tcp://"),
            By::Tls => {
                kind != quic::NAME
                    && ["https://", "tls://"]
                        .iter()
                        .any(|scheme| address.starts_with(scheme))
            }
            By::Quic => kind == quic::NAME,
        };
        with_tls && is_same_server(self.url.as_str(), address)
    }

    /// Fetches the certificates that the server presents, its own first. Every
    /// certificate is accepted.
    ///
    /// # Errors
    /// Why there are none.
    pub async fn certificates(&self, check: &Check) -> Result<Vec<CertificateSummary>, Failure> {
        // What the monitor will offer: another protocol may get another certificate.
        let protocols: &[&[u8]] = match self.url.scheme() {
            "https" => &[b"h2", b"http/1.1"],
            _ => &[],
        };
        let tls = Tls::new(Trust::any(), None, protocols, self.is_legacy).named(self.sni.clone());
        let name = tls.name_instead_of(tls::server_name(&self.endpoint.remote.host));
        let (mut recorder, local) = (CheckRecorder::start(), Local::default());
        let chain: Vec<CertificateDer<'static>> = if self.by == By::Quic {
            quic::certificates(&tls, &self.endpoint, &name, check, &mut recorder, &local).await?
        } else {
            let mut stream = self.endpoint.connect(check, &mut recorder, &local).await?;
            let mut prelude = Prelude::None;
            if let By::StartTls(protocol) = self.by {
                protocol.ask(&mut stream, check).await?;
                prelude = Prelude::StartTls(protocol);
            }
            let stream = tls.handshake(name, stream, prelude, check, &mut recorder).await?;
            stream.chain().to_vec()
        };
        if chain.is_empty() {
            return Err(Failure::new(
                FailureClass::Tls,
                "tls: the server shows no certificate",
            ));
        }
        chain.iter().map(CertificateSummary::of).collect()
    }
}

/// Whether two URLs have the same host and port.
fn is_same_server(one: &str, other: &str) -> bool {
    let server = |text: &str| {
        let url = Url::parse(text).ok()?;
        let host = Host::parse(&url.host_str()?.to_ascii_lowercase())?;
        Some((host, url.port_or_known_default()?))
    };
    matches!((server(one), server(other)), (Some(one), Some(other)) if one == other)
}
