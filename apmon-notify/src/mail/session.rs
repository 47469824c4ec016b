//! A session with a mail server, from connecting to closing.

use std::{future::Future, net::SocketAddr, sync::Arc, time::Duration};

use apmon_core::{Names, Secret, config::Host};
use lettre::transport::smtp::{
    authentication::{Credentials, DEFAULT_MECHANISMS},
    client::AsyncSmtpConnection,
    extension::ClientId,
};
use rustls::pki_types::{DnsName, ServerName};
use tokio::{net::TcpStream, time::Instant};

use super::{
    error::SmtpError,
    options::MailProtection,
    stream::{PlaintextDialogue, Stream},
    tls::Tls,
};
use crate::{
    connect::{self, Destination},
    resolve,
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
    pub(super) verify: bool,
    pub(super) login: Option<(String, Secret)>,
    pub(super) tls: Tls,
    pub(super) names: Arc<dyn Names>,
}

/// A connection that is ready for an e-mail. Dropping it closes the connection, so
/// that a late answer cannot be taken for the answer to the next e-mail.
pub(super) struct Session(AsyncSmtpConnection);

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
    pub(super) async fn open(settings: &ServerSettings, deadline: Instant) -> Result<Self, SmtpError> {
        let stream = connect(settings, deadline).await?;
        let hello = ClientId::default();
        let hello_name = hello.to_string();
        let tls = async |stream| {
            let wrapped = settings
                .tls
                .wrap(stream, settings.server_name()?, settings.verify);
            within(deadline, "TLS", wrapped).await
        };
        let stream = match settings.protection {
            MailProtection::None => Stream::plain(stream),
            MailProtection::Tls => Stream::tls(tls(stream).await?),
            MailProtection::StartTls => {
                let stream = within(
                    deadline,
                    "STARTTLS",
                    PlaintextDialogue::new(stream).starttls(&hello_name),
                )
                .await?;
                Stream::upgraded(tls(stream).await?)
            }
        };
        let greeting = async {
            let opened = AsyncSmtpConnection::connect_with_transport(Box::new(stream), &hello).await;
            opened.map_err(|error| SmtpError::at("greeting", error))
        };
        let mut session = Self(within(deadline, "greeting", greeting).await?);
        if let Some((name, password)) = &settings.login {
            let credentials = Credentials::new(name.clone(), password.reveal().to_owned());
            within(deadline, "login", session.login(&credentials)).await?;
        }
        Ok(session)
    }

    async fn login(&mut self, credentials: &Credentials) -> Result<(), SmtpError> {
        let offered = self.0.server_info().get_auth_mechanism(DEFAULT_MECHANISMS);
        if offered.is_none() {
            return Err(SmtpError::Other(
                "login: the server offers neither PLAIN nor LOGIN; remove smtp_username if it requires no login".into(),
            ));
        }
        let reply = self.0.auth(DEFAULT_MECHANISMS, credentials).await;
        reply.map(drop).map_err(|error| SmtpError::at("login", error))
    }

    /// Whether the connection can still be used.
    pub(super) async fn is_alive(&mut self, deadline: Instant) -> bool {
        let deadline = deadline.min(Instant::now() + ALIVE_TIMEOUT);
        within(deadline, "RSET", self.command("RSET", "RSET\r\n"))
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
            ("MAIL FROM", format!("MAIL FROM:<{from}>\r\n")),
            ("RCPT TO", format!("RCPT TO:<{to}>\r\n")),
            ("DATA", "DATA\r\n".to_owned()),
        ] {
            within(deadline, step, self.command(step, &command)).await?;
        }
        const STEP: &str = "message";
        let accepted = async {
            let reply = self.0.message(email).await;
            let reply = reply.map_err(|error| SmtpError::at(STEP, error))?;
            let lines: Vec<_> = reply.message().collect();
            let answer = format!("{} {}", reply.code(), lines.join(" "));
            // 3xx asks for more data, and there is none: the message is not accepted.
            match answer.starts_with('2') {
                true => Ok(answer),
                false => Err(SmtpError::Other(format!("{STEP}: answered {answer}"))),
            }
        };
        within(deadline, STEP, accepted).await
    }

    async fn command(&mut self, step: &'static str, command: &str) -> Result<(), SmtpError> {
        let reply = self.0.command(command).await;
        reply.map(drop).map_err(|error| SmtpError::at(step, error))
    }

    /// Closes the session in the background.
    pub(super) fn close(mut self) {
        tokio::spawn(async move {
            let _ = tokio::time::timeout(QUIT_TIMEOUT, self.0.quit()).await; // closed either way
        });
    }
}

impl ServerSettings {
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
