//! ICMP errors about sent datagrams, read from the error queue of a socket
//! (`man 7 ip`, IP_RECVERR). A socket sends to many hosts, and its plain error
//! does not identify the host that it is about.

use std::{
    io::{self, IoSliceMut},
    net::{IpAddr, SocketAddr},
    os::fd::{AsFd, AsRawFd},
};

use nix::sys::socket::{
    ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, setsockopt,
    sockopt::{Ipv4RecvErr, Ipv6RecvErr},
};

/// The part of a datagram that matters to any caller.
const MAX_DATAGRAM: usize = 512;

/// A buffer for control messages, aligned for their headers, which begin with a
/// length word.
#[repr(align(8))]
struct Control([u8; MAX_DATAGRAM]);

/// An error about a datagram that was sent.
#[derive(Debug)]
pub(crate) struct Reported {
    /// The destination of the datagram.
    pub(crate) to: SocketAddr,
    /// The sender of the error; `None` for the kernel of this machine.
    pub(crate) by: Option<IpAddr>,
    /// The error itself.
    #[cfg_attr(not(feature = "quic"), allow(dead_code))] // read by the tests
    pub(crate) error: io::Error,
    /// Type and code, if it arrived as ICMP.
    pub(crate) icmp: Option<(u8, u8)>,
    /// The datagram, or its beginning.
    pub(crate) datagram: Vec<u8>,
}

/// Makes the kernel queue errors about datagrams that `socket` sends.
pub(crate) fn enable(socket: &impl AsFd, is_v4: bool) -> io::Result<()> {
    match is_v4 {
        true => setsockopt(socket, Ipv4RecvErr, &true)?,
        false => setsockopt(socket, Ipv6RecvErr, &true)?,
    }
    Ok(())
}

/// Takes the next error from the queue. Returns `WouldBlock` if there is none, and
/// `None` if the error lacks the destination or the cause.
pub(crate) fn take(socket: &impl AsRawFd) -> io::Result<Option<Reported>> {
    let mut datagram = [0; MAX_DATAGRAM];
    let mut control = Control([0; MAX_DATAGRAM]);
    let mut pieces = [IoSliceMut::new(&mut datagram)];
    let flags = MsgFlags::MSG_ERRQUEUE | MsgFlags::MSG_DONTWAIT;
    let message = recvmsg::<SockaddrStorage>(socket.as_raw_fd(), &mut pieces, Some(&mut control.0), flags)?;
    let to = message.address.as_ref().and_then(address);
    let error = message.cmsgs()?.find_map(|message| match message {
        ControlMessageOwned::Ipv4RecvErr(error, by) => {
            let by = by.filter(|by| by.sin_family != 0);
            let by = by.map(|by| IpAddr::V4(u32::from_be(by.sin_addr.s_addr).into()));
            Some((error, by))
        }
        ControlMessageOwned::Ipv6RecvErr(error, by) => {
            let by = by.filter(|by| by.sin6_family != 0);
            Some((error, by.map(|by| IpAddr::V6(by.sin6_addr.s6_addr.into()))))
        }
        _ => None,
    });
    let bytes = message.bytes;
    let (Some(to), Some((error, by))) = (to, error) else {
        return Ok(None);
    };
    let errno = i32::try_from(error.ee_errno).unwrap_or(libc::EIO);
    Ok(Some(Reported {
        to,
        by,
        error: io::Error::from_raw_os_error(errno),
        icmp: matches!(
            error.ee_origin,
            libc::SO_EE_ORIGIN_ICMP | libc::SO_EE_ORIGIN_ICMP6
        )
        .then_some((error.ee_type, error.ee_code)),
        datagram: datagram[..bytes.min(datagram.len())].to_vec(),
    }))
}

fn address(storage: &SockaddrStorage) -> Option<SocketAddr> {
    if let Some(v4) = storage.as_sockaddr_in() {
        return Some(SocketAddr::new(v4.ip().into(), v4.port()));
    }
    let v6 = storage.as_sockaddr_in6()?;
    Some(SocketAddr::new(v6.ip().into(), v6.port()))
}

#[cfg(test)]
mod tests {
    use std::{net::UdpSocket, time::Duration};

    use apmon_core::Stopwatch;

    use super::*;

    #[test]
    fn a_refusal_identifies_its_destination() {
        for host in ["127.0.0.1", "::1"] {
            let socket = UdpSocket::bind((host, 0)).unwrap();
            enable(&socket, host == "127.0.0.1").unwrap();
            let closed = UdpSocket::bind((host, 0)).unwrap().local_addr().unwrap();
            assert_eq!(take(&socket).unwrap_err().kind(), io::ErrorKind::WouldBlock);
            socket.send_to(b"anybody?", closed).unwrap();
            let waited = Stopwatch::start();
            let reported = loop {
                match take(&socket) {
                    Ok(Some(reported)) => break reported,
                    other => assert!(waited.elapsed() < Duration::from_secs(20), "{}", other.is_err()),
                }
                std::thread::sleep(Duration::from_millis(1));
            };
            assert_eq!(reported.to, closed);
            assert_eq!(reported.by, Some(closed.ip()));
            assert_eq!(reported.error.kind(), io::ErrorKind::ConnectionRefused);
            assert_eq!(reported.datagram, b"anybody?");
        }
    }
}
