//! `quic`: HTTP/3, with the options of `http`.

mod connect;
mod exchange;
mod metered;
mod peers;
mod quinn_endpoint;

use std::sync::Arc;

use apmon_core::{Blueprint, Both, Failure, Kind, config::Section};

pub(crate) use self::connect::certificates;
use self::exchange::QuicCarrier;
use crate::{
    http::{HttpOptions, HttpProbe, Transport},
    tls::TlsOptions,
};

/// The name of the kind.
pub(crate) const NAME: &str = "quic";

/// The kind `quic`.
#[derive(Debug)]
pub struct Quic;

impl Kind for Quic {
    type Options = Both<HttpOptions, TlsOptions>;

    fn name(&self) -> &'static str {
        NAME
    }

    fn summary(&self) -> &'static str {
        "requests a URL over HTTP/3, with the options of http"
    }

    fn address(&self) -> &'static str {
        "https://host/path"
    }

    fn example(&self) -> &'static str {
        "type: quic\nname: edge\naddress: https://edge.example.com/\n"
    }

    fn compile(&self, Both(options, tls): Self::Options, section: &mut Section<'_>) -> Option<Blueprint> {
        let plan = Arc::new(options.plan(tls, section, Transport::Quic)?);
        Some(Blueprint::probe(move |services| HttpProbe {
            plan: Arc::clone(&plan),
            local: services.shared(),
            carrier: QuicCarrier(services.shared()),
        }))
    }
}

fn prefixed(failure: &Failure) -> Failure {
    Failure::new(failure.class, format!("quic: {}", failure.reason))
}
