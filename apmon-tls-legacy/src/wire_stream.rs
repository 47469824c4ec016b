//! The place of a socket: bytes that were passed in, and bytes to pass out.

use std::{
    collections::VecDeque,
    io::{self, Read, Write},
};

/// What OpenSSL reads and writes.
#[derive(Debug, Default)]
pub(crate) struct WireStream {
    received: VecDeque<u8>,
    has_ended: bool,
    sent: Vec<u8>,
}

impl WireStream {
    pub(crate) fn receive(&mut self, bytes: &[u8]) {
        self.received.extend(bytes);
    }

    pub(crate) fn end(&mut self) {
        self.has_ended = true;
    }

    /// Takes what is for the server.
    pub(crate) fn take_sent(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.sent)
    }
}

impl Read for WireStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.received.is_empty() && !self.has_ended {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.received.read(buffer)
    }
}

impl Write for WireStream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.sent.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
