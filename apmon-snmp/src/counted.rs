//! A count as an agent has it.

/// A count, and how far it goes before it starts anew.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Counted {
    /// The count.
    pub value: u64,
    /// It is a Counter64; else it starts anew at 2^32.
    pub is_64: bool,
}
