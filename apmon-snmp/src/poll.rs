//! One poll of a device's ports: what was read, as what it means.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    time::Duration,
};

use apmon_core::{Check, Device, Failure, FailureClass, Metric, Neighbour, PortStatus, Services};
use tokio::{sync::Mutex, time::Instant};

use crate::{
    arp,
    asker::Asker,
    bridge::{self, Stations, VlanTable},
    counted::Counted,
    counting::{CountedPort, Counting, Sources},
    follow::Identity,
    harvest::Harvest,
    interface::{self, Interface, Names},
    joined,
    mib::*,
    neighbour,
    reading::{self, Extent},
    restart::Uptimes,
    session::{Count, Session},
    slot, storage,
    target::Target,
    value::Value,
    vendor::Vendor,
    vital,
};

/// So many VLANs of a Cisco are asked for their stations.
const MOST_VLANS: usize = 256;
/// An agent that keeps no table of a VLAN does not answer for it: it is not
/// waited for long.
const VLAN_PATIENCE: Duration = Duration::from_secs(2);
/// After so many that were not answered the others are not asked for.
const MOST_SILENT: usize = 2;
/// So many stations' names are wanted at a time.
const MOST_NAMES: usize = 1_000;

/// What is known of a device from the polls before. One that fails, or is cut
/// off, leaves what it has learned.
#[derive(Debug, Default)]
pub(crate) struct Acquaintance(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    found: reading::Found,
    names: Names,
    /// So many had an ifOperStatus, and an ifAdminStatus, where not all had both.
    uneven: Option<(usize, usize)>,
    /// So many were shown of how many there are, where that were fewer than before.
    lacking: Option<(usize, usize)>,
    slots: BTreeMap<u32, String>,
    neighbours: BTreeMap<u32, Vec<Neighbour>>,
    about: About,
}

/// What a device says of itself, which is not asked for at each poll.
#[derive(Clone, Debug, Default)]
struct About {
    location: Option<String>,
    contact: Option<String>,
    description: Option<String>,
}

/// What one poll found.
#[derive(Debug)]
pub(crate) struct Polled {
    pub(crate) harvest: Harvest,
    pub(crate) interfaces: Vec<Interface>,
    pub(crate) stations: Stations,
    pub(crate) device: Device,
}

/// A person waits so long for names of stations.
const NAMES_PATIENCE: Duration = Duration::from_secs(2);

/// Reads a device once, with all that is known of its ports: for people. The
/// kinds do so by themselves.
///
/// # Errors
/// When it could not be asked, or did not tell all of its interfaces.
pub async fn device(target: &Target, services: &Services, check: &Check) -> Result<Device, Failure> {
    let asker = Asker::new(target.clone(), services);
    let polled = Acquaintance::default()
        .poll(&asker, check, Extent::Device)
        .await?;
    let mut device = polled.device;
    let deadline = check.deadline().min(Instant::now() + NAMES_PATIENCE);
    name_stations(&asker, &mut device, deadline).await;
    Ok(device)
}

impl Acquaintance {
    /// Polls the device.
    ///
    /// # Errors
    /// When it could not be asked, or did not tell all of its interfaces: what
    /// it told is then no basis for anything.
    pub(crate) async fn poll(&self, asker: &Asker, check: &Check, extent: Extent) -> Result<Polled, Failure> {
        let (mut session, to) = asker.session(check).await?;
        // A monitor has one look at a time: nobody waits here.
        let mut known = self.0.lock().await;
        known.poll(asker, check, extent, &mut session, to).await
    }
}

impl Known {
    async fn poll(
        &mut self,
        asker: &Asker,
        check: &Check,
        extent: Extent,
        session: &mut Session,
        to: IpAddr,
    ) -> Result<Polled, Failure> {
        let failed = |error| asker.failure(check, to, &error);
        let reading = reading::ports(session, &mut self.found, extent)
            .await
            .map_err(failed)?;
        // What was not all read is no basis for anything; nor are its names kept.
        self.is_whole(&reading).inspect_err(|_| self.found.unsettle())?;
        let interfaces = interface::interfaces(&reading.harvest, &self.names);
        if reading.has_names {
            self.names = Names::of(&interfaces);
        }
        self.found.settle(&reading);
        let harvest = reading.harvest;
        let mut count = session.count();
        let vlans = self.vlans(asker, check, to, &harvest, &mut count).await;
        check.step("snmp", || {
            let Count {
                round_trips, retries, ..
            } = count;
            format!("{round_trips} answers, {retries} requests sent again")
        });
        let mut stations = bridge::stations(&harvest, &vlans, &interfaces);
        stations.is_lasting = self.found.missing_vlan().is_some();
        if reading.has_slots {
            self.slots = slot::slots(&harvest, &interfaces);
        }
        if reading.has_neighbours {
            self.neighbours = neighbour::neighbours(&harvest, &interfaces);
        }
        let mut device = joined::device(
            &harvest,
            &joined::Parts {
                interfaces: &interfaces,
                stations: &stations,
                addresses: &arp::addresses(&harvest),
                neighbours: &self.neighbours,
                slots: &self.slots,
                vendor: Vendor::read(&harvest).name(),
            },
        );
        if reading.has_about {
            self.about = About {
                location: device.location.clone(),
                contact: device.contact.clone(),
                description: device.description.clone(),
            };
        } else {
            let About {
                location,
                contact,
                description,
            } = self.about.clone();
            (device.location, device.contact, device.description) = (location, contact, description);
        }
        device.disks = storage::disks(&harvest);
        // Those that are not known yet are looked up meanwhile.
        name_stations(asker, &mut device, Instant::now()).await;
        Ok(Polled {
            harvest,
            interfaces,
            stations,
            device,
        })
    }

    /// The tables that a Cisco keeps for each VLAN, where it keeps them so. One
    /// that was not read says so.
    async fn vlans(
        &mut self,
        asker: &Asker,
        check: &Check,
        to: IpAddr,
        harvest: &Harvest,
        count: &mut Count,
    ) -> Vec<VlanTable> {
        let mut tables = Vec::new();
        let (mut silent, mut has_any) = (0, false);
        let vlans = self.found.vlans(harvest);
        for (i, vlan) in vlans.iter().copied().enumerate() {
            if i >= MOST_VLANS || silent >= MOST_SILENT {
                tables.push(reading::missing_vlan(vlan, "not asked for"));
                break;
            }
            let deadline = check.deadline().min(Instant::now() + VLAN_PATIENCE);
            let read = match asker.vlan_session(to, vlan, deadline).await {
                None => Err("no way to ask for it".to_owned()),
                Some(mut session) => {
                    let read = reading::vlan(&mut session).await;
                    count.round_trips += session.count().round_trips;
                    count.retries += session.count().retries;
                    read.map_err(|error| error.to_string())
                }
            };
            match read {
                Ok(harvest) => {
                    has_any = true;
                    self.found.has_vlans();
                    tables.push(VlanTable { vlan, harvest });
                }
                Err(reason) => {
                    check.step("vlan", || format!("{vlan}: {reason}"));
                    silent += 1;
                    tables.push(reading::missing_vlan(vlan, &reason));
                    // It keeps no such tables, or none that we may read.
                    if !has_any && (silent >= MOST_SILENT || silent == vlans.len()) {
                        self.found.lacks_vlans(vlan, reason);
                        break;
                    }
                }
            }
        }
        if vlans.is_empty() {
            tables.extend(self.found.missing_vlan());
        }
        tables
    }
}

impl Known {
    /// The interfaces were all read: with less, what is not there would look as
    /// if it were gone. Names that are known need not be read.
    fn is_whole(&mut self, reading: &reading::PortsReading) -> Result<(), Failure> {
        let harvest = &reading.harvest;
        let unread = |why: &str| {
            let reason = format!("snmp: the interfaces were not all read: {why}");
            Err(Failure::new(FailureClass::Protocol, reason))
        };
        let has_names = !self.names.is_empty() && !self.found.is_changed(reading);
        let needed = [IF_OPER_STATUS, IF_ADMIN_STATUS, IF_DESCR];
        let mut needed = needed.iter().filter(|object| !has_names || **object != IF_DESCR);
        if let Some(trouble) = needed.find_map(|object| harvest.trouble(object)) {
            return unread(trouble);
        }
        if !harvest.has(IF_OPER_STATUS) {
            return Err(Failure::new(
                FailureClass::Content,
                "snmp: it shows no interfaces (may this community or user see 1.3.6.1.2.1.2?)",
            ));
        }
        let indexes = |object: Object| -> BTreeSet<&[u32]> {
            let rows = harvest.rows(object).iter();
            rows.map(|row| row.index.as_slice()).collect()
        };
        let (oper, admin) = (indexes(IF_OPER_STATUS), indexes(IF_ADMIN_STATUS));
        let uneven = (oper != admin).then_some((oper.len(), admin.len()));
        // Some lack a row for good: what is so twice is believed.
        if let Some((oper, admin)) = uneven.filter(|_| self.uneven != uneven) {
            self.uneven = uneven;
            return unread(&format!("{oper} have an ifOperStatus, {admin} an ifAdminStatus"));
        }
        self.uneven = uneven;
        let lacking = self.found.lacks(reading);
        if let Some((shown, number)) = lacking.filter(|_| self.lacking != lacking) {
            self.lacking = lacking;
            return unread(&format!("{shown} of {number} (ifNumber) were shown"));
        }
        self.lacking = lacking;
        Ok(())
    }
}

/// Names of stations, as far as they are known by `deadline`.
async fn name_stations(asker: &Asker, device: &mut Device, deadline: Instant) {
    let stations = device.ports.iter_mut().flat_map(|port| &mut port.stations);
    for station in stations
        .filter(|station| !station.addresses.is_empty())
        .take(MOST_NAMES)
    {
        let mut names = BTreeSet::new();
        for ip in &station.addresses {
            names.extend(asker.names().name_of(*ip, deadline).await);
        }
        station.names = names.into_iter().collect();
    }
}

impl Polled {
    /// The interface of that name: by ifName, else by ifDescr, else by ifAlias;
    /// none where several have it.
    pub(crate) fn by_name(&self, name: &str) -> Option<&Interface> {
        let by = |its: fn(&Interface) -> Option<&str>| {
            let mut found = self.interfaces.iter().filter(move |one| its(one) == Some(name));
            let first = found.next();
            first.map(|one| found.next().is_none().then_some(one))
        };
        let ways = [
            by(|one| one.short_name.as_deref()),
            by(|one| Some(&one.name)),
            by(|one| one.alias.as_deref()),
        ];
        ways.into_iter().flatten().next().flatten()
    }

    /// Why a port may not be found by its name.
    pub(crate) fn names_trouble(&self) -> Option<&str> {
        reading::KNOWN_BY
            .iter()
            .find_map(|column| self.harvest.trouble(column))
    }

    pub(crate) fn uptimes(&self) -> Uptimes {
        uptimes(&self.harvest)
    }

    /// Seed 003's figures of the ports and of the device itself, in its order.
    pub(crate) fn figures(
        &self,
        counting: &mut Counting,
        sources: &mut Sources,
        extent: Extent,
    ) -> Vec<Metric> {
        let ports: Vec<CountedPort<'_>> = self.interfaces.iter().map(counted_port).collect();
        // Seed 003 has this one for `ports` alone.
        let retrans = (extent == Extent::Device).then(|| self.harvest.scalar(TCP_RETRANS_SEGS));
        let retrans = retrans.flatten().and_then(Counted::of);
        let mut figures = counting.ports(sources, &ports, retrans);
        let gauge = |name, value: Option<f64>| value.map(|value| Metric::gauge(name, value));
        figures.extend(gauge("cpu_load", vital::cpu_load(&self.harvest)));
        figures.extend(gauge("memory_pct", vital::memory_pct(&self.harvest)));
        if extent == Extent::Device {
            let up = self
                .interfaces
                .iter()
                .filter(|one| one.state.oper == PortStatus::Up)
                .count();
            figures.extend(gauge("ports_up_count", Some(number(up))));
            figures.extend(gauge(
                "nvram_flash_bytes",
                storage::nvram_flash_bytes(&self.harvest).map(bytes),
            ));
            // A device that is no bridge has learned nobody.
            let is_known = self.stations.is_readable || self.stations.trouble.is_none();
            let macs = is_known.then_some(self.stations.learned);
            figures.extend(gauge("mac_count", macs.map(number)));
            figures.extend(gauge("arp_count", arp::arp_count(&self.harvest).map(number)));
        }
        figures
    }
}

#[allow(clippy::cast_precision_loss)] // no table is that long
fn number(count: usize) -> f64 {
    count as f64
}

#[allow(clippy::cast_precision_loss)] // a chart's
fn bytes(bytes: u64) -> f64 {
    bytes as f64
}

/// Which port that is.
pub(crate) fn identity(one: &Interface) -> Identity<'_> {
    Identity {
        index: one.index,
        name: &one.name,
        short_name: one.short_name.as_deref(),
    }
}

fn counted_port(one: &Interface) -> CountedPort<'_> {
    CountedPort {
        identity: identity(one),
        speed: one.speed,
        counts: one.counts,
    }
}

/// What a device says of its uptime.
pub(crate) fn uptimes(harvest: &Harvest) -> Uptimes {
    let ticks = |object: Object| match harvest.scalar(object) {
        Some(Value::TimeTicks(ticks)) => Some(*ticks),
        _ => None,
    };
    Uptimes {
        host: ticks(HR_SYSTEM_UPTIME),
        agent: ticks(SYS_UP_TIME),
    }
}
