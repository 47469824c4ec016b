//! A small agent of our own, in its own thread, for behaviour that no real agent shows on
//! demand: its tables change between two polls, it dies during a poll, and it answers wrongly
//! in every way that we could think of.

pub mod behaviour;
pub mod device;
mod usm;

use std::{
    collections::VecDeque,
    net::{Ipv4Addr, SocketAddr, UdpSocket},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
};

use apmon_snmp_client::{
    Credentials, Oid, Secret, Value, Varbind,
    message::{Body, CommunityMessage, ErrorStatus, Message, Pdu, PduKind},
};

pub use self::{behaviour::Behaviour, device::Device, usm::Engine};

/// The octets of an agent's longest message, unless its behaviour limits it further.
const LONGEST: usize = 1_472;

/// An agent that runs until it is dropped.
pub struct LabAgent {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// The state that the agent's thread and the test share.
pub struct State {
    pub device: Device,
    pub behaviour: Behaviour,
    pub engine: Engine,
    /// The kinds of requests since [`LabAgent::count_anew`].
    pub asked: Vec<PduKind>,
    /// The OIDs of these requests.
    pub asked_for: Vec<Vec<Oid>>,
    /// The number of error answers since then.
    pub refused: usize,
    /// The length of the longest answer since then, in octets.
    pub longest: usize,
    /// The answers that are held back, or may be sent again.
    kept: VecDeque<Vec<u8>>,
}

impl LabAgent {
    pub const COMMUNITY: &str = "lab";

    pub fn start(device: Device) -> Self {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = socket.local_addr().unwrap();
        let state = Arc::new(Mutex::new(State {
            device,
            behaviour: Behaviour::default(),
            engine: Engine::new(b"\x80\x00\x1f\x88\x80the lab"),
            asked: Vec::new(),
            asked_for: Vec::new(),
            refused: 0,
            longest: 0,
            kept: VecDeque::new(),
        }));
        let is_over = Arc::new(AtomicBool::new(false));
        let thread = {
            let (state, is_over) = (Arc::clone(&state), Arc::clone(&is_over));
            thread::spawn(move || serve(&socket, &state, &is_over))
        };
        Self {
            address,
            state,
            is_over,
            thread: Some(thread),
        }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn community() -> Credentials {
        Credentials::V2c(Secret::new(Self::COMMUNITY))
    }

    /// Locks the agent's state. The agent waits while it is locked.
    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn change(&self, change: impl FnOnce(&mut Device)) {
        change(&mut self.state().device);
    }

    /// Sets the behaviour, and resets the counts.
    pub fn set(&self, behaviour: Behaviour) {
        let mut state = self.state();
        state.behaviour = behaviour;
        state.asked.clear();
        state.asked_for.clear();
        state.refused = 0;
    }

    pub fn count_anew(&self) {
        let mut state = self.state();
        state.asked.clear();
        state.asked_for.clear();
        state.refused = 0;
        state.longest = 0;
    }

    /// The number of requests since the behaviour was set or the counts were reset.
    pub fn requests(&self) -> usize {
        self.state().asked.len()
    }

    /// The number of these requests for something below `root`.
    pub fn requests_below(&self, root: &[u32]) -> usize {
        let state = self.state();
        let is_below = |oids: &&Vec<Oid>| oids.iter().any(|oid| oid.starts_with(root));
        state.asked_for.iter().filter(is_below).count()
    }
}

impl Drop for LabAgent {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::SeqCst);
        // Any datagram wakes the agent.
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let _ = socket.send_to(&[], self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn serve(socket: &UdpSocket, state: &Mutex<State>, is_over: &AtomicBool) {
    let other_port = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let mut buffer = vec![0; 65_536];
    loop {
        let received = socket.recv_from(&mut buffer);
        if is_over.load(Ordering::SeqCst) {
            return;
        }
        // On Linux, a peer that is gone is an error here.
        let Ok((length, from)) = received else { continue };
        let (answers, delay, spoofed) = {
            let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
            let answers = state.answers(&buffer[..length]);
            (answers, state.behaviour.delay, state.behaviour.other_port)
        };
        if !delay.is_zero() {
            thread::sleep(delay);
        }
        for answer in answers {
            let socket = if spoofed { &other_port } else { socket };
            let _ = socket.send_to(&answer, from);
        }
    }
}

impl State {
    /// The answers to a datagram.
    fn answers(&mut self, datagram: &[u8]) -> Vec<Vec<u8>> {
        let Ok(message) = Message::decode(datagram) else {
            return Vec::new();
        };
        if let Message::Community(CommunityMessage { community, .. }) = &message
            && community != LabAgent::COMMUNITY.as_bytes()
        {
            return Vec::new();
        }
        self.device.tick();
        let n = self.asked.len() + 1;
        let every = |which: Option<usize>| which.is_some_and(|every| n.is_multiple_of(every));
        let is_lost =
            every(self.behaviour.loses_requests) || self.behaviour.silent_from.is_some_and(|from| n >= from);
        if is_lost {
            self.asked.push(PduKind::Get);
            return Vec::new();
        }
        if self.behaviour.restarts_at == Some(n) {
            self.engine.restart();
        }
        let answer = match message {
            Message::Community(message) => self.by_community(message),
            Message::V3(message) => self.by_user(datagram, &message),
        };
        let Some(mut answer) = answer else {
            return Vec::new();
        };
        self.longest = self.longest.max(answer.len());
        if let Some(damage) = self.behaviour.damage {
            damage.apply(&mut answer);
        }
        if every(self.behaviour.loses_replies) {
            return Vec::new();
        }
        self.deliver(answer)
    }

    /// The datagrams that are actually sent for an answer.
    fn deliver(&mut self, answer: Vec<u8>) -> Vec<Vec<u8>> {
        if self.behaviour.is_late {
            self.kept.push_back(answer);
            return match self.kept.len() > 1 {
                true => self.kept.pop_front().into_iter().collect(),
                false => Vec::new(),
            };
        }
        if self.behaviour.replays {
            // The first answer again and again.
            self.kept.push_back(answer);
            return vec![self.kept[0].clone()];
        }
        let mut answers = vec![answer.clone()];
        if self.behaviour.doubles {
            answers.push(answer);
        }
        for noise in &self.behaviour.noise {
            answers.splice(0..0, [noise.clone()]);
        }
        answers
    }

    fn by_community(&mut self, message: CommunityMessage) -> Option<Vec<u8>> {
        let Body::Pdu(pdu) = message.body else { return None };
        let is_v1 = message.is_v1;
        let longest = self.behaviour.octets.unwrap_or(LONGEST);
        let wrong = self.behaviour.wrong_community;
        let wrap = |pdu: &Pdu| {
            let community = if wrong {
                b"other".to_vec()
            } else {
                message.community.clone()
            };
            let body = Body::Pdu(pdu.clone());
            CommunityMessage {
                is_v1,
                community,
                body,
            }
            .encode()
        };
        let answer = self.respond(&pdu, is_v1, |pdu| wrap(pdu).len() <= longest);
        Some(wrap(&answer))
    }

    /// The answer to a request, with as many varbinds as fit.
    fn respond(&mut self, request: &Pdu, is_v1: bool, fits: impl Fn(&Pdu) -> bool) -> Pdu {
        self.asked.push(request.kind);
        let oids = request.varbinds.iter().map(|varbind| varbind.oid.clone());
        self.asked_for.push(oids.collect());
        let mut answer = self.behaviour.respond(&self.device, request, is_v1);
        let fits = |pdu: &Pdu, behaviour: &Behaviour| {
            fits(pdu)
                && behaviour
                    .too_big_above
                    .is_none_or(|most| pdu.varbinds.len() <= most)
        };
        if request.kind == PduKind::GetBulk && !self.behaviour.never_cuts {
            while answer.varbinds.len() > 1 && !fits(&answer, &self.behaviour) {
                answer.varbinds.pop();
            }
        }
        if !fits(&answer, &self.behaviour) {
            answer.error_status = ErrorStatus::TOO_BIG.0;
            answer.varbinds.clear();
        }
        self.refused += usize::from(answer.error_status != 0);
        if self.behaviour.wrong_id {
            answer.request_id ^= 0x5555;
        }
        answer
    }
}

/// A response with an error.
fn refusal(request: &Pdu, status: ErrorStatus, index: usize) -> Pdu {
    Pdu {
        kind: PduKind::Response,
        error_status: status.0,
        error_index: i32::try_from(index).unwrap(),
        ..request.clone()
    }
}

fn response(request: &Pdu, varbinds: Vec<Varbind>) -> Pdu {
    Pdu {
        kind: PduKind::Response,
        error_status: 0,
        error_index: 0,
        varbinds,
        ..request.clone()
    }
}

/// Whether a version shows a value: SNMPv1 has no Counter64 (RFC 3584, section
/// 4.2.2.1).
fn is_seen(value: &Value, is_v1: bool) -> bool {
    !(is_v1 && matches!(value, Value::Counter64(_)))
}
