//! HTTP as it is found in the field: odd answers, pages in any encoding, cookies.
//! curl is the judge of what a server may send.
#![allow(clippy::unwrap_used)] // clippy.toml allows it in test functions only

mod lab;

use std::{net::SocketAddr, process::Command};

use apmon_core::{FailureClass, Outcome, WarningLevel};
use tokio::{
    io::AsyncWriteExt as _,
    sync::{mpsc, oneshot},
};

use lab::{LONG, STALL, check, explain, http_answers, http_server, odd_http, ok, reason, tcp_server};

fn http(server: SocketAddr, path: &str) -> String {
    format!("type: http\nname: x\naddress: 'http://{server}{path}'")
}

/// A server that answers everything with `bytes`.
async fn server(bytes: Vec<u8>) -> SocketAddr {
    tcp_server(move |mut stream| {
        let bytes = bytes.clone();
        async move {
            lab::read_request(&mut stream).await;
            let _ = stream.write_all(&bytes).await;
            let _ = stream.shutdown().await;
            // What the client sends is read, or the kernel would reset the connection.
            lab::read_request(&mut stream).await;
        }
    })
    .await
}

/// Whether curl gets the page.
async fn curl(server: SocketAddr) -> bool {
    let (sender, output) = oneshot::channel();
    std::thread::spawn(move || {
        let output = Command::new("curl")
            .args(["--silent", "--max-time", &STALL.as_secs().to_string()])
            .arg(format!("http://{server}/"))
            .output()
            .expect("this test needs curl (apt install curl)");
        sender.send(output)
    });
    let output = output.await.unwrap();
    output.status.success() && output.stdout.windows(7).any(|part| part == b"Welcome")
}

/// The answers that curl accepts and apmon does not.
const REFUSED: &[&str] = &[
    // 101 ends HTTP, and the request did not ask for it. curl shows what follows.
    "switching 101",
];

#[tokio::test]
async fn a_server_that_is_up_for_curl_is_up() {
    let mut refused = Vec::new();
    for (name, bytes) in odd_http::all() {
        let server = server(bytes).await;
        if !curl(server).await {
            continue;
        }
        let outcome = check(&(http(server, "/") + "\nexpect: Welcome"), LONG).await;
        if outcome.failure().is_some() {
            refused.push((name, reason(&outcome).to_owned()));
        }
    }
    let names: Vec<_> = refused.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, REFUSED, "{refused:?}");
}

#[tokio::test]
async fn only_what_is_not_http_is_called_so() {
    for (name, bytes) in odd_http::all() {
        let lines = String::from_utf8_lossy(&bytes).to_ascii_uppercase();
        let is_http = lines.trim_start_matches(['\r', '\n']).starts_with("HTTP/") || bytes.is_empty();
        let server = server(bytes).await;
        let outcome = check(&http(server, "/"), LONG).await;
        assert_eq!(
            reason(&outcome).contains("the answer is not HTTP"),
            !is_http && name != "crlf only",
            "{name}: {}",
            reason(&outcome)
        );
    }
    let server = server(b"SSH-2.0-OpenSSH_9.2\r\n".to_vec()).await;
    let outcome = check(&http(server, "/"), LONG).await;
    let wanted = "request: the answer is not HTTP: it begins with \"SSH-2.0-OpenSSH_9.2\"";
    assert_eq!(reason(&outcome), wanted);
}

#[tokio::test]
async fn what_is_odd_is_explained() {
    let server =
        server(b"HTTP/1.1 200 OK\r\nServer : x\r\n y\r\nContent-Length: +7\r\n\r\nWelcome".to_vec()).await;
    let (outcome, steps) = explain(&http(server, "/"), LONG).await;
    assert_eq!(reason(&outcome), "up");
    let wanted =
        "answer: not strictly HTTP: header lines are folded, a blank before a colon, an odd Content-Length\n";
    assert!(steps.contains(wanted), "{steps}");
    assert!(steps.contains("server: x y"), "{steps}");
}

fn notes(outcome: &Outcome) -> Vec<&str> {
    let is_note = |warning: &&apmon_core::Warning| warning.level == WarningLevel::Note;
    let notes = outcome.warnings.iter().filter(is_note);
    notes.map(|warning| warning.text.as_str()).collect()
}

#[tokio::test]
async fn a_body_that_breaks_off_is_a_note_unless_the_expected_text_is_missing() {
    let head = "HTTP/1.1 200 OK\r\n";
    for answer in [
        format!("{head}Content-Length: 100\r\n\r\nWelcome"),
        format!("{head}Transfer-Encoding: chunked\r\n\r\n7\r\nWelcome\r\n"),
        format!("{head}Transfer-Encoding: chunked\r\n\r\n7f\r\nWelcome"),
    ] {
        let server = http_server(answer.clone()).await;
        for options in ["", "\nexpect: Welcome", "\nexpect_status: 200"] {
            let section = http(server, "/") + options;
            for outcome in [check(&section, LONG).await, explain(&section, LONG).await.0] {
                assert_eq!(reason(&outcome), "up", "{answer}");
                let wanted = ["the body breaks off: connection closed by the peer"];
                assert_eq!(notes(&outcome), wanted, "{answer} {options}");
            }
        }
        let outcome = check(&(http(server, "/") + "\nexpect: Goodbye"), LONG).await;
        assert_eq!(
            reason(&outcome),
            "closed after 7 bytes without \"Goodbye\" (status 200)"
        );
        assert_eq!(outcome.failure().unwrap().class, FailureClass::Closed);
    }
    for whole in [
        format!("{head}Content-Length: 7\r\n\r\nWelcome"),
        format!("{head}Transfer-Encoding: chunked\r\n\r\n7\r\nWelcome\r\n0\r\n\r\n"),
        format!("{head}\r\nWelcome"),
    ] {
        let server = http_server(whole).await;
        for options in ["", "\nexpect: Welcome"] {
            let outcome = check(&(http(server, "/") + options), LONG).await;
            assert_eq!((reason(&outcome), notes(&outcome)), ("up", vec![]));
        }
    }
    let broken = format!("{head}Transfer-Encoding: chunked\r\n\r\n7\r\nWelcome\r\nx\r\n");
    let server = http_server(broken).await;
    let outcome = check(&(http(server, "/") + "\nexpect: Welcome"), LONG).await;
    let note = "the body breaks off: the answer is not valid HTTP: the size of a chunk is missing";
    assert_eq!((reason(&outcome), notes(&outcome)), ("up", vec![note]));
}

/// As with curl: an answer without a whole status line is none (its error 52).
#[tokio::test]
async fn a_head_that_breaks_off_is_a_note_and_a_status_line_that_does_is_a_failure() {
    let note = "the head of the answer breaks off: connection closed by the peer";
    for answer in [
        "HTTP/1.1 200 OK\r\n",
        "HTTP/1.1 200 OK\r\nServer: x\r\n",
        "HTTP/1.1 200 OK\r\nServer: x\r\nContent-Length: 5",
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n",
    ] {
        let server = http_server(answer.to_owned()).await;
        let outcome = check(&http(server, "/"), LONG).await;
        assert_eq!(
            (reason(&outcome), notes(&outcome)),
            ("up", vec![note]),
            "{answer}"
        );
        let outcome = check(&(http(server, "/") + "\nexpect: Welcome"), LONG).await;
        assert_eq!(reason(&outcome), "\"Welcome\" not found in 0 bytes (status 200)");
    }
    for answer in ["HTTP/1.1 200 OK", "HTTP/1.1 200", "HTTP/1.1"] {
        let server = http_server(answer.to_owned()).await;
        for options in ["", "\nexpect_status: 200"] {
            let outcome = check(&(http(server, "/") + options), LONG).await;
            let wanted =
                format!("request: the connection was closed in the middle of the status line \"{answer}\"");
            assert_eq!(reason(&outcome), wanted);
            assert_eq!(outcome.failure().unwrap().class, FailureClass::Closed);
        }
    }
}

#[tokio::test]
async fn expect_is_text_whatever_the_page_is_encoded_in() {
    let latin1 = b"Ger\xe4t l\xe4uft";
    let utf16: Vec<u8> = "\u{feff}Gerät läuft"
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    let page = |content_type: &str, body: &[u8]| {
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        [head.as_bytes(), body].concat()
    };
    for answer in [
        page("text/html; charset=iso-8859-1", latin1),
        page("text/html", latin1),
        page("text/html; charset=utf-16", &utf16),
        page("text/html", &utf16),
        page("text/html; charset=windows-1252", "Gerät läuft".as_bytes()),
    ] {
        let server = server(answer).await;
        let section = http(server, "/") + "\nexpect: Gerät läuft";
        let (outcome, steps) = explain(&section, LONG).await;
        assert_eq!(reason(&outcome), "up", "{steps}");
    }
    let server = server(page(
        "text/html; charset=shift_jis",
        b"\x82\xb1\x82\xf1\x82\xc9\x82\xbf\x82\xcd",
    ))
    .await;
    let (outcome, steps) = explain(&(http(server, "/") + "\nexpect: こんにちは"), LONG).await;
    assert_eq!(reason(&outcome), "up");
    assert!(steps.contains("body: 10 bytes: こんにちは"), "{steps}");
}

#[tokio::test]
async fn a_banner_is_text_in_either_encoding_or_bytes() {
    let server = tcp_server(|mut stream| async move {
        let _ = stream.write_all(b"220 Ger\xe4t bereit\r\n").await;
        lab::read_request(&mut stream).await;
    })
    .await;
    let tcp = format!("type: tcp\nname: x\naddress: tcp://{server}");
    for expect in [
        "expect: Gerät bereit",
        "expect: '47 65 72 e4 74'\nexpect_type: hex",
    ] {
        let outcome = check(&format!("{tcp}\n{expect}"), LONG).await;
        assert_eq!(reason(&outcome), "up", "{expect}");
    }
}

#[tokio::test]
async fn cookies_are_kept_within_a_check() {
    let (sender, mut requests) = mpsc::unbounded_channel();
    let server = http_answers(move |request| {
        let cookie = request
            .lines()
            .find_map(|line| line.strip_prefix("Cookie: "))
            .unwrap_or_default();
        let _ = sender.send(cookie.to_owned());
        match (request.split(' ').nth(1), cookie) {
            (Some("/login"), cookie) if cookie.contains("session=1") => ok("Welcome"),
            (Some("/always"), _) => {
                "HTTP/1.1 302 X\r\nSet-Cookie: a=b\r\nLocation: /always\r\n\r\n".to_owned()
            }
            _ => {
                "HTTP/1.1 302 X\r\nSet-Cookie: session=1; Path=/\r\nSet-Cookie: other=2; Path=/elsewhere\r\n\
                  Location: /login\r\nContent-Length: 0\r\n\r\n"
                    .to_owned()
            }
        }
    })
    .await;
    let section = http(server, "/login") + "\nexpect: Welcome";
    for _ in 0..2 {
        let (outcome, steps) = explain(&section, LONG).await;
        assert_eq!(reason(&outcome), "up");
        assert!(!steps.contains("session"), "{steps}");
        // The next check begins without them.
        assert_eq!(requests.recv().await.unwrap(), "");
        assert_eq!(requests.recv().await.unwrap(), "session=1");
    }
    let own = section + "\nheaders: {Cookie: mine=3}";
    assert_eq!(reason(&check(&own, LONG).await), "up");
    assert_eq!(requests.recv().await.unwrap(), "mine=3");
    assert_eq!(requests.recv().await.unwrap(), "mine=3; session=1");
    // A page that goes on like this forms a loop nevertheless.
    let outcome = check(&http(server, "/always"), LONG).await;
    assert_eq!(
        reason(&outcome),
        format!("redirects form a loop: http://{server}/always")
    );
}

#[tokio::test]
async fn cookies_go_to_no_other_host() {
    let (sender, mut requests) = mpsc::unbounded_channel();
    let elsewhere = http_answers(move |request| {
        let _ = sender.send(request.to_owned());
        ok("")
    })
    .await;
    let location = format!("Location: http://localhost:{}/\r\n", elsewhere.port());
    let server = http_server(format!(
        "HTTP/1.1 302 X\r\nSet-Cookie: s3cret=1; Path=/\r\nSet-Cookie: s3cret=2; Path=/; Domain=localhost\r\n\
         {location}Content-Length: 0\r\n\r\n"
    ))
    .await;
    let section = http(server, "/") + "\naddress_family: ipv4";
    assert_eq!(reason(&check(&section, LONG).await), "up");
    let request = requests.recv().await.unwrap();
    assert!(!request.contains("s3cret"), "{request}");
}

#[tokio::test]
async fn a_split_header_sets_and_redirects_nothing() {
    // A carriage return alone, or a control character, does not end a line.
    let elsewhere = http_server(ok("elsewhere")).await;
    for end in ["\r", "\x0b", "\x0c", "\u{85}", "\u{2028}"] {
        let answer = format!(
            "HTTP/1.1 200 OK\r\nX: a{end}Location: http://{elsewhere}/\r\nContent-Length: 4\r\n\r\nhere"
        );
        for answer in [answer.clone(), answer.replace("200 OK", "302 Found")] {
            let server = http_server(answer).await;
            let outcome = check(&(http(server, "/") + "\nexpect: here"), LONG).await;
            assert_eq!(reason(&outcome), "up", "{end:?}");
        }
    }
}

#[tokio::test]
async fn an_odd_location_is_followed_as_the_server_means_it() {
    let page = |location: &[u8]| {
        let head = b"HTTP/1.1 302 X\r\nContent-Length: 7\r\nLocation: ";
        [head, location, b"\r\n\r\nWelcome"].concat()
    };
    for (location, path) in [
        (&b"/gr\xfcn"[..], "/gr%FCn"),
        ("/grün".as_bytes(), "/gr%C3%BCn"),
        (b"/a b", "/a%20b"),
        (b"/a\r\n /b", "/a%20/b"),
    ] {
        let (sender, mut requests) = mpsc::unbounded_channel();
        let answer = page(location);
        let server = tcp_server(move |mut stream| {
            let (answer, sender) = (answer.clone(), sender.clone());
            async move {
                let request = lab::read_request(&mut stream).await;
                let path = request.split(' ').nth(1).unwrap_or_default().to_owned();
                let answer = match path.as_str() {
                    "/" => answer,
                    _ => ok("there").into_bytes(),
                };
                let _ = sender.send(path);
                let _ = stream.write_all(&answer).await;
                let _ = stream.shutdown().await;
            }
        })
        .await;
        let outcome = check(&(http(server, "/") + "\nexpect: there"), LONG).await;
        assert_eq!(reason(&outcome), "up", "{path}");
        assert_eq!(requests.recv().await.unwrap(), "/");
        assert_eq!(requests.recv().await.unwrap(), path);
    }
    // One that is empty leads nowhere.
    let server = server(page(b"")).await;
    let outcome = check(&(http(server, "/") + "\nexpect: Welcome"), LONG).await;
    assert_eq!(reason(&outcome), "up");
}
