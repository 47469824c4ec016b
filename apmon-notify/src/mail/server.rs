//! The connections to a mail server, shared by all recipients.

use std::{
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};

use apmon_core::{DeliveryError, Names, config::Host, text::printable};
use tokio::{sync::Semaphore, time::Instant};

use super::{
    MailError,
    error::{SmtpError, masked},
    options::MailServerOptions,
    session::{ServerSettings, Session},
    tls::Tls,
};

/// The number of concurrent connections. Servers limit how many a client may open.
const MAX_CONNECTIONS: usize = 4;

/// How long an idle connection is kept. A server would close it after a while, and
/// the next e-mail would fail.
const MAX_IDLE: Duration = Duration::from_secs(5);

/// A mail server and its connections.
///
/// lettre's pool takes back a connection whose e-mail was aborted halfway; late
/// answers would be taken for those to the next e-mail. This pool keeps only
/// connections whose e-mail was answered (docs/decisions/0015).
pub(super) struct Server {
    settings: ServerSettings,
    origin: String,
    timeout: Duration,
    slots: Semaphore,
    idle: Mutex<Vec<(Session, Instant)>>,
}

impl Server {
    pub(super) fn new(
        options: &MailServerOptions,
        names: Arc<dyn Names>,
        timeout: Duration,
    ) -> Result<Self, MailError> {
        let host = options
            .smtp_host
            .as_ref()
            .ok_or(MailError::Missing("smtp_host"))?;
        let port = options.smtp_port.ok_or(MailError::Missing("smtp_port"))?.get();
        let host = Host::parse(host.as_str()).ok_or(MailError::NotAHost)?;
        let login = options.smtp_username.as_ref().zip(options.smtp_password.clone());
        Ok(Self {
            origin: printable(&format!("{host}:{port}")).into_owned(),
            settings: ServerSettings {
                host,
                port,
                protection: options.protection(),
                verify: options.smtp_verify_tls.unwrap_or(true),
                login: login.map(|(name, password)| (name.as_str().to_owned(), password)),
                tls: Tls::default(),
                names,
            },
            timeout,
            slots: Semaphore::new(MAX_CONNECTIONS),
            idle: Mutex::default(),
        })
    }

    pub(super) fn origin(&self) -> &str {
        &self.origin
    }

    /// Connects and logs in, but sends nothing.
    pub(super) async fn try_out(&self) -> Result<(), DeliveryError> {
        let session = Session::open(&self.settings, Instant::now() + self.timeout).await;
        session
            .map(Session::close)
            .map_err(|error| self.delivery_error(error))
    }

    /// Sends an e-mail within the timeout and returns the server's answer.
    pub(super) async fn send(
        self: &Arc<Self>,
        from: &str,
        to: &str,
        email: &[u8],
    ) -> Result<String, DeliveryError> {
        let deadline = Instant::now() + self.timeout;
        let sent = self.exchange(from, to, email, deadline).await;
        sent.map(|answer| masked(&printable(&answer), self.settings.login.as_ref()))
            .map_err(|error| self.delivery_error(error))
    }

    async fn exchange(
        self: &Arc<Self>,
        from: &str,
        to: &str,
        email: &[u8],
        deadline: Instant,
    ) -> Result<String, SmtpError> {
        const STEP: &str = "all connections in use";
        let _slot = tokio::time::timeout_at(deadline, self.slots.acquire())
            .await
            .map_err(|_| SmtpError::TimedOut { step: STEP })?;
        let mut session = self.session(deadline).await?;
        let sent = session.send(from, to, email, deadline).await;
        match &sent {
            Ok(_) => self.keep(session),
            // The server has answered: close the session properly.
            Err(SmtpError::Rejected { .. }) => session.close(),
            // A late answer must not be read.
            Err(_) => drop(session),
        }
        sent
    }

    /// A live connection: an idle one, or a new one.
    async fn session(&self, deadline: Instant) -> Result<Session, SmtpError> {
        while let Some((mut session, since)) = self.take() {
            if since.elapsed() < MAX_IDLE && session.is_alive(deadline).await {
                return Ok(session);
            }
        }
        Session::open(&self.settings, deadline).await
    }

    fn take(&self) -> Option<(Session, Instant)> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    /// Keeps a connection for the next e-mail, for a short time.
    fn keep(self: &Arc<Self>, session: Session) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.push((session, Instant::now()));
        drop(idle);
        let server = Arc::downgrade(self);
        tokio::spawn(async move {
            tokio::time::sleep(MAX_IDLE).await;
            Self::end_idle(&server);
        });
    }

    fn end_idle(server: &Weak<Self>) {
        let Some(server) = server.upgrade() else { return };
        let mut idle = server.idle.lock().unwrap_or_else(PoisonError::into_inner);
        for (session, _) in idle.extract_if(.., |(_, since)| since.elapsed() >= MAX_IDLE) {
            session.close();
        }
    }

    fn delivery_error(&self, error: SmtpError) -> DeliveryError {
        error.into_delivery_error(&self.origin, self.timeout, self.settings.login.as_ref())
    }
}
