//! snmpd, the agent of Net-SNMP.

use std::net::SocketAddr;

use super::{Binding, Program, Service, loopback, write};

const PROGRAM: Program = Program {
    name: "snmpd",
    package: "snmpd",
};

/// An agent for SNMP version 2c with the read-only community [`Snmpd::COMMUNITY`].
pub struct Snmpd {
    _service: Service,
    port: u16,
}

impl Snmpd {
    pub const COMMUNITY: &str = "lab";
    pub const SYS_DESCR: &str = "apmon lab, a real agent";

    #[track_caller]
    pub fn start() -> Self {
        let (service, [port]) = Service::start(&PROGRAM, [Binding::Udp], |command, directory, [port]| {
            let config = format!(
                "rocommunity {} 127.0.0.1\nsysDescr {}\n",
                Self::COMMUNITY,
                Self::SYS_DESCR
            );
            let config = write(directory, "snmpd.conf", config);
            // Foreground, log to stderr, no other configuration file.
            command.args(["-f", "-Le", "-C", "-c"]).arg(config);
            command.arg(format!("udp:127.0.0.1:{port}"));
            // Keeps its persistent data here, and loads no MIBs, which takes time.
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
