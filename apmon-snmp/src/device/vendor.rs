//! The vendors of devices.

use apmon_snmp_client::Oid;

use crate::{
    mib::{CISCO, HP, JUNIPER, SYS_OBJECT_ID, UBIQUITI},
    poll_data::PollData,
};

/// A vendor whose devices report their load in objects of their own, or any other.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Vendor {
    /// Cisco Systems.
    Cisco,
    /// HP and HPE: `ProCurve` switches, servers and enclosures.
    Hp,
    /// Juniper Networks.
    Juniper,
    /// Ubiquiti.
    Ubiquiti,
    /// Any other vendor, or one whose devices report the number of their agent's software.
    Other,
}

impl Vendor {
    /// The vendor for a sysObjectID, which begins with the vendor's enterprise number (RFC
    /// 1155, section 3.1.4).
    #[must_use]
    pub fn of(object_id: &Oid) -> Self {
        [
            (CISCO, Self::Cisco),
            (HP, Self::Hp),
            (JUNIPER, Self::Juniper),
            (UBIQUITI, Self::Ubiquiti),
        ]
        .into_iter()
        .find(|(root, _)| object_id.starts_with(root))
        .map_or(Self::Other, |(_, vendor)| vendor)
    }

    /// The vendor of a polled device; `Other` if it does not report a sysObjectID.
    pub(crate) fn read(data: &PollData) -> Self {
        let object_id = data.scalar(SYS_OBJECT_ID).and_then(|value| value.oid());
        object_id.map_or(Self::Other, Self::of)
    }

    /// The vendor's name for display; `None` for [`Other`](Self::Other).
    #[must_use]
    pub const fn name(self) -> Option<&'static str> {
        match self {
            Self::Cisco => Some("Cisco"),
            Self::Hp => Some("HP"),
            Self::Juniper => Some("Juniper"),
            Self::Ubiquiti => Some("Ubiquiti"),
            Self::Other => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use apmon_snmp_client::Value;

    /// The sysObjectIDs of recorded devices, and others, with their vendors.
    const DEVICES: &[(&str, Option<&str>)] = &[
        ("1.3.6.1.4.1.9.1.516", Some("Cisco")),
        ("1.3.6.1.4.1.9.12.3.1.3.1084", Some("Cisco")),
        ("1.3.6.1.4.1.11.2.3.7.11.107", Some("HP")),
        ("1.3.6.1.4.1.11.5.7.1.2", Some("HP")),
        ("1.3.6.1.4.1.2636.1.1.1.2.21", Some("Juniper")),
        ("1.3.6.1.4.1.41112.1.4", Some("Ubiquiti")),
        ("1.3.6.1.4.1.8072.3.2.10", None),
        ("1.3.6.1.4.1.311.1.1.3.1.2", None),
        // Numbers that only begin with the digits of Cisco's 9 and HP's 11.
        ("1.3.6.1.4.1.99.1", None),
        ("1.3.6.1.4.1.119.1", None),
        ("1.3.6.1.4.19849", None),
    ];

    #[test]
    fn the_vendor_is_recognised_by_the_prefix_of_the_object_id() {
        for (text, name) in DEVICES {
            let oid: Oid = text.parse().unwrap();
            let data = PollData::of(&[(SYS_OBJECT_ID, &[(&[0], Value::Oid(oid.clone()))])]);
            assert_eq!(Vendor::of(&oid).name(), *name, "{text}");
            assert_eq!(Vendor::read(&data).name(), *name, "{text}");
        }
    }

    #[test]
    fn a_device_without_an_object_id_has_no_known_vendor() {
        assert_eq!(Vendor::read(&PollData::default()), Vendor::Other);
    }
}
