//! Options of `type: ping`.

use std::time::Duration;

use apmon_core::config::Count;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};

/// Options of `type: ping`.
#[derive(Debug, Default, Deserialize, Serialize, JsonSchema)]
pub struct PingOptions {
    /// Number of echo requests sent per check, 200 ms apart, or closer together if
    /// they would not fit before the deadline. Once all have been sent and at least
    /// one reply or error has arrived, apmon waits up to 2 seconds for the
    /// remaining replies. Default 1.
    #[serde(default, skip_serializing_if = "PacketCount::is_default")]
    pub count: PacketCount,
    /// Highest acceptable packet loss of a check, in percent; the monitor is
    /// down above it. Default: a single reply is enough.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_loss_pct: Option<Percent>,
    /// Highest acceptable average round-trip time in milliseconds; the monitor
    /// is down above it. Default: no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_rtt_ms: Option<Count>,
}

/// Number of packets sent per check: 1 to 100.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, JsonSchema)]
#[serde(transparent)]
pub struct PacketCount(#[schemars(range(min = 1, max = 100))] u8);

impl Default for PacketCount {
    fn default() -> Self {
        Self(1)
    }
}

impl PacketCount {
    /// The value as a number.
    #[must_use]
    pub const fn get(self) -> u8 {
        self.0
    }

    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl<'de> Deserialize<'de> for PacketCount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(within(deserializer, 1, 100)?))
    }
}

/// A percentage in whole percent: 0 to 100.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, JsonSchema)]
#[serde(transparent)]
pub struct Percent(#[schemars(range(min = 0, max = 100))] u8);

impl Percent {
    /// The value as a number.
    #[must_use]
    pub const fn get(self) -> u8 {
        self.0
    }
}

impl<'de> Deserialize<'de> for Percent {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(within(deserializer, 0, 100)?))
    }
}

fn within<'de, D: Deserializer<'de>>(deserializer: D, min: u8, max: u8) -> Result<u8, D::Error> {
    let n = i128::deserialize(deserializer)?;
    u8::try_from(n)
        .ok()
        .filter(|n| (min..=max).contains(n))
        .ok_or_else(|| D::Error::custom(format!("must be {min} to {max}, not {n}")))
}

/// The options as the probe uses them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Plan {
    pub(super) count: u8,
    pub(super) max_loss_pct: Option<u8>,
    pub(super) max_rtt: Option<Duration>,
}

impl From<&PingOptions> for Plan {
    fn from(options: &PingOptions) -> Self {
        let millis = |count: Count| Duration::from_millis(count.get().get().into());
        Self {
            count: options.count.get(),
            max_loss_pct: options.max_loss_pct.map(Percent::get),
            max_rtt: options.max_rtt_ms.map(millis),
        }
    }
}
