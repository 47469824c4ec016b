//! The page of one monitor: its state, the device it is, and its charts.

use std::fmt::Write as _;

use apmon_core::Condition;

use super::{
    MonitorView, Period, Pictures, SiteView,
    html::{self, Fault, escape, or_dash},
    index::{anchor, heading},
    port_table, style,
    target::{Named, named},
};
use crate::pairs;

/// The page of a monitor, and the name of its file; `None` if the site has no monitor of this
/// name.
#[must_use]
pub fn detail(site: &SiteView<'_>, monitor: &str, pictures: Pictures<'_>) -> Option<(String, String)> {
    let all = named(site);
    let named = all.iter().find(|named| named.monitor.name == monitor)?;
    Some((named.page(), page(site, named, pictures, None)))
}

/// The comments around what a poll found out about the device.
const FOUND: (&str, &str) = ("<!-- device -->\n", "<!-- end of device -->\n");

/// The page of a monitor. A pass that did not poll the device takes what the former page says of
/// it.
pub(super) fn page(
    site: &SiteView<'_>,
    named: &Named<'_>,
    pictures: Pictures<'_>,
    former: Option<&str>,
) -> String {
    let monitor = named.monitor;
    let mut out = String::new();
    let label = monitor.label();
    html::begin(&mut out, &label, style::DETAIL);
    let _ = write!(
        out,
        "<div class=\"back\"><a href=\"index.html\">&larr; Back to monitoring index</a></div>\n<h1>{}</h1>\n",
        escape(&label)
    );
    state(&mut out, site, monitor);
    let former = former.filter(|_| monitor.is_device() && monitor.device.is_none());
    out.push_str(FOUND.0);
    match former.and_then(found) {
        Some(found) => out.push_str(found),
        None => device(&mut out, site, monitor),
    }
    out.push_str(FOUND.1);
    // Monitors that are not displayed have no targets, so that nobody draws them.
    if monitor.display {
        charts(&mut out, named, pictures);
    }
    html::end(&mut out, site);
    out
}

/// What a page says of the device. Nothing in it can be one of the comments, as it is escaped.
fn found(page: &str) -> Option<&str> {
    let (_, rest) = page.split_once(FOUND.0)?;
    Some(rest.split_once(FOUND.1)?.0)
}

fn state(out: &mut String, site: &SiteView<'_>, monitor: &MonitorView<'_>) {
    let (class, word) = match monitor.condition {
        Condition::Down => ("down", "Down"),
        Condition::Unknown => ("unknown", "Unknown"),
        Condition::Soft => ("up", "Up, but the last check failed"),
        Condition::Up => ("up", "Up"),
        _ => ("pending", "Not checked yet"),
    };
    let _ = write!(out, "<div class=\"state {class}\">");
    match Fault::of(site, monitor) {
        Some(fault) => out.push_str(&fault.sentence()),
        None => {
            let since = html::ago(site, monitor.since).map_or_else(String::new, |ago| format!(" {ago}"));
            let reason = monitor
                .reason
                .map_or_else(String::new, |reason| format!(": {}", escape(reason)));
            let _ = write!(out, "<b>{word}{since}</b>{reason}");
        }
    }
    if let Some(checked) = monitor.last_checked {
        let _ = write!(out, "<p>Last checked {}", html::time(site, checked));
        if let Some(ms) = monitor.response_time_ms {
            let _ = write!(out, ", last answer took {} ms", milliseconds(ms));
        }
        out.push_str("</p>");
    }
    out.push_str("</div>\n");
}

fn milliseconds(ms: f64) -> String {
    match ms < 10.0 {
        true => format!("{ms:.1}"),
        false => format!("{ms:.0}"),
    }
}

fn device(out: &mut String, site: &SiteView<'_>, monitor: &MonitorView<'_>) {
    system(out, monitor);
    if !monitor.is_device() {
        return;
    }
    // While polls fail, the device is shown as the last successful one found it.
    match monitor.last_checked {
        Some(checked) if monitor.condition == Condition::Up && monitor.device.is_some() => {
            let _ = writeln!(out, "<p class=\"sub\">Polled {}</p>", html::time(site, checked));
        }
        _ if monitor.device.is_some() => {
            out.push_str("<p class=\"sub\">As the last successful poll found it</p>\n");
        }
        _ => {}
    }
    out.push_str("<div class=\"tables\">\n");
    let ports = monitor.device.map_or(&[][..], |device| &device.ports);
    port_table::interfaces(out, ports);
    port_table::stations(out, ports);
    disks(out, monitor);
    out.push_str("</div>\n");
}

fn system(out: &mut String, monitor: &MonitorView<'_>) {
    let item = |out: &mut String, title: &str, value: &str| {
        let _ = writeln!(out, "<div><b>{title}</b>{value}</div>");
    };
    out.push_str("<div class=\"sysinfo\">\n");
    if monitor.is_device() {
        let device = monitor.device;
        let of = |value: Option<&Option<String>>| or_dash(value.and_then(Option::as_deref));
        item(out, "Name", &of(device.map(|device| &device.name)));
        item(out, "Location", &of(device.map(|device| &device.location)));
        item(out, "Contact", &of(device.map(|device| &device.contact)));
    }
    item(out, "Address", &or_dash(Some(monitor.address)));
    if let Some(up_for) = monitor.device.and_then(|device| device.up_for) {
        item(out, "Uptime", &apmon_core::rule::wording::duration(up_for));
    }
    if let Some(description) = monitor.device.and_then(|device| device.description.as_deref()) {
        item(out, "Description", &or_dash(Some(description)));
    }
    if monitor.kind == "host" {
        let pct = monitor
            .disk_space_pct
            .map_or_else(|| "N/A".to_owned(), |pct| format!("{pct:.1}%"));
        item(out, "Disk Use", &pct);
    }
    out.push_str("</div>\n");
}

fn disks(out: &mut String, monitor: &MonitorView<'_>) {
    let disks = monitor.device.map_or(&[][..], |device| &device.disks);
    if disks.is_empty() {
        return;
    }
    out.push_str("<h2>File Systems</h2>\n<table>\n<tr><th>Name</th><th>Size</th><th>Used</th></tr>\n");
    for disk in disks {
        let used = disk
            .used_pct()
            .map_or_else(|| "&mdash;".to_owned(), |pct| format!("{pct:.1}%"));
        let _ = writeln!(
            out,
            "<tr><td class=\"mono\">{}</td><td>{}</td><td>{used}</td></tr>",
            or_dash(Some(&disk.name)),
            bytes(disk.size)
        );
    }
    out.push_str("</table>\n");
}

/// `931.5 GiB`.
#[allow(clippy::cast_precision_loss)] // a tenth is displayed
fn bytes(bytes: u64) -> String {
    let (mut value, mut unit) = (bytes as f64, "B");
    for next in ["KiB", "MiB", "GiB", "TiB", "PiB"] {
        if value < 1024.0 {
            break;
        }
        (value, unit) = (value / 1024.0, next);
    }
    match unit {
        "B" => format!("{bytes} B"),
        unit => format!("{value:.1} {unit}"),
    }
}

fn charts(out: &mut String, named: &Named<'_>, pictures: Pictures<'_>) {
    out.push_str("<h2>Charts</h2>\n");
    let monitor = named.monitor;
    let label = escape(&monitor.label());
    for pair in pairs(monitor.kind) {
        let target = named.target(pair);
        let title = heading(monitor, pair);
        let _ = writeln!(
            out,
            "<h3 id=\"{}\">{title}</h3>\n<div class=\"charts\">",
            anchor(pair)
        );
        for period in Period::ALL {
            let source = pictures.source(&target, period);
            // A picture in a file leads to the picture itself, which may be larger than the column.
            let link = pictures.page(&target).unwrap_or_else(|| source.clone());
            let word = period.title();
            let _ = writeln!(
                out,
                "<figure><figcaption>{word}</figcaption><a href=\"{link}\">\
                 <img src=\"{source}\" alt=\"{label} {title} {word}\" loading=\"lazy\"></a></figure>"
            );
        }
        out.push_str("</div>\n");
    }
}

#[cfg(test)]
mod tests;
