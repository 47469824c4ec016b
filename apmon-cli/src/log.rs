//! Logs on stderr; what a person asked for goes to stdout.

use std::io::IsTerminal as _;

use apmon_core::{Clock as _, SystemClock};
use jiff::tz::TimeZone;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::{
    filter::Targets,
    fmt::{format::Writer, time::FormatTime},
    layer::SubscriberExt as _,
    util::SubscriberInitExt as _,
};

/// Starts logging: warnings and errors, and more with each `-v`.
pub(crate) fn start(verbosity: u8) {
    let (ours, others) = match verbosity {
        0 => (LevelFilter::WARN, LevelFilter::ERROR),
        1 => (LevelFilter::INFO, LevelFilter::ERROR),
        2 => (LevelFilter::DEBUG, LevelFilter::WARN),
        _ => (LevelFilter::TRACE, LevelFilter::DEBUG),
    };
    let filter = Targets::new().with_default(others).with_target("apmon", ours);
    let layer = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false);
    let registry = tracing_subscriber::registry().with(filter);
    // The journal writes the time itself.
    if std::env::var_os("JOURNAL_STREAM").is_some() {
        registry.with(layer.without_time()).init();
    } else {
        registry.with(layer.with_timer(LocalTime)).init();
    }
    // A panic inside a check is caught and told as Unknown; one outside still
    // leaves its place in the log.
    std::panic::set_hook(Box::new(|panic| tracing::debug!("{panic}")));
}

struct LocalTime;

impl FormatTime for LocalTime {
    fn format_time(&self, w: &mut Writer<'_>) -> std::fmt::Result {
        let now = SystemClock::new().now().wall;
        let local = TimeZone::system().to_datetime(now);
        write!(w, "{}", local.strftime("%Y-%m-%d %H:%M:%S%.3f"))
    }
}
