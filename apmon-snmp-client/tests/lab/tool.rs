//! Net-snmp's command-line tools.

use std::{net::SocketAddr, process::Command};

use tempfile::TempDir;

use super::{
    namespace::Namespace,
    service::find,
    snmpd::{AUTH_PASSWORD, PRIV_PASSWORD, User, keep_to},
};

/// A call of a tool, for one agent.
pub struct Tool {
    command: Command,
    address: SocketAddr,
    directory: TempDir,
}

impl Tool {
    /// Prepares a call of `snmpget`, `snmpbulkwalk`, ... It sends one request, waits for
    /// `timeout_secs`, and prints OIDs as numbers.
    #[track_caller]
    pub fn new(name: &str, address: SocketAddr, timeout_secs: u32) -> Self {
        Self::by(Command::new(find(name, "snmp")), address, timeout_secs)
    }

    /// Prepares a call inside a namespace.
    #[track_caller]
    pub fn inside(namespace: &Namespace, name: &str, address: SocketAddr, timeout_secs: u32) -> Self {
        Self::by(namespace.command(name), address, timeout_secs)
    }

    fn by(mut command: Command, address: SocketAddr, timeout_secs: u32) -> Self {
        let directory = tempfile::tempdir().unwrap();
        keep_to(&mut command, directory.path());
        command.args(["-r0", "-On", "-t", &timeout_secs.to_string()]);
        Self {
            command,
            address,
            directory,
        }
    }

    /// Adds arguments.
    #[must_use]
    pub fn with(mut self, arguments: &[&str]) -> Self {
        self.command.args(arguments);
        self
    }

    #[must_use]
    pub fn by_community(self, version: &str, community: &str) -> Self {
        self.with(&["-v", version, "-c", community])
    }

    #[must_use]
    pub fn by_user(self, user: &User) -> Self {
        self.by_user_with(user, AUTH_PASSWORD, PRIV_PASSWORD)
    }

    /// Sends requests as a user, with passwords that may be wrong.
    #[must_use]
    pub fn by_user_with(mut self, user: &User, auth: &str, privacy: &str) -> Self {
        self = self.with(&["-v", "3", "-u", &user.name, "-l", user.level()]);
        if let Some(protocol) = user.auth {
            self = self.with(&["-a", protocol, "-A", auth]);
        }
        if let Some(protocol) = user.privacy {
            self = self.with(&["-x", protocol, "-X", privacy]);
        }
        self
    }

    /// Runs the tool for the OIDs, and returns its output or its error message.
    pub fn ask(mut self, oids: &[&str]) -> Result<String, String> {
        let address = self.address.to_string();
        let output = self.command.arg(address).args(oids).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
        // Kept until here: the tool makes a directory in it.
        drop(self.directory);
        match output.status.success() {
            true => Ok(said),
            false => Err(complaint),
        }
    }
}
