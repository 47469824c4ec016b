//! `apmon graph`: a chart of what was recorded, as a picture or in the terminal.

use std::{
    fs,
    io::{ErrorKind, IsTerminal as _, Write as _},
    ops::Range,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context as _;
use apmon_core::{
    Clock as _, SystemClock, config::Environment as _, config::ProcessEnvironment, local_zone,
    text::printable,
};
use apmon_rrd::{Chart, ChartOptions, TerminalSize};
use clap::Args;

use super::{
    choice::{self, MOST},
    place::{Place, PlaceArgs, Recorded},
    span::SpanArgs,
};
use crate::{
    console,
    rrd::{self, Subject},
};

/// Arguments of `apmon graph`.
#[derive(Args)]
pub(crate) struct GraphArgs {
    #[command(flatten)]
    place: PlaceArgs,
    /// The monitor.
    #[arg(value_name = "MONITOR")]
    monitor: String,
    /// What is shown: availability; of a switch bandwidth, packets, packets-type, errors,
    /// retransmits, system, tamper or network; of a host system1 to system4; or up to four names
    /// of what is recorded (cpu_load, if3, rtt_avg_ms). [default: the first that the monitor has]
    #[arg(long, value_name = "NAME", num_args = 1..)]
    metric: Vec<String>,
    #[command(flatten)]
    span: SpanArgs,
    /// Write a picture to FILE (.svg or .png) instead of the terminal.
    #[arg(short, long, value_name = "FILE", value_parser = Output::parse)]
    output: Option<Output>,
    /// The size of the picture in pixels, e.g. 3840x1440. [default: 960x360]
    #[arg(long, value_name = "WxH", value_parser = size, requires = "output")]
    size: Option<(u32, u32)>,
    /// Draw light lines on a dark background.
    #[arg(long, requires = "output")]
    dark: bool,
}

/// A picture that is written.
#[derive(Clone, Debug)]
struct Output {
    path: PathBuf,
    is_png: bool,
}

impl Output {
    fn parse(text: &str) -> Result<Self, String> {
        let path = PathBuf::from(text);
        let suffix = path.extension().unwrap_or_default().to_ascii_lowercase();
        match suffix.to_str() {
            Some("svg") => Ok(Self { path, is_png: false }),
            Some("png") => Ok(Self { path, is_png: true }),
            _ => Err("must end in .svg or .png".to_owned()),
        }
    }
}

const DEFAULT_SIZE: (u32, u32) = (960, 360);

/// Parses the size of a picture.
fn size(text: &str) -> Result<(u32, u32), String> {
    let range = ChartOptions::PIXELS;
    let parse = |text: &str| text.trim().parse().ok().filter(|pixels| range.contains(pixels));
    let size = text.split_once(['x', 'X', '×']);
    let size = size.and_then(|(width, height)| Some((parse(width)?, parse(height)?)));
    size.ok_or_else(|| {
        let (least, most) = (range.start(), range.end());
        format!("must be WIDTHxHEIGHT in pixels, {least} to {most} each")
    })
}

/// The width of a terminal that does not say it.
const COLUMNS: usize = 80;
/// The lines of a chart in the terminal.
const ROWS: usize = 20;

/// Draws the chart.
pub(crate) fn run(args: &GraphArgs) -> anyhow::Result<ExitCode> {
    let zone = local_zone();
    let now = SystemClock::new().now().wall;
    let range = args.span.resolve(now, &zone)?;
    let place = Place::find(&args.place)?;
    let monitor = place.monitor(&args.monitor)?;
    let subject = choice::subject(&place.archive, &monitor, &args.metric)?;
    if let Subject::Sources(_, sources) = &subject
        && sources.len() > MOST
    {
        anyhow::bail!("a chart shows at most {MOST} lines, not {}", sources.len());
    }
    let columns = console::width().unwrap_or(COLUMNS);
    let (width, height) = args.size.unwrap_or(DEFAULT_SIZE);
    let points = match args.output {
        Some(_) => width,
        // Each letter has two dots side by side.
        None => u32::try_from(columns * 2).unwrap_or(width),
    };
    let mut chart = rrd::chart(
        &place.archive,
        &monitor.name,
        &subject,
        range.clone(),
        points,
        now.as_second(),
    )?;
    if let Some(outages) = outages(&place, &monitor.name, &range, now.as_second()) {
        chart.outages = outages;
    }
    let options = ChartOptions {
        dark: args.dark,
        title: title(&monitor, &subject),
        percentile: monitor.percentile.map(f64::from),
        zone,
        ..ChartOptions::new(width, height, range)
    };
    match &args.output {
        Some(output) => write(&chart, &options, output)?,
        None => print(&chart, &options, columns)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn title(monitor: &Recorded, subject: &Subject) -> String {
    let what = match subject {
        Subject::Pair(pair) => pair.title.to_owned(),
        Subject::Sources(_, sources) => sources.join(", "),
    };
    printable(&format!("{} - {what}", monitor.name)).into_owned()
}

fn write(chart: &Chart, options: &ChartOptions, output: &Output) -> anyhow::Result<()> {
    let picture = match output.is_png {
        true => chart.png(options),
        false => chart.svg(options).into_bytes(),
    };
    let path = output.path.display().to_string();
    fs::write(&output.path, picture).with_context(|| format!("cannot write {}", printable(&path)))
}

fn print(chart: &Chart, options: &ChartOptions, columns: usize) -> anyhow::Result<()> {
    let colour = std::io::stdout().is_terminal() && ProcessEnvironment.variable("NO_COLOR").is_none();
    let text = chart.terminal(
        options,
        TerminalSize {
            columns,
            rows: ROWS,
            colour,
        },
    );
    let mut out = std::io::stdout().lock();
    match writeln!(out, "{}", text.trim_end_matches('\n')).and_then(|()| out.flush()) {
        // A reader that has seen enough.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => Ok(written?),
    }
}

/// The outages that the database of the site has recorded; `None` if it has none that can be
/// read: then the values have to say.
#[cfg(feature = "sqlite")]
fn outages(place: &Place, monitor: &str, range: &Range<i64>, now: i64) -> Option<Vec<Range<i64>>> {
    use apmon_core::IncidentKind;
    use apmon_store::{Format, History};
    use jiff::Timestamp;

    let state_file: &Path = &place.location.state_file;
    if Format::of(state_file) != Format::Sqlite || !state_file.exists() {
        return None;
    }
    let history = History::open(state_file).ok()?;
    history.watched(monitor).ok()??;
    let span = Timestamp::from_second(range.start).ok()?..=Timestamp::from_second(range.end).ok()?;
    let state = history.state(monitor).ok()?.unwrap_or_default();
    let incidents = history.incidents(Some(monitor), &span).ok()?;
    let outages = incidents
        .into_iter()
        .filter(|incident| incident.kind == IncidentKind::Outage);
    let outages = outages.filter_map(|incident| {
        let end = match incident.ended {
            Some(end) => end.as_second(),
            None if incident.is_open(&state) => now,
            // Its end is not known.
            None => return None,
        };
        Some(incident.started.as_second()..end)
    });
    Some(outages.collect())
}

/// There is no database in this build.
#[cfg(not(feature = "sqlite"))]
fn outages(_: &Place, _: &str, _: &Range<i64>, _: i64) -> Option<Vec<Range<i64>>> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_is_svg_or_png() {
        assert!(Output::parse("a.PNG").unwrap().is_png);
        assert!(!Output::parse("a.b.svg").unwrap().is_png);
        for wrong in ["a", "a.jpg", ".svg", "svg"] {
            assert!(Output::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_size_has_a_width_and_a_height() {
        assert_eq!(size("3840x2160"), Ok((3840, 2160)));
        for wrong in ["", "3840", "0x0", "-1x100", "99x100", "8193x100", "100x", "axb"] {
            assert!(size(wrong).is_err(), "{wrong}");
        }
    }
}
