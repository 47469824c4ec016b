//! A model test: for any sequence of polls, someone who believes every message ends up
//! with the true state.

use proptest::prelude::*;

use super::*;

const WINDOW: i64 = 600;

/// The state of the ports according to the messages so far.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
struct Belief(BTreeMap<String, (String, BTreeSet<String>)>);

impl Belief {
    fn of(ports: &[PolledPort]) -> Self {
        let port = |port: &PolledPort| {
            let stations = port.macs.iter().flatten().map(Mac::to_string);
            (
                port.identity.name.clone(),
                (port.state.to_string(), stations.collect()),
            )
        };
        Self(ports.iter().map(port).collect())
    }

    fn stations(&mut self, port: &str) -> &mut BTreeSet<String> {
        &mut self.0.get_mut(port).expect("the port was announced").1
    }

    /// Applies a message, and returns the port that it is about.
    fn apply(&mut self, message: &str) -> String {
        let (label, text) = message.split_once(": ").unwrap();
        let mut about = None;
        for part in text.split("; ") {
            if let Some(part) = part.strip_prefix("MAC") {
                let part = part.strip_prefix('s').unwrap_or(part).trim_start();
                let (macs, ports) = part.split_once(" moved from ").unwrap();
                let (from, to) = ports.split_once(" to ").unwrap();
                for mac in macs.split(", ") {
                    if let Some((_, stations)) = self.0.get_mut(from) {
                        stations.remove(mac);
                    }
                    assert!(self.stations(to).insert(mac.to_owned()), "{message}");
                }
                about = Some(to.to_owned());
                continue;
            }
            let (port, what) = part.split_once(' ').unwrap();
            about = Some(port.to_owned());
            if label == "PORT MAC CHANGE" {
                let what = what.strip_prefix("MAC change ").unwrap();
                for (key, is_here) in [("appeared=[", true), ("gone=[", false)] {
                    for mac in bracketed(what, key) {
                        let changed = match is_here {
                            true => self.stations(port).insert(mac.clone()),
                            false => self.stations(port).remove(&mac),
                        };
                        assert!(changed, "nothing new: {message}");
                    }
                }
            } else if what.starts_with("vanished") {
                assert!(self.0.remove(port).is_some(), "nothing new: {message}");
            } else if let Some(what) = what.strip_prefix("appeared ") {
                let (state, _) = what.split_once(" stations=").unwrap_or((what, ""));
                let stations = bracketed(what, "stations=[").into_iter().collect();
                let before = self.0.insert(port.to_owned(), (state.to_owned(), stations));
                assert_eq!(before, None, "nothing new: {message}");
            } else {
                let (state, was) = what.split_once(" (was ").unwrap();
                let known = self.0.get_mut(port).unwrap();
                assert_eq!(format!("{})", known.0), was, "{message}");
                assert_ne!(known.0, state, "nothing new: {message}");
                state.clone_into(&mut known.0);
            }
        }
        about.unwrap()
    }
}

fn bracketed(text: &str, key: &str) -> Vec<String> {
    let Some((_, rest)) = text.split_once(key) else {
        return Vec::new();
    };
    let (list, _) = rest.split_once(']').unwrap();
    list.split(", ").map(str::to_owned).collect()
}

/// An event at a device between two checks.
#[derive(Clone, Debug)]
enum Event {
    State(usize, i64),
    Station(usize, u8),
    Leaves(u8),
    Port(usize),
    Renumbered(u32),
    Restarted,
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        3 => (0..6_usize, 1..4_i64).prop_map(|(port, state)| Event::State(port, state)),
        4 => (0..6_usize, 0..8_u8).prop_map(|(port, mac)| Event::Station(port, mac)),
        2 => (0..8_u8).prop_map(Event::Leaves),
        1 => (0..6_usize).prop_map(Event::Port),
        1 => (0..100_u32).prop_map(Event::Renumbered),
        1 => Just(Event::Restarted),
    ]
}

/// The ports of a device, each present or absent. Each station is on at most one port.
struct World {
    ports: Vec<(PolledPort, bool)>,
    restart: Restart,
}

impl World {
    fn new() -> Self {
        let port = |i: u32| {
            let name = format!("Gi0/{i}");
            let seen = PolledPort {
                identity: OwnedIdentity {
                    index: i,
                    short_name: Some(name.clone()),
                    name,
                },
                ..port(i, UP, &[])
            };
            (seen, i < 5)
        };
        Self {
            ports: (0..6).map(port).collect(),
            restart: Restart::No,
        }
    }

    fn happen(&mut self, event: &Event) {
        match event {
            Event::State(port, state) => self.ports[*port].0.state.oper = PortStatus::from_number(*state),
            Event::Station(port, last) => {
                self.leave(*last);
                self.ports[*port].0.macs.as_mut().unwrap().insert(mac(*last));
            }
            Event::Leaves(last) => self.leave(*last),
            Event::Port(port) => {
                let (seen, is_there) = &mut self.ports[*port];
                *is_there = !*is_there;
                seen.macs = macs(&[]);
            }
            Event::Renumbered(first) => {
                let count = u32::try_from(self.ports.len()).unwrap();
                for (i, (port, _)) in (0..).zip(&mut self.ports) {
                    port.identity.index = (i + first) % count + first / 50;
                }
            }
            Event::Restarted => self.restart = Restart::Device,
        }
    }

    fn leave(&mut self, last: u8) {
        for (port, _) in &mut self.ports {
            port.macs.as_mut().unwrap().remove(&mac(last));
        }
    }

    fn seen(&self) -> Vec<PolledPort> {
        let there = self.ports.iter().filter(|(_, is_there)| *is_there);
        there.map(|(port, _)| port.clone()).collect()
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_messages_give_the_final_state(
        checks in prop::collection::vec((1..400_i64, prop::collection::vec(event(), 0..4)), 1..30),
    ) {
        let mut device = Device::with_options(|it| it.mac_changes = MacChanges::All);
        let mut world = World::new();
        device.check(&world.seen());
        let mut belief = Belief::of(&world.seen());
        let mut announced_at: BTreeMap<(String, String), i64> = BTreeMap::new();
        let mut restarts = 0;
        for (i, (secs, events)) in (0_u32..).zip(&checks) {
            for event in events {
                world.happen(event);
            }
            device.restart = std::mem::take(&mut world.restart);
            // Each restart has its own uptime.
            device.uptimes.host = Some(i * 100_000 % 1_000_000);
            let was_restarted = device.restart == Restart::Device;
            let before = belief.clone();
            for message in device.check_after(*secs, &world.seen()) {
                if message.starts_with("RESTARTED: ") {
                    prop_assert!(was_restarted);
                    restarts += 1;
                    continue;
                }
                let (label, _) = message.split_once(": ").unwrap();
                let port = belief.apply(&message);
                // At most one message of each label per window, and none of the other label within
                // it.
                for (key, at) in &announced_at {
                    if key.0 == port && *at < device.secs {
                        prop_assert!(device.secs - at >= WINDOW, "{message} so soon after {key:?}");
                    }
                }
                let key = (port, label.to_owned());
                prop_assert_ne!(announced_at.insert(key, device.secs), Some(device.secs), "twice: {}", message);
            }
            if before == Belief::of(&world.seen()) {
                prop_assert_eq!(&before, &belief, "announced without a change");
            }
        }
        prop_assert!(restarts <= checks.len());
        // Present stations are announced first, then the moves that had to wait for them.
        for _ in 0..3 {
            for message in device.check_after(2 * WINDOW, &world.seen()) {
                belief.apply(&message);
            }
        }
        prop_assert_eq!(&belief, &Belief::of(&world.seen()));
        prop_assert_eq!(device.check_after(2 * WINDOW, &world.seen()), nothing());
    }

    #[test]
    fn every_present_station_was_announced(
        checks in prop::collection::vec((1..400_i64, prop::collection::vec(event(), 0..4)), 1..30),
    ) {
        let mut device = Device::new();
        let mut world = World::new();
        device.check(&world.seen());
        let mut belief = Belief::of(&world.seen());
        for (secs, events) in &checks {
            for event in events {
                world.happen(event);
            }
            world.restart = Restart::No;
            for message in device.check_after(*secs, &world.seen()) {
                belief.apply(&message);
            }
        }
        for _ in 0..2 {
            for message in device.check_after(2 * WINDOW, &world.seen()) {
                belief.apply(&message);
            }
        }
        let present = Belief::of(&world.seen());
        prop_assert!(belief.0.keys().eq(present.0.keys()));
        for (port, (state, stations)) in &present.0 {
            let (believed, stations_believed) = &belief.0[port];
            prop_assert_eq!(believed, state);
            prop_assert!(stations_believed.is_superset(stations), "{} {:?}", port, belief);
        }
    }

    #[test]
    fn a_renumbering_alone_is_never_announced(
        events in prop::collection::vec(event(), 0..20),
        numbers in prop::collection::vec(0..100_u32, 1..10),
    ) {
        let mut world = World::new();
        for event in &events {
            world.happen(event);
        }
        let mut device = Device::with_options(|it| it.mac_changes = MacChanges::All);
        device.check(&world.seen());
        for number in numbers {
            world.happen(&Event::Renumbered(number));
            prop_assert_eq!(device.check_after(WINDOW, &world.seen()), nothing());
            prop_assert_eq!(&device.changes, &[]);
        }
    }

    #[test]
    fn any_state_file_is_read_without_a_panic(baseline in "\\PC{0,60}", announced in "\\PC{0,60}") {
        State::read(Some(&baseline), Some(&announced));
        State::read(Some(r#"{"1":{}}"#), Some(&announced));
    }
}
