//! The recorded history of a site.

use std::path::PathBuf;

use apmon_core::{
    config::SiteFile,
    text::{nearest, printable},
};
use apmon_rrd::{Archive, FileKind};
use clap::Args;

use crate::{
    api,
    location::{self, SiteLocation},
    rrd,
};

/// Arguments for a site.
#[derive(Args)]
pub(super) struct PlaceArgs {
    /// A site file (.yaml, .yml, .json), or the name of a site that a daemon runs.
    #[arg(value_name = "CONFIG")]
    config: PathBuf,
    /// State file, beside which the history is. [default: that of the site's daemon; without one,
    /// the latest that is found]
    #[arg(short, long, value_name = "FILE")]
    statefile: Option<PathBuf>,
}

/// A site with history.
pub(super) struct Place {
    pub(super) location: SiteLocation,
    /// The content of the site file, if it is valid.
    pub(super) file: Option<SiteFile>,
    pub(super) archive: Archive,
}

/// A monitor of which something is recorded.
pub(super) struct Recorded {
    pub(super) name: String,
    /// Its kind; one with the same files if the site file does not have the monitor any more.
    pub(super) kind: &'static str,
    pub(super) percentile: Option<u8>,
}

impl Place {
    /// Finds the history of a site. Its daemon writes first what it has not written yet.
    ///
    /// # Errors
    /// If there is no such site, or no history of it.
    pub(super) fn find(args: &PlaceArgs) -> anyhow::Result<Self> {
        let config = location::site_file(&args.config)?;
        let location = SiteLocation::of(&config, args.statefile.as_deref());
        let file = location.site_file();
        // It may have written nothing yet.
        flush(&location);
        let directory = rrd::directory_of(&location.state_file);
        let archive = Archive::open(&directory, rrd::librrd());
        if !archive.exists() {
            anyhow::bail!(
                "{} has no history in {}; it is kept with rrd: yes in its site file, or with --generate-rrds",
                printable(file.as_ref().map_or(&location.stem, |file| &file.name)),
                printable(&directory.display().to_string())
            );
        }
        if let Some(file) = &file {
            archive.assign(file.monitors.iter().map(|monitor| monitor.name.as_str()));
        }
        Ok(Self {
            location,
            file,
            archive,
        })
    }

    /// The name of the site.
    pub(super) fn site(&self) -> &str {
        let named = self.file.as_ref();
        named.map_or(&self.location.stem, |file| &file.name)
    }

    /// The monitor of this name: of the site file, or one that has files although it is no longer
    /// there.
    ///
    /// # Errors
    /// If nothing is recorded of it.
    pub(super) fn monitor(&self, name: &str) -> anyhow::Result<Recorded> {
        let mut monitors = self.file.iter().flat_map(|file| &file.monitors);
        if let Some(monitor) = monitors.find(|monitor| monitor.name == name) {
            let monitor = rrd::RecordedMonitor::of(monitor);
            return Ok(Recorded {
                name: monitor.name,
                kind: monitor.kind,
                percentile: monitor.percentile,
            });
        }
        let has = |kind| self.archive.file_of(name, kind).exists();
        let kind = match (has(FileKind::Snmp), has(FileKind::Availability)) {
            (true, _) => "ports",
            (false, true) => "ping",
            (false, false) => {
                let names = self.file.iter().flat_map(|file| &file.monitors);
                let hint = nearest(name, names.map(|monitor| monitor.name.as_str()));
                let hint = hint.map_or(String::new(), |near| format!("; did you mean \"{near}\"?"));
                anyhow::bail!(
                    "{}: no monitor is called \"{}\", and nothing is recorded of one{}",
                    printable(self.site()),
                    printable(name),
                    printable(&hint)
                );
            }
        };
        Ok(Recorded {
            name: name.to_owned(),
            kind,
            percentile: None,
        })
    }
}

/// Has the daemon of a site write what it has not written yet.
fn flush(location: &SiteLocation) {
    let socket = location.socket();
    let written = match api::post(&socket, api::FLUSH, "{}".to_owned()) {
        Ok(answer) => serde_json::from_slice::<serde_json::Value>(&answer)
            .ok()
            .is_some_and(|answer| answer["written"] == true),
        Err(error) if error.is_absence() => return,
        Err(error) => {
            tracing::debug!("{}: {error}", socket.display());
            false
        }
    };
    if !written {
        tracing::warn!("the last minutes may be missing: the daemon has not written them yet");
    }
}
