//! A connection with TLS, by rustls or by the helper.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll},
};

use apmon_tls::legacy::LegacyStream;
use rustls::{ProtocolVersion, pki_types::CertificateDer};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::client::TlsStream;

use crate::budget::{Meter, Metered};

/// A connection with TLS.
pub(crate) enum SecureStream<S> {
    /// By rustls, in this process.
    Modern(Box<TlsStream<Metered<S>>>),
    /// By OpenSSL, in a child.
    Legacy(Box<LegacyStream<Metered<S>>>),
}

impl<S> SecureStream<S> {
    /// The budget of the connection.
    pub(crate) fn meter(&self) -> &Meter {
        match self {
            Self::Modern(stream) => stream.get_ref().0.meter(),
            Self::Legacy(stream) => stream.get_ref().meter(),
        }
    }

    /// The server's certificates, its own first.
    pub(crate) fn chain(&self) -> &[CertificateDer<'static>] {
        match self {
            Self::Modern(stream) => stream.get_ref().1.peer_certificates().unwrap_or_default(),
            Self::Legacy(stream) => &stream.session().chain,
        }
    }

    /// The protocol that was chosen by ALPN. A device that needs the helper is not
    /// offered any.
    pub(crate) fn protocol(&self) -> Option<&[u8]> {
        match self {
            Self::Modern(stream) => stream.get_ref().1.alpn_protocol(),
            Self::Legacy(_) => None,
        }
    }

    /// Whether a server that has asked for a certificate and got none may still refuse: in TLS
    /// 1.3, until it sends something else than an alert (RFC 8446 section 4.4.2.4). Tickets are
    /// enough, which most servers send at once.
    pub(crate) fn may_be_refused(&self) -> bool {
        match self {
            Self::Modern(stream) => {
                let connection = stream.get_ref().1;
                connection.protocol_version() == Some(ProtocolVersion::TLSv1_3)
                    && connection.tls13_tickets_received() == 0
            }
            Self::Legacy(stream) => stream.session().version == "TLSv1.3",
        }
    }

    /// What was agreed, as `--explain` shows it.
    pub(crate) fn version(&self) -> String {
        match self {
            Self::Modern(stream) => {
                let version = stream.get_ref().1.protocol_version();
                let version = version.and_then(|version| version.as_str()).unwrap_or("TLS");
                version.to_owned()
            }
            Self::Legacy(stream) => {
                let session = stream.session();
                format!("{} with {} (ssl_legacy)", session.version, session.suite)
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for SecureStream<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Modern(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Legacy(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for SecureStream<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Modern(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Legacy(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Modern(stream) => Pin::new(stream).poll_write_vectored(context, slices),
            Self::Legacy(stream) => Pin::new(stream).poll_write_vectored(context, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Modern(stream) => stream.is_write_vectored(),
            Self::Legacy(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Modern(stream) => Pin::new(stream).poll_flush(context),
            Self::Legacy(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Modern(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Legacy(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}
