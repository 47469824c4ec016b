//! The OIDs of the objects that apmon requests, by their names in the MIBs.

pub(crate) mod index;
pub mod name;

/// The OID of an object: a scalar without its `.0`, or a column of a table.
pub(crate) type Object = &'static [u32];

/// Columns of a table that are read side by side.
pub(crate) type Table = &'static [Object];

macro_rules! objects {
    ($($(#[$doc:meta])* $name:ident = $($part:literal).+;)*) => {
        $($(#[$doc])* pub(crate) const $name: Object = &[$($part),+];)*
    };
}

objects! {
    // SNMPv2-MIB
    SYS_DESCR = 1 . 3 . 6 . 1 . 2 . 1 . 1 . 1;
    SYS_OBJECT_ID = 1 . 3 . 6 . 1 . 2 . 1 . 1 . 2;
    SYS_UP_TIME = 1 . 3 . 6 . 1 . 2 . 1 . 1 . 3;
    SYS_CONTACT = 1 . 3 . 6 . 1 . 2 . 1 . 1 . 4;
    SYS_NAME = 1 . 3 . 6 . 1 . 2 . 1 . 1 . 5;
    SYS_LOCATION = 1 . 3 . 6 . 1 . 2 . 1 . 1 . 6;

    // IF-MIB
    /// Other MIBs refer to an interface by this OID followed by its ifIndex.
    IF_INDEX = 1 . 3 . 6 . 1 . 2 . 1 . 2 . 2 . 1 . 1;
    IF_TABLE = 1 . 3 . 6 . 1 . 2 . 1 . 2 . 2 . 1;
    IF_X_TABLE = 1 . 3 . 6 . 1 . 2 . 1 . 31 . 1 . 1 . 1;
    /// The number of interfaces.
    IF_NUMBER = 1 . 3 . 6 . 1 . 2 . 1 . 2 . 1;
    IF_DESCR = 1 . 3 . 6 . 1 . 2 . 1 . 2 . 2 . 1 . 2;
    /// 6 is Ethernet.
    IF_TYPE = 1 . 3 . 6 . 1 . 2 . 1 . 2 . 2 . 1 . 3;
    IF_SPEED = 1 . 3 . 6 . 1 . 2 . 1 . 2 . 2 . 1 . 5;
    IF_PHYS_ADDRESS = 1 . 3 . 6 . 1 . 2 . 1 . 2 . 2 . 1 . 6;
    IF_ADMIN_STATUS = 1 . 3 . 6 . 1 . 2 . 1 . 2 . 2 . 1 . 7;
    IF_OPER_STATUS = 1 . 3 . 6 . 1 . 2 . 1 . 2 . 2 . 1 . 8;
    IF_IN_OCTETS = 1 . 3 . 6 . 1 . 2 . 1 . 2 . 2 . 1 . 10;
    IF_IN_UCAST_PKTS = 1 . 3 . 6 . 1 . 2 . 1 . 2 . 2 . 1 . 11;
    IF_IN_N_UCAST_PKTS = 1 . 3 . 6 . 1 . 2 . 1 . 2 . 2 . 1 . 12;
    IF_IN_ERRORS = 1 . 3 . 6 . 1 . 2 . 1 . 2 . 2 . 1 . 14;
    IF_OUT_OCTETS = 1 . 3 . 6 . 1 . 2 . 1 . 2 . 2 . 1 . 16;
    IF_OUT_UCAST_PKTS = 1 . 3 . 6 . 1 . 2 . 1 . 2 . 2 . 1 . 17;
    IF_OUT_N_UCAST_PKTS = 1 . 3 . 6 . 1 . 2 . 1 . 2 . 2 . 1 . 18;
    IF_OUT_ERRORS = 1 . 3 . 6 . 1 . 2 . 1 . 2 . 2 . 1 . 20;
    IF_NAME = 1 . 3 . 6 . 1 . 2 . 1 . 31 . 1 . 1 . 1 . 1;
    IF_HC_IN_OCTETS = 1 . 3 . 6 . 1 . 2 . 1 . 31 . 1 . 1 . 1 . 6;
    IF_HC_IN_UCAST_PKTS = 1 . 3 . 6 . 1 . 2 . 1 . 31 . 1 . 1 . 1 . 7;
    IF_HC_IN_MULTICAST_PKTS = 1 . 3 . 6 . 1 . 2 . 1 . 31 . 1 . 1 . 1 . 8;
    IF_HC_IN_BROADCAST_PKTS = 1 . 3 . 6 . 1 . 2 . 1 . 31 . 1 . 1 . 1 . 9;
    IF_HC_OUT_OCTETS = 1 . 3 . 6 . 1 . 2 . 1 . 31 . 1 . 1 . 1 . 10;
    IF_HC_OUT_UCAST_PKTS = 1 . 3 . 6 . 1 . 2 . 1 . 31 . 1 . 1 . 1 . 11;
    IF_HC_OUT_MULTICAST_PKTS = 1 . 3 . 6 . 1 . 2 . 1 . 31 . 1 . 1 . 1 . 12;
    IF_HC_OUT_BROADCAST_PKTS = 1 . 3 . 6 . 1 . 2 . 1 . 31 . 1 . 1 . 1 . 13;
    /// Mbit/s.
    IF_HIGH_SPEED = 1 . 3 . 6 . 1 . 2 . 1 . 31 . 1 . 1 . 1 . 15;
    IF_ALIAS = 1 . 3 . 6 . 1 . 2 . 1 . 31 . 1 . 1 . 1 . 18;
    /// The sysUpTime at which rows were last added or removed.
    IF_TABLE_LAST_CHANGE = 1 . 3 . 6 . 1 . 2 . 1 . 31 . 1 . 5;

    // TCP-MIB
    TCP_RETRANS_SEGS = 1 . 3 . 6 . 1 . 2 . 1 . 6 . 12;

    // IP-MIB: the addresses of stations
    /// Index: ifIndex, then the address.
    IP_NET_TO_MEDIA_PHYS_ADDRESS = 1 . 3 . 6 . 1 . 2 . 1 . 4 . 22 . 1 . 2;
    /// Index: ifIndex, the address's type and length, the address.
    IP_NET_TO_PHYSICAL_PHYS_ADDRESS = 1 . 3 . 6 . 1 . 2 . 1 . 4 . 35 . 1 . 4;

    // BRIDGE-MIB, Q-BRIDGE-MIB
    DOT1D_BASE_BRIDGE_ADDRESS = 1 . 3 . 6 . 1 . 2 . 1 . 17 . 1 . 1;
    DOT1D_BASE_NUM_PORTS = 1 . 3 . 6 . 1 . 2 . 1 . 17 . 1 . 2;
    /// Index: bridge port.
    DOT1D_BASE_PORT_IF_INDEX = 1 . 3 . 6 . 1 . 2 . 1 . 17 . 1 . 4 . 1 . 2;
    /// Usually the index as well.
    DOT1D_TP_FDB_ADDRESS = 1 . 3 . 6 . 1 . 2 . 1 . 17 . 4 . 3 . 1 . 1;
    /// Index: the MAC address. Value: a bridge port.
    DOT1D_TP_FDB_PORT = 1 . 3 . 6 . 1 . 2 . 1 . 17 . 4 . 3 . 1 . 2;
    DOT1D_TP_FDB_STATUS = 1 . 3 . 6 . 1 . 2 . 1 . 17 . 4 . 3 . 1 . 3;
    /// Usually a part of the index, and then not shown.
    DOT1Q_TP_FDB_ADDRESS = 1 . 3 . 6 . 1 . 2 . 1 . 17 . 7 . 1 . 2 . 2 . 1 . 1;
    /// Index: filtering database, then the MAC address. Value: a bridge port.
    DOT1Q_TP_FDB_PORT = 1 . 3 . 6 . 1 . 2 . 1 . 17 . 7 . 1 . 2 . 2 . 1 . 2;
    DOT1Q_TP_FDB_STATUS = 1 . 3 . 6 . 1 . 2 . 1 . 17 . 7 . 1 . 2 . 2 . 1 . 3;
    /// Cisco: 1 for an operational VLAN. Index: management domain, VLAN.
    VTP_VLAN_STATE = 1 . 3 . 6 . 1 . 4 . 1 . 9 . 9 . 46 . 1 . 3 . 1 . 1 . 2;

    // LLDP-MIB, CISCO-CDP-MIB
    /// The kind of the local port's ID: 3 is a MAC address. Index: local port.
    LLDP_LOC_PORT_ID_SUBTYPE = 1 . 0 . 8802 . 1 . 1 . 2 . 1 . 3 . 7 . 1 . 2;
    /// Index: local port.
    LLDP_LOC_PORT_ID = 1 . 0 . 8802 . 1 . 1 . 2 . 1 . 3 . 7 . 1 . 3;
    LLDP_LOC_PORT_DESC = 1 . 0 . 8802 . 1 . 1 . 2 . 1 . 3 . 7 . 1 . 4;
    /// Index: time mark, local port, number.
    LLDP_REM_CHASSIS_ID = 1 . 0 . 8802 . 1 . 1 . 2 . 1 . 4 . 1 . 1 . 5;
    /// 3 is a MAC address.
    LLDP_REM_PORT_ID_SUBTYPE = 1 . 0 . 8802 . 1 . 1 . 2 . 1 . 4 . 1 . 1 . 6;
    LLDP_REM_PORT_ID = 1 . 0 . 8802 . 1 . 1 . 2 . 1 . 4 . 1 . 1 . 7;
    LLDP_REM_PORT_DESC = 1 . 0 . 8802 . 1 . 1 . 2 . 1 . 4 . 1 . 1 . 8;
    LLDP_REM_SYS_NAME = 1 . 0 . 8802 . 1 . 1 . 2 . 1 . 4 . 1 . 1 . 9;
    /// Index: ifIndex, number.
    CDP_CACHE_DEVICE_ID = 1 . 3 . 6 . 1 . 4 . 1 . 9 . 9 . 23 . 1 . 2 . 1 . 1 . 6;
    CDP_CACHE_DEVICE_PORT = 1 . 3 . 6 . 1 . 4 . 1 . 9 . 9 . 23 . 1 . 2 . 1 . 1 . 7;

    // ENTITY-MIB
    ENT_PHYSICAL_DESCR = 1 . 3 . 6 . 1 . 2 . 1 . 47 . 1 . 1 . 1 . 1 . 2;
    ENT_PHYSICAL_CONTAINED_IN = 1 . 3 . 6 . 1 . 2 . 1 . 47 . 1 . 1 . 1 . 1 . 4;
    ENT_PHYSICAL_CLASS = 1 . 3 . 6 . 1 . 2 . 1 . 47 . 1 . 1 . 1 . 1 . 5;
    ENT_PHYSICAL_NAME = 1 . 3 . 6 . 1 . 2 . 1 . 47 . 1 . 1 . 1 . 1 . 7;
    /// Index: entity, logical entity. Value: the OID of an ifIndex.
    ENT_ALIAS_MAPPING_IDENTIFIER = 1 . 3 . 6 . 1 . 2 . 1 . 47 . 1 . 3 . 2 . 1 . 2;

    // HOST-RESOURCES-MIB
    HR_SYSTEM_UPTIME = 1 . 3 . 6 . 1 . 2 . 1 . 25 . 1 . 1;
    HR_STORAGE_TYPE = 1 . 3 . 6 . 1 . 2 . 1 . 25 . 2 . 3 . 1 . 2;
    HR_STORAGE_DESCR = 1 . 3 . 6 . 1 . 2 . 1 . 25 . 2 . 3 . 1 . 3;
    HR_STORAGE_ALLOCATION_UNITS = 1 . 3 . 6 . 1 . 2 . 1 . 25 . 2 . 3 . 1 . 4;
    HR_STORAGE_SIZE = 1 . 3 . 6 . 1 . 2 . 1 . 25 . 2 . 3 . 1 . 5;
    HR_STORAGE_USED = 1 . 3 . 6 . 1 . 2 . 1 . 25 . 2 . 3 . 1 . 6;
    HR_PROCESSOR_LOAD = 1 . 3 . 6 . 1 . 2 . 1 . 25 . 3 . 3 . 1 . 2;
    /// The types of hrStorage: RAM is `.2`, virtual memory `.3`, a fixed disk `.4`, flash
    /// memory `.9`.
    HR_STORAGE_TYPES = 1 . 3 . 6 . 1 . 2 . 1 . 25 . 2 . 1;

    // UCD-SNMP-MIB, UCD-DISKIO-MIB: net-snmp's own. Memory in kB.
    MEM_TOTAL_SWAP = 1 . 3 . 6 . 1 . 4 . 1 . 2021 . 4 . 3;
    MEM_AVAIL_SWAP = 1 . 3 . 6 . 1 . 4 . 1 . 2021 . 4 . 4;
    MEM_TOTAL_REAL = 1 . 3 . 6 . 1 . 4 . 1 . 2021 . 4 . 5;
    MEM_AVAIL_REAL = 1 . 3 . 6 . 1 . 4 . 1 . 2021 . 4 . 6;
    MEM_BUFFER = 1 . 3 . 6 . 1 . 4 . 1 . 2021 . 4 . 14;
    MEM_CACHED = 1 . 3 . 6 . 1 . 4 . 1 . 2021 . 4 . 15;
    SS_RAW_INTERRUPTS = 1 . 3 . 6 . 1 . 4 . 1 . 2021 . 11 . 59;
    SS_RAW_CONTEXTS = 1 . 3 . 6 . 1 . 4 . 1 . 2021 . 11 . 60;
    SS_RAW_SWAP_IN = 1 . 3 . 6 . 1 . 4 . 1 . 2021 . 11 . 62;
    SS_RAW_SWAP_OUT = 1 . 3 . 6 . 1 . 4 . 1 . 2021 . 11 . 63;
    DISK_IO_DEVICE = 1 . 3 . 6 . 1 . 4 . 1 . 2021 . 13 . 15 . 1 . 1 . 2;
    DISK_IO_N_READ = 1 . 3 . 6 . 1 . 4 . 1 . 2021 . 13 . 15 . 1 . 1 . 3;
    DISK_IO_N_WRITTEN = 1 . 3 . 6 . 1 . 4 . 1 . 2021 . 13 . 15 . 1 . 1 . 4;
    DISK_IO_N_READ_X = 1 . 3 . 6 . 1 . 4 . 1 . 2021 . 13 . 15 . 1 . 1 . 12;
    DISK_IO_N_WRITTEN_X = 1 . 3 . 6 . 1 . 4 . 1 . 2021 . 13 . 15 . 1 . 1 . 13;

    /// The prefix of the sysObjectID of net-snmp's agents.
    NET_SNMP = 1 . 3 . 6 . 1 . 4 . 1 . 8072;

    // Vendors
    CISCO = 1 . 3 . 6 . 1 . 4 . 1 . 9;
    CPM_CPU_TOTAL_5_SEC = 1 . 3 . 6 . 1 . 4 . 1 . 9 . 9 . 109 . 1 . 1 . 1 . 1 . 3;
    CPM_CPU_TOTAL_1_MIN = 1 . 3 . 6 . 1 . 4 . 1 . 9 . 9 . 109 . 1 . 1 . 1 . 1 . 4;
    CPM_CPU_TOTAL_5_MIN = 1 . 3 . 6 . 1 . 4 . 1 . 9 . 9 . 109 . 1 . 1 . 1 . 1 . 5;
    CPM_CPU_TOTAL_5_SEC_REV = 1 . 3 . 6 . 1 . 4 . 1 . 9 . 9 . 109 . 1 . 1 . 1 . 1 . 6;
    CPM_CPU_TOTAL_1_MIN_REV = 1 . 3 . 6 . 1 . 4 . 1 . 9 . 9 . 109 . 1 . 1 . 1 . 1 . 7;
    CPM_CPU_TOTAL_5_MIN_REV = 1 . 3 . 6 . 1 . 4 . 1 . 9 . 9 . 109 . 1 . 1 . 1 . 1 . 8;
    /// kB; for devices without memory pools.
    CPM_CPU_MEMORY_USED = 1 . 3 . 6 . 1 . 4 . 1 . 9 . 9 . 109 . 1 . 1 . 1 . 1 . 12;
    CPM_CPU_MEMORY_FREE = 1 . 3 . 6 . 1 . 4 . 1 . 9 . 9 . 109 . 1 . 1 . 1 . 1 . 13;
    /// Index: 1 is the processor's pool.
    CISCO_MEMORY_POOL_USED = 1 . 3 . 6 . 1 . 4 . 1 . 9 . 9 . 48 . 1 . 1 . 1 . 5;
    CISCO_MEMORY_POOL_FREE = 1 . 3 . 6 . 1 . 4 . 1 . 9 . 9 . 48 . 1 . 1 . 1 . 6;
    HP = 1 . 3 . 6 . 1 . 4 . 1 . 11;
    HP_SWITCH_CPU_STAT = 1 . 3 . 6 . 1 . 4 . 1 . 11 . 2 . 14 . 11 . 5 . 1 . 9 . 6 . 1;
    HP_LOCAL_MEM_TOTAL_BYTES = 1 . 3 . 6 . 1 . 4 . 1 . 11 . 2 . 14 . 11 . 5 . 1 . 1 . 2 . 1 . 1 . 1 . 5;
    HP_LOCAL_MEM_FREE_BYTES = 1 . 3 . 6 . 1 . 4 . 1 . 11 . 2 . 14 . 11 . 5 . 1 . 1 . 2 . 1 . 1 . 1 . 6;
    JUNIPER = 1 . 3 . 6 . 1 . 4 . 1 . 2636;
    /// Index 9.1.0.0 is the first routing engine.
    JNX_OPERATING_CPU = 1 . 3 . 6 . 1 . 4 . 1 . 2636 . 3 . 1 . 13 . 1 . 8;
    JNX_OPERATING_BUFFER = 1 . 3 . 6 . 1 . 4 . 1 . 2636 . 3 . 1 . 13 . 1 . 11;
    UBIQUITI = 1 . 3 . 6 . 1 . 4 . 1 . 41112;
    /// airOS, kB.
    AIR_OS_MEM_TOTAL = 1 . 3 . 6 . 1 . 4 . 1 . 10002 . 1 . 1 . 1 . 1 . 1;
    AIR_OS_MEM_FREE = 1 . 3 . 6 . 1 . 4 . 1 . 10002 . 1 . 1 . 1 . 1 . 2;
}
