//! Changes at ports, oldest first: as text, CSV and JSON.

use std::io::Write;

use apmon_core::{PortChangeRecord, PortEvent, PortStatus, StoreError, text::printable};
use serde_json::{Value, json};

use super::{SiteHistory, export, local, report::TimeFrame};
use crate::{human_time::timestamp, plural::count, table::render_wrapped};

/// How many of the newest changes the text lists.
const NEWEST: usize = 100;

fn changes(
    site: &SiteHistory,
    monitor: Option<&str>,
    frame: &TimeFrame,
) -> anyhow::Result<Vec<PortChangeRecord>> {
    let failed = |error: StoreError| anyhow::anyhow!("{}", error.one_line());
    site.history.port_changes(monitor, &frame.span()).map_err(failed)
}

/// Writes the changes of each site as text.
pub(super) fn text(out: &mut dyn Write, sites: &[SiteHistory], frame: &TimeFrame) -> anyhow::Result<()> {
    for (n, site) in sites.iter().enumerate() {
        if n > 0 {
            writeln!(out)?;
        }
        let monitor = site.monitors.first().filter(|_| site.single);
        let changes = changes(site, monitor.map(String::as_str), frame)?;
        let prefix = monitor.map_or(String::new(), |name| format!("{} in ", printable(name)));
        writeln!(
            out,
            "{prefix}{}: changes at ports in the last {}\n",
            printable(&site.site),
            count(frame.days.len(), "day")
        )?;
        writeln!(out, "{}", table(&changes, frame, monitor.is_none()))?;
    }
    Ok(())
}

fn table(changes: &[PortChangeRecord], frame: &TimeFrame, with_names: bool) -> String {
    if changes.is_empty() {
        return "none".to_owned();
    }
    let older = changes.len().saturating_sub(NEWEST);
    let rows: Vec<Vec<String>> = changes[older..]
        .iter()
        .map(|record| {
            let change = &record.change;
            let name = if with_names { &record.monitor } else { "" };
            vec![
                timestamp(record.at, frame.now, &frame.zone),
                if change.notified { "yes" } else { "no" }.to_owned(),
                printable(name).into_owned(),
                printable(&change.port).into_owned(),
                sentence(&change.event),
            ]
        })
        .collect();
    let head = ["AT", "NOTIFIED", "MONITOR", "PORT", "CHANGE"];
    let table = render_wrapped(&head, &rows, 2, frame.width);
    match older {
        0 => table,
        older => format!(
            "{} not shown (--csv and --json list all)\n\n{table}",
            count(older, "older change")
        ),
    }
}

/// An event in words: `oper up -> down`, `appeared=[02:00:00:00:00:01]`, `added: oper=up
/// admin=up`.
fn sentence(event: &PortEvent) -> String {
    let parts = match event {
        PortEvent::State { was, is } => {
            let changed = |word, was: PortStatus, is| (was != is).then(|| format!("{word} {was} -> {is}"));
            [
                changed("oper", was.oper, is.oper),
                changed("admin", was.admin, is.admin),
            ]
        }
        PortEvent::Stations { .. } => {
            let list = |word, list: Option<String>| list.map(|list| format!("{word}=[{list}]"));
            [list("appeared", event.after()), list("gone", event.before())]
        }
        event => {
            let state = event.before().or_else(|| event.after()).unwrap_or_default();
            [Some(format!("{}: {state}", event.as_str())), None]
        }
    };
    let parts: Vec<_> = parts.into_iter().flatten().collect();
    parts.join(", ")
}

const COLUMNS: &str = "site,monitor,at,port_index,port,kind,before,after,notified";

/// Writes a CSV row for each change.
pub(super) fn csv(out: &mut dyn Write, sites: &[SiteHistory], frame: &TimeFrame) -> anyhow::Result<()> {
    write!(out, "{COLUMNS}\r\n")?;
    for site in sites {
        for monitor in &site.monitors {
            for PortChangeRecord { at, change, .. } in changes(site, Some(monitor), frame)? {
                let cells = [
                    site.site.clone(),
                    monitor.clone(),
                    local(at, &frame.zone),
                    change.index.to_string(),
                    change.port,
                    change.event.as_str().to_owned(),
                    change.event.before().unwrap_or_default(),
                    change.event.after().unwrap_or_default(),
                    change.notified.to_string(),
                ];
                let cells = cells.map(|cell| export::quoted(&cell));
                write!(out, "{}\r\n", cells.join(","))?;
            }
        }
    }
    Ok(())
}

/// Writes `{"sites": [{..., "monitors": [{"monitor", "port_changes": [...]}]}]}`.
pub(super) fn json(out: &mut dyn Write, sites: &[SiteHistory], frame: &TimeFrame) -> anyhow::Result<()> {
    export::json_of(out, sites, frame, |site, monitor| {
        let changes = changes(site, Some(monitor), frame)?;
        let changes: Vec<Value> = changes
            .iter()
            .map(|PortChangeRecord { at, change, .. }| {
                json!({
                    "at": local(*at, &frame.zone),
                    "port_index": change.index,
                    "port": change.port,
                    "kind": change.event.as_str(),
                    "before": change.event.before(),
                    "after": change.event.after(),
                    "notified": change.notified,
                })
            })
            .collect();
        Ok(json!({"monitor": monitor, "port_changes": changes}))
    })
}
