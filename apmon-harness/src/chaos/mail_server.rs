//! The mail server: a real one in Python, which asks the rig how to behave and shows it each mail.

use std::{
    fs::OpenOptions,
    io::{BufRead as _, BufReader, Write as _},
    net::{Ipv4Addr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::Duration,
};

use serde::{Deserialize, Serialize};

use super::{
    daemon::Handle,
    mail::Mail,
    plan::{Failure, Moment},
    record::Receipts,
    site::Channel,
};
use crate::{
    fault::{During, Fault},
    process::Running,
    stopwatch::Stopwatch,
    workspace,
};

/// Debian's own Python: another one does not see Debian's packages.
const PYTHON: &str = "/usr/bin/python3";

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
    receipts: Receipts,
    handle: Arc<Handle>,
    clock: Stopwatch,
}

impl MailServer {
    pub(super) fn open(
        address: (Ipv4Addr, u16),
        channels: &[Channel],
        directory: &Path,
        receipts: Receipts,
        handle: Arc<Handle>,
        clock: Stopwatch,
    ) -> Result<Self, Fault> {
        let listener = TcpListener::bind("127.0.0.1:0").during("listen on 127.0.0.1")?;
        let control_port = listener.local_addr().during("listen on 127.0.0.1")?.port();
        let control = Arc::new(Control {
            failure: Mutex::default(),
            channels: channels.to_vec(),
            receipts,
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
                .arg(self.directory.join("mail"))
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
            receipts: Receipts::default(),
            handle: Arc::clone(&self.control.handle),
            clock: self.control.clock,
        });
        let _ = TcpStream::connect(("127.0.0.1", self.control_port));
    }
}

/// A step at which the mail server asks how to behave.
#[derive(Deserialize, Debug)]
#[serde(tag = "step", rename_all = "snake_case")]
enum Question {
    /// A connection is open.
    Greet,
    /// A recipient is named.
    Recipient,
    /// A mail has arrived.
    Mail(Mail),
}

#[derive(Serialize, Clone, Copy, PartialEq, Eq, Debug)]
#[serde(tag = "act", rename_all = "snake_case")]
enum Answer {
    Go,
    Hang,
    /// Greet after this time.
    Late {
        millis: u64,
    },
    /// Refuse the recipient for now.
    Busy,
    /// Accept the mail, at this time of the rig in microseconds.
    Take {
        at: u64,
    },
    /// Accept the mail and close the connection.
    Cut {
        at: u64,
    },
    /// Close the connection.
    Drop,
    /// Refuse the mail for now.
    Later,
}

impl Control {
    fn serve(&self, mut stream: TcpStream) {
        let _ = stream.set_read_timeout(Some(Duration::from_secs(1)));
        let mut line = String::new();
        if BufReader::new(&stream).read_line(&mut line).is_err() {
            return;
        }
        let question = serde_json::from_str(&line).ok();
        let Some(answer) = question.and_then(|question| self.answer(question)) else {
            // The mail server then refuses the mail, which apmon reports.
            self.handle
                .log(&format!("-- a question that has no answer: {}", line.trim()));
            return;
        };
        if let Ok(answer) = serde_json::to_string(&answer) {
            let _ = stream.write_all((answer + "\n").as_bytes());
        }
    }

    /// The answer; `None` for a mail to somebody else.
    fn answer(&self, question: Question) -> Option<Answer> {
        let failure = *self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        match question {
            Question::Greet => Some(match failure {
                Some(Failure::Hang) => Answer::Hang,
                Some(Failure::Late(by)) => Answer::Late { millis: millis(by) },
                _ => Answer::Go,
            }),
            Question::Recipient => Some(match failure {
                Some(Failure::Busy(_)) => Answer::Busy,
                _ => Answer::Go,
            }),
            Question::Mail(mail) => self.receive(mail, failure),
        }
    }

    fn receive(&self, mail: Mail, failure: Option<Failure>) -> Option<Answer> {
        let id = mail.channel();
        let channel = self.channels.iter().position(|channel| channel.id == id)?;
        let now = self.clock.elapsed();
        let at = u64::try_from(now.as_micros()).unwrap_or(u64::MAX);
        let answer = match failure {
            Some(Failure::PutOff | Failure::Busy(_)) => Answer::Later,
            Some(Failure::Drop | Failure::Down | Failure::Hang) => Answer::Drop,
            Some(Failure::Cut) => Answer::Cut { at },
            Some(Failure::Late(_)) | None => Answer::Take { at },
        };
        if matches!(answer, Answer::Take { .. } | Answer::Cut { .. }) {
            let receipt = mail.into_receipt(channel, now);
            self.receipts
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(receipt);
        }
        self.handle.reached(Moment::Request(channel));
        Some(answer)
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;
    use crate::chaos::site::Site;

    fn control(failure: Option<Failure>) -> Control {
        let clock = Stopwatch::start();
        let log = File::options().write(true).open("/dev/null").unwrap();
        Control {
            failure: Mutex::new(failure),
            channels: Site::new().channels,
            receipts: Receipts::default(),
            handle: Arc::new(Handle::new(log, clock)),
            clock,
        }
    }

    fn ask(control: &Control, question: &str) -> Option<String> {
        let answer = control.answer(serde_json::from_str(question).unwrap())?;
        Some(serde_json::to_string(&answer).unwrap())
    }

    #[test]
    fn questions_are_answered_as_the_server_fails() {
        let late = Failure::Late(Duration::from_millis(70));
        for (failure, greeting, recipient) in [
            (None, r#"{"act":"go"}"#, r#"{"act":"go"}"#),
            (Some(Failure::Hang), r#"{"act":"hang"}"#, r#"{"act":"go"}"#),
            (Some(late), r#"{"act":"late","millis":70}"#, r#"{"act":"go"}"#),
            (Some(Failure::Busy(1)), r#"{"act":"go"}"#, r#"{"act":"busy"}"#),
        ] {
            let control = control(failure);
            let answer = |question| ask(&control, question).unwrap();
            assert_eq!(answer(r#"{"step":"greet"}"#), greeting, "{failure:?}");
            assert_eq!(answer(r#"{"step":"recipient"}"#), recipient, "{failure:?}");
        }
    }

    #[test]
    fn an_accepted_mail_leaves_a_receipt() {
        let mail = |to: &str| {
            format!(r#"{{"step":"mail","to":"{to}","id":"<1>","first":"<0>","subject":"s","text":"a line"}}"#)
        };
        for (failure, act, receipts) in [
            (None, "take", 1),
            (Some(Failure::Cut), "cut", 1),
            (Some(Failure::Drop), "drop", 0),
            (Some(Failure::PutOff), "later", 0),
        ] {
            let control = control(failure);
            let answer = ask(&control, &mail("ops@chaos.example")).unwrap();
            assert!(
                answer.starts_with(&format!(r#"{{"act":"{act}""#)),
                "{failure:?}: {answer}"
            );
            let received = control.receipts.lock().unwrap();
            assert_eq!(received.len(), receipts, "{failure:?}");
            assert!(received.iter().all(|it| it.id == "<1>" && it.text == "a line"));
        }
        assert_eq!(ask(&control(None), &mail("nobody@chaos.example")), None);
    }
}
