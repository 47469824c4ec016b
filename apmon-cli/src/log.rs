//! The log on stderr; output that a person asked for goes to stdout.

use std::{
    io::{self, IsTerminal as _, Write},
    panic::PanicHookInfo,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use apmon_core::{Clock as _, SystemClock, local_zone, text::printable};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::{
    filter::Targets,
    fmt::{format::Writer, time::FormatTime},
    layer::SubscriberExt as _,
    util::SubscriberInitExt as _,
};

use crate::{console::safe_lines, sink::Sink};

/// Starts logging: warnings and errors, and more with each `-v`. With `buffered`, for
/// what runs for a while, lines have the time, and a reader that is stuck blocks
/// nobody: the log is written by a thread, and [`finish`] waits for it at exit.
pub(crate) fn start(verbosity: u8, buffered: bool) {
    let (ours, others) = match verbosity {
        0 => (LevelFilter::WARN, LevelFilter::ERROR),
        1 => (LevelFilter::INFO, LevelFilter::ERROR),
        2 => (LevelFilter::DEBUG, LevelFilter::WARN),
        _ => (LevelFilter::TRACE, LevelFilter::DEBUG),
    };
    let filter = Targets::new().with_default(others).with_target("apmon", ours);
    let colored = std::io::stderr().is_terminal();
    let layer = tracing_subscriber::fmt::layer()
        .with_writer(move || LogWriter { buffered, colored })
        .with_ansi(colored)
        .with_target(false);
    let registry = tracing_subscriber::registry().with(filter);
    // The journal adds the time itself, and a command that prints and exits is read at once.
    if !buffered || std::env::var_os("JOURNAL_STREAM").is_some() {
        registry.with(layer.without_time()).init();
    } else {
        registry.with(layer.with_timer(LocalTime)).init();
    }
    std::panic::set_hook(Box::new(log_panic));
}

/// Logs a panic, which is a bug, with its location. A panic inside a check is
/// caught and reported as Unknown too, perhaps every second: each location is
/// logged once.
fn log_panic(panic: &PanicHookInfo<'_>) {
    static LOGGED: Mutex<Vec<String>> = Mutex::new(Vec::new());
    let text = panic.to_string().replace('\n', " ");
    let location = panic.location().map(ToString::to_string).unwrap_or_default();
    let mut logged = LOGGED.lock().unwrap_or_else(PoisonError::into_inner);
    if !logged.contains(&location) {
        logged.push(location);
        tracing::warn!("bug in apmon: {}", printable(&text));
    }
}

static STDERR: Sink = Sink::new(|| Box::new(std::io::stderr()));

/// Waits at most `limit` until the log is written.
pub(crate) fn finish(limit: Duration) {
    STDERR.finish(limit);
}

struct LogWriter {
    buffered: bool,
    colored: bool,
}

impl Write for LogWriter {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        let whole = text.len();
        let text = match self.colored {
            // The colours are control characters themselves.
            true => text.to_vec(),
            false => safe_lines(&String::from_utf8_lossy(text))
                .into_owned()
                .into_bytes(),
        };
        if self.buffered {
            STDERR.write(text);
        } else {
            std::io::stderr().write_all(&text)?;
        }
        Ok(whole)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct LocalTime;

impl FormatTime for LocalTime {
    fn format_time(&self, w: &mut Writer<'_>) -> std::fmt::Result {
        let now = SystemClock::new().now().wall;
        let local = local_zone().to_datetime(now);
        write!(w, "{}", local.strftime("%Y-%m-%d %H:%M:%S%.3f"))
    }
}
