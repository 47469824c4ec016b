//! Switches for the bench to poll: agents of SNMPv2c and SNMPv3, each at an
//! address of its own, all with the same tables.

mod table;
mod user;

use std::{
    error::Error,
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use apmon_snmp_client::{
    Varbind,
    message::{Body, CommunityMessage, Message, Pdu, PduKind},
};
use tokio::{net::UdpSocket, sync::oneshot, task::JoinSet};

use self::{table::Table, user::Seat};

/// What an agent sends in one message: a frame of Ethernet.
const LONGEST: usize = 1_472;

/// What agents were asked.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// Requests that were answered.
    pub(crate) requests: AtomicUsize,
    /// Those for columns of the interfaces' tables.
    pub(crate) interfaces: AtomicUsize,
    /// The longest answer, octets.
    pub(crate) longest: AtomicUsize,
}

impl Tally {
    /// What there was, and from now on nothing.
    pub(crate) fn take(&self) -> [usize; 3] {
        [&self.requests, &self.interfaces, &self.longest].map(|count| count.swap(0, Ordering::Relaxed))
    }
}

/// Runs so many agents at 127.1.0.1, 127.1.0.2, ... until the process is ended.
pub(crate) async fn serve(agents: u16, port: u16) -> Result<(), Box<dyn Error>> {
    rlimit::increase_nofile_limit(u64::MAX)?;
    let tally = Arc::new(Tally::default());
    let table = Arc::new(Table::switch());
    let mut tasks = JoinSet::new();
    for i in 0..agents {
        let socket = UdpSocket::bind((address(i), port)).await?;
        tasks.spawn(answer(socket, Arc::clone(&table), Arc::clone(&tally)));
    }
    println!("ready");
    while tasks.join_next().await.is_some() {}
    Ok(())
}

/// As the site files of the bench count them.
fn address(i: u16) -> Ipv4Addr {
    let [high, low] = (i + 1).to_be_bytes();
    Ipv4Addr::new(127, 1, high, low)
}

/// One agent on a thread of its own, for as long as the process runs.
pub(crate) async fn spawn(tally: &Arc<Tally>) -> Result<SocketAddr, Box<dyn Error>> {
    let tally = Arc::clone(tally);
    let (told, tells) = oneshot::channel();
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        runtime.block_on(async {
            let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?;
            let _ = told.send(socket.local_addr());
            answer(socket, Arc::new(Table::switch()), tally).await;
            std::io::Result::Ok(())
        })
    });
    Ok(tells.await??)
}

async fn answer(socket: UdpSocket, table: Arc<Table>, tally: Arc<Tally>) {
    let mut seat = Seat::at(socket.local_addr());
    let mut buffer = [0; 2_048];
    loop {
        let Ok((length, from)) = socket.recv_from(&mut buffer).await else {
            continue;
        };
        let datagram = &buffer[..length];
        let answer = match Message::decode(datagram) {
            Ok(Message::Community(message)) => by_community(message, &table, &tally),
            Ok(Message::V3(message)) => seat.answer(datagram, &message, &table, &tally),
            Err(_) => None,
        };
        if let Some(answer) = answer {
            tally.longest.fetch_max(answer.len(), Ordering::Relaxed);
            let _ = socket.send_to(&answer, from).await;
        }
    }
}

fn by_community(message: CommunityMessage, table: &Table, tally: &Tally) -> Option<Vec<u8>> {
    let Body::Pdu(request) = &message.body else {
        return None;
    };
    let head = 40 + message.community.len();
    let pdu = respond(request, table, tally, LONGEST - head);
    let body = Body::Pdu(pdu);
    Some(CommunityMessage { body, ..message }.encode())
}

/// The answer to a request, of so many octets at most.
fn respond(request: &Pdu, table: &Table, tally: &Tally, room: usize) -> Pdu {
    tally.requests.fetch_add(1, Ordering::Relaxed);
    let first = request.varbinds.first();
    if first.is_some_and(|varbind| table::is_of_interfaces(&varbind.oid)) {
        tally.interfaces.fetch_add(1, Ordering::Relaxed);
    }
    let varbinds = match request.kind {
        PduKind::Get => {
            let asked = request.varbinds.iter();
            asked.map(|varbind| table.at(&varbind.oid)).collect()
        }
        PduKind::GetNext => rows(request, 1, table, room),
        _ => rows(request, request.error_index, table, room),
    };
    Pdu {
        kind: PduKind::Response,
        request_id: request.request_id,
        error_status: 0,
        error_index: 0,
        varbinds,
    }
}

/// What comes after each, so often, as far as there is room.
fn rows(request: &Pdu, repetitions: i32, table: &Table, room: usize) -> Vec<Varbind> {
    let places = request.varbinds.iter();
    let mut places: Vec<usize> = places.map(|varbind| table.after(&varbind.oid)).collect();
    let (mut answer, mut used) = (Vec::new(), 0);
    for _ in 0..repetitions {
        for (place, asked) in places.iter_mut().zip(&request.varbinds) {
            let varbind = table.nth(*place, &asked.oid);
            used += table::octets(&varbind);
            if used > room && !answer.is_empty() {
                return answer;
            }
            answer.push(varbind);
            *place += 1;
        }
    }
    answer
}
