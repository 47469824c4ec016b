//! A large receive buffer for a socket that somebody else has opened.
#![allow(unsafe_code)]
// surge-ping hands out its socket as a bare descriptor only. Its default
// buffer loses 372 of 500 replies that come together, and each would be told
// as an outage.

use std::os::fd::{BorrowedFd, RawFd};

use socket2::SockRef;
use surge_ping::Client;

const BYTES: usize = 4 * 1024 * 1024;

/// Enlarges the buffer as far as this process may.
pub(super) fn enlarge(client: &Client) {
    let socket = client.get_socket();
    let descriptor: RawFd = socket.get_native_sock();
    if force(descriptor) {
        return;
    }
    // SAFETY: `socket` shares the ownership of the descriptor and outlives
    // this borrow.
    let borrowed = unsafe { BorrowedFd::borrow_raw(descriptor) };
    if let Err(error) = SockRef::from(&borrowed).set_recv_buffer_size(BYTES) {
        tracing::debug!(%error, "the receive buffer for ping replies stays small");
    }
}

/// Beyond net.core.rmem_max, which takes CAP_NET_ADMIN.
fn force(descriptor: RawFd) -> bool {
    let bytes = libc::c_int::try_from(BYTES).unwrap_or(libc::c_int::MAX);
    // SAFETY: the descriptor is open (the caller holds its owner), and the
    // kernel reads one int from the pointer.
    let done = unsafe {
        libc::setsockopt(
            descriptor,
            libc::SOL_SOCKET,
            libc::SO_RCVBUFFORCE,
            (&raw const bytes).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        )
    };
    done == 0
}
