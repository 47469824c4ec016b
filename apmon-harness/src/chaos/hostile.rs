//! Servers beside the targets that send at full speed and without end. apmon checks
//! them all the time; that must cost the other monitors nothing.

use std::{
    io::{Read as _, Write as _},
    net::{Ipv4Addr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use crate::fault::{During as _, Fault};

/// A connection is answered within this time.
const CHECK_EVERY: Duration = Duration::from_millis(20);
/// The patience with a client that is stopped, and then killed.
const PATIENCE: Duration = Duration::from_secs(5);

/// What a server sends.
#[derive(Clone, Copy, Debug)]
pub(super) struct Flood {
    /// The name of its monitor.
    pub(super) name: &'static str,
    once: &'static [u8],
    again: &'static [u8],
}

/// One flood for each budget that has no need of TLS: interim answers, gzip members of
/// nothing, and bytes.
pub(super) const FLOODS: [Flood; 3] = [
    Flood {
        name: "hostile-interim",
        once: b"",
        again: b"HTTP/1.1 100 Continue\r\n\r\n",
    },
    Flood {
        name: "hostile-members",
        once: b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\n\r\n",
        again: b"\x1f\x8b\x08\0\0\0\0\0\0\xff\x03\0\0\0\0\0\0\0\0\0",
    },
    Flood {
        name: "hostile-head",
        once: b"HTTP/1.1 200 OK\r\nx: ",
        again: b"x",
    },
];

/// The servers of a round. They end when this is dropped.
pub(super) struct HostileServers {
    is_over: Arc<AtomicBool>,
    floods: Arc<AtomicU64>,
    listeners: Vec<JoinHandle<()>>,
}

impl HostileServers {
    /// Opens a server for each of [`FLOODS`].
    pub(super) fn open(addresses: &[(Ipv4Addr, u16)]) -> Result<Self, Fault> {
        let mut servers = Self {
            is_over: Arc::default(),
            floods: Arc::default(),
            listeners: Vec::new(),
        };
        for (flood, address) in FLOODS.into_iter().zip(addresses) {
            let what = || format!("listen on {}:{}", address.0, address.1);
            let listener = TcpListener::bind(address).during(what())?;
            listener.set_nonblocking(true).during(what())?;
            let (is_over, floods) = (Arc::clone(&servers.is_over), Arc::clone(&servers.floods));
            servers.listeners.push(thread::spawn(move || {
                while !is_over.load(Ordering::Relaxed) {
                    while let Ok((stream, _)) = listener.accept() {
                        let (is_over, floods) = (Arc::clone(&is_over), Arc::clone(&floods));
                        thread::spawn(move || {
                            if flood.pour(stream, &is_over).is_some() {
                                floods.fetch_add(1, Ordering::Relaxed);
                            }
                        });
                    }
                    thread::sleep(CHECK_EVERY);
                }
            }));
        }
        Ok(servers)
    }

    /// The number of requests that got a flood.
    pub(super) fn floods(&self) -> u64 {
        self.floods.load(Ordering::Relaxed)
    }
}

impl Drop for HostileServers {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        // The next round listens on the same addresses.
        for listener in self.listeners.drain(..) {
            let _ = listener.join();
        }
    }
}

impl Flood {
    /// Floods a client until it closes the connection. `None` if it has sent no request.
    fn pour(self, mut stream: TcpStream, is_over: &AtomicBool) -> Option<()> {
        stream.set_nonblocking(false).ok()?;
        stream.set_read_timeout(Some(PATIENCE)).ok()?;
        stream.set_write_timeout(Some(PATIENCE)).ok()?;
        if stream.read(&mut [0; 4096]).ok()? == 0 {
            return None;
        }
        let again = self.again.repeat(16 * 1024 / self.again.len());
        let mut piece = self.once;
        while stream.write_all(piece).is_ok() && !is_over.load(Ordering::Relaxed) {
            piece = &again;
        }
        Some(())
    }
}
