//! Builds the plan of an engine from a site file.

use std::{collections::HashMap, num::NonZeroUsize, time::Duration};

use super::SiteFile;
use crate::{
    config::value::Seconds,
    engine::{Channel, Fallback, Plan},
    monitor::Heartbeat,
    services::Services,
};

/// The timeout of one delivery if the site sets none.
const DELIVERY_TIMEOUT: Duration = Duration::from_secs(20);

impl SiteFile {
    /// Builds the plan of the site: monitors, channels and their fallbacks, the
    /// limit on concurrent checks, heartbeats, and when notifications expire.
    /// Heartbeats are sent by the sender that `services` provides.
    #[must_use]
    pub fn plan(&self, services: &Services) -> Plan {
        let mut plan = Plan::new(&self.name);
        plan.monitors = self
            .monitors
            .iter()
            .map(|monitor| monitor.build(services))
            .collect();
        plan.delivery_timeout = self.delivery_timeout();
        plan.channels = self.channels(services);
        plan.alarms = self.site.alarms.unwrap_or(true);
        plan.max_concurrent = self
            .site
            .max_threads
            .and_then(|limit| NonZeroUsize::new(limit.get().get() as usize));
        if let Some(expire) = self.site.notify_expire_secs {
            plan.expire_after = expire.duration();
        }
        plan.heartbeat = self.site.heartbeat_url.clone().map(|url| Heartbeat {
            url,
            every: self.site.heartbeat_every_n_secs.map(Seconds::duration),
        });
        plan.heartbeats = services.heartbeats();
        plan
    }

    /// The timeout of one delivery for channels that set none.
    #[must_use]
    pub fn delivery_timeout(&self) -> Duration {
        self.site.max_try_secs.map_or(DELIVERY_TIMEOUT, Seconds::duration)
    }

    fn channels(&self, services: &Services) -> Vec<Channel> {
        let timeout = self.delivery_timeout();
        let named = self.channels.iter();
        let ids: HashMap<&str, &str> = named
            .filter_map(|channel| Some((channel.name()?, channel.id.as_str())))
            .collect();
        let channels = self.channels.iter().map(|entry| Channel {
            switches: entry.blueprint.switches,
            class: entry.blueprint.class.clone(),
            keyed: entry.blueprint.keyed,
            timeout: entry.blueprint.timeout,
            fallback: (|| {
                Some(Fallback {
                    to: (*ids.get(entry.options.then.as_ref()?.as_str())?).to_owned(),
                    after: entry.options.after().duration(),
                })
            })(),
            ..Channel::new(&entry.id, entry.build(services, timeout))
        });
        channels.collect()
    }
}
