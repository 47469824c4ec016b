use super::*;
use crate::{schema::Schema, template::Template};

fn schema(template: &Template, step: u64, rows: &Rows) -> Schema {
    Schema::of(template, step, rows)
}

fn texts(differences: &[Difference]) -> Vec<String> {
    differences.iter().map(ToString::to_string).collect()
}

#[test]
fn what_would_be_created_does_not_differ() {
    for rows in [Rows::Full, Rows::Small] {
        for step in [1, 10, 60, 300, 3_600, 86_400, 604_800] {
            for template in [
                Template::Availability,
                Template::Snmp {
                    interfaces: vec![1, 2],
                },
                Template::Metrics { sources: vec![] },
            ] {
                let schema = schema(&template, step, &rows);
                assert_eq!(
                    compare(template.kind(), step, &rows, &schema),
                    [],
                    "{template:?} {step}"
                );
            }
        }
    }
}

#[test]
fn each_difference_is_found_and_said() {
    let full = schema(&Template::Availability, 60, &Rows::Full);
    let compared = |schema: &Schema, rows: &Rows| texts(&compare(FileKind::Availability, 60, rows, schema));

    assert_eq!(
        compared(&full, &Rows::Small),
        [
            "has more rows than wanted in 9 archives (-41760, -41760, -41760, -14568, -15720, -26310, -20866, \
             -14568, -14568)"
        ]
    );
    let small = schema(&Template::Availability, 60, &Rows::Small);
    assert!(matches!(
        compare(FileKind::Availability, 60, &Rows::Full, &small).as_slice(),
        [Difference::FewerRows(rows)] if rows.len() == 9 && rows[0] == (0, 41_760)
    ));

    let mut odd = full.clone();
    odd.sources.pop();
    odd.sources[0].heartbeat = 300;
    odd.rounds.remove(3);
    assert_eq!(
        compared(&odd, &Rows::Full),
        [
            "lacks the data sources is_up",
            "lacks 1 archives, which cannot be added; the others are filled",
            "tolerates gaps between two values that are not two steps long",
        ]
    );

    let mut old = full.clone();
    old.sources[1].max = Some(1.0);
    assert_eq!(compared(&old, &Rows::Full), ["is of an APMonitor before 1.3"]);

    let other = schema(&Template::Availability, 300, &Rows::Full);
    assert_eq!(
        compared(&other, &Rows::Full),
        ["has a step of 300 s, and the monitor is checked every 60 s"]
    );
}

#[test]
fn what_a_later_apmonitor_has_besides_does_not_differ() {
    let mut later = schema(&Template::Snmp { interfaces: vec![1] }, 60, &Rows::Full);
    let mut more = later.sources[0].clone();
    "if1_bmcast".clone_into(&mut more.name);
    later.sources.push(more);
    let mut round = later.rounds[0];
    round.steps = 7;
    later.rounds.push(round);
    assert_eq!(compare(FileKind::Snmp, 60, &Rows::Full, &later), []);
}

#[test]
fn values_are_only_lost_where_that_is_asked_for() {
    let more = Difference::MoreRows(vec![(0, -5)]);
    assert_eq!(more.remedy(RepairOptions::default()), None);
    assert!(more.remedy(RepairOptions { shrink: true }).is_some());
}

#[test]
fn files_that_were_set_aside_are_nobodys_on_purpose() {
    for (name, is_kept) in [
        ("web-availability.damaged.rrd", true),
        ("web-availability.damaged-12.rrd", true),
        ("web-availability.before-1.3.rrd", true),
        ("web-availability.before-1.3-2.rrd", true),
        ("web-availability.rrd", false),
        ("damaged-availability.rrd", false),
        ("web.damaged-availability.rrd", false),
        ("web-availability.step60.rrd", false),
    ] {
        assert_eq!(is_kept_on_purpose(name), is_kept, "{name}");
    }
}
