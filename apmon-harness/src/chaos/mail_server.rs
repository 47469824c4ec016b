//! The mail server: a real one in Python, which asks the rig how to behave.

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
    daemon::Handle,
    plan::{Failure, Moment},
    site::Channel,
};
use crate::{
    fault::{During, Fault},
    process::Running,
    stopwatch::Stopwatch,
    workspace,
};

/// Debian's own Python: another one does not see Debian's packages.
pub(super) const PYTHON: &str = "/usr/bin/python3";

pub(super) struct MailServer {
    address: (Ipv4Addr, u16),
    directory: PathBuf,
    control_port: u16,
    control: Arc<Control>,
    server: Option<Running>,
}

/// Answers the mail server's questions.
struct Control {
    failure: Mutex<Option<Failure>>,
    channels: Vec<Channel>,
    handle: Arc<Handle>,
    clock: Stopwatch,
}

impl MailServer {
    pub(super) fn open(
        address: (Ipv4Addr, u16),
        channels: &[Channel],
        directory: &Path,
        handle: Arc<Handle>,
        clock: Stopwatch,
    ) -> Result<Self, Fault> {
        let listener = TcpListener::bind("127.0.0.1:0").during("listen on 127.0.0.1")?;
        let control_port = listener.local_addr().during("listen on 127.0.0.1")?.port();
        let control = Arc::new(Control {
            failure: Mutex::default(),
            channels: channels.to_vec(),
            handle,
            clock,
        });
        let weak = Arc::downgrade(&control);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let Some(control) = weak.upgrade() else {
                    return;
                };
                control.serve(stream);
            }
        });
        let mut mail_server = Self {
            address,
            directory: directory.to_owned(),
            control_port,
            control,
            server: None,
        };
        mail_server.start()?;
        Ok(mail_server)
    }

    pub(super) fn maildir(&self) -> PathBuf {
        self.directory.join("mail")
    }

    pub(super) fn set(&mut self, failure: Option<Failure>) -> Result<(), Fault> {
        *self
            .control
            .failure
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = failure;
        if failure == Some(Failure::Down) {
            if let Some(mut server) = self.server.take() {
                server.stop(Duration::from_secs(5))?;
            }
            return Ok(());
        }
        match self.server.as_mut().map(Running::ended) {
            None => self.start(),
            Some(None) => Ok(()),
            Some(Some(status)) => Err(Fault::new(format!(
                "the mail server exited ({status}); see mail-server.log"
            ))),
        }
    }

    fn start(&mut self) -> Result<(), Fault> {
        let log = self.directory.join("mail-server.log");
        let log = OpenOptions::new().create(true).append(true).open(log);
        let log = log.during("write mail-server.log")?;
        let (host, port) = self.address;
        let server = Running::start("the mail server", PYTHON.into(), |command| {
            command
                .arg(workspace::root().join("apmon-harness/src/chaos/mail_server.py"))
                .args([host.to_string(), port.to_string(), self.control_port.to_string()])
                .arg(self.maildir())
                .stderr(log)
        })?;
        self.server = Some(server);
        Ok(())
    }
}

impl Drop for MailServer {
    fn drop(&mut self) {
        self.server = None;
        // A last connection wakes the thread, which then finds the control gone and ends.
        self.control = Arc::new(Control {
            failure: Mutex::default(),
            channels: Vec::new(),
            handle: Arc::clone(&self.control.handle),
            clock: self.control.clock,
        });
        let _ = TcpStream::connect(("127.0.0.1", self.control_port));
    }
}

impl Control {
    fn serve(&self, mut stream: TcpStream) {
        let _ = stream.set_read_timeout(Some(Duration::from_secs(1)));
        let mut question = String::new();
        if BufReader::new(&stream).read_line(&mut question).is_err() {
            return;
        }
        let failure = *self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        let at = self.clock.elapsed().as_micros();
        let answer = match question.trim().split_once(' ') {
            None => match failure {
                Some(Failure::Hang) => "hang 0".to_owned(),
                Some(Failure::Late(by)) => format!("late {}", by.as_millis()),
                _ => "go 0".to_owned(),
            },
            Some(("to", _)) => match failure {
                Some(Failure::Busy(_)) => "busy 0".to_owned(),
                _ => "go 0".to_owned(),
            },
            Some((_, recipient)) => {
                let id = format!("mail:{recipient}");
                if let Some(channel) = self.channels.iter().position(|channel| channel.id == id) {
                    self.handle.reached(Moment::Request(channel));
                }
                let word = match failure {
                    Some(Failure::PutOff | Failure::Busy(_)) => "later",
                    Some(Failure::Drop | Failure::Down | Failure::Hang) => "drop",
                    Some(Failure::Cut) => "cut",
                    Some(Failure::Late(_)) | None => "take",
                };
                format!("{word} {at}")
            }
        };
        let _ = stream.write_all(format!("{answer}\n").as_bytes());
    }
}
