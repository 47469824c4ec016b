//! Why a daemon that runs other sites does not run this one.

use std::collections::BTreeSet;

use crate::{
    api::{self, ApiError},
    registry::{SitePath, Survey},
};

/// Asks each running daemon whether it was started with this site file and does not run it.
pub(super) fn reason(file: &SitePath, survey: &Survey) -> Option<ApiError> {
    // Each site of a daemon has a socket, and one may not answer. Daemons in containers may share
    // a process id, but not the moment of their start as well.
    let mut asked = BTreeSet::new();
    for found in survey.entries.iter().filter(|found| found.live) {
        let daemon = (found.entry.pid, found.entry.started);
        if asked.contains(&daemon) {
            continue;
        }
        // One of another version does not know.
        let Ok(sites) = api::sites_of(&found.entry.socket) else {
            continue;
        };
        asked.insert(daemon);
        let site = sites.into_iter().find(|site| site.file.is_same(file));
        if let Some(reason) = site.and_then(|site| site.reason) {
            let pid = found.entry.pid;
            return Some(ApiError::NotRun { pid, reason });
        }
    }
    None
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::{
        io::{BufRead as _, BufReader, Write as _},
        os::unix::net::UnixListener,
        path::{Path, PathBuf},
        sync::{
            Arc,
            atomic::{AtomicUsize, Ordering},
        },
        thread,
    };

    use serde_json::json;

    use super::*;
    use crate::registry::{Entry, Found};

    /// The socket of a daemon that lists these sites, each with the reason why it does not run;
    /// without any it does not answer. Counts the requests.
    fn socket(path: PathBuf, stopped: Option<&[(&str, &str)]>) -> (PathBuf, Arc<AtomicUsize>) {
        let listener = UnixListener::bind(&path).unwrap();
        let requests = Arc::new(AtomicUsize::new(0));
        let body = stopped.map(|stopped| {
            let sites = stopped.iter().map(|(file, reason)| {
                json!({"site": file, "site_file": file, "given": file, "running": false, "reason": reason})
            });
            json!({"pid": 1, "sites": sites.collect::<Vec<_>>()}).to_string()
        });
        let shared = Arc::clone(&requests);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                shared.fetch_add(1, Ordering::SeqCst);
                let Some(body) = &body else { continue };
                let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
                while lines.next().is_some_and(|line| !line.unwrap().is_empty()) {}
                let length = body.len();
                let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n");
                let _ = stream.write_all(format!("{head}{body}").as_bytes());
            }
        });
        (path, requests)
    }

    fn found(socket: PathBuf, pid: u32, started: i64) -> Found {
        let file = SitePath::of(Path::new("/etc/apmon/other.yaml"));
        Found {
            entry: Entry {
                file,
                site: "Other".into(),
                state_file: socket.with_extension("db"),
                socket,
                pid,
                started: jiff::Timestamp::from_second(started).unwrap(),
            },
            live: true,
        }
    }

    fn asked(entries: Vec<Found>) -> Option<String> {
        let survey = Survey {
            entries,
            ..Survey::default()
        };
        let file = SitePath::of(Path::new("/etc/apmon/home.yaml"));
        reason(&file, &survey).map(|error| error.to_string())
    }

    #[test]
    fn each_daemon_is_asked_once_and_one_with_the_same_process_id_is_another() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        let home: &[(&str, &str)] = &[("/etc/apmon/home.yaml", "line 3: no")];
        let why = "the daemon (process 1) does not run this site: line 3: no";
        let (other, other_requests) = socket(at("other"), Some(&[]));
        let (silent, silent_requests) = socket(at("silent"), None);
        let (knows, requests) = socket(at("knows"), Some(home));

        // In containers, both are process 1.
        let entries = vec![found(other.clone(), 1, 100), found(knows.clone(), 1, 200)];
        assert_eq!(asked(entries).as_deref(), Some(why));
        // One socket of a daemon does not answer, another one does.
        let entries = vec![found(silent, 1, 100), found(knows.clone(), 1, 100)];
        assert_eq!(asked(entries).as_deref(), Some(why));
        assert_eq!(silent_requests.load(Ordering::SeqCst), 1);
        // A daemon that has answered is not asked again: it would say the same.
        let before = requests.load(Ordering::SeqCst);
        let entries = vec![found(other, 1, 100), found(knows.clone(), 1, 100)];
        assert_eq!(asked(entries), None);
        assert_eq!(requests.load(Ordering::SeqCst), before);
        assert_eq!(other_requests.load(Ordering::SeqCst), 2);
        // Nor is one that has ended.
        let mut ended = found(knows, 1, 300);
        ended.live = false;
        assert_eq!(asked(vec![ended]), None);
        assert_eq!(requests.load(Ordering::SeqCst), before);
    }
}
