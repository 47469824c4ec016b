//! The page of all monitors of a site: `index.html`.

use std::fmt::Write as _;

use jiff::tz::TimeZone;

use super::{
    MonitorView, Period, Pictures, SiteView,
    html::{self, Fault, escape, percent},
    style,
    target::{Named, named},
};
use crate::{Pair, pairs};

/// The clocks of the header beside the site's own.
const CITIES: &[(&str, &str)] = &[
    ("Honolulu", "Pacific/Honolulu"),
    ("Anchorage", "America/Anchorage"),
    ("California", "America/Los_Angeles"),
    ("New York", "America/New_York"),
    ("London", "Europe/London"),
    ("Amsterdam", "Europe/Amsterdam"),
    ("Mumbai", "Asia/Kolkata"),
    ("Tokyo", "Asia/Tokyo"),
    ("Melbourne", "Australia/Melbourne"),
];

/// The page of all monitors.
#[must_use]
pub fn index(site: &SiteView<'_>, pictures: Pictures<'_>) -> String {
    Index {
        site,
        pictures,
        out: String::new(),
    }
    .write()
}

struct Index<'a> {
    site: &'a SiteView<'a>,
    pictures: Pictures<'a>,
    out: String,
}

impl Index<'_> {
    fn write(mut self) -> String {
        let style = match self.pictures {
            Pictures::Cgi { .. } => style::INDEX.to_owned(),
            // They can be read at any size.
            Pictures::Files { .. } => format!("{}{}", style::INDEX, style::DRAWN),
        };
        html::begin(&mut self.out, self.site.name, &style);
        self.clock();
        let _ = writeln!(self.out, "<h1>{}</h1>", escape(self.site.name));
        let all = named(self.site);
        let (displayed, hidden): (Vec<_>, Vec<_>) = all.iter().partition(|named| named.monitor.display);
        let (devices, others): (Vec<_>, Vec<_>) = displayed
            .iter()
            .copied()
            .partition(|named| named.monitor.is_device());
        if displayed.is_empty() {
            self.out
                .push_str("<p class=\"nothing-configured\">No monitors configured.</p>\n");
        }
        if !devices.is_empty() {
            self.out.push_str("<h2>L2/L3 Network Monitoring</h2>\n");
            self.devices(&devices);
        }
        if !others.is_empty() {
            self.out
                .push_str("<h2>L4 Availability Monitoring</h2>\n<div class=\"grid\">\n");
            for monitor in others {
                self.monitor(monitor);
            }
            self.out.push_str("</div>\n");
        }
        self.hidden(&hidden);
        html::end(&mut self.out, self.site);
        self.out
    }

    /// The time at which the page was made: here, and where colleagues may be.
    fn clock(&mut self) {
        let at = |zone: &TimeZone, format: &str| {
            let time = zone.to_datetime(self.site.generated);
            time.strftime(format).to_string()
        };
        let here = at(&self.site.zone, "%a %-I:%M %p");
        // Without a database of time zones a clock would be wrong, so there is none.
        let zones = CITIES.iter();
        let zones = zones.filter_map(|(city, zone)| Some((city, TimeZone::get(zone).ok()?)));
        let world: Vec<String> = zones
            .map(|(city, zone)| format!("{city}: <b>{}</b>", at(&zone, "%-I:%M %p")))
            .collect();
        let _ = writeln!(
            self.out,
            "<div class=\"header-clock\">\n<div class=\"main\">{here}</div>\n<div class=\"world\">{}</div>\n</div>",
            world.join(" &nbsp;&nbsp; ")
        );
    }

    /// A switch has a row of its own; other devices next to each other share one.
    fn devices(&mut self, devices: &[&Named<'_>]) {
        let is_switch = |named: &Named<'_>| named.monitor.kind == "ports";
        for group in devices.chunk_by(|a, b| !is_switch(a) && !is_switch(b)) {
            if let [switch] = group
                && is_switch(switch)
            {
                self.switch(switch);
                continue;
            }
            // Four charts each, eight to a row, and each label above its own charts.
            for row in group.chunks(2) {
                self.row(row, group.len() == 1);
            }
        }
    }

    fn switch(&mut self, switch: &Named<'_>) {
        let fault = Fault::of(self.site, switch.monitor);
        self.label(switch, fault.as_ref());
        self.begin_row(8, 3);
        self.cells(switch, fault.as_ref());
        self.out.push_str("</div>\n");
    }

    fn row(&mut self, devices: &[&Named<'_>], is_alone: bool) {
        let alone = if is_alone { " alone" } else { "" };
        let _ = writeln!(self.out, "<div class=\"device-row{alone}\">");
        for device in devices {
            let fault = Fault::of(self.site, device.monitor);
            self.out.push_str("<div>\n");
            self.label(device, fault.as_ref());
            self.begin_row(4, 4);
            self.cells(device, fault.as_ref());
            self.out.push_str("</div>\n</div>\n");
        }
        self.out.push_str("</div>\n");
    }

    fn begin_row(&mut self, columns: usize, narrow: usize) {
        let _ = writeln!(
            self.out,
            "<div class=\"network-row\" style=\"grid-template-columns: repeat({columns}, minmax(0, 1fr)); \
             --cols-narrow: {narrow};\">"
        );
    }

    /// The device's name, which leads to its own page, and what is wrong with it.
    fn label(&mut self, device: &Named<'_>, fault: Option<&Fault>) {
        let class = class(fault);
        let link = percent(&device.page());
        let name = escape(&device.monitor.label());
        let _ = write!(
            self.out,
            "<div class=\"network-host-label{class}\"><a href=\"{link}\">{name}</a>"
        );
        if let Some(fault) = fault {
            let _ = write!(self.out, "&nbsp;<span>{}</span>", fault.sentence());
        }
        self.out.push_str("</div>\n");
    }

    fn cells(&mut self, device: &Named<'_>, fault: Option<&Fault>) {
        for pair in pairs(device.monitor.kind) {
            let heading = heading(device.monitor, pair);
            let _ = write!(
                self.out,
                "<div class=\"network-cell{}\"><h4>{heading}</h4>",
                class(fault)
            );
            let alt = format!(
                "{} {}",
                escape(&device.monitor.label()),
                alt_word(device.monitor, pair)
            );
            self.picture(device, pair, &alt);
            self.out.push_str("</div>\n");
        }
    }

    /// A monitor with one chart.
    fn monitor(&mut self, named: &Named<'_>) {
        let monitor = named.monitor;
        let fault = Fault::of(self.site, monitor);
        let _ = writeln!(self.out, "<div class=\"monitor{}\">", class(fault.as_ref()));
        for pair in pairs(monitor.kind) {
            let link = self.page_of(named, pair);
            let name = escape(monitor.name);
            let _ = writeln!(self.out, "<h3><a href=\"{link}\">{name}</a></h3>");
            self.picture(named, pair, &format!("{name} Daily Graph"));
            self.out.push('\n');
        }
        let _ = write!(self.out, "<p>{}", escape(monitor.address));
        if let Some(fault) = &fault {
            let Fault { class, since, .. } = fault;
            let _ = write!(self.out, "&nbsp;<span class=\"{class}\">{since}</span>");
        }
        self.out.push_str("</p>\n");
        if let Some(fault) = fault.filter(|fault| !fault.reason.is_empty()) {
            let Fault { class, reason, .. } = fault;
            let _ = writeln!(self.out, "<p class=\"{class}\">{reason}</p>");
        }
        self.out.push_str("</div>\n");
    }

    fn picture(&mut self, named: &Named<'_>, pair: &Pair, alt: &str) {
        let source = self.pictures.source(&named.target(pair), Period::Day);
        let _ = write!(
            self.out,
            "<a href=\"{}\"><img src=\"{source}\" alt=\"{alt}\" loading=\"lazy\"></a>",
            self.page_of(named, pair)
        );
    }

    /// The page with all pictures of a pair.
    fn page_of(&self, named: &Named<'_>, pair: &Pair) -> String {
        let page = self.pictures.page(&named.target(pair));
        page.unwrap_or_else(|| format!("{}#{}", percent(&named.page()), anchor(pair)))
    }

    fn hidden(&mut self, hidden: &[&Named<'_>]) {
        if hidden.is_empty() {
            return;
        }
        let name = |named: &&Named<'_>| {
            let name = escape(named.monitor.name);
            match Fault::of(self.site, named.monitor).filter(|fault| fault.class == "down") {
                None => format!("<span class=\"up\">{name}</span>"),
                Some(fault) => {
                    // In the middle of a sentence.
                    let since = fault.since.replacen('D', "d", 1);
                    format!("<span class=\"down\">{name} ({since})</span>")
                }
            }
        };
        let names: Vec<String> = hidden.iter().map(name).collect();
        let _ = writeln!(
            self.out,
            "<p class=\"audit\">Not displayed: {}</p>",
            names.join(", ")
        );
    }
}

fn class(fault: Option<&Fault>) -> String {
    fault.map_or_else(String::new, |fault| format!(" {}", fault.class))
}

/// Where the pictures of a pair are on the monitor's own page.
pub(super) fn anchor(pair: &Pair) -> &'static str {
    match pair.suffix.strip_prefix('-') {
        Some(suffix) => suffix,
        None => "availability",
    }
}

/// What is above a chart, as HTML.
pub(super) fn heading(monitor: &MonitorView<'_>, pair: &Pair) -> String {
    let port = monitor.kind == "port";
    match pair.suffix {
        "-bandwidth" if port => "Bandwidth In/Out".to_owned(),
        "-packets" if port => "Packets In/Out".to_owned(),
        "-packets-type" if port => "Unicast vs B+Mcast".to_owned(),
        "-errors" if port => "Errors In/Out".to_owned(),
        "-packets-type" => "Unicast vs B+Mcast Packets".to_owned(),
        "-system" => "CPU &amp; Memory".to_owned(),
        "-tamper" => "Active Ports &amp; NVRAM/Flash".to_owned(),
        "-network" => "MACs &amp; ARP Entries".to_owned(),
        "-system3" => format!("Disk I/O &mdash; {}", monitor.disk_use()),
        _ if monitor.kind == "host" => escape(pair.title),
        "" => escape(pair.title),
        _ => escape(pair.heading),
    }
}

/// The end of a chart's alternative text, as HTML.
fn alt_word(monitor: &MonitorView<'_>, pair: &Pair) -> String {
    if monitor.kind != "ports" {
        return heading(monitor, pair);
    }
    let word = match pair.suffix {
        "-bandwidth" => "Bandwidth",
        "-packets" => "Packets",
        "-packets-type" => "Packet Types",
        "-errors" => "Errors",
        "-system" => "System",
        "-tamper" => "Tamper",
        "-network" => "Network",
        _ => pair.title,
    };
    word.to_owned()
}

#[cfg(test)]
mod tests;
