//! Requests over real sockets, in real time.
#![cfg(unix)]

use std::{
    io::{Read as _, Write as _},
    os::unix::{
        fs::{FileTypeExt as _, PermissionsExt as _},
        net::{UnixListener, UnixStream},
    },
    path::Path,
    sync::Arc,
    time::Duration,
};

use apmon_core::{
    DeliveryError, Engine, PassReport, Plan, SiteStatus, Stopwatch,
    testing::{Answer, Recorder, Target, every, watch},
};
use apmon_store::JsonStore;
use jiff::tz::TimeZone;
use tempfile::TempDir;

use super::*;
use crate::site::RunMode;

/// An engine on a thread of its own, with one monitor that is down.
struct Lab {
    directory: TempDir,
    engine: Handle,
    thread: Option<std::thread::JoinHandle<PassReport>>,
}

impl Lab {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = JsonStore::open(directory.path().join("s.json"), TimeZone::UTC, None).unwrap();
        let web = Target::down("connection refused").monitor(watch("web", every(60)));
        let refuses = Answer::Fails(DeliveryError::permanent("HTTP 404"));
        let plan = Plan::new("Home")
            .watch(web)
            .notify("hook", Recorder::answering(refuses));
        let engine = Engine::new(plan, Arc::new(store));
        let handle = engine.handle();
        let run = move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(engine.run()).unwrap()
        };
        Self {
            directory,
            engine: handle,
            thread: Some(std::thread::spawn(run)),
        }
    }

    fn socket(&self) -> PathBuf {
        self.directory.path().join("s.sock")
    }

    fn listen(&self, host: &Host) -> Listening {
        block_on(host.listen(&self.socket(), self.site())).unwrap()
    }

    fn site(&self) -> ServedSite {
        ServedSite {
            engine: self.engine.clone(),
            history: History::new(RunMode::Daemon),
            file: site_path(),
            sites: ProcessSites::default(),
        }
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        block_on(self.engine.shutdown());
        let _ = self.thread.take().unwrap().join();
    }
}

fn site_path() -> SitePath {
    SitePath::of(Path::new("/etc/apmon/home.yaml"))
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(future)
}

/// Sends `bytes` and returns the answer; empty if the server closes the connection.
fn send(socket: &Path, bytes: &[u8]) -> String {
    let mut stream = UnixStream::connect(socket).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    // The server may close the connection before it has read everything.
    let _ = stream.write_all(bytes);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

fn request(socket: &Path, method: &str, path: &str, body: &str) -> (u16, Value) {
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    let answer = send(socket, format!("{head}{body}").as_bytes());
    let (head, body) = answer
        .split_once("\r\n\r\n")
        .unwrap_or_else(|| panic!("{answer:?}"));
    assert!(head.contains("content-type: application/json"), "{head}");
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, serde_json::from_str(body).unwrap())
}

/// Waits until the monitor has been checked and its notification refused.
fn until_refused(socket: &Path) -> SiteStatus {
    let watch = Stopwatch::start();
    loop {
        let status: SiteStatus = serde_json::from_slice(&get(socket, STATUS).unwrap()).unwrap();
        if status.outbox.refused == 1 {
            return status;
        }
        assert!(watch.elapsed() < Duration::from_secs(30), "{status:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn requests_are_answered_and_errors_explained() {
    let (lab, host) = (Lab::new(), Host::start().unwrap());
    let _listening = lab.listen(&host);
    let socket = lab.socket();
    let status = until_refused(&socket);
    assert_eq!(
        (status.site.as_str(), status.monitors[0].name.as_str()),
        ("Home", "web")
    );
    for (query, refused) in [
        ("monitor=web", 1),
        ("x=y&monitor=%77eb", 1),
        ("monitor=we", 0),
        ("monitor", 1),
    ] {
        let (code, status) = request(&socket, "GET", &format!("{STATUS}?{query}"), "");
        assert_eq!(
            (code, &status["outbox"]["refused"]),
            (200, &json!(refused)),
            "{query}"
        );
        assert_eq!(status["monitors"][0]["name"], "web", "{query}");
    }
    assert_eq!(
        status_for("a&b=c ä"),
        format!("{STATUS}?monitor=a%26b%3Dc%20%C3%A4")
    );
    for body in ["", "{}", "{\"channel\": null}", "{\"channel\": \"hook\"}"] {
        assert_eq!(
            request(&socket, "POST", RETRY, body),
            (200, json!({"messages": 1})),
            "{body}"
        );
        until_refused(&socket);
    }
    let large = format!("{{\"channel\": \"{}\"}}", "x".repeat(MAX_BODY));
    let table = [
        (
            "POST",
            RETRY,
            "{\"channel\": \"x\"}",
            404,
            "no such channel: x; known channels: hook",
        ),
        (
            "POST",
            RETRY,
            "{\"channel\": 5}",
            400,
            "the body must be {\"channel\": \"...\"}",
        ),
        (
            "POST",
            RETRY,
            "[]",
            400,
            "the body must be {\"channel\": \"...\"}",
        ),
        (
            "POST",
            RETRY,
            "channel=x",
            400,
            "the body is not JSON (expected value at line 1 column 1); send {\"channel\": \"...\"}",
        ),
        ("POST", RETRY, &large, 400, "the body is longer than 16384 bytes"),
        ("GET", RETRY, "", 405, "method not allowed, use POST"),
        ("POST", STATUS, "", 405, "method not allowed, use GET"),
        ("GET", "/", "", 404, "not found"),
        ("GET", "/api/v1/status/", "", 404, "not found"),
    ];
    for (method, path, body, status, error) in table {
        let answer = request(&socket, method, path, body);
        assert_eq!(answer, (status, json!({"error": error})), "{method} {path}");
    }
    let error = post(&socket, RETRY, "{\"channel\": \"x\"}".into()).unwrap_err();
    assert_eq!(error.to_string(), "no such channel: x; known channels: hook");
}

#[test]
fn a_request_to_an_ended_engine_is_refused() {
    let (lab, host) = (Lab::new(), Host::start().unwrap());
    let _listening = lab.listen(&host);
    block_on(lab.engine.shutdown());
    let watch = Stopwatch::start();
    while get(&lab.socket(), STATUS).is_ok() {
        assert!(watch.elapsed() < Duration::from_secs(30));
    }
    let error = get(&lab.socket(), STATUS).unwrap_err();
    assert!(
        matches!(&error, ApiError::Refused(text) if text == "the engine has ended"),
        "{error:?}"
    );
}

#[test]
fn the_socket_is_open_to_owner_and_group_and_removed_when_dropped() {
    let (lab, host) = (Lab::new(), Host::start().unwrap());
    assert!(matches!(get(&lab.socket(), STATUS), Err(ApiError::NoDaemon)));
    let listening = lab.listen(&host);
    let metadata = lab.socket().symlink_metadata().unwrap();
    assert!(metadata.file_type().is_socket());
    assert_eq!(metadata.permissions().mode() & 0o777, 0o660);
    // A socket in use is not taken over.
    let second = block_on(host.listen(&lab.socket(), lab.site()));
    assert_eq!(second.err().unwrap().to_string(), "another process listens on it");
    assert!(get(&lab.socket(), STATUS).is_ok());
    drop(listening);
    assert!(lab.socket().symlink_metadata().is_err());
    assert!(matches!(get(&lab.socket(), STATUS), Err(ApiError::NoDaemon)));
}

#[test]
fn only_a_socket_left_behind_by_a_killed_process_is_replaced() {
    let (lab, host) = (Lab::new(), Host::start().unwrap());
    drop(UnixListener::bind(lab.socket()).unwrap()); // the file stays
    assert!(matches!(get(&lab.socket(), STATUS), Err(ApiError::NoDaemon)));
    let listening = lab.listen(&host);
    assert!(get(&lab.socket(), STATUS).is_ok());
    drop(listening);

    std::fs::write(lab.socket(), "kept").unwrap();
    let error = block_on(host.listen(&lab.socket(), lab.site())).err().unwrap();
    assert_eq!(error.to_string(), "exists and is not a socket");
    assert_eq!(std::fs::read_to_string(lab.socket()).unwrap(), "kept");
    std::fs::remove_file(lab.socket()).unwrap();
    // A link is not followed, even to a socket.
    let victim = lab.directory.path().join("victim");
    drop(UnixListener::bind(&victim).unwrap());
    std::os::unix::fs::symlink(&victim, lab.socket()).unwrap();
    let error = block_on(host.listen(&lab.socket(), lab.site())).err().unwrap();
    assert_eq!(error.to_string(), "exists and is not a socket");
    assert!(victim.symlink_metadata().is_ok());

    let long = lab.directory.path().join("x".repeat(108));
    let error = block_on(host.listen(&long, lab.site())).err().unwrap();
    assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
    assert!(matches!(get(&long, STATUS), Err(ApiError::NoDaemon)));
}

#[test]
fn hostile_clients_do_no_harm() {
    let (lab, host) = (Lab::new(), Host::start().unwrap());
    let _listening = lab.listen(&host);
    let socket = lab.socket();
    // More connections than are served at once, with no request or part of one.
    let silent: Vec<_> = (0..12)
        .map(|n| {
            let mut stream = UnixStream::connect(&socket).unwrap();
            if n % 3 == 1 {
                stream.write_all(b"GET /api/v1/status HTTP/1.1\r\nX: ").unwrap();
            } else if n % 3 == 2 {
                stream
                    .write_all(b"POST /api/v1/notify/retry HTTP/1.1\r\nContent-Length: 9\r\n\r\n{")
                    .unwrap();
            }
            stream
        })
        .collect();
    // A request meanwhile waits until their deadlines have passed.
    let mut stream = UnixStream::connect(&socket).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    stream
        .write_all(b"GET /api/v1/status HTTP/1.1\r\nHost: x\r\n\r\n")
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer:?}");
    drop(silent);

    let garbage: Vec<u8> = (0..100_000_u32).map(|n| (n * 7 % 251) as u8).collect();
    let endless_head = [b"GET / HTTP/1.1\r\nX: ".as_slice(), &vec![b'a'; 4 << 20]].concat();
    let endless_line = vec![b'G'; 4 << 20];
    let body = b"POST /api/v1/notify/retry HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
    let endless_body = [body.as_slice(), b"400\r\n", &vec![b'a'; 4 << 20]].concat();
    for bytes in [
        garbage,
        endless_head,
        endless_line,
        endless_body,
        vec![0x16, 3, 1],
    ] {
        let answer = send(&socket, &bytes);
        let first = answer.lines().next().unwrap_or_default();
        assert!(first.is_empty() || first.starts_with("HTTP/1.1 4"), "{first:?}");
    }
    assert!(get(&socket, STATUS).is_ok());
}

#[test]
fn the_daemon_says_which_site_file_it_runs() {
    let (lab, host) = (Lab::new(), Host::start().unwrap());
    let _listening = lab.listen(&host);
    assert_eq!(
        site_of(&lab.socket(), |_| true).unwrap(),
        (site_path(), std::process::id())
    );
    let error = site_of(&lab.directory.path().join("none.sock"), |_| true).unwrap_err();
    assert!(matches!(error, ApiError::NoDaemon), "{error}");
}

#[test]
fn what_a_user_who_is_not_believed_says_is_not_read() {
    let (lab, host) = (Lab::new(), Host::start().unwrap());
    let _listening = lab.listen(&host);
    let me = rustix::process::geteuid().as_raw();
    let error = site_of(&lab.socket(), |uid| uid != me).unwrap_err();
    assert!(matches!(error, ApiError::Foreign(uid) if uid == me), "{error}");
    // Nor is it waited for.
    let silent = lab.directory.path().join("silent.sock");
    let _listener = UnixListener::bind(&silent).unwrap();
    let error = site_of(&silent, |_| false).unwrap_err();
    assert!(matches!(error, ApiError::Foreign(_)), "{error}");
    let error = site_of(&silent, |_| true).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the daemon does not answer: no answer within 2 secs"
    );
}

#[test]
fn every_socket_lists_the_sites_that_run_and_says_why_the_others_do_not() {
    let (lab, host) = (Lab::new(), Host::start().unwrap());
    let site = lab.site();
    let sites = site.sites.clone();
    let [home, office, shed] = [
        "/etc/apmon/home.yaml",
        "/etc/apmon/office.yaml",
        "/etc/apmon/shed.yaml",
    ];
    sites.running(Path::new(home), "Home", lab.engine.clone());
    sites.stopped(Path::new(office), &anyhow::anyhow!("line 3: no\nline 4: no"));
    // Two site files may give the same name.
    sites.running(Path::new(shed), "Home", lab.engine.clone());
    let _listening = block_on(host.listen(&lab.socket(), site)).unwrap();
    let listed = |path: &str, name: &str, reason: Option<&str>| {
        json!({
            "site": name, "site_file": path, "given": path, "running": reason.is_none(), "reason": reason,
        })
    };
    let expected = [
        listed(home, "Home", None),
        listed(office, office, Some("line 3: no; line 4: no")),
        listed(shed, "Home (/etc/apmon/shed.yaml)", None),
    ];
    assert_eq!(
        request(&lab.socket(), "GET", SITES, ""),
        (200, json!({"pid": std::process::id(), "sites": expected}))
    );
    // Mended, renamed, and stopped again.
    sites.running(Path::new(office), "Office", lab.engine.clone());
    sites.running(Path::new(office), "New office", lab.engine.clone());
    sites.stopped(Path::new(office), &anyhow::anyhow!("the disk is gone"));
    let of_office = sites_of(&lab.socket()).unwrap().remove(1);
    assert_eq!(of_office.reason.as_deref(), Some("the disk is gone"));
    let (_, all) = request(&lab.socket(), "GET", SITES, "");
    assert_eq!(all["sites"][1]["site"], "New office");
    assert_eq!(all["sites"].as_array().unwrap().len(), 3);
}

/// The clock stands still while the look-up hangs, and then goes on to the end of the limit.
#[tokio::test(start_paused = true)]
async fn a_user_whose_name_is_not_known_within_a_second_is_recorded_by_number() {
    let (hanging, hangs) = std::sync::mpsc::channel::<()>();
    let lookup = move || {
        let _ = hangs.recv();
        actor::of(Some(0), SOCKET)
    };
    let begun = tokio::time::Instant::now();
    let actor = named_in_time(Some(0), lookup).await;
    assert_eq!((actor.name.as_str(), actor.means.as_str()), ("uid 0", "socket"));
    assert_eq!(begun.elapsed(), Duration::from_secs(1));
    drop(hanging);
}
