//! openssl's own server, with keys, chains and settings as old and odd devices have them.
//!
//! Included by other crates too, so it needs nothing of this lab.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    thread,
};

use tempfile::TempDir;

pub const RSA: &str = "-algorithm RSA -pkeyopt rsa_keygen_bits:2048";
pub const P256: &str = "-algorithm EC -pkeyopt ec_paramgen_curve:P-256";

const ADDRESSES: &str = "subjectAltName=DNS:localhost,IP:127.0.0.1";

/// A directory of keys and certificates, by name.
pub struct Certificates {
    directory: TempDir,
}

impl Certificates {
    pub fn new() -> Self {
        Self {
            directory: tempfile::tempdir().unwrap(),
        }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub fn openssl(&self, arguments: &str) -> String {
        let output = Command::new("openssl")
            .args(arguments.split_whitespace())
            .current_dir(self.directory.path())
            .output()
            .expect("this test needs the openssl binary (apt install openssl)");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "openssl {arguments}: {stderr}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn key(&self, name: &str, key: &str) {
        self.openssl(&format!("genpkey {key} -out {name}.key"));
    }

    /// A self-signed certificate with such a key.
    pub fn own(&self, name: &str, key: &str) {
        self.own_signed(name, key, "");
    }

    /// The same, signed in a certain way.
    pub fn own_signed(&self, name: &str, key: &str, signing: &str) {
        self.key(name, key);
        self.openssl(&format!(
            "req -x509 -new -key {name}.key -subj /CN={name} -days 400 -addext {ADDRESSES} \
             -addext basicConstraints=critical,CA:FALSE {signing} -out {name}.pem"
        ));
    }

    /// An authority.
    pub fn authority(&self, name: &str, key: &str, signing: &str) {
        self.key(name, key);
        self.openssl(&format!(
            "req -x509 -new -key {name}.key -subj /CN={name} -days 400 \
             -addext basicConstraints=critical,CA:TRUE {signing} -out {name}.pem"
        ));
    }

    /// A certificate that the authority has signed in a certain way.
    pub fn below(&self, authority: &str, name: &str, key: &str, signing: &str) {
        self.key(name, key);
        self.openssl(&format!(
            "req -new -key {name}.key -subj /CN={name} -out {name}.csr"
        ));
        fs::write(self.path("extensions"), ADDRESSES).unwrap();
        self.openssl(&format!(
            "x509 -req -in {name}.csr -CA {authority}.pem -CAkey {authority}.key -CAcreateserial -days 60 \
             -extfile extensions {signing} -out {name}.pem"
        ));
    }

    /// The pin of a certificate.
    pub fn pin(&self, name: &str) -> String {
        let line = self.openssl(&format!("x509 -in {name}.pem -noout -fingerprint -sha256"));
        line.trim().split_once('=').unwrap().1.to_owned()
    }

    /// A server with this certificate. It answers HTTP requests with a page.
    pub fn web_server(&self, name: &str, settings: &str) -> SServer {
        self.server(&format!("-cert {name}.pem -key {name}.key -www {settings}"))
    }

    /// A server that only prints what it receives.
    pub fn printing_server(&self, name: &str, settings: &str) -> SServer {
        self.server(&format!("-cert {name}.pem -key {name}.key {settings}"))
    }

    pub fn server(&self, arguments: &str) -> SServer {
        SServer::start(self.directory.path(), arguments)
    }
}

/// A running `openssl s_server`.
pub struct SServer {
    child: Child,
    pub address: SocketAddr,
    output: Arc<Mutex<Vec<u8>>>,
}

impl SServer {
    fn start(directory: &Path, arguments: &str) -> Self {
        // A killed test drops nothing, so the kernel ends the server.
        let mut child = Command::new("setpriv")
            .args("--pdeathsig TERM -- openssl s_server -accept 127.0.0.1:0".split(' '))
            .args(arguments.split_whitespace())
            .current_dir(directory)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("this test needs setpriv (apt install util-linux)");
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        let address = loop {
            line.clear();
            let read = stdout.read_line(&mut line).unwrap();
            assert_ne!(read, 0, "openssl s_server {arguments} does not start");
            if let Some(address) = line.trim().strip_prefix("ACCEPT ") {
                break address.parse().unwrap();
            }
        };
        let output = Arc::<Mutex<Vec<u8>>>::default();
        let received = Arc::clone(&output);
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(n @ 1..) = stdout.read(&mut buffer) {
                received.lock().unwrap().extend_from_slice(&buffer[..n]);
            }
        });
        Self {
            child,
            address,
            output,
        }
    }

    /// Has the server answer what it receives: each text with the one beside it, in this order.
    /// Returns when it has given the last answer.
    #[allow(dead_code)] // not every test file uses everything
    pub fn answer(&mut self, dialogue: &[(&str, &str)]) {
        for (received, answer) in dialogue {
            while !String::from_utf8_lossy(&self.output.lock().unwrap()).contains(received) {
                thread::yield_now();
            }
            let stdin = self.child.stdin.as_mut().unwrap();
            stdin.write_all(answer.as_bytes()).unwrap();
        }
    }

    /// Ends the server, and returns what it has printed.
    pub fn end(mut self) -> String {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        // Its thread has read to the end once it holds the output no longer.
        while Arc::strong_count(&self.output) > 1 {
            thread::yield_now();
        }
        String::from_utf8_lossy(&self.output.lock().unwrap()).into_owned()
    }
}

impl Drop for SServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
