//! Reads the section of one monitor.

use std::sync::{Arc, LazyLock};

use serde::Serialize;
use serde_json::json;
use sha2::{Digest, Sha256};

use super::{MonitorEntry, MonitorOptions, Sourced};
use crate::{
    attempt::Reach,
    blueprint::Blueprint,
    config::{
        file::Tables,
        foreign,
        position::Position,
        section::{Diagnostics, Section},
        site::{RESERVED_NAMES, SiteOptions, check_heartbeat},
        value::{Count, Seconds, Text},
    },
    kind::MonitorKind,
    mask::Mask,
    monitor::{Labels, Policy},
    secret::{Secret, hex},
    section_value::SectionValue,
    text::{excerpt, nearest, without_userinfo},
};

/// Reads the section of one monitor. Warnings and hints are returned even if it is
/// invalid.
pub(in crate::config) fn read_monitor(
    mut section: Section<'_>,
    site: &SiteOptions,
    tables: &Tables<'_>,
) -> (Option<MonitorEntry>, Diagnostics) {
    let kinds = tables.kinds;
    let Some(mut options) = section.read::<MonitorOptions>() else {
        return (None, Diagnostics::default());
    };
    let at = section.at;
    let name = options.name.take();
    let name = section.require("name", name);
    if let Some(name) = &name
        && RESERVED_NAMES.contains(&name.as_str())
    {
        let list = RESERVED_NAMES.join(", ");
        section.error(
            "name",
            format!("must not be one of {list}: the state file reserves these names"),
        );
    }
    let kind = read_kind(&mut section, options.r#type.take(), kinds);
    let address = options.address.take();
    let address = section.require("address", address).map(Text::into_string);
    section.set_address(address.clone().unwrap_or_default());
    section.set_family(options.address_family.or(site.address_family).unwrap_or_default());
    let reach = read_reach(&mut section, &options, site);
    check_rules(&mut section, &options, site);
    let heartbeat = tables.heartbeat.and_then(|kind| kind.read(&mut section));
    let heartbeat = heartbeat.or_else(|| site.heartbeat_options.clone());
    let compiled = kind.and_then(|kind| kind.read(&mut section));
    // An option of another kind is reported with the kinds that have it (rules 4, 20, 23, 25, 29, 32).
    let basis = section.take_basis();
    let mask = section.mask().clone();
    let is_secret = section.is_from_environment("address");
    let compiled = compiled.map(|mut compiled| {
        section.hide_variables(&mut compiled.masked);
        compiled
    });
    let diagnostics = match kind {
        Some(kind) => section.finish(|key| belongs_elsewhere(key, kind, kinds)),
        // Without a kind, the options of all kinds are accepted.
        None => {
            for kind in kinds {
                section.allow(&kind.fields());
            }
            section.finish(|_| None)
        }
    };
    let entry = (|| {
        let (name, kind, address, compiled) = (name?.into_string(), kind?, address?, compiled?);
        let shown = match is_secret {
            true => only_host(&address),
            false => without_userinfo(&address),
        };
        Some(entry(
            name,
            kind.name(),
            (address, shown),
            at,
            options,
            heartbeat,
            site,
            reach,
            json!([compiled.options, basis]),
            compiled.masked.to_string().into(),
            mask,
            compiled.blueprint,
        ))
    })();
    (entry, diagnostics)
}

fn read_kind<'k>(
    section: &mut Section<'_>,
    given: Option<Text>,
    kinds: &[&'k dyn MonitorKind],
) -> Option<&'k dyn MonitorKind> {
    let given = section.require("type", given)?;
    let word = given.as_str();
    if let Some(kind) = kinds.iter().find(|kind| kind.name() == word) {
        return Some(*kind);
    }
    // The wording is that of rule 34.
    if matches!(word, "snmp" | "switch") {
        section.error_text(
            "type",
            format!("type '{word}' is not valid. Did you mean type: ports?"),
        );
        return None;
    }
    let built = kinds.iter().filter(|kind| kind.is_built());
    let names: Vec<_> = built.map(|kind| kind.name()).collect();
    let foreign = foreign::kind(word).filter(|kind| names.contains(kind));
    let hint = foreign
        .or_else(|| nearest(word, names.iter().copied()))
        .map(|word| format!("; did you mean {word}?"))
        .unwrap_or_default();
    section.error(
        "type",
        format!(
            "must be one of {}, not \"{}\"{hint}",
            names.join(", "),
            excerpt(word, 40)
        ),
    );
    None
}

fn belongs_elsewhere(key: &str, kind: &dyn MonitorKind, kinds: &[&dyn MonitorKind]) -> Option<String> {
    let owners: Vec<_> = kinds
        .iter()
        .filter(|other| other.fields().contains(&key))
        .map(|other| other.name())
        .collect();
    (!owners.is_empty()).then(|| {
        format!(
            "is not an option of type {}; it belongs to {}",
            kind.name(),
            owners.join(", ")
        )
    })
}

/// How the target is reached: by the monitor's own options, or else those of its site.
fn read_reach(section: &mut Section<'_>, options: &MonitorOptions, site: &SiteOptions) -> Reach {
    let reach = Reach::new(
        options.addresses.or(site.addresses).unwrap_or_default(),
        options.source_address.or(site.source_address).unwrap_or_default(),
    );
    section.set_own_source(options.source_address.unwrap_or_default());
    section.effective("addresses", reach.addresses);
    if !reach.source.is_empty() {
        section.effective("source_address", reach.source);
    }
    // A monitor without these options stays the same.
    if reach != Reach::default() {
        section.depends_on((reach.addresses, reach.source));
    }
    reach
}

/// Checks the rules between common options (2, 3, 6, 9).
fn check_rules(section: &mut Section<'_>, options: &MonitorOptions, site: &SiteOptions) {
    check_pacing(section, options, site);
    if section.has("after_every_n_notifications") && !section.has("notify_every_n_secs") {
        section.misplaced("after_every_n_notifications", "needs \"notify_every_n_secs\"");
    }
    check_heartbeat(section, options.heartbeat_url.as_ref());
}

/// Checks that reminders are not more frequent than checks (rule 2). In one section that is an
/// error. Between the monitor's values and the site's or the defaults it is a warning: a site
/// that APMonitor accepted must go on.
fn check_pacing(section: &mut Section<'_>, options: &MonitorOptions, site: &SiteOptions) {
    let (own_notify, own_check) = (options.notify_every_n_secs, options.check_every_n_secs);
    let default = Policy::default();
    let secs = |own: Option<Seconds>, site: Option<Seconds>, default: std::time::Duration| {
        own.or(site).map_or(default.as_secs(), Seconds::get)
    };
    let notify = secs(own_notify, site.notify_every_n_secs, default.notify_every);
    let check = secs(own_check, site.check_every_n_secs, default.check_every);
    if notify >= check {
        return;
    }
    if own_notify.is_some() && own_check.is_some() {
        section.error(
            "notify_every_n_secs",
            format!("must not be less than check_every_n_secs ({notify} < {check})"),
        );
        return;
    }
    let origin = |own: bool, site: bool| match (own, site) {
        (true, _) => "",
        (false, true) => ", the site's value",
        (false, false) => ", the default",
    };
    let of_notify = origin(own_notify.is_some(), site.notify_every_n_secs.is_some());
    let of_check = origin(own_check.is_some(), site.check_every_n_secs.is_some());
    match (own_notify, own_check) {
        (Some(_), None) => section.warn(
            "notify_every_n_secs",
            format!("is less than check_every_n_secs ({notify} < {check}{of_check}): reminders would repeat the result of an old check"),
        ),
        (None, Some(_)) => section.warn(
            "check_every_n_secs",
            format!("is more than notify_every_n_secs ({check} > {notify}{of_notify}): reminders would repeat the result of an old check"),
        ),
        // The site says it once.
        _ => {}
    }
}

#[allow(clippy::too_many_arguments)] // the parts of one struct
fn entry(
    name: String,
    kind: &'static str,
    (address, shown): (String, String),
    at: Position,
    options: MonitorOptions,
    heartbeat_options: Option<SectionValue>,
    site: &SiteOptions,
    reach: Reach,
    own: serde_json::Value,
    masked: Box<str>,
    mask: Mask,
    blueprint: Blueprint,
) -> MonitorEntry {
    let default = Policy::default();
    let secs = |duration: std::time::Duration| Seconds::new(duration.as_secs());
    let mut entry = MonitorEntry {
        check_every: Sourced::of(
            options.check_every_n_secs,
            site.check_every_n_secs,
            secs(default.check_every),
        ),
        max_retries: Sourced::of(
            options.max_retries,
            site.max_retries,
            Count::new(default.max_retries),
        ),
        max_try: Sourced::of(options.max_try_secs, site.max_try_secs, secs(default.max_try)),
        retry_every: Sourced::of(
            options.retry_every_n_secs.map(Some),
            site.retry_every_n_secs.map(Some),
            None,
        ),
        notify_every: Sourced::of(
            options.notify_every_n_secs,
            site.notify_every_n_secs,
            secs(default.notify_every),
        ),
        after_every_n: Sourced::of(
            options.after_every_n_notifications,
            site.after_every_n_notifications,
            Count::new(default.after_every_n),
        ),
        unknown_after: Sourced::of(
            options.unknown_after_secs,
            site.unknown_after_secs,
            secs(default.unknown_after),
        ),
        alarms: Sourced::of(options.alarms, site.alarms, default.alarms),
        email: Sourced::of(options.email, None, true),
        display: Sourced::of(options.display, None, true),
        heartbeat_url: options.heartbeat_url,
        heartbeat_every: options.heartbeat_every_n_secs,
        heartbeat_options,
        checksum: String::new(),
        reach: reach.shared(),
        labels: labels(options.display),
        own: masked,
        mask,
        address: shown,
        name,
        kind,
        at,
        blueprint,
    };
    entry.checksum = checksum(&entry, &address, &own);
    entry
}

/// An address that came from the environment, for display: scheme, host and port. The rest may
/// be a token.
fn only_host(address: &str) -> String {
    let shown = without_userinfo(address);
    let start = shown.find("://").map_or(0, |at| at + 3);
    match shown[start..].find(['/', '?', '#']) {
        Some(at) if shown[start + at..].len() > 1 => format!("{}/***", &shown[..start + at]),
        _ => shown,
    }
}

/// The labels of a monitor; monitors with default labels share one instance.
fn labels(display: Option<bool>) -> Arc<Labels> {
    static DEFAULT: LazyLock<Arc<Labels>> = LazyLock::new(Arc::default);
    let labels = Labels {
        display: display.unwrap_or(true),
        ..Labels::default()
    };
    match labels == **DEFAULT {
        true => Arc::clone(&DEFAULT),
        false => Arc::new(labels),
    }
}

/// SHA-256 over the effective options. Their order, comments, and whether a default
/// is written out make no difference.
fn checksum(entry: &MonitorEntry, address: &str, own: &serde_json::Value) -> String {
    #[derive(Serialize)]
    struct Effective<'a>(
        &'a str,
        &'a str,
        &'a str,
        [u64; 6],
        [bool; 3],
        u64,
        Option<&'a Secret>,
        Option<u64>,
    );
    let effective = Effective(
        &entry.name,
        entry.kind,
        address,
        [
            entry.check_every.value.get(),
            entry.max_retries.value.get().get().into(),
            entry.max_try.value.get(),
            entry.notify_every.value.get(),
            entry.after_every_n.value.get().get().into(),
            entry.unknown_after.value.get(),
        ],
        [entry.alarms.value, entry.email.value, entry.display.value],
        entry.retry_every.value.unwrap_or(entry.max_try.value).get(),
        entry.heartbeat_url.as_ref(),
        entry.heartbeat_every.map(Seconds::get),
    );
    let mut whole = json!([effective, own]);
    whole.sort_all_objects();
    hex(&Sha256::digest(whole.to_string()))
}
