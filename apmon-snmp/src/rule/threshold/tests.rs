use super::*;

fn limit(pct: f64) -> Option<LimitPct> {
    Some(LimitPct::new(pct).unwrap())
}

fn all_90() -> ThresholdOptions {
    ThresholdOptions {
        max_cpu_pct: limit(90.0),
        max_memory_pct: limit(90.0),
        max_disk_pct: limit(90.0),
        ignore_disks: vec!["/snap/*".into(), "D:\\".into()],
    }
}

fn disk(name: &str, used: u64) -> DeviceDisk {
    DeviceDisk {
        name: name.into(),
        size: 1000,
        used,
    }
}

/// Evaluates processor loads one after the other.
fn loads(options: &ThresholdOptions, loads: &[f64]) -> Vec<String> {
    let mut over = Over::default();
    loads
        .iter()
        .map(|load| options.judge(Some(*load), None, &[], &mut over).to_string())
        .collect()
}

#[test]
fn without_limits_nothing_is_reported() {
    let options = ThresholdOptions::default();
    let mut over = Over::default();
    let excesses = options.judge(Some(100.0), Some(100.0), &[disk("/", 1000)], &mut over);
    assert!(excesses.is_empty());
    assert_eq!(over, Over::default());
}

#[test]
fn a_reason_names_each_value_and_file_system() {
    let mut over = Over::default();
    let disks = [
        disk("/", 899),
        disk("/var", 951),
        disk("/snap/core/1", 1000),
        disk("D:\\", 1000),
    ];
    let excesses = all_90().judge(Some(97.3), Some(90.5), &disks, &mut over);
    assert_eq!(
        excesses.to_string(),
        "cpu 97.3 % is over 90 %; memory 90.5 % is over 90 %; file system /var is 95.1 % full, over 90 %"
    );
    assert_eq!(
        over,
        Over {
            cpu: true,
            memory: true,
            disks: BTreeSet::from(["/var".to_owned()]),
        }
    );
}

#[test]
fn an_excess_lasts_until_the_figure_is_below_95_percent_of_its_limit() {
    assert_eq!(
        loads(&all_90(), &[90.0, 90.04, 88.0, 85.5, 85.4, 88.0, 91.0]),
        [
            "",
            "cpu 90.1 % is over 90 %",
            "cpu 88.0 % is not yet back below 85.5 %",
            "cpu 85.5 % is not yet back below 85.5 %",
            "",
            "",
            "cpu 91.0 % is over 90 %",
        ]
    );
}

#[test]
fn each_file_system_recovers_on_its_own() {
    let (options, mut over) = (all_90(), Over::default());
    let mut check = |root, var| {
        let disks = [disk("/", root), disk("/var", var)];
        options.judge(None, None, &disks, &mut over).to_string()
    };
    assert_eq!(check(950, 880), "file system / is 95.0 % full, over 90 %");
    assert_eq!(
        check(880, 910),
        "file system / is 88.0 % full, not yet back below 85.5 %; file system /var is 91.0 % full, over 90 %"
    );
    assert_eq!(
        check(800, 880),
        "file system /var is 88.0 % full, not yet back below 85.5 %"
    );
    assert_eq!(check(880, 800), "");
}

#[test]
fn a_figure_that_is_no_longer_reported_is_not_over_its_limit() {
    let (options, mut over) = (all_90(), Over::default());
    let _ = options.judge(Some(95.0), Some(95.0), &[disk("/mnt", 950)], &mut over);
    assert!(options.judge(None, None, &[], &mut over).is_empty());
    assert_eq!(over, Over::default());
    // When it returns, it counts as never having been over its limit.
    assert!(
        options
            .judge(Some(88.0), None, &[disk("/mnt", 880)], &mut over)
            .is_empty()
    );
}

#[test]
fn changed_options_apply_at_the_next_check() {
    let mut over = Over::default();
    let _ = all_90().judge(Some(95.0), None, &[disk("/mnt", 950)], &mut over);
    let ignoring = ThresholdOptions {
        max_cpu_pct: None,
        ignore_disks: vec!["*".into()],
        ..all_90()
    };
    assert!(
        ignoring
            .judge(Some(95.0), None, &[disk("/mnt", 950)], &mut over)
            .is_empty()
    );
    assert_eq!(over, Over::default());
}

#[test]
fn a_limit_is_shown_with_its_fraction() {
    let options = ThresholdOptions {
        max_cpu_pct: limit(92.5),
        ..ThresholdOptions::default()
    };
    assert_eq!(
        loads(&options, &[92.51, 92.0]),
        [
            "cpu 92.6 % is over 92.5 %",
            "cpu 92.0 % is not yet back below 87.88 %"
        ]
    );
}

#[test]
fn eight_full_file_systems_are_named_and_the_rest_counted() {
    let disks = |count| {
        (0..count)
            .map(|i| disk(&format!("/{i}"), 1000))
            .collect::<Vec<_>>()
    };
    let reason = |count| {
        let mut over = Over::default();
        let excesses = all_90().judge(Some(95.0), None, &disks(count), &mut over);
        assert_eq!(over.disks.len(), count);
        excesses.to_string()
    };
    assert!(reason(8).ends_with("; file system /7 is 100.0 % full, over 90 %"));
    assert!(reason(9).ends_with("/7 is 100.0 % full, over 90 %; 1 more file system"));
    assert!(reason(150).ends_with("/7 is 100.0 % full, over 90 %; 142 more file systems"));
    assert!(reason(150).starts_with("cpu 95.0 % is over 90 %; file system /0 is"));
}

#[test]
fn a_limit_must_be_above_0_and_below_100() {
    for text in ["1", "90", "92.5", "99.9"] {
        assert!(serde_json::from_str::<LimitPct>(text).is_ok(), "{text}");
    }
    for text in ["0", "100", "-1", "1e300", "\"90 %\""] {
        assert!(serde_json::from_str::<LimitPct>(text).is_err(), "{text}");
    }
    assert_eq!(LimitPct::new(f64::NAN), None);
    assert_eq!(
        serde_json::from_str::<LimitPct>("100").unwrap_err().to_string(),
        "must be a percentage, more than 0 and less than 100, not 100"
    );
}

#[test]
fn the_schema_states_the_bounds() {
    let schema = schemars::schema_for!(LimitPct);
    assert_eq!(schema.get("exclusiveMinimum"), Some(&0.into()));
    assert_eq!(schema.get("exclusiveMaximum"), Some(&100.into()));
}

#[test]
fn excesses_survive_a_restart() {
    let mut over = Over::default();
    let _ = all_90().judge(Some(95.0), None, &[disk("/var", 950)], &mut over);
    let text = serde_json::to_string(&over).unwrap();
    assert_eq!(text, r#"{"cpu":true,"memory":false,"disks":["/var"]}"#);
    assert_eq!(serde_json::from_str::<Over>(&text).unwrap(), over);
    assert_eq!(serde_json::from_str::<Over>("{}").unwrap(), Over::default());
}
