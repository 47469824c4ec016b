//! A child of apmon that speaks the TLS of old devices, through OpenSSL: TLS 1.0 and
//! 1.1, CBC ciphers, DHE, RSA key exchange.
//!
//! apmon starts it for one connection and passes it the server's bytes, as requests of
//! [`apmon_worker`]. It has no socket, needs no rights, and ends with its input. What it
//! is for, and why it is a program of its own, is decision 0035.

mod connection;
mod context;
mod sent_records;
mod wire_stream;

use std::process::ExitCode;

use apmon_tls::legacy::wire::{Fault, Reply, Request, State};
use rlimit::Resource;
use rustix::thread::{CapabilitySet, CapabilitySets, set_capabilities, set_no_new_privs};

use self::connection::Connection;

/// What a connection may cost: enough for a body of 16 MiB, and little for a peer that
/// has found a way to keep OpenSSL busy.
const LIMITS: &[(Resource, u64)] = &[
    (Resource::CPU, 20),
    (Resource::AS, 512 << 20),
    // Memory holds what was decrypted.
    (Resource::CORE, 0),
    (Resource::FSIZE, 0),
];

fn main() -> ExitCode {
    for (resource, limit) in LIMITS {
        // Where a limit is lower already, that one holds.
        let _ = resource.set(*limit, *limit);
    }
    give_up_rights();
    let mut connection = Connection::New;
    let served = apmon_worker::serve(|request| answer(&mut connection, request).encode());
    match served {
        Ok(()) => ExitCode::SUCCESS,
        // Nobody but the parent could read why.
        Err(_) => ExitCode::FAILURE,
    }
}

/// A daemon may have the right to ping, for example, which this process has inherited and
/// does not need.
fn give_up_rights() {
    let none = CapabilitySets {
        effective: CapabilitySet::empty(),
        permitted: CapabilitySet::empty(),
        inheritable: CapabilitySet::empty(),
    };
    // A kernel without capabilities has none to give up.
    let _ = set_capabilities(None, none);
    let _ = set_no_new_privs(true);
}

fn answer(connection: &mut Connection, request: &[u8]) -> Reply {
    match Request::decode(request) {
        Some(request) => connection.answer(&request),
        None => Reply {
            state: State::Failed(Fault::Other),
            ..Reply::default()
        },
    }
}
