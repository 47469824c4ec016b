//! A counter's value, as an agent reports it.

use apmon_snmp_client::Value;

/// A counter's value, and the width at which it wraps.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct CounterValue {
    /// The value.
    pub value: u64,
    /// Whether it is a Counter64; any other wraps at 2^32.
    pub is_64: bool,
}

impl CounterValue {
    /// Reads a counter; `None` if the value is not one. Old agents report counters
    /// as INTEGER.
    pub(crate) fn of(value: &Value) -> Option<Self> {
        let is_64 = matches!(value, Value::Counter64(_));
        let value = value.natural()?;
        (is_64 || value <= u32::MAX.into()).then_some(Self { value, is_64 })
    }
}
