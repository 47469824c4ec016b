//! Output that nobody waits for: a stuck reader (a pager, Ctrl-S, a full pipe)
//! must not stop the watching.

use std::{
    io::Write,
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering},
        mpsc::{SyncSender, TrySendError, sync_channel},
    },
    time::Duration,
};

use apmon_core::Stopwatch;

/// So much waits for a reader that does not read; more is dropped and counted.
const WAITING: usize = 10_000;

/// One stream with a thread that writes to it.
pub(crate) struct Sink {
    open: fn() -> Box<dyn Write>,
    pieces: OnceLock<Option<SyncSender<Piece>>>,
    dropped: AtomicU64,
}

enum Piece {
    Text(Vec<u8>),
    /// Everything before it is written: say so.
    Mark(SyncSender<()>),
}

impl Sink {
    /// A sink for what `open` opens; the thread starts with the first piece.
    pub(crate) const fn new(open: fn() -> Box<dyn Write>) -> Self {
        Self {
            open,
            pieces: OnceLock::new(),
            dropped: AtomicU64::new(0),
        }
    }

    /// Hands a piece over. Never waits.
    pub(crate) fn write(&'static self, text: Vec<u8>) {
        let Some(pieces) = self.pieces() else { return };
        if pieces.try_send(Piece::Text(text)).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Waits until everything is written, at most so long.
    pub(crate) fn finish(&'static self, limit: Duration) {
        let Some(Some(pieces)) = self.pieces.get() else {
            return;
        };
        let (done, written) = sync_channel(1);
        let waited = Stopwatch::start();
        let mut mark = Piece::Mark(done);
        while let Err(TrySendError::Full(back)) = pieces.try_send(mark) {
            if waited.elapsed() >= limit {
                return;
            }
            mark = back;
            std::thread::sleep(Duration::from_millis(5));
        }
        let _ = written.recv_timeout(limit.saturating_sub(waited.elapsed()));
    }

    fn pieces(&'static self) -> Option<&'static SyncSender<Piece>> {
        let start = || {
            let (sender, pieces) = sync_channel(WAITING);
            let work = move || {
                let mut out = (self.open)();
                for piece in pieces {
                    // A closed pipe is no reason to stop watching.
                    match piece {
                        Piece::Text(text) => drop(out.write_all(&text).and_then(|()| out.flush())),
                        Piece::Mark(done) => drop(done.try_send(())),
                    }
                    let dropped = self.dropped.swap(0, Ordering::Relaxed);
                    if dropped > 0 {
                        let _ = writeln!(
                            out,
                            "apmon: {dropped} lines are missing here: nobody read them in time"
                        );
                    }
                }
            };
            let thread = std::thread::Builder::new()
                .name("apmon-output".into())
                .spawn(work);
            thread.ok().map(|_| sender)
        };
        self.pieces.get_or_init(start).as_ref()
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io,
        sync::{Mutex, MutexGuard},
    };

    use super::*;

    static GATE: Mutex<()> = Mutex::new(());
    static WRITTEN: Mutex<Vec<u8>> = Mutex::new(Vec::new());
    static SINK: Sink = Sink::new(|| Box::new(Gated));

    /// Writes only while nobody holds the gate.
    struct Gated;

    impl Write for Gated {
        fn write(&mut self, text: &[u8]) -> io::Result<usize> {
            let _open: MutexGuard<'_, ()> = GATE.lock().unwrap();
            WRITTEN.lock().unwrap().extend(text);
            Ok(text.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_is_stuck_holds_nobody_up_and_what_is_missing_is_said() {
        let closed = GATE.lock().unwrap();
        for n in 0..WAITING + 100 {
            SINK.write(format!("{n}\n").into_bytes());
        }
        SINK.finish(Duration::from_millis(10));
        drop(closed);
        // A full queue is waited for as well.
        SINK.finish(Duration::from_secs(10));
        let text = String::from_utf8(WRITTEN.lock().unwrap().clone()).unwrap();
        assert!(text.starts_with("0\n"), "{text}");
        assert!(text.contains("\n9999\n"));
        assert!(text.contains("lines are missing here"), "{text}");
    }
}
