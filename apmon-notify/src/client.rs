//! The HTTP client all channels share, made at first use.

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
use tokio::sync::{OnceCell, oneshot};
use url::Url;

use crate::{
    answer::{self, MAX_REDIRECTS, SuccessCriteria},
    http_url::origin,
    resolve::HttpResolver,
};

/// More of an answer's body is not read.
const READ_BYTES: usize = 64 * 1024;

/// Nor is it waited for, where the status line has said everything.
const DRAINED_FOR: Duration = Duration::from_secs(1);

/// A connection idle for longer may be dead without either end knowing, and
/// the next message would wait for its deadline on it.
const IDLE: Duration = Duration::from_secs(5);

/// The HTTP client of this process: certificates are verified against the
/// system's roots, proxies are not used, a POST follows no redirect and a GET
/// at most ten, none of them from https to http, nor from where it was sent to
/// if it carries headers of the site file.
///
/// Making it reads the system's certificates (some 13 ms), so that is done at
/// first use and on a thread of its own. A clone is the same client.
#[derive(Clone)]
pub struct HttpClient(Arc<Clients>);

struct Clients {
    names: Arc<dyn Names>,
    posting: OnceCell<Client>,
    following: OnceCell<Client>,
    staying: OnceCell<Client>,
}

/// The one client of a process.
#[derive(Default)]
struct Shared(OnceLock<HttpClient>);

/// The redirects that are followed.
#[derive(Clone, Copy)]
enum Follow {
    None,
    /// Those that lead to where the request was sent.
    Origin,
    All,
}

/// One request.
pub(crate) struct Request {
    pub(crate) method: Method,
    pub(crate) url: Url,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Option<String>,
    /// Some headers are for this receiver alone.
    pub(crate) stays: bool,
}

impl Request {
    pub(crate) fn get(url: Url) -> Self {
        Self {
            method: Method::GET,
            url,
            headers: HeaderMap::new(),
            body: None,
            stays: false,
        }
    }

    /// Whoever answers a POST elsewhere may have lost its body on the way.
    fn follow(&self) -> Follow {
        match (self.method == Method::GET, self.stays) {
            (false, _) => Follow::None,
            (true, true) => Follow::Origin,
            (true, false) => Follow::All,
        }
    }
}

/// What came back, for whoever wants to see it.
#[derive(Default)]
pub(crate) struct Seen {
    pub(crate) status: Option<StatusCode>,
    pub(crate) retry_after: Option<String>,
    pub(crate) body: Vec<u8>,
    /// There is no more of the body than this.
    pub(crate) whole: bool,
}

impl HttpClient {
    /// A client that looks names up with `names`
    /// ([`Services::names`](apmon_core::Services::names)).
    #[must_use]
    pub fn new(names: Arc<dyn Names>) -> Self {
        Self(Arc::new(Clients {
            names,
            posting: OnceCell::new(),
            following: OnceCell::new(),
            staying: OnceCell::new(),
        }))
    }

    /// The client that the channels and heartbeats of a process share.
    #[must_use]
    pub fn of(services: &Services) -> Self {
        let shared = services.shared::<Shared>();
        let client = shared.0.get_or_init(|| Self::new(services.names()));
        client.clone()
    }

    /// Makes one attempt, within `timeout` in all. What came back is left in
    /// `seen`, also where time was up.
    pub(crate) async fn attempt(
        &self,
        request: Request,
        wanted: &SuccessCriteria<'_>,
        timeout: Duration,
        seen: &mut Seen,
    ) -> Result<(), DeliveryError> {
        let origin = origin(&request.url);
        match tokio::time::timeout(timeout, self.exchange(request, &origin, wanted, seen)).await {
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
        wanted: &SuccessCriteria<'_>,
        seen: &mut Seen,
    ) -> Result<(), DeliveryError> {
        let follow = request.follow();
        let cell = match follow {
            Follow::None => &self.0.posting,
            Follow::Origin => &self.0.staying,
            Follow::All => &self.0.following,
        };
        let mut without_roots = None;
        let client = match cell.get_or_try_init(|| make(follow, &self.0.names)).await {
            Ok(client) => client.clone(),
            Err(Unmade::Roots { client, reason }) => {
                without_roots = Some(reason);
                client
            }
            Err(Unmade::Client(reason)) => {
                return Err(DeliveryError::retryable(format!(
                    "{origin}: no HTTP client: {reason}"
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
        seen.status = Some(status);
        let asked = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok());
        seen.retry_after = asked.map(str::to_owned);
        if wanted.needs_body(status) {
            receive(response, wanted, seen).await;
        } else {
            // Whatever comes of the body, the status stands.
            let rest = receive(response, wanted, seen);
            let _ = tokio::time::timeout(DRAINED_FOR, rest).await;
        }
        wanted.judge(origin, &method, status, &headers, &seen.body)
    }
}

impl fmt::Debug for HttpClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HttpClient")
    }
}

/// Reads the body: the connection can then be used again, and what must stand
/// in it may be there.
async fn receive(mut response: Response, wanted: &SuccessCriteria<'_>, seen: &mut Seen) {
    let body = &mut seen.body;
    while let Ok(next) = response.chunk().await {
        let Some(chunk) = next else {
            seen.whole = true;
            return;
        };
        let room = READ_BYTES - body.len();
        body.extend_from_slice(&chunk[..chunk.len().min(room)]);
        if body.len() == READ_BYTES || wanted.contains_text(body) {
            return;
        }
    }
}

/// Why there is no client to keep.
enum Unmade {
    /// There is one, but it trusts nobody: good for http, and tried anew for
    /// the next request, for somebody may install certificates.
    Roots { client: Client, reason: String },
    /// There is none.
    Client(String),
}

/// Makes a client on a thread of its own: it reads files.
async fn make(follow: Follow, names: &Arc<dyn Names>) -> Result<Client, Unmade> {
    let names = Arc::clone(names);
    let (reply, made) = oneshot::channel();
    std::thread::Builder::new()
        .name("apmon-http".into())
        .spawn(move || {
            let _ = reply.send(build(follow, names)); // nobody waits any more
        })
        .map_err(|error| Unmade::Client(error.to_string()))?;
    made.await
        .unwrap_or_else(|_| Err(Unmade::Client("the thread that makes it has gone".into())))
}

fn build(follow: Follow, names: Arc<dyn Names>) -> Result<Client, Unmade> {
    let (authorities, missing) = match Authorities::read_system() {
        Ok(authorities) => (authorities, None),
        Err(error) => (Authorities::none(), Some(error.to_string())),
    };
    // HTTP/1.1 alone: a connection that died unnoticed is then left at the
    // first deadline, where HTTP/2 would put every later message on it too.
    let verifier = Verifier::new(Trust::signed_by(Arc::new(authorities)));
    let config = client_config(verifier, &[b"http/1.1"]);
    let client = Client::builder()
        .tls_backend_preconfigured(config)
        .dns_resolver(HttpResolver(names))
        .no_proxy()
        .referer(false) // it would carry the URL's token to the next host
        .redirect(match follow {
            Follow::None => redirect::Policy::none(),
            Follow::Origin => following(true),
            Follow::All => following(false),
        })
        .pool_idle_timeout(IDLE)
        .tcp_nodelay(true)
        .user_agent(concat!("apmon/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(|error| Unmade::Client(answer::cause(&error)))?;
    match missing {
        None => Ok(client),
        Some(reason) => Err(Unmade::Roots { client, reason }),
    }
}

fn following(stays: bool) -> redirect::Policy {
    redirect::Policy::custom(move |attempt| {
        let from = attempt.previous().last().map(Url::scheme);
        if attempt.previous().len() > MAX_REDIRECTS {
            attempt.error(answer::Redirect::TooMany)
        } else if from == Some("https") && attempt.url().scheme() != "https" {
            attempt.error(answer::Redirect::Downgrade)
        } else if stays && attempt.previous().first().map(Url::origin) != Some(attempt.url().origin()) {
            attempt.error(answer::Redirect::Elsewhere)
        } else {
            attempt.follow()
        }
    })
}
