//! Outgoing heartbeats.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use apmon_core::{
    DeliveryError, Heartbeat, HeartbeatSender, Mask, Secret, SectionKind, SectionValue, config::Section,
};
use async_trait::async_trait;
use tokio::time::Instant;
use url::Url;

use crate::{
    answer::{Answer, SuccessCriteria},
    client::{HttpClient, Request},
    trust::{self, Encryption, HeartbeatTlsOptions, ReceiverTlsOptions, ReceiverTrust},
};

/// The options of heartbeats in a site file, for
/// [`Tables::heartbeat`](apmon_core::config::Tables::heartbeat).
pub const HEARTBEAT: &dyn SectionKind = &HeartbeatOptions;

/// Reads [`HeartbeatTlsOptions`] in the section of the site or of a monitor.
struct HeartbeatOptions;

impl SectionKind for HeartbeatOptions {
    fn name(&self) -> &'static str {
        "heartbeat"
    }

    fn summary(&self) -> &'static str {
        "Whose certificate is accepted when a heartbeat is sent."
    }

    fn example(&self) -> &'static str {
        "heartbeat_url: https://watch.lan/ping\nheartbeat_ssl_ca_file: lan-ca.pem\n"
    }

    fn schema(&self) -> schemars::Schema {
        schemars::schema_for!(HeartbeatTlsOptions)
    }

    fn read(&self, section: &mut Section<'_>) -> Option<SectionValue> {
        let options = section.read::<HeartbeatTlsOptions>()?;
        let names = trust::HEARTBEAT;
        if !names.all().iter().any(|name| section.has(name)) {
            return None;
        }
        let url = section
            .read_each::<Secret>(&["heartbeat_url"])
            .remove("heartbeat_url");
        let url = url.and_then(|url| Url::parse(url.reveal()).ok());
        let encryption = match section.has("heartbeat_url") {
            false => Encryption::Never("needs \"heartbeat_url\""),
            true if url.is_some_and(|url| url.scheme() == "http") => {
                Encryption::AfterRedirect("needs a heartbeat_url that begins with https://")
            }
            true => Encryption::Always,
        };
        let options = ReceiverTlsOptions::from(options);
        let trust = ReceiverTrust::read(section, &options, &names, encryption)?;
        Some(SectionValue::new(Receiver {
            trust,
            client: Mutex::default(),
        }))
    }
}

/// The receiver of heartbeats, as its options describe it.
struct Receiver {
    trust: ReceiverTrust,
    /// The client for it, and the one that it was made of.
    client: Mutex<Option<(HttpClient, HttpClient)>>,
}

impl Receiver {
    fn client(&self, base: &HttpClient) -> HttpClient {
        let mut made = self.client.lock().unwrap_or_else(PoisonError::into_inner);
        match &*made {
            Some((of, client)) if of.is_same(base) => client.clone(),
            _ => {
                let client = base.trusting(&self.trust);
                *made = Some((base.clone(), client.clone()));
                client
            }
        }
    }
}

/// Sends heartbeats by GET. Up to ten redirects are followed, and any 2xx is
/// success. Errors name only the host, since anyone who knows the URL can send
/// heartbeats in apmon's name.
#[derive(Clone, Debug)]
pub struct HttpHeartbeats {
    client: HttpClient,
}

impl HttpHeartbeats {
    /// Creates a sender that uses `client`.
    #[must_use]
    pub fn new(client: HttpClient) -> Self {
        Self { client }
    }
}

#[async_trait]
impl HeartbeatSender for HttpHeartbeats {
    async fn send(&self, heartbeat: &Heartbeat, timeout: Duration) -> Result<(), DeliveryError> {
        let url = Url::parse(heartbeat.url.reveal()).map_err(|error| {
            DeliveryError::permanent(format!("heartbeat_url is not a valid URL: {error}"))
        })?;
        let mut mask = Mask::default();
        mask.add_url(heartbeat.url.reveal());
        let criteria = SuccessCriteria {
            mask: Some(&mask),
            ..SuccessCriteria::default()
        };
        let receiver = heartbeat
            .options
            .as_ref()
            .and_then(|options| options.get::<Receiver>());
        let client = receiver.map_or_else(|| self.client.clone(), |receiver| receiver.client(&self.client));
        client
            .attempt(
                Request {
                    legacy_option: trust::HEARTBEAT.legacy,
                    ..Request::get(url)
                },
                &criteria,
                (timeout, Instant::now() + timeout),
                &mut Answer::default(),
            )
            .await
    }
}
