//! Poll data for tests, with figures of recorded devices.

use apmon_snmp_client::{Column, Oid, Row, Value, Varbind};

use crate::{mib::*, poll_data::PollData};

/// A row of hrStorageTable: index, type, description, units, size, used.
pub(crate) type StorageRow<'a> = (u32, u32, &'a str, i64, i64, Option<i64>);

impl PollData {
    /// The data of a device with this sysObjectID.
    pub(crate) fn of_device(object_id: &str) -> Self {
        Self::default().with(SYS_OBJECT_ID, Value::Oid(object_id.parse().unwrap()))
    }

    /// Adds a scalar.
    pub(crate) fn with(mut self, object: Object, value: Value) -> Self {
        self.put(Varbind::new(Oid::join(object, &[0]), value));
        self
    }

    /// Adds scalars of type INTEGER.
    pub(crate) fn with_integers(self, scalars: &[(Object, i64)]) -> Self {
        let integer =
            |data: Self, (object, number): &(Object, i64)| data.with(object, Value::Integer(*number));
        scalars.iter().fold(self, integer)
    }

    /// Adds a column.
    pub(crate) fn with_column<const N: usize>(mut self, object: Object, rows: &[([u32; N], Value)]) -> Self {
        let row = |(index, value): &([u32; N], Value)| Row {
            index: index.to_vec(),
            value: value.clone(),
        };
        let column = Column {
            rows: rows.iter().map(row).collect(),
            failure: None,
        };
        self.put_column(object, column);
        self
    }

    /// Adds a column of type Gauge32 whose index is one number.
    pub(crate) fn with_gauges(self, object: Object, rows: &[(u32, u32)]) -> Self {
        let rows: Vec<([u32; 1], Value)> = rows
            .iter()
            .map(|(index, number)| ([*index], Value::Gauge32(*number)))
            .collect();
        self.with_column(object, &rows)
    }

    /// Adds hrStorageTable.
    pub(crate) fn with_storage(self, rows: &[StorageRow<'_>]) -> Self {
        let column = |value: fn(&StorageRow<'_>) -> Option<Value>| -> Vec<([u32; 1], Value)> {
            rows.iter()
                .filter_map(|row| Some(([row.0], value(row)?)))
                .collect()
        };
        self.with_column(
            HR_STORAGE_TYPE,
            &column(|row| Some(Value::Oid(Oid::join(HR_STORAGE_TYPES, &[row.1])))),
        )
        .with_column(
            HR_STORAGE_DESCR,
            &column(|row| Some(Value::Octets(row.2.as_bytes().to_vec()))),
        )
        .with_column(
            HR_STORAGE_ALLOCATION_UNITS,
            &column(|row| Some(Value::Integer(row.3))),
        )
        .with_column(HR_STORAGE_SIZE, &column(|row| Some(Value::Integer(row.4))))
        .with_column(HR_STORAGE_USED, &column(|row| row.5.map(Value::Integer)))
    }
}

// sysObjectIDs
pub(crate) const LINUX: &str = "1.3.6.1.4.1.8072.3.2.10";
pub(crate) const WINDOWS: &str = "1.3.6.1.4.1.311.1.1.3.1.2";
pub(crate) const ARISTA: &str = "1.3.6.1.4.1.30065.1.3011.7150.3282.52.2745";
pub(crate) const JUNIPER_MX: &str = "1.3.6.1.4.1.2636.1.1.1.2.21";

// The storage tables of recorded devices: a Linux 3.10, a Vyatta, a Windows Server 2003,
// an Arista 7150, an Isilon, a Juniper MX960; and of a Linux 6 with net-snmp 5.9.
pub(crate) const LINUX_STORAGE: &[StorageRow<'_>] = &[
    (1, 2, "Physical memory", 1024, 16_334_056, Some(10_194_232)),
    (3, 3, "Virtual memory", 1024, 24_575_204, Some(10_194_232)),
    (6, 1, "Memory buffers", 1024, 16_334_056, Some(171_624)),
    (7, 1, "Cached memory", 1024, 1_901_820, Some(1_901_820)),
    (10, 3, "Swap space", 1024, 8_241_148, Some(0)),
    (31, 4, "/", 4096, 12_868_767, Some(1_137_144)),
    (35, 4, "/dev/shm", 4096, 2_041_757, Some(0)),
    (36, 4, "/boot", 1024, 487_652, Some(41_957)),
    (37, 4, "/home", 4096, 10_713_730, Some(12_258)),
];
pub(crate) const VYATTA_STORAGE: &[StorageRow<'_>] = &[
    (1, 2, "Physical memory", 1024, 7_844_796, Some(7_363_288)),
    (3, 3, "Virtual memory", 1024, 23_476_032, Some(7_365_752)),
    (6, 1, "Memory buffers", 1024, 7_844_796, Some(826_920)),
    (7, 1, "Cached memory", 1024, 4_102_228, Some(4_102_228)),
    (10, 3, "Swap space", 1024, 15_631_236, Some(2464)),
    (31, 4, "/", 1024, 126_931, Some(15_409)),
];
pub(crate) const WINDOWS_STORAGE: &[StorageRow<'_>] = &[
    (1, 5, "A:\\", 0, 0, Some(0)),
    (
        2,
        4,
        "C:\\ Label:  Serial Number d8e9b3d8",
        4096,
        13_105_015,
        Some(1_736_055),
    ),
    (3, 7, "D:\\", 0, 0, Some(0)),
    (4, 3, "Virtual Memory", 65_536, 63_105, Some(21_718)),
    (5, 2, "Physical Memory", 65_536, 32_758, Some(24_452)),
];
pub(crate) const ARISTA_STORAGE: &[StorageRow<'_>] = &[
    (1, 2, "RAM", 1024, 3_956_120, Some(3_132_868)),
    (2, 2, "RAM (Buffers)", 1024, 3_956_120, Some(171_908)),
    (3, 2, "RAM (Cache)", 1024, 3_956_120, Some(2_069_904)),
    (4, 9, "Flash", 4096, 386_808, Some(306_534)),
    (5, 3, "Tmp", 4096, 16_384, Some(159)),
    (6, 3, "Root", 4096, 148_355, Some(12_771)),
];
pub(crate) const ISILON_STORAGE: &[StorageRow<'_>] = &[
    (1, 2, "Physical memory", 4096, 12_555_985, Some(12_205_660)),
    (2, 2, "Real memory", 4096, 666_532, Some(497_620)),
    (3, 3, "Virtual memory", 4096, 270_881_063, Some(268_459_553)),
    (6, 1, "Memory Buffer", 4096, 3_145_552, None),
    (10, 3, "Swap space", 4096, 0, Some(0)),
    (31, 4, "/", 2048, 978_758, Some(231_824)),
    (32, 4, "/dev", 512, 2, Some(2)),
    // The size has wrapped.
    (37, 4, "/ifs", 8192, 186_914_868, Some(1_354_557_667)),
];
pub(crate) const JUNIPER_STORAGE: &[StorageRow<'_>] = &[
    (
        1,
        9,
        "/dev/ad0s1a: root file system, mounted on: /",
        2048,
        1_737_342,
        Some(161_297),
    ),
    (
        3,
        4,
        "/dev/ad0s1f: var file system, mounted on: /var",
        2048,
        9_326_398,
        Some(3_039_012),
    ),
    (
        6,
        4,
        "/dev/md0, mounted on: /packages/mnt/jbase",
        2048,
        33_078,
        Some(33_078),
    ),
    (
        16,
        3,
        "procfs: process file system, mounted on: /proc",
        4096,
        1,
        Some(1),
    ),
];
pub(crate) const NEW_LINUX_STORAGE: &[StorageRow<'_>] = &[
    (1, 2, "Physical memory", 1024, 24_682_416, Some(24_441_508)),
    (3, 3, "Virtual memory", 1024, 24_682_416, Some(24_441_508)),
    (6, 1, "Memory buffers", 1024, 24_682_416, Some(307_196)),
    (7, 1, "Cached memory", 1024, 23_173_724, Some(23_173_724)),
    (8, 1, "Shared memory", 1024, 13_352, Some(13_352)),
    (10, 3, "Swap space", 1024, 0, Some(0)),
    (11, 1, "Available memory", 1024, 23_307_304, Some(0)),
    (36, 4, "/", 4096, 66_053_021, Some(18_687_973)),
];
