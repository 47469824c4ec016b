//! Switches to poll: SNMPv2c and SNMPv3 agents, each at an address of its own, all with
//! the same tables.

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

use self::{table::Table, user::UserEngine};

/// The longest message of an agent: it fits an Ethernet frame.
const LONGEST: usize = 1_472;

/// Counts of what agents were asked.
#[derive(Debug, Default)]
pub(crate) struct RequestCounts {
    /// Requests answered.
    pub(crate) requests: AtomicUsize,
    /// Requests for columns of the interfaces' tables.
    pub(crate) interfaces: AtomicUsize,
    /// The longest answer in octets.
    pub(crate) longest: AtomicUsize,
}

impl RequestCounts {
    /// Returns the counts and resets them.
    pub(crate) fn take(&self) -> [usize; 3] {
        [&self.requests, &self.interfaces, &self.longest].map(|count| count.swap(0, Ordering::Relaxed))
    }
}

/// Serves agents at 127.1.0.1, 127.1.0.2, ... until the process is killed.
pub(crate) async fn serve(agents: u16, port: u16) -> Result<(), Box<dyn Error>> {
    rlimit::increase_nofile_limit(u64::MAX)?;
    let counts = Arc::new(RequestCounts::default());
    let table = Arc::new(Table::switch());
    let mut tasks = JoinSet::new();
    for i in 0..agents {
        let socket = UdpSocket::bind((address(i), port)).await?;
        tasks.spawn(answer(socket, Arc::clone(&table), Arc::clone(&counts)));
    }
    println!("ready");
    while tasks.join_next().await.is_some() {}
    Ok(())
}

/// The address of the agent with index `i`, as in the site files of the bench.
fn address(i: u16) -> Ipv4Addr {
    let [high, low] = (i + 1).to_be_bytes();
    Ipv4Addr::new(127, 1, high, low)
}

/// Starts one agent on a thread of its own; it runs as long as the process.
pub(crate) async fn spawn(counts: &Arc<RequestCounts>) -> Result<SocketAddr, Box<dyn Error>> {
    let counts = Arc::clone(counts);
    let (sender, receiver) = oneshot::channel();
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        runtime.block_on(async {
            let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?;
            let _ = sender.send(socket.local_addr());
            answer(socket, Arc::new(Table::switch()), counts).await;
            std::io::Result::Ok(())
        })
    });
    Ok(receiver.await??)
}

async fn answer(socket: UdpSocket, table: Arc<Table>, counts: Arc<RequestCounts>) {
    let mut engine = UserEngine::at(socket.local_addr());
    let mut buffer = [0; 2_048];
    loop {
        let Ok((length, from)) = socket.recv_from(&mut buffer).await else {
            continue;
        };
        let datagram = &buffer[..length];
        let answer = match Message::decode(datagram) {
            Ok(Message::Community(message)) => by_community(message, &table, &counts),
            Ok(Message::V3(message)) => engine.answer(datagram, &message, &table, &counts),
            Err(_) => None,
        };
        if let Some(answer) = answer {
            counts.longest.fetch_max(answer.len(), Ordering::Relaxed);
            let _ = socket.send_to(&answer, from).await;
        }
    }
}

fn by_community(message: CommunityMessage, table: &Table, counts: &RequestCounts) -> Option<Vec<u8>> {
    let Body::Pdu(request) = &message.body else {
        return None;
    };
    let head = 40 + message.community.len();
    let pdu = respond(request, table, counts, LONGEST - head);
    let body = Body::Pdu(pdu);
    Some(CommunityMessage { body, ..message }.encode())
}

/// The answer to a request, with at most `room` octets of varbinds.
fn respond(request: &Pdu, table: &Table, counts: &RequestCounts, room: usize) -> Pdu {
    counts.requests.fetch_add(1, Ordering::Relaxed);
    let first = request.varbinds.first();
    if first.is_some_and(|varbind| table::is_of_interfaces(&varbind.oid)) {
        counts.interfaces.fetch_add(1, Ordering::Relaxed);
    }
    let varbinds = match request.kind {
        PduKind::Get => {
            let varbinds = request.varbinds.iter();
            varbinds.map(|varbind| table.at(&varbind.oid)).collect()
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

/// The objects after each requested one, `repetitions` times, as far as there is room.
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
