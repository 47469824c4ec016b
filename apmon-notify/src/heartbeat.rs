//! Outgoing heartbeats.

use std::time::Duration;

use apmon_core::{DeliveryError, HeartbeatSender, Secret};
use async_trait::async_trait;
use url::Url;

use crate::{
    answer::SuccessCriteria,
    client::{Answer, HttpClient, Request},
};

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
    async fn send(&self, url: &Secret, timeout: Duration) -> Result<(), DeliveryError> {
        let url = Url::parse(url.reveal()).map_err(|error| {
            DeliveryError::permanent(format!("heartbeat_url is not a valid URL: {error}"))
        })?;
        self.client
            .attempt(
                Request::get(url),
                &SuccessCriteria::default(),
                timeout,
                &mut Answer::default(),
            )
            .await
    }
}
