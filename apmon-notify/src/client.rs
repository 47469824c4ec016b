//! The HTTP client that webhooks and heartbeats share, created on first use.

use std::{
    fmt,
    sync::{Arc, OnceLock},
    time::Duration,
};

use apmon_core::{DeliveryError, Names, Services};
use apmon_tls::{Authorities, Trust, Verifier, client_config};
use reqwest::{
    Client, Method, Response, StatusCode,
    header::{HeaderMap, RETRY_AFTER},
    redirect,
};
use tokio::sync::OnceCell;
use url::Url;

use crate::{
    answer::{self, MAX_REDIRECTS, SuccessCriteria},
    authority::{AuthorityError, authorities},
    http_url::origin,
    resolve::HttpResolver,
};

/// How much of an answer's body is read.
const MAX_BODY: usize = 64 * 1024;

/// How long the body is waited for if the status alone decides.
const MAX_DRAIN: Duration = Duration::from_secs(1);

/// How long an idle connection is kept. After that it may be dead without either end
/// knowing, and the next notification would wait on it until its timeout.
const MAX_IDLE: Duration = Duration::from_secs(5);

/// The HTTP client of this process.
///
/// Certificates are verified against the system's authorities, and proxies are not
/// used. A POST follows no redirects; a GET follows at most ten, but none from https to
/// http, and none to another host or port if it carries headers of the site file.
///
/// Creating it reads the system's certificates (about 13 ms), which is done on first
/// use and on a thread of its own. A clone is the same client.
#[derive(Clone)]
pub struct HttpClient(Arc<Clients>);

struct Clients {
    names: Arc<dyn Names>,
    without_redirects: OnceCell<Client>,
    with_redirects: OnceCell<Client>,
    within_origin: OnceCell<Client>,
}

/// The client of a process, as a shared service.
#[derive(Default)]
struct Shared(OnceLock<HttpClient>);

/// The redirects that are followed.
#[derive(Clone, Copy)]
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
}

impl Request {
    pub(crate) fn get(url: Url) -> Self {
        Self {
            method: Method::GET,
            url,
            headers: HeaderMap::new(),
            body: None,
            within_origin: false,
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
}

/// The parts of an answer that may be shown.
#[derive(Default)]
pub(crate) struct Answer {
    pub(crate) status: Option<StatusCode>,
    pub(crate) retry_after: Option<String>,
    pub(crate) body: Vec<u8>,
    /// Whether the body was read to its end.
    pub(crate) is_complete: bool,
}

impl HttpClient {
    /// Creates a client that resolves names with `names`
    /// ([`Services::names`](apmon_core::Services::names)).
    #[must_use]
    pub fn new(names: Arc<dyn Names>) -> Self {
        Self(Arc::new(Clients {
            names,
            without_redirects: OnceCell::new(),
            with_redirects: OnceCell::new(),
            within_origin: OnceCell::new(),
        }))
    }

    /// The client that the channels and heartbeats of a process share.
    #[must_use]
    pub fn of(services: &Services) -> Self {
        let shared = services.shared::<Shared>();
        let client = shared.0.get_or_init(|| Self::new(services.names()));
        client.clone()
    }

    /// Makes one attempt, which takes at most `timeout` in all. The answer is stored in
    /// `received`, as far as it was received by then.
    pub(crate) async fn attempt(
        &self,
        request: Request,
        criteria: &SuccessCriteria<'_>,
        timeout: Duration,
        received: &mut Answer,
    ) -> Result<(), DeliveryError> {
        let origin = origin(&request.url);
        match tokio::time::timeout(timeout, self.exchange(request, &origin, criteria, received)).await {
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
        received: &mut Answer,
    ) -> Result<(), DeliveryError> {
        let follow = request.follow();
        let cell = match follow {
            Follow::None => &self.0.without_redirects,
            Follow::Origin => &self.0.within_origin,
            Follow::All => &self.0.with_redirects,
        };
        let mut without_roots = None;
        let client = match cell.get_or_try_init(|| create(follow, &self.0.names)).await {
            Ok(client) => client.clone(),
            Err(CreateError::NoAuthorities { client, reason }) => {
                without_roots = Some(reason);
                client
            }
            Err(CreateError::NoClient(reason)) => {
                return Err(DeliveryError::retryable(format!(
                    "{origin}: cannot create an HTTP client: {reason}"
                )));
            }
        };
        let method = request.method.clone();
        let mut builder = client
            .request(request.method, request.url)
            .headers(request.headers);
        if let Some(body) = request.body {
            builder = builder.body(body);
        }
        let response = builder
            .send()
            .await
            .map_err(|error| answer::failed(origin, error, without_roots.as_deref()))?;
        let (status, headers) = (response.status(), response.headers().clone());
        received.status = Some(status);
        let asked = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok());
        received.retry_after = asked.map(str::to_owned);
        if criteria.needs_body(status) {
            receive(response, criteria, received).await;
        } else {
            // The status decides, whether the body arrives or not.
            let rest = receive(response, criteria, received);
            let _ = tokio::time::timeout(MAX_DRAIN, rest).await;
        }
        criteria.judge(origin, &method, status, &headers, &received.body)
    }
}

impl fmt::Debug for HttpClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HttpClient")
    }
}

/// Reads the body, so that the connection can be reused and the required text can be
/// found.
async fn receive(mut response: Response, criteria: &SuccessCriteria<'_>, received: &mut Answer) {
    let body = &mut received.body;
    while let Ok(next) = response.chunk().await {
        let Some(chunk) = next else {
            received.is_complete = true;
            return;
        };
        let room = MAX_BODY - body.len();
        body.extend_from_slice(&chunk[..chunk.len().min(room)]);
        if body.len() == MAX_BODY || criteria.contains_text(body) {
            return;
        }
    }
}

/// Why there is no client that can be kept.
enum CreateError {
    /// The client trusts no authority. It works for http only, and another one is
    /// created for the next request, since certificates may be installed meanwhile.
    NoAuthorities { client: Client, reason: String },
    /// No client could be created.
    NoClient(String),
}

/// Creates a client.
async fn create(follow: Follow, names: &Arc<dyn Names>) -> Result<Client, CreateError> {
    let (authorities, missing) = match authorities().await {
        Ok(authorities) => (authorities, None),
        Err(AuthorityError::None(error)) => (Authorities::none(), Some(error.to_string())),
        Err(AuthorityError::NotRead(reason)) => return Err(CreateError::NoClient(reason)),
    };
    // HTTP/1.1 only: a connection that died unnoticed is abandoned at the first timeout,
    // whereas HTTP/2 would send every later notification on it too.
    let verifier = Verifier::new(Trust::signed_by(Arc::new(authorities)));
    let config = client_config(verifier, &[b"http/1.1"]);
    let client = Client::builder()
        .tls_backend_preconfigured(config)
        .dns_resolver(HttpResolver(Arc::clone(names)))
        .no_proxy()
        .referer(false) // it would carry the URL's token to the next host
        .redirect(match follow {
            Follow::None => redirect::Policy::none(),
            Follow::Origin => redirects(true),
            Follow::All => redirects(false),
        })
        .pool_idle_timeout(MAX_IDLE)
        .tcp_nodelay(true)
        .user_agent(concat!("apmon/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(|error| CreateError::NoClient(answer::cause(&error)))?;
    match missing {
        None => Ok(client),
        Some(reason) => Err(CreateError::NoAuthorities { client, reason }),
    }
}

fn redirects(within_origin: bool) -> redirect::Policy {
    redirect::Policy::custom(move |attempt| {
        let from = attempt.previous().last().map(Url::scheme);
        if attempt.previous().len() > MAX_REDIRECTS {
            attempt.error(answer::Redirect::TooMany)
        } else if from == Some("https") && attempt.url().scheme() != "https" {
            attempt.error(answer::Redirect::Downgrade)
        } else if within_origin && attempt.previous().first().map(Url::origin) != Some(attempt.url().origin())
        {
            attempt.error(answer::Redirect::Elsewhere)
        } else {
            attempt.follow()
        }
    })
}
