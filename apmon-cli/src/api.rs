//! The HTTP API of a running daemon, on a UNIX socket beside the state file of each
//! site. It is independent of the command line and needs only an engine's public
//! handle.

mod client;
mod host;
mod sites;

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use apmon_core::{Action, Actor, EngineError, Handle};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::{
    Method, Request, Response, StatusCode,
    body::Body,
    header::{ALLOW, CONTENT_TYPE, HeaderValue},
};
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use serde_json::{Value, json};

use crate::{
    actor,
    console::ascii_controls,
    registry::{SitePath, path_as_json, path_of},
    rrd::History,
    thread,
};

pub(crate) use self::{
    client::{ApiError, get, post},
    host::{Host, Listening},
    sites::{ListedSite, ProcessSites},
};

/// Returns the status of the site, a `SiteStatus`; with `?monitor=NAME`, its outbox has only the
/// notifications about this monitor.
pub(crate) const STATUS: &str = "/api/v1/status";
const MONITOR: &str = "monitor";
/// Retries notifications of the channel in the body, `{"channel": "..."}`; of all
/// channels without a body.
pub(crate) const RETRY: &str = "/api/v1/notify/retry";

/// Writes the history that waits to be written: `{"written": true}`, or false if that takes too
/// long.
pub(crate) const FLUSH: &str = "/api/v1/history/flush";

/// Returns which site file the daemon runs, `{"site_file": "...", "given": "...", "pid": 1}`.
const SITE: &str = "/api/v1/site";
/// Returns the sites of the daemon, those that run and those that do not:
/// `{"pid": 1, "sites": [{"site_file": "...", "running": false, "reason": "...", ...}]}`.
const SITES: &str = "/api/v1/sites";

/// The body of a request to retry.
const EXAMPLE: &str = "{\"channel\": \"...\"}";
/// The largest body of a request.
const MAX_BODY: usize = 16 * 1024;
/// How long to wait for the engine. It answers within a few milliseconds unless
/// something is wrong with it.
const ENGINE_TIMEOUT: Duration = Duration::from_secs(5);

/// How long to wait for the history to be written, shorter than for the engine.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(4);

/// How long to wait for the name of a user.
const NAME_TIMEOUT: Duration = Duration::from_secs(1);
/// How long to wait for a daemon to say which site file it runs, which it does at once.
const SITE_TIMEOUT: Duration = Duration::from_secs(2);
/// How requests on the socket are recorded.
const SOCKET: &str = "socket";

/// The socket of the site whose state is in `state_file`.
pub(crate) fn socket_of(state_file: &Path) -> PathBuf {
    state_file.with_extension("sock")
}

/// The site file that the daemon at `socket` runs, and its process. Only a daemon of a user who
/// `is_believed` is asked.
pub(crate) fn site_of(socket: &Path, is_believed: impl Fn(u32) -> bool) -> Result<(SitePath, u32), ApiError> {
    let answer = client::get_from(socket, SITE, SITE_TIMEOUT, is_believed)?;
    let site = serde_json::from_slice(&answer).ok().and_then(|object: Value| {
        let file = SitePath {
            given: path_of(&object["given"])?,
            real: path_of(&object["site_file"])?,
        };
        Some((file, object["pid"].as_u64()?.try_into().ok()?))
    });
    site.ok_or_else(|| ApiError::Failed("it does not say which site it runs".to_owned()))
}

/// The sites of the daemon at `socket`.
pub(crate) fn sites_of(socket: &Path) -> Result<Vec<ListedSite>, ApiError> {
    let answer = client::get_from(socket, SITES, SITE_TIMEOUT, client::believed_at(socket))?;
    let sites = serde_json::from_slice(&answer).ok().and_then(|object: Value| {
        let sites = object["sites"].as_array()?.iter();
        sites.map(ListedSite::of).collect()
    });
    sites.ok_or_else(|| ApiError::Failed("it does not say which sites it runs".to_owned()))
}

/// A site as its socket serves it.
pub(crate) struct ServedSite {
    pub(crate) engine: Handle,
    pub(crate) history: History,
    pub(crate) file: SitePath,
    /// All sites of the process.
    pub(crate) sites: ProcessSites,
}

type Answer = Response<Full<Bytes>>;

/// Handles one request of the user with this id.
async fn answer<B: Body<Data: Send, Error: std::error::Error + Send + Sync + 'static>>(
    site: &ServedSite,
    uid: Option<u32>,
    request: Request<B>,
) -> Answer {
    let result = tokio::time::timeout(ENGINE_TIMEOUT, route(site, uid, request));
    let result = result.await.unwrap_or_else(|_| {
        let text = "the engine does not answer".to_owned();
        Err((StatusCode::SERVICE_UNAVAILABLE, text))
    });
    match result {
        Ok(body) => reply(StatusCode::OK, body),
        Err((StatusCode::METHOD_NOT_ALLOWED, method)) => {
            let text = json!({"error": format!("method not allowed, use {method}")}).to_string();
            let mut answer = reply(StatusCode::METHOD_NOT_ALLOWED, text);
            if let Ok(method) = HeaderValue::from_str(&method) {
                answer.headers_mut().insert(ALLOW, method);
            }
            answer
        }
        Err((status, text)) => reply(status, json!({"error": text}).to_string()),
    }
}

async fn route<B: Body<Data: Send, Error: std::error::Error + Send + Sync + 'static>>(
    ServedSite {
        engine,
        history,
        file,
        sites,
    }: &ServedSite,
    uid: Option<u32>,
    request: Request<B>,
) -> Result<String, (StatusCode, String)> {
    let only = |method: &Method| match request.method() == method {
        true => Ok(()),
        false => Err((StatusCode::METHOD_NOT_ALLOWED, method.to_string())),
    };
    match request.uri().path() {
        STATUS => {
            only(&Method::GET)?;
            let status = match monitor(request.uri().query()) {
                Some(monitor) => engine.status_for(&monitor).await,
                None => engine.status().await,
            };
            let status = status.map_err(refused)?;
            serde_json::to_string(&status)
                .map(|json| ascii_controls(&json))
                .map_err(|error| (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))
        }
        RETRY => {
            only(&Method::POST)?;
            let channel = channel(request).await?;
            let action = Action::Retry { channel };
            let notifications = engine.act(action, actor(uid).await).await.map_err(refused)?;
            Ok(json!({"messages": notifications}).to_string())
        }
        FLUSH => {
            only(&Method::POST)?;
            let is_written = history.flush(FLUSH_TIMEOUT).await;
            Ok(json!({"written": is_written}).to_string())
        }
        SITE => {
            only(&Method::GET)?;
            let object = json!({
                "site_file": path_as_json(&file.real),
                "given": path_as_json(&file.given),
                "pid": std::process::id(),
            });
            Ok(object.to_string())
        }
        SITES => {
            only(&Method::GET)?;
            Ok(sites.as_json().to_string())
        }
        _ => Err((StatusCode::NOT_FOUND, "not found".into())),
    }
}

/// The path of [`STATUS`] for one monitor.
pub(crate) fn status_for(monitor: &str) -> String {
    format!(
        "{STATUS}?{MONITOR}={}",
        utf8_percent_encode(monitor, NON_ALPHANUMERIC)
    )
}

/// The monitor that a query names.
fn monitor(query: Option<&str>) -> Option<String> {
    let mut fields = query?.split('&');
    let value = fields.find_map(|field| field.strip_prefix(MONITOR)?.strip_prefix('='))?;
    Some(percent_decode_str(value).decode_utf8_lossy().into_owned())
}

/// The user with this id.
async fn actor(uid: Option<u32>) -> Actor {
    named_in_time(uid, move || actor::of(uid, SOCKET)).await
}

/// What `lookup` returns. The name of a user may come from a server that does not answer: then
/// the number must do.
async fn named_in_time(uid: Option<u32>, lookup: impl FnOnce() -> Actor + Send + 'static) -> Actor {
    let named = thread::run("user", move || Ok(lookup()));
    match tokio::time::timeout(NAME_TIMEOUT, named).await {
        Ok(Ok(actor)) => actor,
        _ => actor::numbered(uid, SOCKET),
    }
}

async fn channel<B: Body<Error: std::error::Error + Send + Sync + 'static>>(
    request: Request<B>,
) -> Result<Option<String>, (StatusCode, String)> {
    let wrong = |text: String| (StatusCode::BAD_REQUEST, text);
    let body = Limited::new(request.into_body(), MAX_BODY);
    let body = Box::pin(body).collect().await.map_err(|error| {
        wrong(match error.is::<LengthLimitError>() {
            true => format!("the body is longer than {MAX_BODY} bytes"),
            false => format!("the body cannot be read: {error}"),
        })
    })?;
    let body = body.to_bytes();
    if body.is_empty() {
        return Ok(None);
    }
    let value: Value = serde_json::from_slice(&body)
        .map_err(|error| wrong(format!("the body is not JSON ({error}); send {EXAMPLE}")))?;
    match (value.as_object(), value.get("channel")) {
        (Some(_), None | Some(Value::Null)) => Ok(None),
        (_, Some(Value::String(channel))) => Ok(Some(channel.clone())),
        _ => Err(wrong(format!("the body must be {EXAMPLE}"))),
    }
}

fn refused(error: EngineError) -> (StatusCode, String) {
    let status = match error {
        EngineError::UnknownChannel { .. } => StatusCode::NOT_FOUND,
        EngineError::NotifyOff => StatusCode::CONFLICT,
        _ => StatusCode::SERVICE_UNAVAILABLE,
    };
    (status, error.to_string())
}

fn reply(status: StatusCode, json: String) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::from(json)));
    *answer.status_mut() = status;
    let json = HeaderValue::from_static("application/json");
    answer.headers_mut().insert(CONTENT_TYPE, json);
    answer
}

#[cfg(test)]
mod tests;
