//! Net-snmp's agent.
//!
//! Debian 12's (5.9.3) accepts for `createUser` MD5, SHA, SHA-224, SHA-256,
//! SHA-384 and SHA-512, each with DES, AES, AES-192, AES-256, AES-192-C or
//! AES-256-C. Its own help lists only DES and AES. A hash that is too short for
//! AES-192 or AES-256 is extended as in draft-blumenthal-aes-usm-04; with `-C` as
//! in draft-reeder-snmpv3-usm-3desede-00, as Cisco's devices do. If the hash is
//! long enough, both give the same key.
//!
//! It sends no answer, not even a report, to a request that was encrypted with a wrong privacy
//! key. It reports a wrong authentication key, a protocol that is not the user's, and an
//! unknown user.
//!
//! It rereads the interfaces on request, at most every 3 s.

use std::{net::SocketAddr, path::Path, process::Command};

use tempfile::TempDir;

use super::{
    namespace::Namespace,
    service::{Service, at_a_free_port, find, loopback},
};

/// The name of the options file; snmpd keeps its state in snmpd.conf.
const CONFIG: &str = "agent.conf";

/// The authentication password of all users that have one.
pub const AUTH_PASSWORD: &str = "the lab's authentication";
/// The privacy password of all users that have one.
pub const PRIV_PASSWORD: &str = "the lab's privacy";

/// The authentication protocols, as `createUser` and the tools' `-a` spell them.
pub const AUTH: [&str; 6] = ["MD5", "SHA", "SHA-224", "SHA-256", "SHA-384", "SHA-512"];
/// The privacy protocols, as `createUser` and the tools' `-x` spell them.
pub const PRIV: [&str; 6] = ["DES", "AES", "AES-192", "AES-256", "AES-192-C", "AES-256-C"];

/// A user who may read everything with SNMPv3, at the security level of its protocols.
#[derive(Clone, Debug)]
pub struct User {
    /// The user name: `u-sha256-aes256`, `u-sha256-none`, `u-none-none`.
    pub name: String,
    pub auth: Option<&'static str>,
    pub privacy: Option<&'static str>,
}

impl User {
    pub fn new(auth: Option<&'static str>, privacy: Option<&'static str>) -> Self {
        let word = |protocol: Option<&str>| match protocol {
            Some(protocol) => protocol.replace('-', "").to_lowercase(),
            None => "none".to_owned(),
        };
        Self {
            name: format!("u-{}-{}", word(auth), word(privacy)),
            auth,
            privacy,
        }
    }

    /// A user for every pair of protocols that SNMP allows: privacy requires authentication.
    pub fn all() -> Vec<Self> {
        let mut all = vec![Self::new(None, None)];
        for auth in AUTH {
            all.push(Self::new(Some(auth), None));
            all.extend(PRIV.map(|privacy| Self::new(Some(auth), Some(privacy))));
        }
        all
    }

    /// The security level, as the tools' `-l` spells it.
    pub fn level(&self) -> &'static str {
        match (self.auth, self.privacy) {
            (None, _) => "noAuthNoPriv",
            (_, None) => "authNoPriv",
            _ => "authPriv",
        }
    }

    /// The user's lines in the agent's file.
    fn lines(&self) -> String {
        let name = &self.name;
        let mut create = format!("createUser {name}");
        let mut level = "noauth";
        if let Some(auth) = self.auth {
            create = format!("{create} {auth} \"{AUTH_PASSWORD}\"");
            level = "auth";
        }
        if let Some(privacy) = self.privacy {
            create = format!("{create} {privacy} \"{PRIV_PASSWORD}\"");
            level = "priv";
        }
        format!("{create}\nrouser {name} {level}\n")
    }
}

/// An agent for versions 1 and 2c (with a read-only community) and 3 (with all users), which
/// reads and writes none of this machine's files.
pub struct Snmpd {
    service: Option<Service>,
    directory: TempDir,
    namespace: Option<String>,
    port: u16,
}

impl Snmpd {
    pub const COMMUNITY: &str = "lab";

    /// Starts an agent on 127.0.0.1, with additional lines in its options file (snmpd.conf(5)):
    /// another community, a `view`, `sysName`, `override`, `pass`.
    #[track_caller]
    pub fn start(lines: &[&str]) -> Self {
        Self::start_at(None, lines)
    }

    /// Starts an agent on the 127.0.0.1 of a namespace, which has other interfaces.
    #[track_caller]
    pub fn start_in(namespace: &Namespace, lines: &[&str]) -> Self {
        Self::start_at(Some(namespace.name().to_owned()), lines)
    }

    #[track_caller]
    fn start_at(namespace: Option<String>, lines: &[&str]) -> Self {
        let users: String = User::all().iter().map(User::lines).collect();
        let config = format!("rocommunity {}\n{users}{}\n", Self::COMMUNITY, lines.join("\n"));
        at_a_free_port(|port| {
            let directory = tempfile::tempdir().unwrap();
            std::fs::write(directory.path().join(CONFIG), &config).unwrap();
            let mut snmpd = Self {
                service: None,
                directory,
                namespace: namespace.clone(),
                port,
            };
            snmpd.run()?;
            Ok(snmpd)
        })
    }

    fn run(&mut self) -> Result<(), String> {
        let program = find("snmpd", "snmpd");
        let mut command = match &self.namespace {
            None => Command::new(program),
            Some(name) => {
                let mut command = Command::new(find("ip", "iproute2"));
                command.args(["netns", "exec", name]).arg(program);
                command
            }
        };
        let directory = self.directory.path();
        // In the foreground, with its log on stderr. Not with -C, which makes it
        // read no other file: it would not read its state either.
        command.args(["-f", "-Le", "-c"]);
        command.arg(directory.join(CONFIG));
        command.arg(format!("udp:127.0.0.1:{}", self.port));
        keep_to(&mut command, directory);
        self.service = Some(Service::start("snmpd", &command, directory, self.port)?);
        Ok(())
    }

    pub fn address(&self) -> SocketAddr {
        loopback(self.port)
    }

    /// Stops the agent. Its port is reserved for [`Self::restart`].
    pub fn stop(&mut self) {
        self.service = None;
    }

    /// Restarts the agent, like a device that was switched off: on the same port with the same
    /// state, so that its engine has booted once more.
    #[track_caller]
    pub fn restart(&mut self) {
        self.stop();
        if let Err(said) = self.run() {
            panic!("{said}");
        }
    }

    /// Freezes the agent until [`Self::thaw`]. It is silent meanwhile, and answers the requests
    /// of that time afterwards.
    #[track_caller]
    pub fn freeze(&self) {
        self.running().freeze();
    }

    #[track_caller]
    pub fn thaw(&self) {
        self.running().thaw();
    }

    /// The agent's log so far, over all its runs.
    #[track_caller]
    pub fn said(&self) -> String {
        self.running().said()
    }

    #[track_caller]
    fn running(&self) -> &Service {
        self.service.as_ref().expect("the agent was stopped")
    }
}

/// Keeps a program of net-snmp away from this machine's files, and from MIB files, which take
/// time to read.
pub(super) fn keep_to(command: &mut Command, directory: &Path) {
    command
        .env("MIBS", "")
        .env("MIBDIRS", directory)
        .env("SNMPCONFPATH", directory)
        .env("SNMP_PERSISTENT_DIR", directory);
}
