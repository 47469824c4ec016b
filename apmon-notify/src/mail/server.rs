//! The connections to one mail server, shared by all recipients.

use std::{
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};

use apmon_core::{DeliveryError, Names, config::Host, text::printable};
use tokio::{sync::Semaphore, time::Instant};

use super::{
    MailError,
    options::MailServerOptions,
    session::{Place, Session},
    tls::Tls,
    trouble::{Trouble, masked},
};

/// So many connections at once: servers limit what one client may hold.
const CONNECTIONS: usize = 4;

/// A connection idle for longer is ended: a server would do so itself, and the
/// next mail would find that out the hard way.
const IDLE: Duration = Duration::from_secs(5);

/// One mail server.
///
/// lettre's own pool takes a connection back whose mail was given up half-way;
/// its late answers would be taken for those to the next mail. So this is ours:
/// only a connection whose mail was answered is kept (docs/decisions/0015).
pub(super) struct Server {
    place: Place,
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
            place: Place {
                host,
                port,
                protection: options.protection(),
                verify: options.smtp_verify_tls.unwrap_or(true),
                login: login.map(|(name, password)| (name.as_str().to_owned(), password)),
                tls: Tls::default(),
                names,
            },
            timeout,
            slots: Semaphore::new(CONNECTIONS),
            idle: Mutex::default(),
        })
    }

    pub(super) fn origin(&self) -> &str {
        &self.origin
    }

    /// Connects and logs in, and sends nothing.
    pub(super) async fn try_out(&self) -> Result<(), DeliveryError> {
        let session = Session::open(&self.place, Instant::now() + self.timeout).await;
        session.map(Session::close).map_err(|trouble| self.told(trouble))
    }

    /// Sends one mail, within the timeout in all; what the server said to it.
    pub(super) async fn send(
        self: &Arc<Self>,
        from: &str,
        to: &str,
        letter: &[u8],
    ) -> Result<String, DeliveryError> {
        let deadline = Instant::now() + self.timeout;
        let sent = self.exchange(from, to, letter, deadline).await;
        sent.map(|answer| masked(&printable(&answer), self.place.login.as_ref()))
            .map_err(|trouble| self.told(trouble))
    }

    async fn exchange(
        self: &Arc<Self>,
        from: &str,
        to: &str,
        letter: &[u8],
        deadline: Instant,
    ) -> Result<String, Trouble> {
        const STEP: &str = "other mails go first";
        let _slot = tokio::time::timeout_at(deadline, self.slots.acquire())
            .await
            .map_err(|_| Trouble::Silence { step: STEP })?;
        let mut session = self.session(deadline).await?;
        let sent = session.send(from, to, letter, deadline).await;
        match &sent {
            Ok(_) => self.keep(session),
            // It has answered: it is told goodbye.
            Err(Trouble::Answer { .. }) => session.close(),
            // Whatever it may say now, nobody listens.
            Err(_) => drop(session),
        }
        sent
    }

    /// A connection that lives: one that was used a moment ago, or a new one.
    async fn session(&self, deadline: Instant) -> Result<Session, Trouble> {
        while let Some((mut session, since)) = self.take() {
            if since.elapsed() < IDLE && session.is_alive(deadline).await {
                return Ok(session);
            }
        }
        Session::open(&self.place, deadline).await
    }

    fn take(&self) -> Option<(Session, Instant)> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    /// For the next mail, if it comes soon.
    fn keep(self: &Arc<Self>, session: Session) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.push((session, Instant::now()));
        drop(idle);
        let server = Arc::downgrade(self);
        tokio::spawn(async move {
            tokio::time::sleep(IDLE).await;
            Self::end_idle(&server);
        });
    }

    fn end_idle(server: &Weak<Self>) {
        let Some(server) = server.upgrade() else { return };
        let mut idle = server.idle.lock().unwrap_or_else(PoisonError::into_inner);
        for (session, _) in idle.extract_if(.., |(_, since)| since.elapsed() >= IDLE) {
            session.close();
        }
    }

    fn told(&self, trouble: Trouble) -> DeliveryError {
        trouble.into_delivery_error(&self.origin, self.timeout, self.place.login.as_ref())
    }
}
