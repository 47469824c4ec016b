//! Properties of counting.

use proptest::prelude::*;

use super::*;

proptest! {
    /// Counts known traffic with 32-bit and 64-bit counters. Each port is missing from some
    /// checks.
    #[test]
    fn no_figure_grows_by_more_than_was_sent(
        starts in prop::collection::vec((any::<u32>(), any::<bool>()), 1..5),
        checks in prop::collection::vec(prop::collection::vec((0..4_000_000_000_u64, 0..4_u8), 4), 1..30),
    ) {
        let mut agent = Agent::new();
        let names = ["a", "b", "c", "d"];
        let mut sent: Vec<u64> = starts.iter().map(|(start, _)| u64::from(*start)).collect();
        let mut last: BTreeMap<String, (u64, u64)> = BTreeMap::new();
        for check in checks {
            for (sent, (by, _)) in sent.iter_mut().zip(&check) {
                *sent += by;
            }
            let mut ports = Vec::new();
            for (i, (start, (_, seen))) in starts.iter().zip(&check).enumerate() {
                let count = if start.1 { wide(sent[i]) } else { narrow(sent[i] & u64::from(u32::MAX)) };
                if *seen > 0 {
                    ports.push((u32::try_from(i).unwrap() + 1, names[i], octets(count)));
                }
            }
            let figures = agent.read(&ports);
            let all: u64 = sent.iter().sum();
            for (i, sent) in sent.iter().enumerate() {
                let name = format!("if{}_in", i + 1);
                let Some((value, continues)) = figures.of(&name) else {
                    continue;
                };
                let before = last.insert(name, (value, *sent)).filter(|_| continues);
                if let Some((before, sent_before)) = before {
                    prop_assert!(value - before <= sent - sent_before);
                }
            }
            if let Some((value, continues)) = figures.of("total_bits_in") {
                let before = last.insert("total".into(), (value, all)).filter(|_| continues);
                if let Some((before, sent_before)) = before {
                    prop_assert!(value - before <= (all - sent_before) * 8);
                }
            }
        }
    }

    #[test]
    fn any_text_is_read_without_a_panic(text in "\\PC{0,80}", at in any::<i64>(), age in any::<u64>()) {
        Counts::read(Some(&text));
        let text = format!(
            r#"{{"v":1,"at":{at},"up":[null,7],"sums":{{"a":[1,{age}]}},"named":{{"b":[1,0,{age}]}},"ports":[]}}"#
        );
        let counts = Counts::read(Some(&text));
        counts.check(Uptimes::default(), Timestamp::UNIX_EPOCH).end();
    }
}
