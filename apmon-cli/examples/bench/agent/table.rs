//! The objects of a switch with 48 ports and 100 stations.

use apmon_core::Stopwatch;
use apmon_snmp_client::{Oid, Value, Varbind};

const PORTS: u32 = 48;
const STATIONS: u32 = 100;

/// The first ifIndex, as on a Cisco 3750.
const FIRST_INDEX: u32 = 10_101;

const SYSTEM: &[u32] = &[1, 3, 6, 1, 2, 1, 1];
const IF_ENTRY: &[u32] = &[1, 3, 6, 1, 2, 1, 2, 2, 1];
const IF_X_ENTRY: &[u32] = &[1, 3, 6, 1, 2, 1, 31, 1, 1, 1];
const IF_TABLE_LAST_CHANGE: &[u32] = &[1, 3, 6, 1, 2, 1, 31, 1, 5];
const BASE: &[u32] = &[1, 3, 6, 1, 2, 1, 17, 1];
const BASE_PORT_IF_INDEX: &[u32] = &[1, 3, 6, 1, 2, 1, 17, 1, 4, 1, 2];
const FDB_ENTRY: &[u32] = &[1, 3, 6, 1, 2, 1, 17, 7, 1, 2, 2, 1];
const NET_TO_MEDIA: &[u32] = &[1, 3, 6, 1, 2, 1, 4, 22, 1];
const TCP_RETRANS: &[u32] = &[1, 3, 6, 1, 2, 1, 6, 12];
const HR_SYSTEM_UPTIME: &[u32] = &[1, 3, 6, 1, 2, 1, 25, 1, 1];
const HR_PROCESSOR_LOAD: &[u32] = &[1, 3, 6, 1, 2, 1, 25, 3, 3, 1, 2];

const ETHERNET: i64 = 6;
const UP: i64 = 1;
const LEARNED: i64 = 3;

/// A value, fixed or growing with time.
enum Cell {
    Fixed(Value),
    /// Hundredths of a second.
    Clock(u32),
    /// Counters with their start and their increment per second.
    Counter32(u32, u32),
    Counter64(u64, u64),
}

/// All objects of an agent, in the order of their OIDs.
pub(super) struct Table {
    cells: Vec<(Oid, Cell)>,
    clock: Stopwatch,
}

impl Table {
    pub(super) fn switch() -> Self {
        let mut cells = system();
        for port in 1..=PORTS {
            cells.extend(interface(port));
        }
        for station in 0..STATIONS {
            cells.extend(learned(station));
        }
        cells.sort_by(|(one, _), (other, _)| one.cmp(other));
        Self {
            cells,
            clock: Stopwatch::start(),
        }
    }

    pub(super) fn at(&self, oid: &Oid) -> Varbind {
        let value = match self.cells.binary_search_by(|(its, _)| its.cmp(oid)) {
            Ok(place) => self.value(place),
            Err(_) => Value::NoSuchInstance,
        };
        Varbind::new(oid.clone(), value)
    }

    /// The position of the first object after `oid`.
    pub(super) fn after(&self, oid: &Oid) -> usize {
        self.cells.partition_point(|(its, _)| its <= oid)
    }

    /// The object at that position, or the end of the MIB view for `asked`.
    pub(super) fn nth(&self, place: usize, asked: &Oid) -> Varbind {
        match self.cells.get(place) {
            Some((oid, _)) => Varbind::new(oid.clone(), self.value(place)),
            None => Varbind::new(asked.clone(), Value::EndOfMibView),
        }
    }

    fn value(&self, place: usize) -> Value {
        let since = self.clock.elapsed().as_millis() as u64;
        match &self.cells[place].1 {
            Cell::Fixed(value) => value.clone(),
            Cell::Clock(from) => Value::TimeTicks(from.wrapping_add((since / 10) as u32)),
            Cell::Counter32(from, rate) => {
                Value::Counter32(from.wrapping_add((u64::from(*rate) * since / 1_000) as u32))
            }
            Cell::Counter64(from, rate) => Value::Counter64(from.wrapping_add(rate * since / 1_000)),
        }
    }
}

/// Whether `oid` is in one of the interfaces' tables.
pub(super) fn is_of_interfaces(oid: &Oid) -> bool {
    oid.starts_with(&IF_ENTRY[..IF_ENTRY.len() - 1]) || oid.starts_with(&IF_X_ENTRY[..IF_X_ENTRY.len() - 1])
}

/// The octets of an encoded varbind (X.690).
pub(super) fn octets(varbind: &Varbind) -> usize {
    let value = match &varbind.value {
        Value::Octets(octets) => octets.len(),
        Value::Oid(oid) => name(oid),
        Value::Integer(number) => signed(number.unsigned_abs()),
        value => value.unsigned().map_or(0, signed),
    };
    element(element(name(&varbind.oid)) + element(value))
}

/// The octets of an element with its tag and length.
fn element(octets: usize) -> usize {
    octets + 2 + usize::from(octets > 127) + usize::from(octets > 255)
}

/// The octets of an OID: the first two numbers share one, the others have seven bits in
/// each.
fn name(oid: &Oid) -> usize {
    let rest = oid.iter().skip(2);
    1 + rest
        .map(|part| (part.max(&1).ilog2() / 7 + 1) as usize)
        .sum::<usize>()
}

/// The octets of a number with a bit for the sign.
fn signed(number: u64) -> usize {
    (number.max(1).ilog2() as usize + 1) / 8 + 1
}

fn cell(root: &[u32], index: &[u32], cell: Cell) -> (Oid, Cell) {
    (Oid::join(root, index), cell)
}

fn fixed(root: &[u32], index: &[u32], value: Value) -> (Oid, Cell) {
    cell(root, index, Cell::Fixed(value))
}

fn text(text: impl Into<String>) -> Value {
    Value::Octets(text.into().into_bytes())
}

fn system() -> Vec<(Oid, Cell)> {
    let vendor = Oid::from([1, 3, 6, 1, 4, 1, 32_473, 1, 48]);
    let mut cells = vec![
        fixed(
            SYSTEM,
            &[1, 0],
            text("48-port switch of the bench, software 15.2(7)E"),
        ),
        fixed(SYSTEM, &[2, 0], Value::Oid(vendor)),
        cell(SYSTEM, &[3, 0], Cell::Clock(8_640_000)),
        fixed(SYSTEM, &[4, 0], text("the operator")),
        fixed(SYSTEM, &[5, 0], text("office-switch")),
        fixed(SYSTEM, &[6, 0], text("rack 2")),
        fixed(&[1, 3, 6, 1, 2, 1, 2, 1], &[0], Value::Integer(PORTS.into())),
        cell(TCP_RETRANS, &[0], Cell::Counter32(1_000, 1)),
        fixed(BASE, &[1, 0], Value::Octets(vec![0x02, 0xff, 0, 0, 0, 1])),
        fixed(BASE, &[2, 0], Value::Integer(PORTS.into())),
        cell(HR_SYSTEM_UPTIME, &[0], Cell::Clock(8_640_000)),
        fixed(HR_PROCESSOR_LOAD, &[1], Value::Integer(12)),
        fixed(IF_TABLE_LAST_CHANGE, &[0], Value::TimeTicks(4_711)),
    ];
    // It does not route: its ARP table has only managers and its gateway.
    for station in 0..4_u8 {
        let index = [FIRST_INDEX, 192, 168, 1, u32::from(station) + 1];
        let column = [&[2], &index[..]].concat();
        cells.push(fixed(
            NET_TO_MEDIA,
            &column,
            Value::Octets(mac(station.into()).to_vec()),
        ));
    }
    cells
}

fn interface(port: u32) -> Vec<(Oid, Cell)> {
    let index = FIRST_INDEX + port - 1;
    let [_, high, middle, low] = index.to_be_bytes();
    let integer = |number: i64| Cell::Fixed(Value::Integer(number));
    let old = |rate: u32| Cell::Counter32(port * 10_000_000, rate * port);
    let entry = [
        (1, integer(index.into())),
        (2, Cell::Fixed(text(format!("GigabitEthernet1/0/{port}")))),
        (3, integer(ETHERNET)),
        (5, Cell::Fixed(Value::Gauge32(1_000_000_000))),
        (
            6,
            Cell::Fixed(Value::Octets(vec![0x02, 0xff, 0, high, middle, low])),
        ),
        (7, integer(UP)),
        (8, integer(UP)),
        (10, old(40_000)),
        (11, old(50)),
        (14, old(0)),
        (16, old(60_000)),
        (17, old(60)),
        (20, old(0)),
    ];
    let wide = |rate: u64| Cell::Counter64(u64::from(port) << 36, rate * u64::from(port));
    let x_entry = [
        (1, Cell::Fixed(text(format!("Gi1/0/{port}")))),
        (6, wide(40_000)),
        (7, wide(50)),
        (8, wide(2)),
        (9, wide(3)),
        (10, wide(60_000)),
        (11, wide(60)),
        (12, wide(4)),
        (13, wide(5)),
        (15, Cell::Fixed(Value::Gauge32(1_000))),
        (18, Cell::Fixed(text(format!("desk {port}, second floor")))),
    ];
    let entry = entry
        .into_iter()
        .map(|(column, value)| cell(IF_ENTRY, &[column, index], value));
    let x_entry = x_entry
        .into_iter()
        .map(|(column, value)| cell(IF_X_ENTRY, &[column, index], value));
    let bridge = fixed(BASE_PORT_IF_INDEX, &[port], Value::Integer(index.into()));
    entry.chain(x_entry).chain([bridge]).collect()
}

/// The forwarding entry of a station; stations are spread over the ports in turn.
fn learned(station: u32) -> [(Oid, Cell); 2] {
    let mac = mac(station).map(u32::from);
    let row = |column: u32| [&[column, 1], &mac[..]].concat();
    let port = station % PORTS + 1;
    [
        fixed(FDB_ENTRY, &row(2), Value::Integer(port.into())),
        fixed(FDB_ENTRY, &row(3), Value::Integer(LEARNED)),
    ]
}

/// A MAC address with octets as in real ones: half of them need two octets in an index.
fn mac(station: u32) -> [u8; 6] {
    let [_, _, high, low] = station.wrapping_mul(40_503).to_be_bytes();
    [0xa4, 0xbb, 0x6d, high, low, station as u8]
}
