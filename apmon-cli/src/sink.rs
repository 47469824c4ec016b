//! Output written by a thread: a reader that is stuck (a pager, Ctrl-S, a full
//! pipe) must not stop monitoring.

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

use crate::plural::count;

/// How many writes wait for a reader that is stuck; more are dropped and counted.
const QUEUE_LENGTH: usize = 10_000;

/// One stream with a thread that writes to it.
pub(crate) struct Sink {
    open: fn() -> Box<dyn Write>,
    queue: OnceLock<Option<SyncSender<Item>>>,
    dropped: AtomicU64,
}

enum Item {
    Text(Vec<u8>),
    /// Acknowledged once everything before it is written.
    Flush(SyncSender<()>),
}

impl Sink {
    /// A sink for the stream that `open` opens; its thread starts with the first
    /// write.
    pub(crate) const fn new(open: fn() -> Box<dyn Write>) -> Self {
        Self {
            open,
            queue: OnceLock::new(),
            dropped: AtomicU64::new(0),
        }
    }

    /// Queues `text`. Never blocks.
    pub(crate) fn write(&'static self, text: Vec<u8>) {
        let Some(queue) = self.queue() else { return };
        if queue.try_send(Item::Text(text)).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Waits at most `limit` until everything is written.
    pub(crate) fn finish(&'static self, limit: Duration) {
        let Some(Some(queue)) = self.queue.get() else {
            return;
        };
        let (done, written) = sync_channel(1);
        let waited = Stopwatch::start();
        let mut flush = Item::Flush(done);
        while let Err(TrySendError::Full(back)) = queue.try_send(flush) {
            if waited.elapsed() >= limit {
                return;
            }
            flush = back;
            std::thread::sleep(Duration::from_millis(5));
        }
        let _ = written.recv_timeout(limit.saturating_sub(waited.elapsed()));
    }

    fn queue(&'static self) -> Option<&'static SyncSender<Item>> {
        let start = || {
            let (sender, items) = sync_channel(QUEUE_LENGTH);
            let work = move || {
                let mut out = (self.open)();
                for item in items {
                    // A closed pipe is no reason to stop monitoring.
                    match item {
                        Item::Text(text) => drop(out.write_all(&text).and_then(|()| out.flush())),
                        Item::Flush(done) => drop(done.try_send(())),
                    }
                    let dropped = self.dropped.swap(0, Ordering::Relaxed);
                    if dropped > 0 {
                        let _ = writeln!(
                            out,
                            "apmon: {} dropped here: the reader was too slow",
                            count(dropped, "line")
                        );
                    }
                }
            };
            let thread = std::thread::Builder::new()
                .name("apmon-output".into())
                .spawn(work);
            thread.ok().map(|_| sender)
        };
        self.queue.get_or_init(start).as_ref()
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

    /// Blocks while the gate is held.
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
    fn a_stuck_reader_blocks_nobody_and_dropped_lines_are_counted() {
        let closed = GATE.lock().unwrap();
        for n in 0..QUEUE_LENGTH + 100 {
            SINK.write(format!("{n}\n").into_bytes());
        }
        SINK.finish(Duration::from_millis(10));
        drop(closed);
        // This also waits while the queue is full.
        SINK.finish(Duration::from_secs(10));
        let text = String::from_utf8(WRITTEN.lock().unwrap().clone()).unwrap();
        assert!(text.starts_with("0\n"), "{text}");
        assert!(text.contains("\n9999\n"));
        assert!(text.contains("lines dropped here"), "{text}");
    }
}
