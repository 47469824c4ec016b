//! Data sources of ports that are renumbered, appear and vanish.

use super::*;

#[test]
fn figures_follow_a_port_through_a_renumbering() {
    let mut agent = Agent::new();
    agent.read(&[(1, "a", octets(wide(10))), (2, "b", octets(wide(900)))]);
    let figures = agent.read(&[(2, "a", octets(wide(11))), (3, "b", octets(wide(901)))]);
    assert_eq!(figures.of("if1_in"), Some((11, true)));
    assert_eq!(figures.of("if2_in"), Some((901, true)));
    // The ifIndex of the new port is the data source of another.
    let three = [
        (2, "a", octets(wide(12))),
        (3, "b", octets(wide(902))),
        (1, "c", octets(wide(5))),
    ];
    let figures = agent.read(&three);
    assert_eq!(figures.of("if4_in"), Some((5, false)));
    let figures = agent.read(&three[..2]);
    assert_eq!(figures.names(), ["if1_in", "if2_in"]);
    // The data source was reserved for the port.
    assert_eq!(agent.read(&three).of("if4_in"), Some((5, true)));
}

#[test]
fn a_port_with_another_name_on_a_free_number_starts_anew() {
    let mut agent = Agent::new();
    agent.read(&[(5, "ppp0", octets(wide(10)))]);
    let figures = agent.read(&[(5, "ppp1", octets(wide(20)))]);
    assert_eq!(figures.of("if5_in"), Some((20, false)));
    let figures = agent.read(&[(5, "ppp1", octets(wide(21))), (6, "ppp0", octets(wide(1)))]);
    assert_eq!(figures.of("if5_in"), Some((21, true)));
    assert_eq!(figures.of("if6_in"), Some((1, false)));
}

#[test]
fn no_two_ports_share_a_data_source_even_at_the_end_of_numbers() {
    let mut sources = Sources::default();
    let port = |index, name| Identity {
        index,
        name,
        short_name: None,
    };
    sources.assign(&[port(u32::MAX, "a"), port(1, "b")]);
    let places = sources.assign(&[port(7, "a"), port(8, "b"), port(u32::MAX, "c"), port(1, "d")]);
    let sources: Vec<u32> = places.iter().map(|place| place.source).collect();
    assert_eq!(sources, [u32::MAX, 1, 2, 3]);
}

#[test]
fn a_limited_number_of_absent_ports_is_remembered() {
    let mut sources = Sources::default();
    let names: Vec<String> = (0..520).map(|i| format!("veth{i}")).collect();
    for (index, name) in (1..).zip(&names) {
        let port = Identity {
            index,
            name,
            short_name: None,
        };
        assert_eq!(sources.assign(&[port])[0].source, index);
    }
    assert_eq!(sources.numbers(), (8..=520).collect());
}
