//! `skeleton`: sends each notification as one line of text over TCP.

use std::{sync::Arc, time::Duration};

use apmon_core::{
    ChannelBlueprint, ChannelKind, DeliveryError, Names, Notification, Notifier, SectionValue, Services,
    config::{Host, PortNumber, Seconds, Section, Text},
    text::printable,
};
use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Deserialize;
use tokio::{io::AsyncWriteExt, net::TcpStream};

use crate::resolve;

/// Options of one entry of `site.outage_skeletons`.
#[derive(Debug, Deserialize, JsonSchema)]
struct Options {
    /// The receiver: a host name or an address.
    #[schemars(required)]
    host: Option<Text>,
    /// The TCP port of the receiver.
    #[schemars(required)]
    port: Option<PortNumber>,
    /// Seconds that one attempt may take. Default: `max_try_secs`.
    timeout_secs: Option<Seconds>,
}

/// The kind `skeleton`: entries of `site.outage_skeletons`.
pub(crate) struct SkeletonKind;

impl ChannelKind for SkeletonKind {
    fn name(&self) -> &'static str {
        "skeleton"
    }

    fn section(&self) -> &'static str {
        "outage_skeletons"
    }

    fn nouns(&self) -> (&'static str, &'static str) {
        ("skeleton receiver", "skeleton receivers")
    }

    fn summary(&self) -> &'static str {
        "Lines of text over TCP."
    }

    fn example(&self) -> &'static str {
        "host: pager.example.com\nport: 4000\n"
    }

    fn schema(&self) -> schemars::Schema {
        schemars::schema_for!(Options)
    }

    fn read(&self, section: &mut Section<'_>, _: Option<&SectionValue>) -> Option<ChannelBlueprint> {
        let options = section.read::<Options>()?;
        let host = section.require("host", options.host);
        let port = section.require("port", options.port);
        let (host, port) = (host?.into_string(), port?.get());
        if Host::parse(&host).is_none() {
            section.error("host", "must be a host name or an address");
            return None;
        }
        let target = format!("{host}:{port}");
        let mut blueprint = ChannelBlueprint::new(&host, &target, {
            let host = host.clone();
            move |services: &Services, timeout| {
                Arc::new(Skeleton {
                    names: services.names(),
                    host: host.clone(),
                    port,
                    timeout,
                })
            }
        });
        blueprint.timeout = options.timeout_secs.map(Seconds::duration);
        Some(blueprint)
    }
}

/// One entry of `site.outage_skeletons`.
struct Skeleton {
    names: Arc<dyn Names>,
    host: String,
    port: u16,
    timeout: Duration,
}

impl Skeleton {
    async fn send(&self, line: &str) -> std::io::Result<()> {
        let addresses = resolve::addresses(&*self.names, &self.host)
            .await
            .map_err(std::io::Error::other)?;
        let address = addresses
            .first()
            .ok_or_else(|| std::io::Error::other("the name has no address"))?;
        let mut stream = TcpStream::connect((*address, self.port)).await?;
        stream.write_all(line.as_bytes()).await?;
        stream.shutdown().await
    }
}

#[async_trait]
impl Notifier for Skeleton {
    async fn deliver(&self, notification: &Notification, _: &str) -> Result<(), DeliveryError> {
        let line = format!("{}\n", printable(&notification.text));
        let target = printable(&self.host).into_owned();
        match tokio::time::timeout(self.timeout, self.send(&line)).await {
            Ok(result) => result.map_err(|error| DeliveryError::retryable(format!("{target}: {error}"))),
            Err(_) => Err(DeliveryError::retryable(format!(
                "{target}: not accepted within {} secs",
                self.timeout.as_secs_f64()
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use apmon_core::NotificationKind;
    use tokio::{io::AsyncReadExt, net::TcpListener};

    use super::*;

    #[tokio::test]
    async fn a_notification_is_one_line() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let channel = Skeleton {
            names: Services::default().names(),
            host: "127.0.0.1".into(),
            port: listener.local_addr().unwrap().port(),
            timeout: Duration::from_secs(20),
        };
        let message = Notification {
            id: "abc-1".into(),
            incident: "abc".into(),
            kind: NotificationKind::Outage,
            site: "Lab".into(),
            monitor: "web".into(),
            address: "h".into(),
            text: "web is down".into(),
            number: 1,
            at: "2026-02-01T23:18:09Z".parse().unwrap(),
            since: None,
            lasted: None,
            next_reminder: None,
            subject: Default::default(),
            covers: Vec::new(),
            ended: None,
        };
        let (result, line) = tokio::join!(channel.deliver(&message, "key"), async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut line = String::new();
            stream.read_to_string(&mut line).await.unwrap();
            line
        });
        assert_eq!(result, Ok(()));
        assert_eq!(line, "web is down\n");
    }
}
