//! Which interface a number in a forwarding table means.
//!
//! By the standard it is the number of a bridge port. Some agents give the ifIndex instead, or
//! count the ports from 1 although their bridge ports begin elsewhere. Which of these a table
//! does is decided for the table as a whole: one row says little, as a small number may be a
//! bridge port, an ifIndex and a position at the same time.

use std::collections::BTreeSet;

use super::bridge_ports::BridgePorts;

/// What the numbers of a table are.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) enum PortScheme {
    /// Bridge ports.
    #[default]
    BridgePort,
    /// ifIndexes.
    IfIndex,
    /// Positions among the bridge ports, of which the first has this number.
    Position(u32),
    /// Neither of these for all rows: only rows that can be nothing but a bridge port are
    /// placed.
    Mixed,
}

/// The decision on a table.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Placement {
    pub scheme: PortScheme,
    /// Whether no other scheme fits.
    pub is_certain: bool,
}

/// The knowledge about a device by which rows are placed.
#[derive(Clone, Debug)]
pub(super) struct Ground<'a> {
    pub bridge_ports: &'a BridgePorts,
    /// The ifIndexes of all interfaces.
    pub interfaces: &'a BTreeSet<u32>,
    /// Whether an earlier table of this device could only be read as ifIndexes.
    pub uses_if_indexes: bool,
}

impl Ground<'_> {
    /// Decides what the `numbers` of a table are.
    pub(super) fn decide(&self, numbers: &BTreeSet<u32>) -> Placement {
        let ports = self.bridge_ports;
        let certain = |scheme| Placement {
            scheme,
            is_certain: true,
        };
        let bridged = ports.interfaces();
        let all_indexes = numbers.is_subset(self.interfaces);
        let all_bridged = all_indexes && numbers.is_subset(&bridged);
        // A number that is both means two different interfaces.
        let has_conflict = numbers.iter().any(|number| self.is_ambiguous(*number));
        let has_port = numbers.iter().any(|number| ports.contains(*number));
        if numbers.iter().all(|number| ports.contains(*number)) {
            return match self.uses_if_indexes && all_bridged {
                true => Placement {
                    scheme: PortScheme::IfIndex,
                    is_certain: !has_conflict,
                },
                false => certain(PortScheme::BridgePort),
            };
        }
        if ports.failure.is_some() {
            return certain(PortScheme::BridgePort);
        }
        if ports.is_derived {
            // Without bridge ports, a number is an ifIndex only if it cannot be a position.
            let count = u32::try_from(self.interfaces.len()).unwrap_or(u32::MAX);
            let is_high = numbers.first().is_some_and(|first| *first > count);
            return certain(match ports.is_empty() && all_indexes && is_high {
                true => PortScheme::IfIndex,
                false => PortScheme::BridgePort,
            });
        }
        let position = self.position(numbers).filter(|_| !has_port);
        if all_bridged {
            let differs = |scheme: PortScheme| {
                let mut numbers = numbers.iter();
                numbers.any(|number| self.interface(*number, scheme) != Some(*number))
            };
            return Placement {
                scheme: PortScheme::IfIndex,
                is_certain: !has_conflict && !position.is_some_and(differs),
            };
        }
        if let Some(scheme) = position {
            return Placement {
                scheme,
                is_certain: !all_indexes && self.is_only_position(numbers),
            };
        }
        if all_indexes && !has_conflict {
            return Placement {
                scheme: PortScheme::IfIndex,
                // Where bridge ports have the numbers of their interfaces, others have too.
                is_certain: has_port,
            };
        }
        // Numbers that can only be ifIndexes are evidence that the others may be, too.
        let has_index = numbers
            .iter()
            .any(|number| !ports.contains(*number) && bridged.contains(number));
        certain(match has_index {
            true => PortScheme::Mixed,
            false => PortScheme::BridgePort,
        })
    }

    /// The ifIndex that a number means, if there is such an interface.
    pub(super) fn interface(&self, number: u32, scheme: PortScheme) -> Option<u32> {
        let index = match scheme {
            PortScheme::BridgePort => self.bridge_ports.of_number(number),
            PortScheme::IfIndex => Some(number),
            PortScheme::Position(first) => {
                let port = number.checked_sub(1)?.checked_add(first)?;
                self.bridge_ports.of_number(port)
            }
            PortScheme::Mixed if self.is_ambiguous(number) => None,
            PortScheme::Mixed => self.bridge_ports.of_number(number),
        };
        index.filter(|index| self.interfaces.contains(index))
    }

    /// Whether a number is both a bridge port and the ifIndex of another interface.
    fn is_ambiguous(&self, number: u32) -> bool {
        self.bridge_ports.contains(number)
            && self.interfaces.contains(&number)
            && self.bridge_ports.of_number(number) != Some(number)
    }

    /// The scheme by which number n is the n-th bridge port, if all numbers fit.
    fn position(&self, numbers: &BTreeSet<u32>) -> Option<PortScheme> {
        let (first, count) = self.bridge_ports.contiguous()?;
        let is_within = |number: &u32| (1..=count).contains(number);
        numbers
            .iter()
            .all(is_within)
            .then_some(PortScheme::Position(first))
    }

    /// Whether the numbers reach from the first to the last bridge port, so that no other offset
    /// fits.
    fn is_only_position(&self, numbers: &BTreeSet<u32>) -> bool {
        let (Some((_, count)), Some(low), Some(high)) =
            (self.bridge_ports.contiguous(), numbers.first(), numbers.last())
        else {
            return false;
        };
        high - low == count - 1
    }
}
