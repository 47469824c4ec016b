//! A session with a mail server, from connecting to closing.

use std::{
    future::Future,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use apmon_core::{Names, Secret, config::Host};
use apmon_tls::AsyncConnect;
use rustls::pki_types::{DnsName, ServerName};
use tokio::{io::ReadBuf, net::TcpStream, time::Instant};

use super::{
    dialogue::Dialogue,
    error::SmtpError,
    folded::unfolded,
    login::{Login, SmtpAuth, log_in, offered},
    options::MailProtection,
    tls::{self, Tls},
};
use crate::{
    connect::{self, Destination},
    hostname::hostname,
    resolve,
    tls::Encrypted,
};

/// How long to wait for the answer to QUIT.
const QUIT_TIMEOUT: Duration = Duration::from_secs(1);
/// How long a reused connection has to show that it is alive.
const ALIVE_TIMEOUT: Duration = Duration::from_secs(2);

/// The address of a mail server and how to connect to it.
pub(super) struct ServerSettings {
    pub(super) host: Host,
    pub(super) port: u16,
    pub(super) protection: MailProtection,
    pub(super) auth: Option<SmtpAuth>,
    pub(super) tls: Tls,
    pub(super) names: Arc<dyn Names>,
}

/// A connection that is ready for an e-mail. Dropping it closes the connection, so
/// that a late answer cannot be taken for the answer to the next e-mail.
pub(super) struct Session(Dialogue);

/// Runs `work` until `deadline`.
async fn within<T>(
    deadline: Instant,
    step: &'static str,
    work: impl Future<Output = Result<T, SmtpError>>,
) -> Result<T, SmtpError> {
    tokio::time::timeout_at(deadline, work)
        .await
        .unwrap_or(Err(SmtpError::TimedOut { step }))
}

impl Session {
    /// Connects, exchanges greetings and logs in.
    pub(super) async fn open(
        settings: &ServerSettings,
        login: Option<&Login>,
        deadline: Instant,
    ) -> Result<Self, SmtpError> {
        let stream = connect(settings, deadline).await?;
        let mut dialogue = match settings.protection {
            MailProtection::Tls => Dialogue::encrypted(settings.encrypt(stream, deadline).await?),
            MailProtection::None | MailProtection::StartTls => Dialogue::plain(stream),
        };
        greeting(&mut dialogue, deadline).await?;
        if settings.protection == MailProtection::StartTls {
            let stream = start_tls(dialogue, deadline).await?;
            dialogue = Dialogue::encrypted(settings.encrypt(stream, deadline).await?);
        }
        // What was said in clear text does not count (RFC 3207, section 4.2).
        let extensions = within(deadline, "EHLO", hello(&mut dialogue, true)).await?;
        if let Some(login) = login {
            let offered = offered(&extensions);
            let logged_in = log_in(&mut dialogue, &offered, settings.auth, login);
            within(deadline, "login", logged_in).await?;
        }
        Ok(Self(dialogue))
    }

    /// Whether the connection can still be used.
    pub(super) async fn is_alive(&mut self, deadline: Instant) -> bool {
        let deadline = deadline.min(Instant::now() + ALIVE_TIMEOUT);
        within(deadline, "RSET", self.0.succeed("RSET", "RSET"))
            .await
            .is_ok()
    }

    /// Sends an e-mail and returns the server's answer to it. `from` and `to` have
    /// been checked to be addresses.
    pub(super) async fn send(
        &mut self,
        from: &str,
        to: &str,
        email: &[u8],
        deadline: Instant,
    ) -> Result<String, SmtpError> {
        for (step, command) in [
            ("MAIL FROM", format!("MAIL FROM:<{from}>")),
            ("RCPT TO", format!("RCPT TO:<{to}>")),
        ] {
            within(deadline, step, self.0.succeed(step, &command)).await?;
        }
        let reply = within(deadline, "DATA", self.0.command("DATA", "DATA")).await?;
        if !reply.is('3') {
            return Err(reply.rejects("DATA"));
        }
        const STEP: &str = "message";
        let reply = within(deadline, STEP, self.0.content(STEP, email)).await?;
        // 3xx asks for more data, and there is none: the message is not accepted.
        match reply.is('2') {
            true => Ok(format!("{} {}", reply.code, reply.text())),
            false => Err(reply.rejects(STEP)),
        }
    }

    /// Closes the session in the background.
    pub(super) fn close(mut self) {
        tokio::spawn(async move {
            let _ = tokio::time::timeout(QUIT_TIMEOUT, self.0.command("QUIT", "QUIT")).await; // closed either way
        });
    }
}

/// Waits for the server's greeting.
async fn greeting(dialogue: &mut Dialogue, deadline: Instant) -> Result<(), SmtpError> {
    const STEP: &str = "greeting";
    let reply = within(deadline, STEP, dialogue.reply(STEP)).await?;
    match reply.is('2') {
        true => Ok(()),
        false => Err(reply.rejects(STEP)),
    }
}

/// Asks a server that has sent its greeting for TLS, and returns the stream for the handshake.
async fn start_tls(mut dialogue: Dialogue, deadline: Instant) -> Result<TcpStream, SmtpError> {
    let extensions = within(deadline, "EHLO", hello(&mut dialogue, false)).await?;
    if !extensions
        .iter()
        .any(|line| line.trim().eq_ignore_ascii_case("STARTTLS"))
    {
        return Err(SmtpError::Other(
            "the server does not offer STARTTLS; nothing is sent unencrypted unless use_tls: no is set"
                .into(),
        ));
    }
    within(deadline, "STARTTLS", dialogue.succeed("STARTTLS", "STARTTLS")).await?;
    dialogue.into_stream()
}

/// Connects again to where a handshake has failed, up to where TLS begins.
struct Again {
    address: Option<SocketAddr>,
    protection: MailProtection,
    deadline: Instant,
}

impl AsyncConnect for Again {
    type Stream = TcpStream;

    async fn connect(&mut self) -> Option<TcpStream> {
        let stream = TcpStream::connect(self.address?).await.ok()?;
        if self.protection != MailProtection::StartTls {
            return Some(stream);
        }
        let mut dialogue = Dialogue::plain(stream);
        greeting(&mut dialogue, self.deadline).await.ok()?;
        start_tls(dialogue, self.deadline).await.ok()
    }
}

/// Introduces this machine, and returns the extensions that the server offers: none if it knows
/// only HELO, the greeting from before there were extensions. That one is tried only if nothing
/// depends on them.
async fn hello(dialogue: &mut Dialogue, may_be_old: bool) -> Result<Vec<String>, SmtpError> {
    let name = own_name();
    let mut reply = dialogue.command("EHLO", &format!("EHLO {name}")).await?;
    if reply.is('2') {
        // The first line is the name of the server.
        return Ok(reply.lines.split_off(1));
    }
    if !reply.is('5') {
        return Err(reply.rejects("EHLO"));
    }
    if !may_be_old {
        return Err(SmtpError::Other(format!(
            "EHLO: answered {} {}: the server knows no STARTTLS; nothing is sent unencrypted unless use_tls: no is set",
            reply.code,
            reply.text()
        )));
    }
    dialogue.succeed("HELO", &format!("HELO {name}")).await?;
    Ok(Vec::new())
}

/// The name by which this machine introduces itself: its host name, or else an address literal
/// (RFC 5321, section 4.1.4).
fn own_name() -> String {
    hostname()
        .filter(|name| {
            !name.is_empty()
                && name
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || "-._".contains(c))
        })
        .unwrap_or_else(|| "[127.0.0.1]".to_owned())
}

impl ServerSettings {
    /// Makes the TLS handshake.
    async fn encrypt(&self, stream: TcpStream, deadline: Instant) -> Result<Box<dyn Encrypted>, SmtpError> {
        let again = Again {
            address: stream.peer_addr().ok(),
            protection: self.protection,
            deadline,
        };
        let wrapped = self.tls.wrap(stream, self.server_name()?, again, deadline);
        within(deadline, tls::STEP, wrapped).await
    }

    /// The name that the certificate must contain.
    fn server_name(&self) -> Result<ServerName<'static>, SmtpError> {
        match &self.host {
            Host::Address(ip) => Ok(ServerName::IpAddress((*ip).into())),
            Host::Name(name) => {
                let name = name.trim_end_matches('.');
                let ascii = url::Host::parse(name).map_or_else(|_| name.to_owned(), |host| host.to_string());
                let name = DnsName::try_from(ascii);
                name.map(ServerName::DnsName).map_err(|_| {
                    SmtpError::Other("TLS: smtp_host is not a valid name for a certificate".into())
                })
            }
        }
    }

    async fn destination(&self) -> Result<Destination, SmtpError> {
        let (ips, of_name) = match &self.host {
            Host::Address(ip) => (vec![*ip], false),
            Host::Name(name) => {
                let ips = resolve::addresses(&*self.names, name).await;
                (ips.map_err(|error| SmtpError::Other(error.to_string()))?, true)
            }
        };
        let addresses = ips.into_iter().map(|ip| SocketAddr::new(ip, self.port));
        Ok(Destination {
            addresses: addresses.collect(),
            of_name,
        })
    }
}

/// Connects to the first address that answers.
async fn connect(settings: &ServerSettings, deadline: Instant) -> Result<TcpStream, SmtpError> {
    let destination = within(deadline, "name", settings.destination()).await?;
    let stream = connect::connect(&destination, deadline).await;
    let stream = stream.map_err(|error| SmtpError::io("connect", &error))?;
    // Commands are small and wait for each other. Without TCP_NODELAY an e-mail only takes
    // longer.
    let _ = stream.set_nodelay(true);
    Ok(stream)
}

/// A server's part of a dialogue, of which each read gets a line.
struct Script(std::io::Cursor<Vec<u8>>);

impl tokio::io::AsyncRead for Script {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let from = usize::try_from(self.0.position()).unwrap_or(usize::MAX);
        let rest = self.0.get_ref().get(from..).unwrap_or_default();
        let end = rest.iter().position(|byte| *byte == b'\n');
        let length = end.map_or(rest.len(), |end| end + 1).min(buffer.remaining());
        buffer.put_slice(&rest[..length]);
        self.0.set_position((from + length) as u64);
        Poll::Ready(Ok(()))
    }
}

/// Reads `bytes` as a server's part of a dialogue, for the fuzz target.
pub(super) fn fuzz(bytes: &[u8]) {
    const PASSWORD: &str = "s3cr3t-key";
    let login = Login {
        user: "staff".to_owned(),
        password: Secret::new(PASSWORD),
    };
    let script = Script(std::io::Cursor::new(bytes.to_vec()));
    let mut dialogue = Dialogue::encrypted(Box::new(tokio::io::join(script, tokio::io::sink())));
    let run = async {
        let greeting = dialogue.reply("greeting").await?;
        let shown = unfolded(&login.masked(&greeting.text()));
        assert!(!shown.contains(PASSWORD), "{shown}");
        let extensions = hello(&mut dialogue, true).await?;
        log_in(&mut dialogue, &offered(&extensions), None, &login).await?;
        for step in ["MAIL FROM", "RCPT TO", "DATA"] {
            dialogue.command(step, step).await?;
        }
        dialogue.content("message", b"x").await
    };
    // Nothing in it waits, so one poll runs it to its end.
    let mut run = std::pin::pin!(run);
    let polled = run
        .as_mut()
        .poll(&mut Context::from_waker(std::task::Waker::noop()));
    let Poll::Ready(result) = polled else {
        unreachable!("a dialogue waits for bytes that are there");
    };
    if let Err(error) = result {
        let error = error.into_delivery_error("h:25", ALIVE_TIMEOUT, &|text| unfolded(&login.masked(text)));
        assert!(!error.to_string().contains(PASSWORD), "{error}");
    }
}
