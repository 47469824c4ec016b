//! A TCP service that goes away and comes back on its port.

use std::{
    cell::RefCell,
    io::Write as _,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    thread,
};

use socket2::{Domain, Socket, Type};

/// Holds its port also while closed: nobody else gets it, and who connects is
/// refused. It accepts nobody itself; the kernel does, and that is enough to
/// be up.
pub struct Service {
    /// Bound and never listening.
    _holder: Socket,
    listener: RefCell<Option<TcpListener>>,
    port: u16,
}

impl Service {
    pub fn open() -> Self {
        let service = Self::closed();
        service.come_back();
        service
    }

    pub fn closed() -> Self {
        let holder = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        // As std's listeners do: so both may have the port.
        holder.set_reuse_address(true).unwrap();
        holder
            .bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())
            .unwrap();
        let port = holder.local_addr().unwrap().as_socket().unwrap().port();
        Self {
            _holder: holder,
            listener: RefCell::default(),
            port,
        }
    }

    pub fn go_away(&self) {
        self.listener.take();
    }

    pub fn come_back(&self) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, self.port)).unwrap();
        self.listener.replace(Some(listener));
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn address(&self) -> String {
        format!("tcp://127.0.0.1:{}", self.port)
    }
}

/// A service that says one thing to everybody and closes; its address. It
/// lives as long as the test.
pub fn greeter(words: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("tcp://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let mut stream = stream;
            let _ = stream.write_all(words.as_bytes());
        }
    });
    address
}
