//! A mail server that reacts to each command as a test says.

#![allow(dead_code)] // not every test file uses everything

use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::{TcpListener, TcpStream},
    sync::{Arc, Barrier, Mutex},
    thread,
    time::Duration,
};

/// How the server reacts to a command.
#[derive(Clone)]
pub enum Reaction {
    Reply(&'static str),
    ReplyLate(Duration, &'static str),
    /// Replies between two meetings with the test.
    ReplyBetween(&'static Barrier, &'static str),
    Nothing,
    HangUp,
    ReplyForever(&'static str),
}

pub use Reaction::{HangUp, Nothing, Reply, ReplyBetween, ReplyForever, ReplyLate};

/// The reaction to the first word of a command; "" stands for the connection
/// itself, "." for the end of an e-mail.
pub type Behaviour = fn(&str) -> Reaction;

pub fn well_behaved(command: &str) -> Reaction {
    Reply(match command {
        "" => "220 hostile\r\n",
        "EHLO" => "250-hostile\r\n250 8BITMIME\r\n",
        "DATA" => "354 go on\r\n",
        "." => "250 2.0.0 taken\r\n",
        "QUIT" => "221 bye\r\n",
        _ => "250 ok\r\n",
    })
}

#[derive(Default)]
struct Record {
    connections: usize,
    /// The lines received, with the number of their connection.
    lines: Vec<(usize, String)>,
}

pub struct Server {
    pub port: u16,
    record: Arc<Mutex<Record>>,
}

impl Server {
    /// Starts a server that treats each connection with the next of `behaviours`, and
    /// all further ones with the last.
    pub fn start(behaviours: Vec<Behaviour>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let record = Arc::new(Mutex::new(Record::default()));
        let shared = Arc::clone(&record);
        thread::spawn(move || {
            for (n, stream) in listener.incoming().enumerate() {
                let (stream, record) = (stream.unwrap(), Arc::clone(&shared));
                record.lock().unwrap().connections += 1;
                let behaviour = behaviours[n.min(behaviours.len() - 1)];
                thread::spawn(move || serve(stream, n, behaviour, &record));
            }
        });
        Self { port, record }
    }

    pub fn connections(&self) -> usize {
        self.record.lock().unwrap().connections
    }

    pub fn lines(&self, prefix: &str) -> Vec<String> {
        let record = self.record.lock().unwrap();
        let lines = record.lines.iter().map(|(_, line)| line.clone());
        lines.filter(|line| line.starts_with(prefix)).collect()
    }
}

fn serve(mut stream: TcpStream, n: usize, behaviour: Behaviour, record: &Mutex<Record>) {
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
    let mut in_mail = false;
    let mut command = String::new();
    loop {
        let reaction = behaviour(&command);
        let starts_mail = command == "DATA" && matches!(reaction, Reply(text) if text.starts_with("354"));
        match reaction {
            Reply(text) => drop(stream.write_all(text.as_bytes())),
            ReplyLate(wait, text) => {
                thread::sleep(wait);
                let _ = stream.write_all(text.as_bytes());
            }
            ReplyBetween(meeting, text) => {
                meeting.wait();
                let _ = stream.write_all(text.as_bytes());
                meeting.wait();
            }
            Nothing => {}
            HangUp => return,
            ReplyForever(text) => while stream.write_all(text.as_bytes()).is_ok() {},
        }
        in_mail |= starts_mail;
        loop {
            let Some(Ok(line)) = lines.next() else { return };
            record.lock().unwrap().lines.push((n, line.clone()));
            if !in_mail {
                command = line.split(' ').next().unwrap().to_owned();
                break;
            }
            if line == "." {
                in_mail = false;
                command = line;
                break;
            }
        }
    }
}
