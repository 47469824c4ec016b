//! A count as an agent has it.

use apmon_snmp_client::Value;

/// A count, and how far it goes before it starts anew.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Counted {
    /// The count.
    pub value: u64,
    /// It is a Counter64; else it starts anew at 2^32.
    pub is_64: bool,
}

impl Counted {
    /// From its value. Old agents have it as an INTEGER.
    pub(crate) fn of(value: &Value) -> Option<Self> {
        let is_64 = matches!(value, Value::Counter64(_));
        let value = value.natural()?;
        (is_64 || value <= u32::MAX.into()).then_some(Self { value, is_64 })
    }
}
