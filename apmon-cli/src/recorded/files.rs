//! `apmon rrd`: the files of a site, compared with what the site file asks for, and mended.

use std::{path::Path, process::ExitCode};

use apmon_core::{Clock as _, SystemClock, text::printable};
use apmon_rrd::{
    Archive, Expected, Finding, HistoryOptions, Progress as RepairProgress, RepairOptions, Rows,
};
use clap::{Args, Subcommand};

use super::place::{Place, PlaceArgs};
use crate::{
    console, exclusive,
    options::CommonArgs,
    plural::count,
    progress::Progress,
    site::{self, RunMode},
};

/// Arguments of `apmon rrd`.
#[derive(Args)]
pub(crate) struct RrdArgs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Shows where the RRD files of a site differ from what its site file asks for.
    ///
    /// Changes nothing, and may run beside a daemon. Exit status: 0 nothing differs, 1 something
    /// does or could not be examined, 2 usage error.
    Check(CheckArgs),
    /// Mends what `apmon rrd check` shows, without losing a value.
    ///
    /// Data sources and rows are added; files that cannot be continued are renamed. Without --write
    /// it only shows what it would do. With it, no apmon may be running the site. Exit status: 0
    /// everything that can be mended is (or would be), 1 something failed, 2 usage error.
    Migrate(MigrateArgs),
}

#[derive(Args)]
struct CheckArgs {
    #[command(flatten)]
    place: PlaceArgs,
}

#[derive(Args)]
struct MigrateArgs {
    #[command(flatten)]
    place: PlaceArgs,
    /// Change the files.
    #[arg(long)]
    write: bool,
    /// Also cut rows that are more than rrd_rows asks for, which loses the oldest values.
    #[arg(long)]
    shrink: bool,
}

/// Examines or mends the files.
pub(crate) fn run(args: &RrdArgs) -> anyhow::Result<ExitCode> {
    match &args.verb {
        Verb::Check(args) => check(args),
        Verb::Migrate(args) => migrate(args),
    }
}

fn check(args: &CheckArgs) -> anyhow::Result<ExitCode> {
    let place = Place::find(&args.place)?;
    let findings = examine(&place)?;
    for finding in &findings {
        show(&place.archive, finding, None);
    }
    console::line(&summary(&place, &findings));
    Ok(match findings.is_empty() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}

fn migrate(args: &MigrateArgs) -> anyhow::Result<ExitCode> {
    let place = Place::find(&args.place)?;
    let options = RepairOptions { shrink: args.shrink };
    if !args.write {
        let findings = examine(&place)?;
        for finding in &findings {
            show(&place.archive, finding, Some(options));
        }
        console::line(&summary(&place, &findings));
        if findings.iter().any(|finding| is_mended(finding, options)) {
            console::line("Nothing was changed: --write does it.");
        }
        return Ok(ExitCode::SUCCESS);
    }
    // Held until the files are mended: nobody else may write them meanwhile.
    let _site = lock(&place)?;
    let findings = examine(&place)?;
    let mut progress = Progress::new();
    let repaired = place
        .archive
        .repair(&findings, options, &mut |step| progress.update(|| bar(&step)));
    drop(progress);
    let mut failed = 0;
    for repaired in &repaired {
        let path = name(&place.archive, &repaired.path);
        match &repaired.result {
            Ok(done) => console::line(&format!("{path}: {}", printable(&done.join(", ")))),
            Err(error) => {
                failed += 1;
                tracing::error!("{path}: {}", printable(&error.to_string()));
            }
        }
    }
    let changed = repaired.len() - failed;
    console::line(&format!(
        "{} changed, {failed} failed",
        count(changed as u64, "file")
    ));
    Ok(match failed {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    })
}

/// Keeps every other apmon from the site.
fn lock(place: &Place) -> anyhow::Result<impl Sized + use<>> {
    let Some(config) = &place.location.config else {
        anyhow::bail!("the site file is not known");
    };
    let args = CommonArgs {
        statefile: Some(place.location.state_file.clone()),
        ..CommonArgs::default()
    };
    let note = format!("apmon rrd migrate since {}", SystemClock::new().now().wall);
    let (store, claim, _) = exclusive::open(config, &args, RunMode::Pass, &note)?;
    Ok((store, claim))
}

/// Compares the files with what the site file asks for.
fn examine(place: &Place) -> anyhow::Result<Vec<Finding>> {
    let Some(config) = &place.location.config else {
        anyhow::bail!("the site file is not known");
    };
    // With its errors, if there are any.
    let file = site::read(config)?;
    let rows: Rows = HistoryOptions::among(&file.site_values).rows;
    let monitors = file.monitors.iter().map(|monitor| Expected {
        monitor: monitor.name.clone(),
        kind: monitor.kind.to_owned(),
        step: monitor.check_every.value.get(),
    });
    let expected: Vec<Expected> = monitors.collect();
    let mut progress = Progress::new();
    let findings = place
        .archive
        .examine(&expected, &rows, &mut |step| progress.update(|| bar(&step)));
    Ok(findings?)
}

/// `[########            ] 40 of 100: core-snmp.rrd`
fn bar(step: &RepairProgress<'_>) -> String {
    const WIDTH: usize = 20;
    let filled = (step.done * WIDTH)
        .checked_div(step.all)
        .unwrap_or(WIDTH)
        .min(WIDTH);
    let file = step.path.file_name().unwrap_or_default().to_string_lossy();
    format!(
        "[{}{}] {} of {}: {file}",
        "#".repeat(filled),
        " ".repeat(WIDTH - filled),
        step.done,
        step.all
    )
}

fn is_mended(finding: &Finding, options: RepairOptions) -> bool {
    let mut differences = finding.differences.iter();
    differences.any(|difference| difference.remedy(options).is_some())
}

/// Prints what differs in a file, and with `options` what would be done about it.
fn show(archive: &Archive, finding: &Finding, options: Option<RepairOptions>) {
    let path = name(archive, &finding.path);
    for difference in &finding.differences {
        let remedy = match options.map(|options| difference.remedy(options)) {
            None => String::new(),
            Some(Some(remedy)) => format!("; it {remedy}"),
            Some(None) => "; it stays as it is".to_owned(),
        };
        console::line(&printable(&format!("{path} {difference}{remedy}")));
    }
}

fn name(archive: &Archive, path: &Path) -> String {
    let short = path.strip_prefix(archive.directory()).unwrap_or(path);
    printable(&short.display().to_string()).into_owned()
}

fn summary(place: &Place, findings: &[Finding]) -> String {
    let directory = place.archive.directory().display().to_string();
    let directory = printable(&directory);
    match findings.len() {
        0 => format!("{directory}: nothing differs"),
        n => format!("{directory}: {} that differ", count(n as u64, "file")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_shows_how_far_it_is() {
        let bar = |done, all| {
            bar(&RepairProgress {
                done,
                all,
                path: Path::new("/x/core-snmp.rrd"),
            })
        };
        assert_eq!(bar(0, 4), "[                    ] 0 of 4: core-snmp.rrd");
        assert_eq!(bar(3, 4), "[###############     ] 3 of 4: core-snmp.rrd");
        assert_eq!(bar(0, 0), "[####################] 0 of 0: core-snmp.rrd");
    }
}
