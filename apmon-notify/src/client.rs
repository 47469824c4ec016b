//! The HTTP client that webhooks and heartbeats share, created on first use.

mod bounded;
mod connection;

use std::{
    fmt,
    sync::{Arc, OnceLock},
    time::Duration,
};

use apmon_core::{DeliveryError, Names, Services};
use apmon_tls::{Authorities, KnownOffers, Trust};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::{
    Method, Response,
    body::Incoming,
    header::{ACCEPT, AUTHORIZATION, DATE, HOST, HeaderMap, HeaderValue, LOCATION, RETRY_AFTER, USER_AGENT},
};
use jiff::fmt::rfc2822::DateTimeParser;
use percent_encoding::percent_decode_str;
use tokio::{sync::OnceCell, time::Instant};
use url::{Position, Url};

use self::connection::{Connection, Idle};
use crate::{
    answer::{self, Answer, MAX_BODY, MAX_REDIRECTS, RequestError, SuccessCriteria},
    authority::AuthorityError,
    http_url::origin,
    tls::{Attempt, Tls},
    trust::{RECEIVER, ReceiverTrust},
};

/// How long the body is waited for if the status alone decides.
const MAX_DRAIN: Duration = Duration::from_secs(1);

const USER_AGENT_TEXT: &str = concat!("apmon/", env!("CARGO_PKG_VERSION"));

/// The HTTP client of this process.
///
/// Certificates are verified against the system's authorities unless the options of a
/// receiver say otherwise, and proxies are not used. A POST follows no redirects; a GET follows at most ten, but none from https to
/// http, and none to another host or port if it carries headers of the site file.
///
/// Creating it reads the system's certificates (about 13 ms), which is done on first
/// use and on a thread of its own. A clone is the same client.
#[derive(Clone)]
pub struct HttpClient(Arc<Shared>);

struct Shared {
    names: Arc<dyn Names>,
    trust: ReceiverTrust,
    tls: OnceCell<Tls>,
    offers: Arc<KnownOffers>,
    idle: Arc<Idle>,
}

/// The client of a process, as a shared service.
#[derive(Default)]
struct OfProcess(OnceLock<HttpClient>);

/// The redirects that are followed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Follow {
    None,
    /// Redirects to the same scheme, host and port.
    Origin,
    All,
}

/// One request.
pub(crate) struct Request {
    pub(crate) method: Method,
    pub(crate) url: Url,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Option<String>,
    /// Whether redirects to another host or port are not followed, because some headers
    /// are meant for this receiver only.
    pub(crate) within_origin: bool,
    /// The option with which the receiver is spoken to in old TLS.
    pub(crate) legacy_option: &'static str,
}

impl Request {
    pub(crate) fn get(url: Url) -> Self {
        Self {
            method: Method::GET,
            url,
            headers: HeaderMap::new(),
            body: None,
            within_origin: false,
            legacy_option: RECEIVER.legacy,
        }
    }

    /// The redirects that may be followed. A redirected POST may lose its body, so none
    /// is followed.
    fn follow(&self) -> Follow {
        match (self.method == Method::GET, self.within_origin) {
            (false, _) => Follow::None,
            (true, true) => Follow::Origin,
            (true, false) => Follow::All,
        }
    }

    /// The request as it is sent to `url`.
    fn message(&self, url: &Url) -> Result<hyper::Request<Full<Bytes>>, RequestError> {
        if !matches!(url.scheme(), "http" | "https") {
            return Err(RequestError::Url);
        }
        let path = url[Position::BeforePath..Position::AfterQuery].parse();
        let host = HeaderValue::from_str(&url[Position::BeforeHost..Position::AfterPort]);
        let body = self.body.clone().unwrap_or_default();
        let mut message = hyper::Request::new(Full::new(Bytes::from(body)));
        *message.method_mut() = self.method.clone();
        *message.uri_mut() = path.map_err(|_| RequestError::Url)?;
        let headers = message.headers_mut();
        headers.insert(HOST, host.map_err(|_| RequestError::Url)?);
        headers.insert(ACCEPT, HeaderValue::from_static("*/*"));
        headers.insert(USER_AGENT, HeaderValue::from_static(USER_AGENT_TEXT));
        // A password is for the server for which it was configured.
        if url.origin() == self.url.origin()
            && let Some(authorization) = basic(&self.url)
        {
            headers.insert(AUTHORIZATION, authorization);
        }
        for (name, value) in &self.headers {
            headers.insert(name, value.clone());
        }
        Ok(message)
    }
}

/// The `Authorization` header for user name and password of a URL (RFC 7617).
fn basic(url: &Url) -> Option<HeaderValue> {
    if url.username().is_empty() && url.password().is_none() {
        return None;
    }
    let mut pair: Vec<u8> = percent_decode_str(url.username()).collect();
    pair.push(b':');
    pair.extend(percent_decode_str(url.password().unwrap_or("")));
    let mut value = HeaderValue::from_str(&format!("Basic {}", BASE64_STANDARD.encode(pair))).ok()?;
    value.set_sensitive(true);
    Some(value)
}

impl HttpClient {
    /// Creates a client that resolves names with `names`
    /// ([`Services::names`](apmon_core::Services::names)).
    #[must_use]
    pub fn new(names: Arc<dyn Names>) -> Self {
        Self::with(names, ReceiverTrust::default())
    }

    fn with(names: Arc<dyn Names>, trust: ReceiverTrust) -> Self {
        Self(Arc::new(Shared {
            names,
            trust,
            tls: OnceCell::new(),
            offers: Arc::default(),
            idle: Arc::default(),
        }))
    }

    /// The client for a receiver whose certificate is judged by `trust`. It keeps connections of
    /// its own: one that was opened under other conditions must not be used.
    pub(crate) fn trusting(&self, trust: &ReceiverTrust) -> Self {
        match trust.is_default() {
            true => self.clone(),
            false => Self::with(Arc::clone(&self.0.names), trust.clone()),
        }
    }

    /// Whether both are the same client.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// The client that the channels and heartbeats of a process share.
    #[must_use]
    pub fn of(services: &Services) -> Self {
        let shared = services.shared::<OfProcess>();
        let client = shared.0.get_or_init(|| Self::new(services.names()));
        client.clone()
    }

    /// Makes one attempt, until `deadline`, at which `timeout` is over. The answer is stored in
    /// `received`, as far as it was received by then.
    pub(crate) async fn attempt(
        &self,
        request: Request,
        criteria: &SuccessCriteria<'_>,
        (timeout, deadline): (Duration, Instant),
        received: &mut Answer,
    ) -> Result<(), DeliveryError> {
        let origin = origin(&request.url);
        let attempt = Attempt {
            deadline,
            legacy_option: request.legacy_option,
        };
        let exchange = self.exchange(request, &origin, criteria, attempt, received);
        match tokio::time::timeout_at(deadline, exchange).await {
            Ok(outcome) => outcome,
            Err(_) => Err(DeliveryError::retryable(format!(
                "{origin}: no answer within {} secs",
                timeout.as_secs_f64()
            ))),
        }
    }

    async fn exchange(
        &self,
        request: Request,
        origin: &str,
        criteria: &SuccessCriteria<'_>,
        attempt: Attempt,
        received: &mut Answer,
    ) -> Result<(), DeliveryError> {
        let Shared { trust, offers, .. } = &*self.0;
        let (tls, without_roots) = match self.0.tls.get_or_try_init(|| create(trust, offers)).await {
            Ok(tls) => (tls.clone(), None),
            Err(CreateError::NoAuthorities { tls, reason }) => (tls, Some(reason)),
            Err(CreateError::NotRead(reason)) => {
                return Err(DeliveryError::retryable(format!(
                    "{origin}: cannot create an HTTP client: {reason}"
                )));
            }
        };
        let answer = self.follow(&request, &tls, attempt).await;
        let (response, open) =
            answer.map_err(|error| answer::failed(origin, &error, without_roots.as_deref()))?;
        let (head, body) = response.into_parts();
        let (status, headers) = (head.status, head.headers);
        received.status = Some(status);
        let asked = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok());
        received.retry_after = asked.map(str::to_owned);
        let date = headers.get(DATE).and_then(|value| value.to_str().ok());
        received.date = date.and_then(|date| DateTimeParser::new().parse_timestamp(date.trim()).ok());
        if criteria.needs_body(status) {
            receive(body, criteria, received).await;
        } else {
            // The status decides, whether the body arrives or not.
            let rest = receive(body, criteria, received);
            let _ = tokio::time::timeout(MAX_DRAIN, rest).await;
        }
        if received.is_complete {
            self.0.idle.keep(&open.url, open.connection);
        }
        criteria.judge(origin, &request.method, status, &headers, received)
    }

    /// Makes a request and follows its redirects.
    async fn follow(
        &self,
        request: &Request,
        tls: &Tls,
        attempt: Attempt,
    ) -> Result<(Response<Incoming>, Open), RequestError> {
        let follow = request.follow();
        let mut url = request.url.clone();
        let mut redirects = 0;
        loop {
            let (response, connection) = self.send(request, &url, tls, attempt).await?;
            let Some(next) = redirected(&response, &url).filter(|_| follow != Follow::None) else {
                return Ok((response, Open { url, connection }));
            };
            if redirects == MAX_REDIRECTS {
                return Err(answer::Redirect::TooMany.into());
            } else if url.scheme() == "https" && next.scheme() != "https" {
                return Err(answer::Redirect::Downgrade.into());
            } else if follow == Follow::Origin && next.origin() != request.url.origin() {
                return Err(answer::Redirect::Elsewhere.into());
            }
            redirects += 1;
            url = next;
        }
    }

    /// Sends a request to `url`, over a kept connection if there is one.
    async fn send(
        &self,
        request: &Request,
        url: &Url,
        tls: &Tls,
        attempt: Attempt,
    ) -> Result<(Response<Incoming>, Connection), RequestError> {
        let mut message = request.message(url)?;
        while let Some(mut connection) = self.0.idle.take(url).await {
            match connection.send(message).await {
                Ok(response) => return Ok((response, connection)),
                // The receiver closed it before the request was sent.
                Err(mut error) => match error.take_message() {
                    Some(unsent) => message = unsent,
                    None => return Err(RequestError::Http(error.into_error())),
                },
            }
        }
        let mut connection = Connection::open(url, &*self.0.names, tls, attempt).await?;
        match connection.send(message).await {
            Ok(response) => Ok((response, connection)),
            Err(error) => Err(RequestError::Http(error.into_error())),
        }
    }
}

/// A connection whose answer is being read.
struct Open {
    url: Url,
    connection: Connection,
}

/// The address to which an answer redirects, if it is one of HTTP.
fn redirected(response: &Response<Incoming>, from: &Url) -> Option<Url> {
    if !matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
        return None;
    }
    let location = response.headers().get(LOCATION)?.to_str().ok()?;
    let next = from.join(location).ok()?;
    (matches!(next.scheme(), "http" | "https") && next.host().is_some()).then_some(next)
}

impl fmt::Debug for HttpClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HttpClient")
    }
}

/// Reads the body, so that the connection can be reused and the required text can be
/// found.
async fn receive(mut incoming: Incoming, criteria: &SuccessCriteria<'_>, received: &mut Answer) {
    let body = &mut received.body;
    while let Some(next) = incoming.frame().await {
        let Ok(frame) = next else { return };
        let Some(chunk) = frame.data_ref() else { continue };
        let searched = body.len();
        let room = MAX_BODY - searched;
        body.extend_from_slice(&chunk[..chunk.len().min(room)]);
        if body.len() == MAX_BODY || criteria.completes_text(body, searched) {
            return;
        }
    }
    received.is_complete = true;
}

/// Why there is no TLS configuration that can be kept.
enum CreateError {
    /// It trusts no authority. It works for http only, and another one is created for the
    /// next request, since certificates may be installed meanwhile.
    NoAuthorities { tls: Tls, reason: String },
    /// The authorities could not be read.
    NotRead(String),
}

/// Creates the TLS configuration.
async fn create(receiver: &ReceiverTrust, offers: &Arc<KnownOffers>) -> Result<Tls, CreateError> {
    let (trust, missing) = match receiver.conditions().await {
        Ok(trust) => (trust, None),
        Err(AuthorityError::None(error)) => {
            let none = Trust::signed_by(Arc::new(Authorities::none()));
            (none, Some(error.to_string()))
        }
        Err(AuthorityError::NotRead(reason)) => return Err(CreateError::NotRead(reason)),
    };
    // HTTP/1.1 only: a connection that died unnoticed is abandoned at the first timeout,
    // whereas HTTP/2 would send every later notification on it too.
    let tls = Tls::new(trust, receiver, &[b"http/1.1"], offers);
    match missing {
        None => Ok(tls),
        Some(reason) => Err(CreateError::NoAuthorities { tls, reason }),
    }
}
