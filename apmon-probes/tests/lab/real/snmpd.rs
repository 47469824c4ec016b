//! Net-SNMP's agent.

use std::net::SocketAddr;

use super::{Listens, Program, Service, loopback, write};

const PROGRAM: Program = Program {
    name: "snmpd",
    package: "snmpd",
};

/// SNMP version 2c with the community [`Snmpd::COMMUNITY`], read only.
pub struct Snmpd {
    _service: Service,
    port: u16,
}

impl Snmpd {
    pub const COMMUNITY: &str = "lab";
    pub const SYS_DESCR: &str = "apmon lab, a real agent";

    #[track_caller]
    pub fn start() -> Self {
        let (service, [port]) = Service::start(&PROGRAM, [Listens::Udp], |command, directory, [port]| {
            let config = format!(
                "rocommunity {} 127.0.0.1\nsysDescr {}\n",
                Self::COMMUNITY,
                Self::SYS_DESCR
            );
            let config = write(directory, "snmpd.conf", config);
            // Foreground, log to stderr, no file but this one.
            command.args(["-f", "-Le", "-C", "-c"]).arg(config);
            command.arg(format!("udp:127.0.0.1:{port}"));
            // What it remembers between runs; and no names, which take time.
            command.env("SNMP_PERSISTENT_DIR", directory).env("MIBS", "");
        });
        Self {
            _service: service,
            port,
        }
    }

    pub fn address(&self) -> SocketAddr {
        loopback(self.port)
    }
}
