//! Properties of counting.

use proptest::prelude::*;

use super::*;

proptest! {
    /// Counts known traffic with 32-bit and 64-bit counters. Each port is missing from some
    /// checks.
    #[test]
    fn figures_grow_by_what_was_sent(
        starts in prop::collection::vec((any::<u32>(), any::<bool>()), 1..5),
        checks in prop::collection::vec(prop::collection::vec((0..4_000_000_000_u64, 0..4_u8), 4), 1..30),
    ) {
        let mut agent = Agent::new();
        let names = ["a", "b", "c", "d"];
        let mut sent: Vec<u64> = starts.iter().map(|(start, _)| u64::from(*start)).collect();
        let mut last: BTreeMap<String, (u64, u64)> = BTreeMap::new();
        let mut present: Vec<usize> = Vec::new();
        // The last total, what was sent by then, and which ports were part of it.
        let mut total: Option<(u64, Vec<u64>, Vec<usize>)> = None;
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
            let now: Vec<usize> = (0..starts.len()).filter(|i| check[*i].1 > 0).collect();
            let is_gone = present.iter().any(|i| !now.contains(i));
            match figures.of("total_bits_in") {
                Some((value, continues)) => {
                    prop_assert!(!is_gone, "a partial total");
                    if let Some((before, then, parts)) = total.take().filter(|_| continues) {
                        let grown: u64 = parts.iter().map(|i| (sent[*i] - then[*i]) * 8).sum();
                        // A 32-bit counter may have wrapped several times while it was not read.
                        match present.is_empty() {
                            true => prop_assert!(value - before <= grown),
                            false => prop_assert_eq!(value - before, grown),
                        }
                    }
                    total = Some((value, sent.clone(), now.clone()));
                }
                None => prop_assert!(is_gone || now.is_empty()),
            }
            present = now;
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
