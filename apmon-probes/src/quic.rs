//! `quic`: HTTP/3. Its options are read and checked; its probe is not built
//! yet, and says so.

use apmon_core::{Blueprint, Kind, NotBuilt, config::Section};

use crate::http::HttpOptions;

/// The kind `quic`.
#[derive(Debug)]
pub struct Quic;

impl Kind for Quic {
    type Options = HttpOptions;

    fn name(&self) -> &'static str {
        "quic"
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

    fn compile(&self, options: HttpOptions, section: &mut Section<'_>) -> Option<Blueprint> {
        options.plan(section, &["https"])?;
        Some(Blueprint::probe(|_| NotBuilt { kind: "quic" }))
    }
}
