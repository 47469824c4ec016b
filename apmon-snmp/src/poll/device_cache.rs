//! Data about a device that this process keeps between polls.

use std::collections::{BTreeMap, BTreeSet};

use apmon_core::{Device, Failure, FailureClass, Mac, Neighbour};
use tokio::{sync::Mutex, task::yield_now, time::Instant};

use super::{
    device_client::{DeviceClient, OpenDevice},
    device_profile::DeviceProfile,
    error::PollError,
    polled_device::PolledDevice,
    ports_poll::{Extent, PortsPoll},
    remembered_table::RememberedTable,
};
use crate::{
    device::{
        arp, assembly,
        bridge::{self, EarlierTables},
        chassis_slot,
        interface::{self, Names},
        neighbour, storage,
        vendor::Vendor,
    },
    mib::{self, Object},
};

/// The most stations whose names are looked up in one poll.
const MOST_NAMES: usize = 1_000;

/// The data known about a device from earlier polls. A poll that fails, or is
/// cancelled, keeps what it has learned so far.
#[derive(Debug, Default)]
pub(crate) struct DeviceCache(Mutex<CachedDevice>);

#[derive(Debug, Default)]
struct CachedDevice {
    profile: DeviceProfile,
    names: Names,
    /// The numbers of rows of ifOperStatus and of ifAdminStatus in the last poll, if
    /// their indexes differed.
    mismatch: Option<(usize, usize)>,
    /// The number of interfaces shown in the last poll and their total (ifNumber), if
    /// some were missing.
    missing: Option<(usize, usize)>,
    slots: BTreeMap<u32, String>,
    neighbours: BTreeMap<u32, Vec<Neighbour>>,
    about: About,
    /// Whether a forwarding table could only be read as one of ifIndexes.
    uses_if_indexes: bool,
    /// The stations of interest that the last poll saw.
    seen: BTreeSet<Mac>,
    /// The table of BRIDGE-MIB, between two readings.
    plain: RememberedTable,
}

/// A device's description of itself, which is not read at every poll.
#[derive(Clone, Debug, Default)]
struct About {
    location: Option<String>,
    contact: Option<String>,
    description: Option<String>,
}

impl DeviceCache {
    /// Polls an open device. `of_interest` are the pinned or allowed stations: if one of them is
    /// missing from one table of stations, the others are read as well.
    ///
    /// # Errors
    /// If the device cannot be read, or does not show all of its interfaces: an
    /// incomplete poll cannot be evaluated.
    pub(crate) async fn poll(
        &self,
        client: &DeviceClient,
        device: &mut OpenDevice<'_>,
        extent: Extent,
        of_interest: &BTreeSet<Mac>,
    ) -> Result<PolledDevice, Failure> {
        // A monitor runs one check at a time: the lock is free.
        let mut known = self.0.lock().await;
        let expected = match extent {
            Extent::Port => of_interest.clone(),
            // Of many allowed stations, some are always away.
            Extent::Device => &known.seen - known.plain.stations(),
        };
        let polled = known.poll(client, device, extent, &expected).await?;
        let seen = polled.stations.all().filter(|mac| of_interest.contains(mac));
        known.seen = seen.copied().collect();
        Ok(polled)
    }

    /// Lets the next poll read all tables of stations: a failure must not last only because a
    /// remembered table says so.
    pub(crate) async fn reread_stations(&self) {
        self.0.lock().await.profile.rest_plain(false);
    }
}

impl CachedDevice {
    async fn poll(
        &mut self,
        client: &DeviceClient,
        device: &mut OpenDevice<'_>,
        extent: Extent,
        expected: &BTreeSet<Mac>,
    ) -> Result<PolledDevice, Failure> {
        let OpenDevice {
            session, to, check, ..
        } = device;
        let (check, to) = (&*check, *to);
        let failed = |error: PollError| client.failure(check, to, &error);
        let mut poll = PortsPoll::read(session, &mut self.profile, extent, expected)
            .await
            .map_err(failed)?;
        let mismatch = self.mismatch;
        let mut complete = self.check_complete(&poll);
        // Whether the device always lacks these rows, only a second poll shows, and a pass remembers
        // nothing of the first one.
        if complete.is_err() && self.mismatch.is_some() && self.mismatch != mismatch {
            self.profile.forget_absences();
            poll = PortsPoll::read(session, &mut self.profile, extent, expected)
                .await
                .map_err(failed)?;
            complete = self.check_complete(&poll);
        }
        // Of an incomplete poll nothing is kept, not even names.
        complete.inspect_err(|_| self.profile.forget_absences())?;
        yield_now().await;
        let interfaces = interface::interfaces(&poll.data, &self.names);
        if poll.parts.names {
            self.names = Names::of(&interfaces);
        }
        poll.accept(&mut self.profile);
        let PortsPoll {
            mut data,
            parts,
            has_plain,
            ..
        } = poll;
        if !has_plain {
            self.plain.complete(&mut data);
        }
        let (vlans, cost) = self.profile.vlans.read(client, check, to, &data).await;
        check.step("snmp", || {
            let stats = session.stats();
            let answers = stats.round_trips + cost.round_trips;
            format!("{answers} answers, {} retries", stats.retries + cost.retries)
        });
        // Of the largest tables, each step takes a while: the other checks have a turn.
        yield_now().await;
        let earlier = EarlierTables {
            uses_if_indexes: self.uses_if_indexes,
            plain: (!has_plain).then(|| self.plain.known()),
        };
        let mut stations = bridge::stations(&data, &vlans, &interfaces, &earlier);
        match has_plain {
            true => {
                let rests = self.plain.remember(&data, &stations);
                self.profile.rest_plain(rests);
            }
            false => self.plain.note(&stations),
        }
        stations.is_lasting = self.profile.vlans.lacking.is_some();
        if !stations.on.is_empty() {
            self.uses_if_indexes = stations.uses_if_indexes;
        }
        yield_now().await;
        if parts.slots {
            self.slots = chassis_slot::slots(&data, &interfaces);
        }
        if parts.neighbours {
            self.neighbours = neighbour::neighbours(&data, &interfaces);
        }
        let mut device = assembly::device(
            &data,
            &assembly::Parts {
                interfaces: &interfaces,
                stations: &stations,
                addresses: &arp::addresses(&data),
                neighbours: &self.neighbours,
                slots: &self.slots,
                vendor: Vendor::read(&data).name(),
            },
        );
        match parts.about {
            true => self.about = About::of(&device),
            false => self.about.clone().complete(&mut device),
        }
        device.disks = storage::disks(&data);
        // Known names are filled in at once; the others are looked up for the next poll.
        name_stations(client, &mut device, Instant::now()).await;
        Ok(PolledDevice {
            data,
            interfaces,
            stations,
            device,
        })
    }

    /// Checks that all interfaces were read: in an incomplete poll, interfaces that were
    /// not read would seem to have vanished. Names that are already known need not
    /// be read.
    fn check_complete(&mut self, poll: &PortsPoll) -> Result<(), Failure> {
        let data = &poll.data;
        let incomplete = |why: &str| {
            let reason = format!("snmp: the interface table is incomplete: {why}");
            Err(Failure::new(FailureClass::Protocol, reason))
        };
        let has_names = !self.names.is_empty() && !poll.is_renumbered(&self.profile);
        let needed = [mib::IF_OPER_STATUS, mib::IF_ADMIN_STATUS, mib::IF_DESCR];
        let mut needed = needed
            .iter()
            .filter(|object| !has_names || **object != mib::IF_DESCR);
        if let Some(failure) = needed.find_map(|object| data.failure(object)) {
            return incomplete(failure);
        }
        if !data.has(mib::IF_OPER_STATUS) {
            return Err(Failure::new(
                FailureClass::Content,
                "snmp: the device shows no interfaces; allow this community or user to read 1.3.6.1.2.1.2",
            ));
        }
        let indexes = |object: Object| -> BTreeSet<&[u32]> {
            let rows = data.rows(object).iter();
            rows.map(|row| row.index.as_slice()).collect()
        };
        let (oper, admin) = (indexes(mib::IF_OPER_STATUS), indexes(mib::IF_ADMIN_STATUS));
        let mismatch = (oper != admin).then_some((oper.len(), admin.len()));
        // Some devices always lack a row: the same numbers twice in a row are accepted.
        if let Some((oper, admin)) = mismatch.filter(|_| self.mismatch != mismatch) {
            self.mismatch = mismatch;
            return incomplete(&format!("{oper} rows of ifOperStatus, {admin} of ifAdminStatus"));
        }
        self.mismatch = mismatch;
        let missing = poll.missing_ports(&self.profile);
        if let Some((shown, number)) = missing.filter(|_| self.missing != missing) {
            self.missing = missing;
            return incomplete(&format!("{shown} of {number} interfaces (ifNumber)"));
        }
        self.missing = missing;
        Ok(())
    }
}

impl About {
    fn of(device: &Device) -> Self {
        Self {
            location: device.location.clone(),
            contact: device.contact.clone(),
            description: device.description.clone(),
        }
    }

    fn complete(self, device: &mut Device) {
        device.location = self.location;
        device.contact = self.contact;
        device.description = self.description;
    }
}

/// Adds the names of stations, as far as they are known by `deadline`.
pub(super) async fn name_stations(client: &DeviceClient, device: &mut Device, deadline: Instant) {
    let stations = device.ports.iter_mut().flat_map(|port| &mut port.stations);
    for station in stations
        .filter(|station| !station.addresses.is_empty())
        .take(MOST_NAMES)
    {
        let mut names = BTreeSet::new();
        for ip in &station.addresses {
            names.extend(client.names().name_of(*ip, deadline).await);
        }
        station.names = names.into_iter().collect();
    }
}
