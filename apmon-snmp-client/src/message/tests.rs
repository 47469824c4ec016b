use proptest::prelude::*;

use super::*;
use crate::ber::tests::{any_oid, any_value};

/// A GET of sysDescr.0 as net-snmp 5.9 sends it.
const GET: &[u8] = &[
    0x30, 0x29, 0x02, 0x01, 0x01, 0x04, 0x06, b'p', b'u', b'b', b'l', b'i', b'c', 0xa0, 0x1c, 0x02, 0x04,
    0x6b, 0x8b, 0x45, 0x67, 0x02, 0x01, 0x00, 0x02, 0x01, 0x00, 0x30, 0x0e, 0x30, 0x0c, 0x06, 0x08, 0x2b,
    0x06, 0x01, 0x02, 0x01, 0x01, 0x01, 0x00, 0x05, 0x00,
];

#[test]
fn a_request_is_encoded_as_net_snmp_encodes_it() {
    let oid = "1.3.6.1.2.1.1.1.0".parse().unwrap();
    let message = CommunityMessage {
        is_v1: false,
        community: b"public".to_vec(),
        body: Body::Pdu(Pdu::request(PduKind::Get, 0x6b8b_4567, [&oid])),
    };
    assert_eq!(message.encode(), GET);
    assert_eq!(Message::decode(GET), Ok(Message::Community(message)));
}

#[test]
fn a_community_never_prints() {
    let message = Message::decode(GET).unwrap();
    assert!(!format!("{message:?}").contains("public"));
    assert!(!format!("{message:?}").contains("112"), "nor its octets");
}

#[test]
fn the_signature_of_a_v3_message_is_at_its_place() {
    let scoped = Scoped {
        engine_id: b"engine".to_vec(),
        context: Vec::new(),
        pdu: Pdu::request(PduKind::Get, 7, [&Oid::from([1, 3, 6])]),
    };
    let data = scoped.encode();
    let message = V3Message {
        id: 9,
        max_size: 65_507,
        is_signed: true,
        is_encrypted: false,
        is_reportable: true,
        engine_id: b"engine",
        boots: 3,
        time: 100_000,
        user: b"monitor",
        signature: 0..0,
        salt: b"",
        data: &data,
    };
    let (mut octets, place) = message.encode(12);
    assert_eq!(octets[place.clone()], [0; 12]);
    octets[place.clone()].fill(0xaa);
    let Ok(Message::V3(read)) = Message::decode(&octets) else {
        panic!("not read");
    };
    assert_eq!(read.signature, place);
    let unsigned = V3Message {
        signature: 0..0,
        ..read
    };
    assert_eq!(unsigned, message);
    assert_eq!(Scoped::decode(read.data), Ok(scoped));
}

fn any_pdu() -> impl Strategy<Value = Pdu> {
    let varbinds = prop::collection::vec((any_oid(), any_value()), 0..8);
    let kind = prop::sample::select(PduKind::ALL.map(|(_, kind)| kind).to_vec());
    (kind, any::<i32>(), any::<i32>(), any::<i32>(), varbinds).prop_map(
        |(kind, request_id, error_status, error_index, varbinds)| Pdu {
            kind,
            request_id,
            error_status,
            error_index,
            varbinds: varbinds
                .into_iter()
                .map(|(oid, value)| Varbind { oid, value })
                .collect(),
        },
    )
}

proptest! {
    #[test]
    fn what_is_encoded_is_decoded(pdu in any_pdu(), is_v1: bool, uptime: u32, agent: [u8; 4]) {
        let trap = V1Trap {
            enterprise: Oid::from([1, 3, 6, 1, 4, 1, 9]),
            agent: agent.into(),
            generic: 6,
            specific: pdu.error_index,
            uptime,
            varbinds: pdu.varbinds.clone(),
        };
        for body in [Body::Pdu(pdu), Body::V1Trap(trap)] {
            let message = CommunityMessage { is_v1, community: b"x".to_vec(), body };
            let octets = message.encode();
            prop_assert_eq!(Message::decode(&octets), Ok(Message::Community(message)));
        }
    }

    #[test]
    fn no_damage_makes_the_decoder_panic(pdu in any_pdu(), at: prop::sample::Index, to: u8, cut: prop::sample::Index) {
        let message = CommunityMessage { is_v1: false, community: b"x".to_vec(), body: Body::Pdu(pdu) };
        let mut octets = message.encode();
        let at = at.index(octets.len());
        octets[at] = to;
        let _ = Message::decode(&octets);
        let _ = Message::decode(&octets[..cut.index(octets.len())]);
        let _ = Scoped::decode(&octets);
    }
}
