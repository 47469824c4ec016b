//! A TCP service that can be closed and reopened on the same port.

use std::{
    cell::RefCell,
    io::Write as _,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    thread,
};

use socket2::{Domain, Socket, Type};

/// A TCP service. It keeps its port while closed: no other process gets the port, and
/// connections are refused. It never accepts connections itself; the kernel
/// completes them, which is enough to be up.
pub struct Service {
    /// Bound, but never listening.
    _holder: Socket,
    listener: RefCell<Option<TcpListener>>,
    port: u16,
}

impl Service {
    pub fn open() -> Self {
        let service = Self::closed();
        service.reopen();
        service
    }

    pub fn closed() -> Self {
        let holder = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        // As std's listeners do, so that both can bind the port.
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

    pub fn close(&self) {
        self.listener.take();
    }

    pub fn reopen(&self) {
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

/// Starts a service that sends `words` to every client and closes the connection.
/// Returns its address; it runs until the test ends.
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
