//! The client side of TLS in apmon: which certificate is accepted, and why a
//! handshake failed, in an operator's words.
//!
//! The certificate is judged within the handshake ([`Verifier`]), so that
//! nothing of a request reaches the wrong server. A [`Trust`] says what must
//! hold: a pin, the dates, a signature by one of the [`Authorities`]. Chains are
//! verified only where a caller asks for it: on a LAN most certificates are
//! self-signed and identified by a pin. The handshake's signature is always
//! verified, or anybody could present somebody else's certificate.
//!
//! Not for: opening connections. Probes and channels bring their own, and get a
//! [`rustls::ClientConfig`] from here, or a stream over a child that speaks the TLS of
//! old devices ([`legacy`]). [`KnownOffers`] finds out what a server offers.
//!
//! ```
//! use apmon_tls::{Fingerprint, Trust, Verifier, client_config};
//!
//! let trust = Trust {
//!     pins: vec![Fingerprint::of(b"a certificate in its DER form")],
//!     ..Trust::default()
//! };
//! let config = client_config(Verifier::new(trust), &[b"h2", b"http/1.1"]);
//! assert_eq!(config.alpn_protocols.len(), 2);
//! ```
//!
//! | module | holds |
//! |---|---|
//! | `algorithm` | the signatures that are accepted |
//! | `authority` | the authorities of this machine or of a PEM file |
//! | `certificate` | reading X.509 |
//! | `client` | the client configurations for TCP and QUIC |
//! | `failure` | what a rustls error means |
//! | `fingerprint` | a certificate's SHA-256, as a pin |
//! | `group` | the key exchange on P-521 |
//! | `legacy` | TLS of old devices, in a child process |
//! | `offer` | what a server offers, found out by hellos |
//! | `provider` | the cryptography |
//! | `summary` | a certificate as a person reads it |
//! | `verifier` | the verdict on a certificate |
//! | `words` | names of enum variants as words |

mod algorithm;
mod authority;
mod certificate;
mod client;
mod failure;
mod fingerprint;
mod group;
pub mod legacy;
mod offer;
mod provider;
mod summary;
mod verifier;
mod words;

#[doc(hidden)]
pub mod fuzzing;

pub use authority::{Authorities, NoAuthorities};
pub use client::{CertificateRequests, client_config, quic_client_config, watching_requests};
pub use failure::{NO_CERTIFICATE, alert_reason, explain, failure, is_of_offer, rustls_error};
pub use fingerprint::Fingerprint;
pub use offer::{AsyncConnect, KnownOffers, Peer, Reach, ServerOffer, ask};
pub use provider::provider;
pub use summary::{CertificateSummary, Expiry, describe};
pub use verifier::{Trust, Verifier};
