//! Logs on stderr; what a person asked for goes to stdout.

use std::{
    io::{self, IsTerminal as _, Write},
    panic::PanicHookInfo,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use apmon_core::{Clock as _, SystemClock, text::printable};
use jiff::tz::TimeZone;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::{
    filter::Targets,
    fmt::{format::Writer, time::FormatTime},
    layer::SubscriberExt as _,
    util::SubscriberInitExt as _,
};

use crate::sink::Sink;

/// Starts logging: warnings and errors, and more with each `-v`. What watches
/// does `not_wait` for whoever reads the log; [`finish`] gives it a last chance.
pub(crate) fn start(verbosity: u8, not_wait: bool) {
    let (ours, others) = match verbosity {
        0 => (LevelFilter::WARN, LevelFilter::ERROR),
        1 => (LevelFilter::INFO, LevelFilter::ERROR),
        2 => (LevelFilter::DEBUG, LevelFilter::WARN),
        _ => (LevelFilter::TRACE, LevelFilter::DEBUG),
    };
    let filter = Targets::new().with_default(others).with_target("apmon", ours);
    let layer = tracing_subscriber::fmt::layer()
        .with_writer(move || LogWriter { not_wait })
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false);
    let registry = tracing_subscriber::registry().with(filter);
    // The journal writes the time itself.
    if std::env::var_os("JOURNAL_STREAM").is_some() {
        registry.with(layer.without_time()).init();
    } else {
        registry.with(layer.with_timer(LocalTime)).init();
    }
    std::panic::set_hook(Box::new(tell_panic));
}

/// A panic is a bug of ours, and its place helps to mend it. One inside a check
/// is caught and told as Unknown as well, perhaps every second: each place is
/// told once.
fn tell_panic(panic: &PanicHookInfo<'_>) {
    static TOLD: Mutex<Vec<String>> = Mutex::new(Vec::new());
    let text = panic.to_string().replace('\n', " ");
    let place = panic.location().map(ToString::to_string).unwrap_or_default();
    let mut told = TOLD.lock().unwrap_or_else(PoisonError::into_inner);
    if !told.contains(&place) {
        told.push(place);
        tracing::warn!("a bug of apmon: {}", printable(&text));
    }
}

static STDERR: Sink = Sink::new(|| Box::new(std::io::stderr()));

/// Waits until what was logged is written, at most so long.
pub(crate) fn finish(limit: Duration) {
    STDERR.finish(limit);
}

struct LogWriter {
    not_wait: bool,
}

impl Write for LogWriter {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        if self.not_wait {
            STDERR.write(text.to_vec());
            return Ok(text.len());
        }
        std::io::stderr().write(text)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct LocalTime;

impl FormatTime for LocalTime {
    fn format_time(&self, w: &mut Writer<'_>) -> std::fmt::Result {
        let now = SystemClock::new().now().wall;
        let local = TimeZone::system().to_datetime(now);
        write!(w, "{}", local.strftime("%Y-%m-%d %H:%M:%S%.3f"))
    }
}
