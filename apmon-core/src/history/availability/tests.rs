use proptest::prelude::*;

use super::*;

/// Europe/Berlin as a POSIX rule.
fn berlin() -> TimeZone {
    TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap()
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// Parses `START/END`.
fn range(text: &str) -> Range<Timestamp> {
    let (start, end) = text.split_once('/').unwrap();
    at(start)..at(end)
}

fn ranges(texts: &[&str]) -> Vec<Range<Timestamp>> {
    texts.iter().map(|text| range(text)).collect()
}

/// Watched all the time, and always up.
fn always_up() -> Timeline {
    Timeline {
        since: Timestamp::UNIX_EPOCH,
        until: at("2100-01-01T00:00Z"),
        down: Vec::new(),
        unknown: Vec::new(),
        alarms_off: Vec::new(),
        unwatched: Vec::new(),
    }
}

/// `up down alarms_off unknown unwatched` of each day, in minutes.
fn minutes(times: &Timeline, span: &str) -> Vec<[u64; 5]> {
    let days = days(&range(span), &berlin());
    let minutes = |time: Duration| {
        assert_eq!(time.as_secs() % 60, 0);
        time.as_secs() / 60
    };
    times
        .availability(&days)
        .iter()
        .map(|day| [day.up, day.down, day.alarms_off, day.unknown, day.unwatched].map(minutes))
        .collect()
}

const DAY: u64 = 24 * 60;

#[test]
fn a_day_has_the_hours_that_its_clocks_show() {
    let of = |span| minutes(&always_up(), span);
    // Spring: 2:00 to 3:00 is skipped; autumn: it comes twice.
    assert_eq!(
        of("2026-03-28T12:00Z/2026-03-30T12:00Z"),
        [[DAY, 0, 0, 0, 0], [DAY - 60, 0, 0, 0, 0], [DAY, 0, 0, 0, 0]]
    );
    assert_eq!(
        of("2026-10-25T12:00Z/2026-10-25T12:00Z"),
        [[DAY + 60, 0, 0, 0, 0]]
    );
    let names: Vec<_> = days(&range("2026-12-31T22:30Z/2026-12-31T23:30Z"), &berlin())
        .into_iter()
        .map(|day| day.date.to_string())
        .collect();
    assert_eq!(names, ["2026-12-31", "2027-01-01"], "local midnight is 23:00 UTC");
}

#[test]
fn an_outage_counts_on_each_day_on_which_it_went_on() {
    let table: &[(&str, &str, &[u64])] = &[
        // over midnight
        (
            "2026-11-20T22:30Z/2026-11-20T23:30Z",
            "2026-11-20T12:00Z/2026-11-21T12:00Z",
            &[30, 30],
        ),
        // over the end of a month
        (
            "2026-11-30T22:00Z/2026-12-02T01:00Z",
            "2026-11-30T12:00Z/2026-12-02T12:00Z",
            &[60, DAY, 120],
        ),
        // over the end of a year
        (
            "2026-12-31T22:59Z/2026-12-31T23:02Z",
            "2026-12-31T12:00Z/2027-01-01T12:00Z",
            &[1, 2],
        ),
        // the whole of the long day, and of the short one
        (
            "2026-10-24T22:00Z/2026-10-25T23:00Z",
            "2026-10-25T12:00Z/2026-10-25T12:00Z",
            &[DAY + 60],
        ),
        (
            "2026-03-28T23:00Z/2026-03-29T22:00Z",
            "2026-03-29T12:00Z/2026-03-29T12:00Z",
            &[DAY - 60],
        ),
        // from the first two o'clock to the second
        (
            "2026-10-25T00:00Z/2026-10-25T01:00Z",
            "2026-10-25T12:00Z/2026-10-25T12:00Z",
            &[60],
        ),
        // the clock was set back meanwhile: no length
        (
            "2026-11-20T12:00Z/2026-11-20T11:00Z",
            "2026-11-20T12:00Z/2026-11-20T12:00Z",
            &[0],
        ),
    ];
    for (outage, span, expected) in table {
        let times = Timeline {
            down: ranges(&[outage]),
            ..always_up()
        };
        let down: Vec<_> = minutes(&times, span).iter().map(|day| day[1]).collect();
        assert_eq!(down, *expected, "{outage}");
    }
}

#[test]
fn each_moment_counts_once() {
    let one_day = "2026-11-20T12:00Z/2026-11-20T12:00Z";
    let hour = |from: u32, to: u32| format!("2026-11-20T{from:02}:00Z/2026-11-20T{to:02}:00Z");
    let hours = |list: &[(u32, u32)]| -> Vec<Range<Timestamp>> {
        list.iter().map(|(from, to)| range(&hour(*from, *to))).collect()
    };
    type Hours<'a> = &'a [(u32, u32)];
    // down, unknown, alarms off, unwatched; the sums in hours
    let table: &[(&str, [Hours<'_>; 4], [u64; 5])] = &[
        (
            "two outages that overlap (the clock was set back)",
            [&[(2, 5), (4, 6)], &[], &[], &[]],
            [20, 4, 0, 0, 0],
        ),
        (
            "unknown within an outage is unknown",
            [&[(2, 6)], &[(3, 4)], &[], &[]],
            [20, 3, 0, 1, 0],
        ),
        (
            "unknown beyond the end of an outage",
            [&[(2, 6)], &[(5, 8)], &[], &[]],
            [18, 3, 0, 3, 0],
        ),
        (
            "alarms off count while it was down",
            [&[(2, 6)], &[], &[(1, 4), (10, 12)], &[]],
            [20, 2, 2, 0, 0],
        ),
        (
            "unknown with alarms off is unknown",
            [&[(2, 6)], &[(3, 4)], &[(2, 6)], &[]],
            [20, 0, 3, 1, 0],
        ),
        (
            "unwatched time is neither up nor down",
            [&[(2, 6)], &[(7, 9)], &[(2, 6)], &[(4, 8)]],
            [17, 0, 2, 1, 4],
        ),
        (
            "ranges that touch",
            [&[(2, 3), (3, 4)], &[(4, 5)], &[], &[(5, 6)]],
            [20, 2, 0, 1, 1],
        ),
    ];
    for (what, [down, unknown, alarms_off, unwatched], expected) in table {
        let times = Timeline {
            down: hours(down),
            unknown: hours(unknown),
            alarms_off: hours(alarms_off),
            unwatched: hours(unwatched),
            ..always_up()
        };
        let sums = minutes(&times, one_day);
        assert_eq!(sums, [expected.map(|hours| hours * 60)], "{what}");
    }
}

#[test]
fn time_before_the_first_check_is_unwatched_and_the_future_does_not_count() {
    let times = Timeline {
        since: at("2026-11-20T11:00Z"),
        until: at("2026-11-21T05:00Z"),
        // still open
        down: vec![at("2026-11-21T04:00Z")..Timestamp::MAX],
        ..always_up()
    };
    assert_eq!(
        minutes(&times, "2026-11-19T12:00Z/2026-11-22T12:00Z"),
        [
            [0, 0, 0, 0, DAY],
            [12 * 60, 0, 0, 0, 12 * 60],
            [5 * 60, 60, 0, 0, 0],
            [0, 0, 0, 0, 0]
        ]
    );
}

#[test]
fn the_percentage_is_of_the_time_in_which_the_state_is_known() {
    let hours = |hours: u64| Duration::from_secs(hours * 3600);
    let sums = Availability {
        up: hours(3),
        down: hours(1),
        alarms_off: hours(8),
        unknown: hours(8),
        unwatched: hours(4),
    };
    assert_eq!(sums.up_percent(), Some(75.0));
    assert_eq!(sums.total(), hours(24));
    assert_eq!([sums, sums].into_iter().sum::<Availability>().total(), hours(48));
    let nothing = Availability {
        alarms_off: hours(24),
        ..Availability::default()
    };
    assert_eq!(nothing.up_percent(), None);
}

fn some_ranges() -> impl Strategy<Value = Vec<Range<Timestamp>>> {
    let second = |at: i64| Timestamp::from_second(1_760_000_000 + at).unwrap();
    let one = (0..2_000_000_i64, -50_000..400_000_i64);
    proptest::collection::vec(
        one.prop_map(move |(from, long)| second(from)..second(from + long)),
        0..8,
    )
}

proptest! {
    /// Wherever the ranges lie, the parts of a day add up to the day, and no part is longer
    /// than its ranges.
    #[test]
    fn the_parts_of_a_day_add_up_to_the_day(
        down in some_ranges(), unknown in some_ranges(), alarms_off in some_ranges(), unwatched in some_ranges(),
    ) {
        let times = Timeline { down, unknown, alarms_off, unwatched, ..always_up() };
        let span = Timestamp::from_second(1_760_000_000).unwrap()..Timestamp::from_second(1_762_400_000).unwrap();
        let days = days(&span, &berlin());
        let sums = times.availability(&days);
        for (day, sums) in days.iter().zip(&sums) {
            prop_assert_eq!(sums.total(), day.span.end.duration_since(day.span.start).unsigned_abs());
        }
        let all: Availability = sums.into_iter().sum();
        let given = |ranges: &[Range<Timestamp>]| ranges.iter()
            .map(|range| Duration::try_from(range.end.duration_since(range.start)).unwrap_or_default())
            .sum::<Duration>();
        prop_assert!(all.unwatched <= given(&times.unwatched));
        prop_assert!(all.unknown <= given(&times.unknown));
        prop_assert!(all.alarms_off <= given(&times.alarms_off));
        prop_assert!(all.down + all.alarms_off <= given(&times.down));
    }
}
