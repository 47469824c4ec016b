//! The connections to a mail server, shared by all recipients.

use std::{
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};

use apmon_core::{DeliveryError, Names, Secret, config::Host, text::printable};
use tokio::{sync::Semaphore, time::Instant};

use super::{
    MailError,
    error::SmtpError,
    folded::unfolded,
    login::Login,
    options::MailServerOptions,
    session::{ServerSettings, Session},
    tls::Tls,
};
use crate::{secret_file::SecretFile, trust::ReceiverTrust};

/// The number of concurrent connections. Servers limit how many a client may open.
const MAX_CONNECTIONS: usize = 4;

/// How long an idle connection is kept. A server would close it after a while, and
/// the next e-mail would fail.
const MAX_IDLE: Duration = Duration::from_secs(5);

/// A mail server and its connections. Only those whose e-mail was answered are kept: a
/// late answer would be taken for the one to the next e-mail (docs/decisions/0015).
pub(super) struct Server {
    settings: ServerSettings,
    account: Account,
    origin: String,
    timeout: Duration,
    slots: Semaphore,
    idle: Mutex<Vec<(Session, Instant)>>,
}

/// The account on the server.
enum Account {
    /// The server requires no login.
    None,
    Known(Login),
    /// The password is read from a file at each delivery.
    InFile(String, SecretFile),
}

impl Server {
    /// `file` is the one of the password, if there is one.
    pub(super) fn new(
        options: &MailServerOptions,
        file: Option<SecretFile>,
        trust: ReceiverTrust,
        names: Arc<dyn Names>,
        timeout: Duration,
    ) -> Result<Self, MailError> {
        let host = options
            .smtp_host
            .as_ref()
            .ok_or(MailError::Missing("smtp_host"))?;
        let port = options.smtp_port.ok_or(MailError::Missing("smtp_port"))?.get();
        let host = Host::parse(host.as_str()).ok_or(MailError::NotAHost)?;
        let user = options
            .smtp_username
            .as_ref()
            .map(|user| user.as_str().to_owned());
        let account = match (user, options.smtp_password.clone(), file) {
            (Some(user), _, Some(file)) => Account::InFile(user, file),
            (Some(user), Some(password), None) => Account::Known(Login { user, password }),
            _ => Account::None,
        };
        Ok(Self {
            origin: printable(&format!("{host}:{port}")).into_owned(),
            settings: ServerSettings {
                host,
                port,
                protection: options.protection(),
                auth: options.smtp_auth,
                tls: Tls::new(trust),
                names,
            },
            account,
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
        let deadline = Instant::now() + self.timeout;
        let login = self.login(deadline).await?;
        let session = Session::open(&self.settings, login.as_ref(), deadline).await;
        session
            .map(Session::close)
            .map_err(|error| self.delivery_error(error, login.as_ref()))
    }

    /// Sends an e-mail within the timeout and returns the server's answer.
    pub(super) async fn send(
        self: &Arc<Self>,
        from: &str,
        to: &str,
        email: &[u8],
    ) -> Result<String, DeliveryError> {
        let deadline = Instant::now() + self.timeout;
        let login = self.login(deadline).await?;
        let sent = self.exchange(login.as_ref(), from, to, email, deadline).await;
        let answer = sent.map_err(|error| self.delivery_error(error, login.as_ref()))?;
        // Masked first: what is escaped would not be recognised.
        Ok(printable(&shown(&answer, login.as_ref())).into_owned())
    }

    /// User name and password, which may be in a file.
    async fn login(&self, deadline: Instant) -> Result<Option<Login>, DeliveryError> {
        match &self.account {
            Account::None => Ok(None),
            Account::Known(login) => Ok(Some(login.clone())),
            Account::InFile(user, file) => {
                let password: Secret = file
                    .read(deadline)
                    .await
                    .map_err(|error| DeliveryError::retryable(format!("{}: {error}", self.origin)))?;
                let user = user.clone();
                Ok(Some(Login { user, password }))
            }
        }
    }

    async fn exchange(
        self: &Arc<Self>,
        login: Option<&Login>,
        from: &str,
        to: &str,
        email: &[u8],
        deadline: Instant,
    ) -> Result<String, SmtpError> {
        const STEP: &str = "all connections in use";
        let _slot = tokio::time::timeout_at(deadline, self.slots.acquire())
            .await
            .map_err(|_| SmtpError::TimedOut { step: STEP })?;
        let mut session = self.session(login, deadline).await?;
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
    async fn session(&self, login: Option<&Login>, deadline: Instant) -> Result<Session, SmtpError> {
        while let Some((mut session, since)) = self.take() {
            if since.elapsed() < MAX_IDLE && session.is_alive(deadline).await {
                return Ok(session);
            }
        }
        Session::open(&self.settings, login, deadline).await
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

    fn delivery_error(&self, error: SmtpError, login: Option<&Login>) -> DeliveryError {
        error.into_delivery_error(&self.origin, self.timeout, &|text| shown(text, login))
    }
}

/// What a server said, in one line and without the password.
fn shown(text: &str, login: Option<&Login>) -> String {
    match login {
        Some(login) => unfolded(&login.masked(text)),
        None => unfolded(text),
    }
}
