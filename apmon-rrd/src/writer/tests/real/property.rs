//! Any sequence of checks gives the same file as rrdtool that is fed by hand.

use proptest::prelude::*;

use super::*;

/// One poll of a switch.
#[derive(Clone, Debug)]
struct Poll {
    /// Seconds since the last one.
    after: i64,
    /// For each of three interfaces: growth, whether it was reset, whether it is there.
    interfaces: [(u32, bool, bool); 3],
    load: Option<u8>,
}

fn poll() -> impl Strategy<Value = Poll> {
    let interface = || {
        (
            0..4_000_000_000_u32,
            prop::bool::weighted(0.1),
            prop::bool::weighted(0.8),
        )
    };
    let interfaces = [interface(), interface(), interface()];
    (1..200_i64, interfaces, prop::option::weighted(0.8, 0..=110_u8)).prop_map(|(after, interfaces, load)| {
        Poll {
            after,
            interfaces,
            load,
        }
    })
}

/// The samples, and the lines that a careful person would write.
fn by_hand(polls: &[Poll]) -> (Vec<Metrics>, Vec<String>) {
    let mut counts = [None::<u64>; 3];
    let mut at = START;
    let mut samples = Vec::new();
    let mut lines = Vec::new();
    let mut last = START - 60;
    for poll in polls {
        at += poll.after;
        let mut metrics = Vec::new();
        let (mut values, mut before) = (Vec::new(), Vec::new());
        let mut any_reset = false;
        for (i, (growth, is_reset, is_there)) in poll.interfaces.iter().enumerate() {
            let name = ["if1_in", "if2_in", "if3_in"][i];
            if !is_there {
                values.push("U".to_owned());
                before.push("U".to_owned());
                continue;
            }
            let continues = counts[i].is_some() && !is_reset;
            let count = match continues {
                true => counts[i].unwrap_or(0) + u64::from(*growth),
                false => u64::from(*growth % 1_000),
            };
            counts[i] = Some(count);
            metrics.push(counter(name, count, continues));
            values.push(count.to_string());
            any_reset |= !continues;
            before.push(if continues {
                count.to_string()
            } else {
                "U".to_owned()
            });
        }
        let load = poll.load.map_or("U".to_owned(), |load| load.to_string());
        metrics.extend(poll.load.map(|load| Metric::gauge("cpu_load", f64::from(load))));
        values.push(load.clone());
        before.push(load);
        if metrics.is_empty() {
            samples.push((at, metrics));
            continue;
        }
        let line = |values: &[String]| values.join(":");
        if any_reset && at - 1 > last {
            lines.push(format!("{}:{}", at - 1, line(&before)));
            lines.push(format!("{at}:{}", line(&values)));
        } else if any_reset {
            lines.push(format!("{at}:{}", line(&before)));
        } else {
            lines.push(format!("{at}:{}", line(&values)));
        }
        last = at;
        samples.push((at, metrics));
    }
    (samples, lines)
}

type Metrics = (i64, Vec<Metric>);

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn any_sequence_of_polls_is_as_fed_by_hand(
        polls in prop::collection::vec(poll(), 1..40),
        is_daemon in any::<bool>(),
    ) {
        let small = || Rows::ByHand(crate::rows::RowCounts {
            native: 500, five_minutes: 100, half_hour: 50, hour: 50, day: 10,
        });
        let options = match is_daemon {
            true => WriterOptions::daemon(small()),
            false => WriterOptions::pass(small()),
        };
        let mut real = Real::new(options);
        // All three interfaces are there once, so that both files have the same sources.
        let mut first = polls[0].clone();
        first.interfaces = first.interfaces.map(|(growth, _, _)| (growth, true, true));
        let polls: Vec<Poll> = std::iter::once(first).chain(polls).collect();
        let (samples, lines) = by_hand(&polls);
        let begin = samples[0].0 - 60;
        for (at, metrics) in samples {
            real.poll("core", 60, at, metrics);
        }
        let end = START + polls.iter().map(|poll| poll.after).sum::<i64>();
        real.write_all(end);

        let by_hand = real.path("by-hand.rrd");
        let interfaces: String = [1, 2, 3]
            .iter()
            .map(|number| format!("DS:if{number}_in:COUNTER:HB:0:U DS:if{number}_out:COUNTER:HB:0:U "))
            .collect();
        let schema = apmonitor_schema(&format!("{interfaces}{SNMP}"), 120, [500, 100, 50, 50, 10], [5, 30, 60, 1_440]);
        create(&by_hand, 60, begin, &schema);
        let mut arguments = vec!["update", by_hand.to_str().unwrap(), "--template", "if1_in:if2_in:if3_in:cpu_load"];
        arguments.extend(lines.iter().map(String::as_str));
        rrdtool(&arguments);

        let path = real.path("core-snmp.rrd");
        for (consolidation, step) in [("AVERAGE", "60"), ("AVERAGE", "300"), ("MIN", "60"), ("MAX", "300")] {
            let fetched = |path: &std::path::Path| {
                let (start, end) = ((begin - 600).to_string(), (end + 600).to_string());
                let path = path.to_str().unwrap();
                rrdtool(&["fetch", path, consolidation, "-r", step, "-s", &start, "-e", &end])
            };
            prop_assert_eq!(fetched(&path), fetched(&by_hand));
        }
    }
}
