//! The files with which MRTG's tools and a plain web server show a site: the configuration that
//! `mrtg-rrd.cgi.pl` reads, the page of all monitors, and a page of each device.
//!
//! Everything but [`write()`] is a pure function of a [`SiteView`].

mod cfg;
mod cgi_list;
mod detail;
mod html;
mod index;
mod period;
mod picture;
mod port_table;
mod style;
mod target;
mod write;

use std::path::PathBuf;

use apmon_core::{Condition, Device};
use jiff::{Timestamp, tz::TimeZone};

pub use self::{
    cfg::cfg,
    cgi_list::{ListError, Listed, cgi_list},
    detail::detail,
    index::index,
    period::Period,
    picture::{Pictures, picture_file},
    target::{Target, site_directory, targets},
    write::{Destination, MrtgError, Written, write},
};

/// A site at one moment.
#[derive(Clone, Debug)]
pub struct SiteView<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its monitors, in the order of the site file.
    pub monitors: Vec<MonitorView<'a>>,
    /// The moment.
    pub generated: Timestamp,
    /// The time zone of the times on the pages.
    pub zone: TimeZone,
}

/// A monitor at that moment.
#[derive(Clone, Debug)]
pub struct MonitorView<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its kind (`ping`, `ports`).
    pub kind: &'a str,
    /// Its address, without passwords.
    pub address: &'a str,
    /// Whether it is displayed. If not, the page of all monitors only names it.
    pub display: bool,
    /// Its condition.
    pub condition: Condition,
    /// Since when it has been in this condition, if that is known.
    pub since: Option<Timestamp>,
    /// The reason why it is not up.
    pub reason: Option<&'a str>,
    /// When it was last checked.
    pub last_checked: Option<Timestamp>,
    /// How long the last successful answer took, in milliseconds.
    pub response_time_ms: Option<f64>,
    /// How much of the root file system is in use, in percent.
    pub disk_space_pct: Option<f64>,
    /// The percentile below its charts.
    pub percentile: Option<u8>,
    /// The file of its history. Its name without `-availability.rrd` or `-snmp.rrd` is the name
    /// of the monitor in links.
    pub file: PathBuf,
    /// The device's own description of itself, from the last poll that could read it.
    pub device: Option<&'a Device>,
}

impl MonitorView<'_> {
    /// Whether it is polled over SNMP. The kinds that are not have one chart, of availability.
    fn is_device(&self) -> bool {
        matches!(self.kind, "ports" | "port" | "host")
    }

    /// How pages name it: a device with its kind.
    fn label(&self) -> String {
        match self.is_device() {
            true => format!("{}: {}", self.kind, self.name),
            false => self.name.to_owned(),
        }
    }

    /// `Disk Use: 73.4%`.
    fn disk_use(&self) -> String {
        match self.disk_space_pct {
            Some(pct) => format!("Disk Use: {pct:.1}%"),
            None => "Disk Use: N/A".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests;
