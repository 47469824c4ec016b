use apmon_core::Reading;

use super::*;

mod property;
mod source;

const GIGABIT: u64 = 1_000_000_000;

/// An agent whose counters are read repeatedly. The remembered state goes through its JSON
/// each time.
#[derive(Default)]
struct Agent {
    counts: Option<String>,
    sources: Option<String>,
    secs: i64,
    uptime: u32,
}

type Port<'a> = (u32, &'a str, PortCounts);

impl Agent {
    fn new() -> Self {
        Self {
            uptime: 100_000,
            ..Self::default()
        }
    }

    fn now(&self) -> Timestamp {
        Timestamp::new(1_790_000_000 + self.secs, 123_456_789).unwrap()
    }

    fn uptimes(&self) -> Uptimes {
        Uptimes {
            host: Some(self.uptime),
            agent: Some(self.uptime),
        }
    }

    fn pass(&mut self, secs: i64) {
        self.secs += secs;
        self.uptime += u32::try_from(secs.max(0)).unwrap() * 100;
    }

    fn restart(&mut self) {
        self.uptime = 50;
    }

    fn check(&self) -> Counting {
        Counts::read(self.counts.as_deref()).check(self.uptimes(), self.now())
    }

    fn end(&mut self, counting: Counting) {
        let counts = counting.end();
        let text = counts.to_json().unwrap();
        assert_eq!(Counts::read(Some(&text)), counts, "{text}");
        self.counts = Some(text);
    }

    /// Reads the ports, 60 s after the last time.
    fn read(&mut self, ports: &[Port<'_>]) -> Figures {
        self.pass(60);
        let mut sources = Sources::read(self.sources.as_deref());
        let mut counting = self.check();
        let ports: Vec<CountedPort<'_>> = ports
            .iter()
            .map(|(index, name, counts)| CountedPort {
                identity: Identity {
                    index: *index,
                    name,
                    short_name: None,
                },
                speed: Some(GIGABIT),
                counts: *counts,
                is_recorded: true,
            })
            .collect();
        let metrics = counting.ports(&mut sources, &ports, None);
        self.end(counting);
        let text = sources.to_json();
        assert_eq!(Sources::read(Some(&text)), sources);
        self.sources = Some(text);
        Figures(metrics)
    }

    fn read_named(&mut self, name: &'static str, parts: &[(&str, Option<CounterValue>)]) -> Figures {
        let mut counting = self.check();
        let parts = parts.iter().map(|(part, counted)| ((*part).to_owned(), *counted));
        let parts = parts.collect();
        let metrics = counting.named(&[NamedSum { name, parts }]);
        self.end(counting);
        Figures(metrics)
    }
}

struct Figures(Vec<Metric>);

impl Figures {
    fn names(&self) -> Vec<&str> {
        self.0.iter().map(|metric| metric.name.as_ref()).collect()
    }

    /// The value of a figure, and whether it continues.
    fn of(&self, name: &str) -> Option<(u64, bool)> {
        let metric = self.0.iter().find(|metric| metric.name == name)?;
        match metric.reading {
            Reading::Counter { value, continues } => Some((value, continues)),
            Reading::Gauge(_) => panic!("{name} is not a counter"),
        }
    }
}

fn wide(value: u64) -> Option<CounterValue> {
    Some(CounterValue { value, is_64: true })
}

fn narrow(value: u64) -> Option<CounterValue> {
    Some(CounterValue { value, is_64: false })
}

fn octets(count: Option<CounterValue>) -> PortCounts {
    PortCounts {
        in_octets: count,
        ..PortCounts::default()
    }
}

#[test]
fn the_figures_have_the_seeds_names_and_order() {
    let mut agent = Agent::new();
    let counts = PortCounts {
        in_octets: wide(1),
        out_octets: wide(2),
        in_errors: narrow(3),
        out_errors: narrow(4),
        in_ucast: wide(10),
        out_ucast: wide(20),
        in_multicast: wide(100),
        out_multicast: wide(200),
        in_broadcast: wide(1_000),
        out_broadcast: wide(2_000),
        in_non_ucast: narrow(10_000),
        out_non_ucast: narrow(20_000),
    };
    let mut counting = agent.check();
    let ports = [(10, "b"), (2, "a")].map(|(index, name)| CountedPort {
        identity: Identity {
            index,
            name,
            short_name: None,
        },
        speed: None,
        counts,
        is_recorded: true,
    });
    let metrics = Figures(counting.ports(&mut Sources::default(), &ports, narrow(7)));
    agent.end(counting);
    assert_eq!(
        metrics.names(),
        [
            "if2_in",
            "if2_out",
            "if10_in",
            "if10_out",
            "tcp_retrans",
            "total_bits_in",
            "total_bits_out",
            "total_pkts_in",
            "total_pkts_out",
            "total_errors_in",
            "total_errors_out",
            "total_pkts_ucast",
            "total_pkts_bmcast",
        ]
    );
    for (name, value) in [
        ("if2_in", 1),
        ("if10_out", 2),
        ("tcp_retrans", 7),
        ("total_bits_in", 16),
        ("total_bits_out", 32),
        ("total_pkts_in", 22_220),
        ("total_pkts_out", 44_440),
        ("total_errors_in", 6),
        ("total_errors_out", 8),
        ("total_pkts_ucast", 60),
        ("total_pkts_bmcast", 66_600),
    ] {
        assert_eq!(metrics.of(name), Some((value, false)), "{name}");
    }
}

#[test]
fn counters_continue_from_the_second_check() {
    let mut agent = Agent::new();
    agent.read(&[(1, "a", octets(wide(100)))]);
    let figures = agent.read(&[(1, "a", octets(wide(150)))]);
    assert_eq!(figures.of("if1_in"), Some((150, true)));
    assert_eq!(figures.of("total_bits_in"), Some((1_200, true)));
}

#[test]
fn a_port_that_is_not_recorded_is_in_no_figure() {
    let mut agent = Agent::new();
    let mut sources = Sources::default();
    let ports = [(1, "a", false), (2, "b", true)].map(|(index, name, is_recorded)| CountedPort {
        identity: Identity {
            index,
            name,
            short_name: None,
        },
        speed: None,
        counts: octets(wide(7)),
        is_recorded,
    });
    let mut counting = agent.check();
    let figures = Figures(counting.ports(&mut sources, &ports, None));
    agent.end(counting);
    assert_eq!(figures.names(), ["if2_in", "total_bits_in"]);
    assert_eq!(figures.of("total_bits_in"), Some((56, false)));
    assert_eq!(sources.numbers(), [1, 2].into(), "but has its source");
}

#[test]
fn a_32_bit_counter_that_wraps_continues_in_64_bits() {
    let mut agent = Agent::new();
    agent.read(&[(1, "a", octets(narrow(4_294_967_000)))]);
    let figures = agent.read(&[(1, "a", octets(narrow(704)))]);
    assert_eq!(figures.of("if1_in"), Some((4_294_968_000, true)));
    assert_eq!(figures.of("total_bits_in"), Some((4_294_968_000 * 8, true)));
    let figures = agent.read(&[(1, "a", octets(narrow(1_704)))]);
    assert_eq!(figures.of("if1_in"), Some((4_294_969_000, true)));
}

#[test]
fn a_32_bit_counter_that_grew_by_more_than_the_line_carries_was_reset() {
    let mut agent = Agent::new();
    let megabit = |value| CountedPort {
        identity: Identity {
            index: 1,
            name: "a",
            short_name: None,
        },
        speed: Some(1_000_000),
        counts: octets(narrow(value)),
        is_recorded: true,
    };
    let mut read = |value| {
        agent.pass(60);
        let mut counting = agent.check();
        let mut sources = Sources::read(agent.sources.as_deref());
        let metrics = Figures(counting.ports(&mut sources, &[megabit(value)], None));
        agent.end(counting);
        agent.sources = Some(sources.to_json());
        metrics.of("if1_in").unwrap()
    };
    // 1 Mbit/s and a fifth for 60 s are 9,000,000 octets.
    read(4_294_967_295);
    assert_eq!(read(8_999_999), (4_294_967_296 + 8_999_999, true));
    read(4_294_967_295);
    assert_eq!(read(9_000_000), (9_000_000, false));
    assert_eq!(
        read(9_000_001),
        (9_000_001, true),
        "the counter is broken exactly once"
    );
}

#[test]
fn a_64_bit_counter_wraps_only_near_its_maximum() {
    let mut agent = Agent::new();
    let top = 3 << 62;
    for (was, is, continues) in [
        (u64::MAX, 4, true),
        (top, (1 << 62) - 1, true),
        (top - 1, 4, false),
        (top, 1 << 62, false),
        (1_000, 999, false),
    ] {
        agent.read(&[(1, "a", octets(wide(0)))]);
        agent.read(&[(1, "a", octets(wide(was)))]);
        let figures = agent.read(&[(1, "a", octets(wide(is)))]);
        assert_eq!(figures.of("if1_in"), Some((is, continues)), "{was} {is}");
    }
}

#[test]
fn a_change_between_32_and_64_bits_breaks_a_counter_exactly_once() {
    let mut agent = Agent::new();
    agent.read(&[(1, "a", octets(narrow(100)))]);
    for (counts, expected) in [
        (wide(5_000_000_000), (5_000_000_000, false)),
        (wide(5_000_000_001), (5_000_000_001, true)),
        (narrow(705_032_800), (705_032_800, false)),
        (narrow(705_032_801), (705_032_801, true)),
    ] {
        let figures = agent.read(&[(1, "a", octets(counts))]);
        assert_eq!(figures.of("if1_in"), Some(expected));
        assert_eq!(figures.of("total_bits_in").unwrap().1, expected.1);
    }
}

#[test]
fn a_restart_breaks_every_counter_exactly_once() {
    let mut agent = Agent::new();
    let ports = |count| [(1, "a", octets(wide(count))), (2, "b", octets(narrow(count)))];
    agent.read(&ports(1_000));
    agent.read(&ports(2_000));
    agent.restart();
    // The counters are higher than before in spite of the restart.
    let figures = agent.read(&ports(3_000));
    for name in figures.names() {
        assert!(!figures.of(name).unwrap().1, "{name}");
    }
    let restarted = figures.of("total_bits_in").unwrap().0;
    let figures = agent.read(&ports(3_001));
    for name in figures.names() {
        assert!(figures.of(name).unwrap().1, "{name}");
    }
    assert_eq!(figures.of("total_bits_in"), Some((restarted + 16, true)));
}

#[test]
fn after_a_restart_of_the_agent_alone_counters_continue_but_do_not_wrap() {
    let mut agent = Agent::new();
    agent.read(&[(1, "a", octets(narrow(4_294_967_000))), (2, "b", octets(wide(5)))]);
    agent.pass(60);
    let uptimes = Uptimes {
        host: Some(agent.uptime),
        agent: Some(5),
    };
    let mut counting = Counts::read(agent.counts.as_deref()).check(uptimes, agent.now());
    assert_eq!(counting.restart(), Restart::Agent);
    let mut sources = Sources::read(agent.sources.as_deref());
    let ports = [(1, "a", narrow(1_000)), (2, "b", wide(9))].map(|(index, name, count)| CountedPort {
        identity: Identity {
            index,
            name,
            short_name: None,
        },
        speed: None,
        counts: octets(count),
        is_recorded: true,
    });
    let figures = Figures(counting.ports(&mut sources, &ports, None));
    assert_eq!(figures.of("if1_in"), Some((1_000, false)));
    assert_eq!(figures.of("if2_in"), Some((9, true)));
}

#[test]
fn a_total_is_unknown_at_the_first_check_without_a_port() {
    let mut agent = Agent::new();
    agent.read(&[(1, "a", octets(wide(1_000))), (2, "b", octets(wide(50_000)))]);
    agent.read(&[(1, "a", octets(wide(1_100))), (2, "b", octets(wide(50_100)))]);
    let figures = agent.read(&[(1, "a", octets(wide(1_200)))]);
    assert_eq!(figures.names(), ["if1_in"], "its row may have been cut off");
    let figures = agent.read(&[(1, "a", octets(wide(1_300)))]);
    assert_eq!(figures.of("total_bits_in"), Some((10_400, false)));
    let figures = agent.read(&[(1, "a", octets(wide(1_400)))]);
    assert_eq!(figures.of("total_bits_in"), Some((11_200, true)));
    // The port's own figure continues; the total has no spike.
    let figures = agent.read(&[(1, "a", octets(wide(1_400))), (2, "b", octets(wide(90_000)))]);
    assert_eq!(figures.of("if2_in"), Some((90_000, true)));
    assert_eq!(figures.of("total_bits_in"), Some((91_400 * 8, false)));
    let figures = agent.read(&[(1, "a", octets(wide(1_400))), (2, "b", octets(wide(90_001)))]);
    assert_eq!(figures.of("total_bits_in"), Some((91_401 * 8, true)));
}

#[test]
fn a_new_port_adds_to_a_total_from_its_second_check() {
    let mut agent = Agent::new();
    agent.read(&[(1, "a", octets(wide(0)))]);
    let both = |a, b| [(1, "a", octets(wide(a))), (2, "b", octets(wide(b)))];
    let figures = agent.read(&both(1, 1_000_000));
    assert_eq!(figures.of("if2_in"), Some((1_000_000, false)));
    assert_eq!(figures.of("total_bits_in"), Some((8, true)));
    let figures = agent.read(&both(1, 1_000_001));
    assert_eq!(figures.of("total_bits_in"), Some((16, true)));
}

#[test]
fn a_total_does_not_continue_where_a_port_does_not() {
    let mut agent = Agent::new();
    let both = |a, b| [(1, "a", octets(wide(a))), (2, "b", octets(wide(b)))];
    agent.read(&both(1_000, 1_000));
    agent.read(&both(1_010, 1_010));
    let figures = agent.read(&both(1_020, 3));
    assert_eq!(figures.of("if2_in"), Some((3, false)));
    assert_eq!(figures.of("total_bits_in"), Some((1_023 * 8, false)));
    let figures = agent.read(&both(1_020, 4));
    assert_eq!(figures.of("total_bits_in"), Some((1_024 * 8, true)));
}

#[test]
fn a_total_is_unknown_while_a_counter_is_missing() {
    let mut agent = Agent::new();
    let read = |in_octets, out_octets| PortCounts {
        in_octets,
        out_octets,
        ..PortCounts::default()
    };
    agent.read(&[(1, "a", read(wide(10), wide(10))), (2, "b", read(wide(7), None))]);
    for _ in 0..3 {
        let figures = agent.read(&[(1, "a", read(None, wide(20))), (2, "b", read(wide(7), None))]);
        assert_eq!(
            figures.names(),
            ["if1_out", "if2_in", "total_bits_out"],
            "a port that never had a counter lacks none"
        );
    }
    let figures = agent.read(&[(1, "a", read(wide(30), wide(30))), (2, "b", read(wide(7), None))]);
    assert_eq!(figures.of("if1_in"), Some((30, true)));
    assert_eq!(figures.of("total_bits_in"), Some((37 * 8, false)));
    assert_eq!(figures.of("total_bits_out"), Some((240, true)));
}

#[test]
fn a_counter_not_seen_for_a_day_is_forgotten() {
    let mut agent = Agent::new();
    let a = |count| (1, "a", octets(wide(count)));
    agent.read(&[a(1), (2, "b", octets(wide(1)))]);
    agent.read(&[a(1)]);
    agent.pass(86_400);
    let figures = agent.read(&[a(2)]);
    assert_eq!(
        figures.of("if1_in"),
        Some((2, true)),
        "time without checks does not count as absence"
    );
    let figures = agent.read(&[a(2), (2, "b", octets(wide(3)))]);
    assert_eq!(figures.of("if2_in"), Some((3, false)));
}

#[test]
fn a_hosts_counts_are_summed_by_name() {
    let mut agent = Agent::new();
    let disks = |sda, sdb| [("sda.read", sda), ("sdb.read", sdb)];
    let figures = agent.read_named("disk_read", &disks(wide(100), wide(1_000)));
    assert_eq!(figures.of("disk_read"), Some((1_100, false)));
    for (sda, sdb, expected) in [
        (wide(110), wide(1_010), Some((1_120, true))),
        // A disk does not say what it has read.
        (wide(120), None, None),
        // The disk is replaced.
        (wide(130), wide(5), Some((135, false))),
        (wide(140), wide(15), Some((155, true))),
        (None, None, None),
        // All of it was missing, so the growth is known.
        (wide(150), wide(25), Some((175, true))),
    ] {
        agent.pass(60);
        let figures = agent.read_named("disk_read", &disks(sda, sdb));
        assert_eq!(figures.of("disk_read"), expected, "{sda:?} {sdb:?}");
    }
    agent.restart();
    let figures = agent.read_named("disk_read", &disks(wide(200), wide(200)));
    assert!(!figures.of("disk_read").unwrap().1);
}

#[test]
fn a_clock_set_back_causes_no_spike() {
    let mut agent = Agent::new();
    let ports = |wide_, narrow_| [(1, "a", octets(wide(wide_))), (2, "b", octets(narrow(narrow_)))];
    agent.read(&ports(1_000, 4_294_967_000));
    agent.secs -= 7_200;
    let figures = agent.read(&ports(1_010, 10));
    assert_eq!(figures.of("if1_in"), Some((1_010, true)));
    assert_eq!(
        figures.of("if2_in"),
        Some((10, false)),
        "the elapsed time is unknown"
    );
    let figures = agent.read(&ports(1_020, 20));
    assert_eq!(figures.of("if2_in"), Some((20, true)));
}

#[test]
fn unreadable_stored_counters_are_ignored() {
    let mut agent = Agent::new();
    agent.read(&[(1, "a", octets(wide(1)))]);
    let text = agent.counts.clone().unwrap();
    assert_eq!(
        text,
        r#"{"v":1,"at":1790000060123,"up":[106000,106000],"sums":{"total_bits_in":[8,0]},"named":{},"ports":[[1,0,1,[1,null,null,null,null,null,null,null,null,null,null,null]]]}"#
    );
    let later = text.replace("\"v\":1", "\"v\":2");
    for text in [None, Some("null"), Some("{}"), Some("[1"), Some(later.as_str())] {
        assert_eq!(Counts::read(text), Counts::default(), "{text:?}");
    }
    assert_eq!(Counts::default().to_json(), None);
    assert_eq!(Sources::read(Some("{\"1\": 2}")), Sources::default());
}
