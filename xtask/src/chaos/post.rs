//! The mail server: a real one in Python, which asks here what to do.

use std::{
    fs::OpenOptions,
    io::{BufRead as _, BufReader, Write as _},
    net::{Ipv4Addr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::Duration,
};

use super::{
    daemon::Kin,
    plan::{Moment, Trouble},
    site::Channel,
};
use crate::{
    fault::{During, Fault},
    process::Running,
    stopwatch::Stopwatch,
    workspace,
};

/// Debian's own, as another one would not see Debian's packages.
pub(super) const PYTHON: &str = "/usr/bin/python3";

pub(super) struct Post {
    address: (Ipv4Addr, u16),
    directory: PathBuf,
    control: u16,
    desk: Arc<Desk>,
    server: Option<Running>,
}

/// Who is asked.
struct Desk {
    trouble: Mutex<Option<Trouble>>,
    channels: Vec<Channel>,
    kin: Arc<Kin>,
    clock: Stopwatch,
}

impl Post {
    pub(super) fn open(
        address: (Ipv4Addr, u16),
        channels: &[Channel],
        directory: &Path,
        kin: Arc<Kin>,
        clock: Stopwatch,
    ) -> Result<Self, Fault> {
        let listener = TcpListener::bind("127.0.0.1:0").during("listen on 127.0.0.1")?;
        let control = listener.local_addr().during("listen on 127.0.0.1")?.port();
        let desk = Arc::new(Desk {
            trouble: Mutex::default(),
            channels: channels.to_vec(),
            kin,
            clock,
        });
        let weak = Arc::downgrade(&desk);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let Some(desk) = weak.upgrade() else {
                    return;
                };
                desk.serve(stream);
            }
        });
        let mut post = Self {
            address,
            directory: directory.to_owned(),
            control,
            desk,
            server: None,
        };
        post.start()?;
        Ok(post)
    }

    pub(super) fn maildir(&self) -> PathBuf {
        self.directory.join("mail")
    }

    pub(super) fn set(&mut self, trouble: Option<Trouble>) -> Result<(), Fault> {
        *self.desk.trouble.lock().unwrap_or_else(PoisonError::into_inner) = trouble;
        if trouble == Some(Trouble::Down) {
            if let Some(mut server) = self.server.take() {
                server.stop(Duration::from_secs(5))?;
            }
            return Ok(());
        }
        match self.server.as_mut().map(Running::ended) {
            None => self.start(),
            Some(None) => Ok(()),
            Some(Some(status)) => Err(Fault::new(format!("the mail server ended by itself ({status})"))),
        }
    }

    fn start(&mut self) -> Result<(), Fault> {
        let log = self.directory.join("post.log");
        let log = OpenOptions::new().create(true).append(true).open(log);
        let log = log.during("write post.log")?;
        let (host, port) = self.address;
        let server = Running::start("the mail server", PYTHON.into(), |command| {
            command
                .arg(workspace::root().join("xtask/src/chaos/post.py"))
                .args([host.to_string(), port.to_string(), self.control.to_string()])
                .arg(self.maildir())
                .stderr(log)
        })?;
        self.server = Some(server);
        Ok(())
    }
}

impl Drop for Post {
    fn drop(&mut self) {
        self.server = None;
        // Whoever waits for a question gets one, and sees that all is over.
        self.desk = Arc::new(Desk {
            trouble: Mutex::default(),
            channels: Vec::new(),
            kin: Arc::clone(&self.desk.kin),
            clock: self.desk.clock,
        });
        let _ = TcpStream::connect(("127.0.0.1", self.control));
    }
}

impl Desk {
    fn serve(&self, mut stream: TcpStream) {
        let _ = stream.set_read_timeout(Some(Duration::from_secs(1)));
        let mut question = String::new();
        if BufReader::new(&stream).read_line(&mut question).is_err() {
            return;
        }
        let trouble = *self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        let at = self.clock.elapsed().as_micros();
        let answer = match question.trim().split_once(' ') {
            None => match trouble {
                Some(Trouble::Hang) => "hang 0".to_owned(),
                Some(Trouble::Late(by)) => format!("late {}", by.as_millis()),
                _ => "go 0".to_owned(),
            },
            Some(("to", _)) => match trouble {
                Some(Trouble::Busy(_)) => "busy 0".to_owned(),
                _ => "go 0".to_owned(),
            },
            Some((_, recipient)) => {
                let id = format!("mail:{recipient}");
                if let Some(channel) = self.channels.iter().position(|channel| channel.id == id) {
                    self.kin.spring(Moment::Request(channel));
                }
                let word = match trouble {
                    Some(Trouble::PutOff | Trouble::Busy(_)) => "later",
                    Some(Trouble::Drop | Trouble::Down | Trouble::Hang) => "drop",
                    Some(Trouble::Cut) => "cut",
                    Some(Trouble::Late(_)) | None => "take",
                };
                format!("{word} {at}")
            }
        };
        let _ = stream.write_all(format!("{answer}\n").as_bytes());
    }
}
