//! The outgoing sign of life.

use std::time::Duration;

use apmon_core::{DeliveryError, HeartbeatSender, Secret};
use async_trait::async_trait;
use url::Url;

use crate::{
    answer::Wanted,
    client::{HttpClient, Request, Seen},
};

/// Sends signs of life by GET; up to ten redirects are followed, any 2xx is
/// success. Errors name the host alone: whoever knows the URL can vouch for us.
#[derive(Clone, Debug)]
pub struct HttpHeartbeats {
    client: HttpClient,
}

impl HttpHeartbeats {
    /// Sends with `client`.
    #[must_use]
    pub fn new(client: HttpClient) -> Self {
        Self { client }
    }
}

#[async_trait]
impl HeartbeatSender for HttpHeartbeats {
    async fn send(&self, url: &Secret, timeout: Duration) -> Result<(), DeliveryError> {
        let url = Url::parse(url.reveal())
            .map_err(|error| DeliveryError::permanent(format!("heartbeat_url is no valid URL: {error}")))?;
        self.client
            .attempt(
                Request::get(url),
                &Wanted::default(),
                timeout,
                &mut Seen::default(),
            )
            .await
    }
}
