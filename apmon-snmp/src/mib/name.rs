//! Names of objects as people write them: `sysName.0`, `ifDescr`, `1.3.6.1.2.1.1.5.0`.
//! Only the objects that apmon itself uses have names here; any other is given by its
//! OID.
//!
//! ```
//! use apmon_snmp::name;
//!
//! assert_eq!(name::instance("sysName")?.to_string(), "1.3.6.1.2.1.1.5.0");
//! assert_eq!(name::instance("ifDescr.3")?.to_string(), "1.3.6.1.2.1.2.2.1.2.3");
//! assert_eq!(name::subtree("ifDescr")?.to_string(), "1.3.6.1.2.1.2.2.1.2");
//! # Ok::<(), apmon_snmp::name::NameError>(())
//! ```

use apmon_core::text::{excerpt, nearest};
use apmon_snmp_client::{NotAnOid, Oid};

use crate::mib::*;

/// The error for a text that does not name an object, or not a single value.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NameError {
    /// The text begins like an OID but is not a valid one.
    #[error(transparent)]
    NotAnOid(#[from] NotAnOid),
    /// The name is unknown.
    #[error("unknown object \"{word}\"; {}", instead(.nearest))]
    Unknown {
        /// The unknown name, printable.
        word: String,
        /// The known name that is most similar, if any.
        nearest: Option<&'static str>,
    },
    /// The object has many instances, and the text does not say which.
    #[error("{name} has no single value: name a row ({name}.1), or walk it")]
    NoInstance {
        /// The name of the object.
        name: &'static str,
    },
}

fn instead(nearest: &Option<&'static str>) -> String {
    match nearest {
        Some(name) => format!("did you mean {name}?"),
        None => "give its OID instead".to_owned(),
    }
}

/// The kind of object that a name refers to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum ObjectKind {
    /// An object with a single value, at `.0`.
    Scalar,
    /// A column, a table or a whole subtree of the MIB.
    Tree,
}
use ObjectKind::{Scalar, Tree};

const NAMES: &[(&str, ObjectKind, Object)] = &[
    ("mib-2", Tree, &[1, 3, 6, 1, 2, 1]),
    ("enterprises", Tree, &[1, 3, 6, 1, 4, 1]),
    ("system", Tree, &[1, 3, 6, 1, 2, 1, 1]),
    ("sysDescr", Scalar, SYS_DESCR),
    ("sysObjectID", Scalar, SYS_OBJECT_ID),
    ("sysUpTime", Scalar, SYS_UP_TIME),
    ("sysContact", Scalar, SYS_CONTACT),
    ("sysName", Scalar, SYS_NAME),
    ("sysLocation", Scalar, SYS_LOCATION),
    ("interfaces", Tree, &[1, 3, 6, 1, 2, 1, 2]),
    ("ifTable", Tree, &[1, 3, 6, 1, 2, 1, 2, 2]),
    ("ifXTable", Tree, &[1, 3, 6, 1, 2, 1, 31, 1, 1]),
    ("ifDescr", Tree, IF_DESCR),
    ("ifSpeed", Tree, IF_SPEED),
    ("ifPhysAddress", Tree, IF_PHYS_ADDRESS),
    ("ifAdminStatus", Tree, IF_ADMIN_STATUS),
    ("ifOperStatus", Tree, IF_OPER_STATUS),
    ("ifInOctets", Tree, IF_IN_OCTETS),
    ("ifInUcastPkts", Tree, IF_IN_UCAST_PKTS),
    ("ifInNUcastPkts", Tree, IF_IN_N_UCAST_PKTS),
    ("ifInErrors", Tree, IF_IN_ERRORS),
    ("ifOutOctets", Tree, IF_OUT_OCTETS),
    ("ifOutUcastPkts", Tree, IF_OUT_UCAST_PKTS),
    ("ifOutNUcastPkts", Tree, IF_OUT_N_UCAST_PKTS),
    ("ifOutErrors", Tree, IF_OUT_ERRORS),
    ("ifName", Tree, IF_NAME),
    ("ifHCInOctets", Tree, IF_HC_IN_OCTETS),
    ("ifHCInUcastPkts", Tree, IF_HC_IN_UCAST_PKTS),
    ("ifHCInMulticastPkts", Tree, IF_HC_IN_MULTICAST_PKTS),
    ("ifHCInBroadcastPkts", Tree, IF_HC_IN_BROADCAST_PKTS),
    ("ifHCOutOctets", Tree, IF_HC_OUT_OCTETS),
    ("ifHCOutUcastPkts", Tree, IF_HC_OUT_UCAST_PKTS),
    ("ifHCOutMulticastPkts", Tree, IF_HC_OUT_MULTICAST_PKTS),
    ("ifHCOutBroadcastPkts", Tree, IF_HC_OUT_BROADCAST_PKTS),
    ("ifHighSpeed", Tree, IF_HIGH_SPEED),
    ("ifAlias", Tree, IF_ALIAS),
    ("ifTableLastChange", Scalar, IF_TABLE_LAST_CHANGE),
    ("tcpRetransSegs", Scalar, TCP_RETRANS_SEGS),
    ("ipNetToMediaPhysAddress", Tree, IP_NET_TO_MEDIA_PHYS_ADDRESS),
    (
        "ipNetToPhysicalPhysAddress",
        Tree,
        IP_NET_TO_PHYSICAL_PHYS_ADDRESS,
    ),
    ("dot1dBridge", Tree, &[1, 3, 6, 1, 2, 1, 17]),
    ("dot1dBaseBridgeAddress", Scalar, DOT1D_BASE_BRIDGE_ADDRESS),
    ("dot1dBasePortIfIndex", Tree, DOT1D_BASE_PORT_IF_INDEX),
    ("dot1dTpFdbAddress", Tree, DOT1D_TP_FDB_ADDRESS),
    ("dot1dTpFdbPort", Tree, DOT1D_TP_FDB_PORT),
    ("dot1dTpFdbStatus", Tree, DOT1D_TP_FDB_STATUS),
    ("dot1qTpFdbAddress", Tree, DOT1Q_TP_FDB_ADDRESS),
    ("dot1qTpFdbPort", Tree, DOT1Q_TP_FDB_PORT),
    ("dot1qTpFdbStatus", Tree, DOT1Q_TP_FDB_STATUS),
    ("vtpVlanState", Tree, VTP_VLAN_STATE),
    ("lldpMIB", Tree, &[1, 0, 8802, 1, 1, 2]),
    ("lldpLocPortId", Tree, LLDP_LOC_PORT_ID),
    ("lldpRemPortId", Tree, LLDP_REM_PORT_ID),
    ("lldpRemPortDesc", Tree, LLDP_REM_PORT_DESC),
    ("lldpRemSysName", Tree, LLDP_REM_SYS_NAME),
    ("cdpCacheDeviceId", Tree, CDP_CACHE_DEVICE_ID),
    ("cdpCacheDevicePort", Tree, CDP_CACHE_DEVICE_PORT),
    ("entPhysicalDescr", Tree, ENT_PHYSICAL_DESCR),
    ("entPhysicalContainedIn", Tree, ENT_PHYSICAL_CONTAINED_IN),
    ("entPhysicalClass", Tree, ENT_PHYSICAL_CLASS),
    ("entAliasMappingIdentifier", Tree, ENT_ALIAS_MAPPING_IDENTIFIER),
    ("host", Tree, &[1, 3, 6, 1, 2, 1, 25]),
    ("hrSystemUptime", Scalar, HR_SYSTEM_UPTIME),
    ("hrStorageTable", Tree, &[1, 3, 6, 1, 2, 1, 25, 2, 3]),
    ("hrStorageType", Tree, HR_STORAGE_TYPE),
    ("hrStorageDescr", Tree, HR_STORAGE_DESCR),
    ("hrStorageAllocationUnits", Tree, HR_STORAGE_ALLOCATION_UNITS),
    ("hrStorageSize", Tree, HR_STORAGE_SIZE),
    ("hrStorageUsed", Tree, HR_STORAGE_USED),
    ("hrProcessorLoad", Tree, HR_PROCESSOR_LOAD),
    ("memTotalSwap", Scalar, MEM_TOTAL_SWAP),
    ("memAvailSwap", Scalar, MEM_AVAIL_SWAP),
    ("memTotalReal", Scalar, MEM_TOTAL_REAL),
    ("memAvailReal", Scalar, MEM_AVAIL_REAL),
    ("memBuffer", Scalar, MEM_BUFFER),
    ("memCached", Scalar, MEM_CACHED),
    ("ssRawInterrupts", Scalar, SS_RAW_INTERRUPTS),
    ("ssRawContexts", Scalar, SS_RAW_CONTEXTS),
    ("ssRawSwapIn", Scalar, SS_RAW_SWAP_IN),
    ("ssRawSwapOut", Scalar, SS_RAW_SWAP_OUT),
    ("diskIODevice", Tree, DISK_IO_DEVICE),
    ("diskIONRead", Tree, DISK_IO_N_READ),
    ("diskIONWritten", Tree, DISK_IO_N_WRITTEN),
    ("diskIONReadX", Tree, DISK_IO_N_READ_X),
    ("diskIONWrittenX", Tree, DISK_IO_N_WRITTEN_X),
    ("cpmCPUTotal5sec", Tree, CPM_CPU_TOTAL_5_SEC),
    ("cpmCPUTotal1min", Tree, CPM_CPU_TOTAL_1_MIN),
    ("cpmCPUTotal5min", Tree, CPM_CPU_TOTAL_5_MIN),
    ("cpmCPUTotal5secRev", Tree, CPM_CPU_TOTAL_5_SEC_REV),
    ("cpmCPUTotal1minRev", Tree, CPM_CPU_TOTAL_1_MIN_REV),
    ("cpmCPUTotal5minRev", Tree, CPM_CPU_TOTAL_5_MIN_REV),
    ("ciscoMemoryPoolUsed", Tree, CISCO_MEMORY_POOL_USED),
    ("ciscoMemoryPoolFree", Tree, CISCO_MEMORY_POOL_FREE),
    ("hpSwitchCpuStat", Scalar, HP_SWITCH_CPU_STAT),
    ("hpLocalMemTotalBytes", Tree, HP_LOCAL_MEM_TOTAL_BYTES),
    ("hpLocalMemFreeBytes", Tree, HP_LOCAL_MEM_FREE_BYTES),
    ("jnxOperatingCPU", Tree, JNX_OPERATING_CPU),
    ("jnxOperatingBuffer", Tree, JNX_OPERATING_BUFFER),
];

/// Parses the OID of one instance for a GET: an OID, or a name followed by the
/// instance. The instance of a scalar, `.0`, may be omitted, and the name of a MIB may
/// precede the name (`IF-MIB::ifDescr.3`).
///
/// # Errors
/// If the text is neither an OID nor a known name, or names a table or column without a
/// row.
pub fn instance(text: &str) -> Result<Oid, NameError> {
    match read(text)? {
        ParsedName::Number(oid) => Ok(oid),
        ParsedName::Name(_, Scalar, object) => Ok(Oid::join(object, &[0])),
        ParsedName::Name(name, Tree, _) => Err(NameError::NoInstance { name }),
    }
}

/// Parses the root of a walk, which reads everything below an OID or name.
///
/// # Errors
/// If the text is neither an OID nor a known name.
pub fn subtree(text: &str) -> Result<Oid, NameError> {
    match read(text)? {
        ParsedName::Number(oid) => Ok(oid),
        ParsedName::Name(.., object) => Ok(object.into()),
    }
}

enum ParsedName {
    Number(Oid),
    /// A name without an instance.
    Name(&'static str, ObjectKind, Object),
}

fn read(text: &str) -> Result<ParsedName, NameError> {
    let word = text.rsplit_once("::").map_or(text, |(_, word)| word);
    if word.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        return Ok(ParsedName::Number(word.parse()?));
    }
    let (word, index) = match word.split_once('.') {
        Some((word, index)) => (word, Some(index)),
        None => (word, None),
    };
    let mut known = NAMES.iter();
    let Some((name, kind, object)) = known.find(|(name, ..)| name.eq_ignore_ascii_case(word)) else {
        return Err(NameError::Unknown {
            word: excerpt(word, 80),
            nearest: nearest(word, NAMES.iter().map(|(name, ..)| *name)),
        });
    };
    Ok(match index {
        Some(index) => ParsedName::Number(format!("{}.{index}", Oid::from(*object)).parse()?),
        None => ParsedName::Name(name, *kind, object),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_oids_are_parsed() {
        for (text, expected) in [
            ("1.3.6.1.2.1.1.5.0", "1.3.6.1.2.1.1.5.0"),
            (".1.3.6.1", "1.3.6.1"),
            ("sysName.0", "1.3.6.1.2.1.1.5.0"),
            ("SYSNAME", "1.3.6.1.2.1.1.5.0"),
            ("SNMPv2-MIB::sysName.0", "1.3.6.1.2.1.1.5.0"),
            ("ifDescr.10101", "1.3.6.1.2.1.2.2.1.2.10101"),
        ] {
            assert_eq!(instance(text).unwrap().to_string(), expected, "{text}");
        }
        assert_eq!(subtree("sysName").unwrap().to_string(), "1.3.6.1.2.1.1.5");
        assert_eq!(subtree("ifTable").unwrap().to_string(), "1.3.6.1.2.1.2.2");
    }

    #[test]
    fn each_error_names_the_fault_and_a_remedy() {
        for (text, expected) in [
            ("sysNmae.0", "unknown object \"sysNmae\"; did you mean sysName?"),
            (
                "quite\u{1b}other",
                "unknown object \"quite\\u{1b}other\"; give its OID instead",
            ),
            (
                "ifDescr",
                "ifDescr has no single value: name a row (ifDescr.1), or walk it",
            ),
            ("1.3.x", "not an OID in the form 1.3.6.1.2.1: \"1.3.x\""),
            (
                "ifDescr.first",
                "not an OID in the form 1.3.6.1.2.1: \"1.3.6.1.2.1.2.2.1.2.first\"",
            ),
        ] {
            assert_eq!(instance(text).unwrap_err().to_string(), expected, "{text}");
        }
    }

    #[test]
    fn no_object_is_listed_twice() {
        for (at, (name, _, object)) in NAMES.iter().enumerate() {
            for (other, _, same) in &NAMES[..at] {
                assert!(!name.eq_ignore_ascii_case(other), "{name}");
                assert_ne!(object, same, "{name} and {other}");
            }
        }
    }
}
