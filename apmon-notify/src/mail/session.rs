//! One connection to a mail server, from its opening to its end.

use std::{
    future::Future,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use apmon_core::{Names, Secret, config::Host};
use lettre::transport::smtp::{
    authentication::{Credentials, DEFAULT_MECHANISMS},
    client::AsyncSmtpConnection,
    extension::ClientId,
};
use rustls::pki_types::{DnsName, ServerName};
use tokio::{net::TcpStream, time::Instant};

use super::{
    options::MailProtection,
    stream::{Clear, Stream},
    tls::Tls,
    trouble::Trouble,
};
use crate::resolve;

/// A goodbye is not waited for longer.
const GOODBYE: Duration = Duration::from_secs(1);
/// A connection that was used before has this long to show that it lives.
const ALIVE: Duration = Duration::from_secs(2);

/// Where a mail server is, and how it is spoken to.
pub(super) struct Place {
    pub(super) host: Host,
    pub(super) port: u16,
    pub(super) protection: MailProtection,
    pub(super) verify: bool,
    pub(super) login: Option<(String, Secret)>,
    pub(super) tls: Tls,
    pub(super) names: Arc<dyn Names>,
}

/// A connection that is ready for a mail. One that is dropped is closed: no
/// answer that nobody waited for can be taken for the answer to the next mail.
pub(super) struct Session(AsyncSmtpConnection);

/// Waits for `work` until `deadline`.
async fn within<T>(
    deadline: Instant,
    step: &'static str,
    work: impl Future<Output = Result<T, Trouble>>,
) -> Result<T, Trouble> {
    tokio::time::timeout_at(deadline, work)
        .await
        .unwrap_or(Err(Trouble::Silence { step }))
}

impl Session {
    /// Connects, greets and logs in.
    pub(super) async fn open(place: &Place, deadline: Instant) -> Result<Self, Trouble> {
        let stream = connect(place, deadline).await?;
        let hello = ClientId::default();
        let said = hello.to_string();
        let tls = async |stream| {
            let wrapped = place.tls.wrap(stream, place.server_name()?, place.verify);
            within(deadline, "TLS", wrapped).await
        };
        let stream = match place.protection {
            MailProtection::None => Stream::plain(stream),
            MailProtection::Tls => Stream::tls(tls(stream).await?),
            MailProtection::StartTls => {
                let stream = within(deadline, "STARTTLS", Clear::new(stream).starttls(&said)).await?;
                Stream::upgraded(tls(stream).await?)
            }
        };
        let greeting = async {
            let opened = AsyncSmtpConnection::connect_with_transport(Box::new(stream), &hello).await;
            opened.map_err(|error| Trouble::at("greeting", error))
        };
        let mut session = Self(within(deadline, "greeting", greeting).await?);
        if let Some((name, password)) = &place.login {
            let credentials = Credentials::new(name.clone(), password.reveal().to_owned());
            within(deadline, "login", session.login(&credentials)).await?;
        }
        Ok(session)
    }

    async fn login(&mut self, credentials: &Credentials) -> Result<(), Trouble> {
        let offered = self.0.server_info().get_auth_mechanism(DEFAULT_MECHANISMS);
        if offered.is_none() {
            return Err(Trouble::Other(
                "login: the server offers neither PLAIN nor LOGIN; take smtp_username out if it wants no login".into(),
            ));
        }
        let said = self.0.auth(DEFAULT_MECHANISMS, credentials).await;
        said.map(drop).map_err(|error| Trouble::at("login", error))
    }

    /// Whether it is still good for a mail.
    pub(super) async fn is_alive(&mut self, deadline: Instant) -> bool {
        let deadline = deadline.min(Instant::now() + ALIVE);
        within(deadline, "RSET", self.say("RSET", "RSET\r\n"))
            .await
            .is_ok()
    }

    /// Sends one mail; what the server said to it. `from` and `to` were checked
    /// to be addresses.
    pub(super) async fn send(
        &mut self,
        from: &str,
        to: &str,
        letter: &[u8],
        deadline: Instant,
    ) -> Result<String, Trouble> {
        for (step, command) in [
            ("MAIL FROM", format!("MAIL FROM:<{from}>\r\n")),
            ("RCPT TO", format!("RCPT TO:<{to}>\r\n")),
            ("DATA", "DATA\r\n".to_owned()),
        ] {
            within(deadline, step, self.say(step, &command)).await?;
        }
        const STEP: &str = "the mail";
        let taken = async {
            let said = self.0.message(letter).await;
            let said = said.map_err(|error| Trouble::at(STEP, error))?;
            let words: Vec<_> = said.message().collect();
            let answer = format!("{} {}", said.code(), words.join(" "));
            // 3xx asks for more, and there is no more: nobody has taken it.
            match answer.starts_with('2') {
                true => Ok(answer),
                false => Err(Trouble::Other(format!("{STEP}: answered {answer}"))),
            }
        };
        within(deadline, STEP, taken).await
    }

    async fn say(&mut self, step: &'static str, command: &str) -> Result<(), Trouble> {
        let said = self.0.command(command).await;
        said.map(drop).map_err(|error| Trouble::at(step, error))
    }

    /// Ends it, beside whatever goes on.
    pub(super) fn close(mut self) {
        tokio::spawn(async move {
            let _ = tokio::time::timeout(GOODBYE, self.0.quit()).await; // it is over either way
        });
    }
}

impl Place {
    /// Whom the certificate must name.
    fn server_name(&self) -> Result<ServerName<'static>, Trouble> {
        match &self.host {
            Host::Address(ip) => Ok(ServerName::IpAddress((*ip).into())),
            Host::Name(name) => {
                let name = name.trim_end_matches('.');
                let ascii = url::Host::parse(name).map_or_else(|_| name.to_owned(), |host| host.to_string());
                let name = DnsName::try_from(ascii);
                name.map(ServerName::DnsName)
                    .map_err(|_| Trouble::Other("TLS: no certificate can hold the host's name".into()))
            }
        }
    }

    async fn addresses(&self) -> Result<Vec<IpAddr>, Trouble> {
        match &self.host {
            Host::Address(ip) => Ok(vec![*ip]),
            Host::Name(name) => resolve::addresses(&*self.names, name)
                .await
                .map_err(|error| Trouble::Other(error.to_string())),
        }
    }
}

/// To the first address that answers. Each has its share of the time, so that
/// a dead one does not use up that of the others.
async fn connect(place: &Place, deadline: Instant) -> Result<TcpStream, Trouble> {
    let addresses = within(deadline, "name", place.addresses()).await?;
    let mut last = Trouble::Other("the name has no address".into());
    for (i, ip) in addresses.iter().enumerate() {
        let left = deadline.saturating_duration_since(Instant::now());
        let share = left / u32::try_from(addresses.len() - i).unwrap_or(1);
        let attempt = async {
            let stream = TcpStream::connect(SocketAddr::new(*ip, place.port)).await;
            stream.map_err(|error| Trouble::io("connect", &error))
        };
        match within(Instant::now() + share, "connect", attempt).await {
            Ok(stream) => {
                // Commands are small and wait for each other; without it a
                // mail takes longer, and nothing else.
                let _ = stream.set_nodelay(true);
                return Ok(stream);
            }
            Err(trouble) => last = trouble,
        }
    }
    Err(last)
}
