use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty};
use hyper::{HeaderMap, Request, StatusCode, client::conn::http1, header};
use hyper_util::rt::TokioIo;
use proptest::prelude::*;
use tokio::io::{AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, duplex};

use super::*;

/// What hyper makes of an answer: status, headers without those that say where it
/// ends, the body, and whether it is complete.
type Answer = (StatusCode, HeaderMap, Vec<u8>, bool);

async fn by_hyper<S>(stream: S) -> Result<Answer, hyper::Error>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = http1::Builder::new()
        .max_headers(MAX_HEADERS + 1)
        .max_buf_size(2 * MAX_HEAD)
        .handshake(TokioIo::new(stream))
        .await?;
    let connection = tokio::spawn(connection);
    let mut request = Request::new(Empty::<Bytes>::new());
    let close = header::HeaderValue::from_static("close");
    request.headers_mut().insert(header::CONNECTION, close);
    let (mut head, mut body) = sender.send_request(request).await?.into_parts();
    head.headers.remove(header::CONTENT_LENGTH);
    head.headers.remove(header::TRANSFER_ENCODING);
    let mut bytes = Vec::new();
    let is_complete = loop {
        match body.frame().await {
            None => break true,
            Some(Err(_)) => break false,
            Some(Ok(frame)) => bytes.extend(frame.into_data().unwrap_or_default()),
        }
    };
    connection.abort();
    Ok((head.status, head.headers, bytes, is_complete))
}

/// Sends `bytes` in pieces of `size`, and closes.
fn peer(bytes: &[u8], size: usize) -> tokio::io::DuplexStream {
    let (ours, mut theirs) = duplex(bytes.len() + 4096);
    let bytes = bytes.to_vec();
    tokio::spawn(async move {
        // An answer that comes before the request is not one.
        let mut request = [0; 1024];
        let _ = theirs.read(&mut request).await;
        for piece in bytes.chunks(size) {
            if theirs.write_all(piece).await.is_err() {
                return;
            }
            tokio::task::yield_now().await;
        }
        // Dropped halves would be a reset: what was sent remains to be read.
        let _ = theirs.shutdown().await;
        std::future::pending::<()>().await;
    });
    ours
}

fn run<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(future)
}

fn read(bytes: &[u8], size: usize) -> Result<Answer, hyper::Error> {
    run(async { by_hyper(Lenient::new(peer(bytes, size))).await })
}

/// The status, the value of header `x`, and the body.
fn answer(bytes: &[u8]) -> (u16, String, String, bool) {
    let (status, headers, body, is_complete) = read(bytes, 5).unwrap_or_else(|error| {
        panic!("{error}: {:?}", String::from_utf8_lossy(bytes));
    });
    let value = headers
        .get("x")
        .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    let body = String::from_utf8_lossy(&body).into_owned();
    (status.as_u16(), value.unwrap_or_default(), body, is_complete)
}

#[test]
fn odd_heads_are_read() {
    let end = "Content-Length: 7\r\n\r\nWelcome";
    for (head, value) in [
        ("HTTP/1.1 200 OK\r\nX: a;\r\n b\r\n\t  c \r\n", "a; b c"),
        ("HTTP/1.1 200 OK\r\nX:\r\n a\r\n \r\n", "a"),
        ("HTTP/1.1 200 OK\r\nX : a\r\n", "a"),
        ("HTTP/1.1 200 OK\r\n X: a\r\n", "a"),
        ("HTTP/1.1 200 OK\r\nX\t:\ta\t\r\n", "a"),
        ("HTTP/1.1 200 OK\r\nX: a\x01\x7fb\r\n", "a  b"),
        ("HTTP/1.1 200 OK\r\nX: a\rY: b\r\n", "a Y: b"),
        ("HTTP/1.1 200 OK\r\nX: a\r\r\n", "a"),
        ("HTTP/1.1 200 OK\nX: a\n", "a"),
        ("HTTP/1.1 200 OK\r\nno header\r\nX: a\r\n", "a"),
        ("HTTP/1.1 200 OK\r\nno header\r\n folded\r\nX: a\r\n", "a"),
        ("HTTP/1.1 200 OK\r\n: b\r\nA B: c\r\nX: a\r\n", "a"),
        ("\r\n\n\r\nHTTP/1.1 200 OK\r\nX: a\r\n", "a"),
        ("HTTP/1.1  200  OK\r\nX: a\r\n", "a"),
        ("HTTP/1.1 200\r\nX: a\r\n", "a"),
        ("HTTP/1.1 200OK\r\nX: a\r\n", "a"),
        ("HTTP/1.1 200 O\x01K\r\nX: a\r\n", "a"),
        ("http/1.1 200 OK\r\nX: a\r\n", "a"),
        ("HTTP/1.0 200 OK\r\nX: a\r\n", "a"),
        (
            "HTTP/1.1 100 Go on\r\nX: b\r\n\r\nHTTP/1.1  103 X\n\nHTTP/1.1 200 OK\r\nX: a\r\n",
            "a",
        ),
    ] {
        let read = answer(format!("{head}{end}").as_bytes());
        assert_eq!(
            read,
            (200, value.to_owned(), "Welcome".to_owned(), true),
            "{head}"
        );
    }
}

#[test]
fn an_odd_length_is_read() {
    for (framing, body, is_complete) in [
        ("Content-Length: +5", "Welco", true),
        ("Content-Length: 05", "Welco", true),
        ("Content-Length: 5abc", "Welco", true),
        ("Content-Length: 5 5", "Welco", true),
        ("Content-Length: 5, 5", "Welco", true),
        ("Content-Length: 5\r\ncontent-length:5", "Welco", true),
        // They contradict each other, so the connection decides.
        ("Content-Length: 5\r\nContent-Length: 3", "Welcome", true),
        ("Content-Length: 99999999999999999999", "Welcome", true),
        ("Transfer-Encoding: identity\r\nContent-Length: 5", "Welco", true),
        ("Transfer-Encoding: none", "Welcome", true),
        ("Content-Length: 9", "Welcome", false),
        ("X-Content-Length: 5", "Welcome", true),
    ] {
        let read = answer(format!("HTTP/1.1 200 OK\r\n{framing}\r\n\r\nWelcome").as_bytes());
        assert_eq!(
            read,
            (200, String::new(), body.to_owned(), is_complete),
            "{framing}"
        );
    }
}

#[test]
fn odd_chunks_are_read() {
    for (chunks, body, is_complete) in [
        ("3\r\nWel\r\n4\r\ncome\r\n0\r\n\r\n", "Welcome", true),
        ("3\nWel\n4\ncome\n0\n\n", "Welcome", true),
        (" 3 \r\nWel\r\n4;x=\"y\"\r\ncome\r\n0\r\n\r\n", "Welcome", true),
        (
            "0003\r\nWel\r\n00000000000000000004\r\ncome\r\n0\r\n\r\n",
            "Welcome",
            true,
        ),
        ("7\r\nWelcome\r\n0", "Welcome", false),
        ("7\r\nWelcome\r\n0\r\n", "Welcome", true),
        ("7\r\nWelcome\r\n0\r\nno trailer\0\r\n", "Welcome", true),
        ("7\r\nWelcome\r\n", "Welcome", false),
        ("7\r\nWelcome", "Welcome", false),
        ("9\r\nWelcome", "Welcome", false),
        ("7\r\nWelcome\r\nx\r\n", "Welcome", false),
        ("7\r\nWelcome...\r\n", "Welcome", false),
        ("7\r\nWelcome\r\n11112222333344445\r\n", "Welcome", false),
    ] {
        for version in ["1.1", "1.0"] {
            let head =
                format!("HTTP/{version} 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: Chunked\r\n\r\n");
            let read = answer(format!("{head}{chunks}").as_bytes());
            assert_eq!(
                read,
                (200, String::new(), body.to_owned(), is_complete),
                "{chunks}"
            );
        }
    }
}

#[test]
fn a_head_that_ends_with_the_connection_is_read() {
    for head in [
        "HTTP/1.1 200 OK\r\nX: a\r\n",
        "HTTP/1.1 200 OK\nX: a\n",
        "HTTP/1.1 200 OK\r\nX: a\r\nX-Y: b",
        "HTTP/1.1 200 OK\r\nX: a\r\n\r",
        "HTTP/1.1 200 OK\r\nX: a\r\nContent-Length: 5",
    ] {
        assert_eq!(
            answer(head.as_bytes()),
            (200, "a".to_owned(), String::new(), true),
            "{head}"
        );
    }
}

#[test]
fn many_headers_are_read_and_a_flood_is_not() {
    let of = |count: usize| {
        let lines: String = (0..count).map(|i| format!("c{i}:\n")).collect();
        format!("HTTP/1.1 200 OK\r\n{lines}\r\nWelcome")
    };
    for (count, read_headers) in [(120, 120), (1000, 1000), (35_000, 1000)] {
        let (_, headers, body, _) = read(of(count).as_bytes(), 4096).unwrap();
        assert_eq!(
            (headers.len(), &*body),
            (read_headers, &b"Welcome"[..]),
            "{count}"
        );
    }
    assert!(read(of(80_000).as_bytes(), 4096).is_err());
}

#[test]
fn an_answer_that_is_not_http_is_named() {
    let why = |bytes: &[u8]| {
        let mut rewriter = Rewriter::default();
        let fed = rewriter.feed(bytes).and_then(|()| rewriter.end());
        fed.err().map(|error| error.to_string()).unwrap_or_default()
    };
    for (bytes, words) in [
        (
            &b"SSH-2.0-OpenSSH_9.2\r\n"[..],
            "the answer is not HTTP: it begins with \"SSH-2.0-OpenSSH_9.2\"",
        ),
        (b"<html>", "the answer is not HTTP: it begins with \"<html>\""),
        (b"HTT", "the answer is not HTTP: it begins with \"HTT\""),
        (
            b"\x16\x03\x01",
            "the answer is not HTTP: it begins with \"\\u{16}\\u{3}\\u{1}\"",
        ),
        (
            b"HTTP/1.1 OK\r\n\r\n",
            "the answer is not valid HTTP: the status line is \"HTTP/1.1 OK\"",
        ),
        (
            b"HTTP/1.1 2000 OK\r\n\r\n",
            "the answer is not valid HTTP: the status line is \"HTTP/1.1 2000 OK\"",
        ),
        (
            b"HTTP/1.1 200 OK\r\nX: a\0b\r\n\r\n",
            "the answer is not valid HTTP: a header line contains a NUL byte",
        ),
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n",
            "the answer is not valid HTTP: Content-Length is \"-5\"",
        ),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nWelcome",
            "the answer is not valid HTTP: the size of a chunk is missing",
        ),
        (
            b"HTTP/1.1 200 OK",
            "the connection was closed in the middle of the status line \"HTTP/1.1 200 OK\"",
        ),
        (b"HTTP/1.1 200 OK\r\n", ""),
        (b"HTTP/1.1 200 OK\r\n\r\n", ""),
        (b"", ""),
    ] {
        assert_eq!(why(bytes), words);
    }
    let interim = b"HTTP/1.1  100 X\n\n".repeat(101);
    assert_eq!(why(&interim), "the server has sent more than 100 interim answers");
    let head = [b"HTTP/1.1 200 OK\r\nX: ", &*vec![b'x'; MAX_HEAD]].concat();
    assert_eq!(why(&head), "the head of the answer is longer than 307200 bytes");
}

#[test]
fn what_was_odd_is_reported() {
    let mut rewriter = Rewriter::default();
    rewriter.feed(b"HTTP/1.1 200 OK\r\nX: a\r\n\r\n").unwrap();
    assert_eq!(rewriter.oddities.words(), [""; 0]);
    let mut rewriter = Rewriter::default();
    rewriter
        .feed(b"HTTP/1.0 200OK\r\nX : a\r\n b\nTransfer-Encoding: chunked\r\n\r\n7\nWelcome\r\n")
        .unwrap();
    let words = [
        "the status line is malformed",
        "header lines are folded",
        "a blank before a colon",
        "lines end in LF alone",
        "chunks in HTTP/1.0",
    ];
    assert_eq!(rewriter.oddities.words(), words);
}

/// Lines and parts of them, valid and not.
fn line() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "X-[A-Z]: [a-z ,;]{0,8}\r\n",
        1 => "X: [\\x01-\\x7f]{0,5}\r?\n",
        1 => "[ \t]{1,2}[a-z]{0,3}\r\n",
        1 => "Content-Length: [0-9]{0,2}\r\n",
        1 => Just("Transfer-Encoding: chunked\r\n".to_owned()),
        1 => Just("Transfer-Encoding: gzip, chunked\r\n".to_owned()),
        1 => Just("Connection: close\r\n".to_owned()),
        1 => Just("\r\n".to_owned()),
        1 => Just("\n".to_owned()),
    ]
}

fn body() -> impl Strategy<Value = String> {
    prop_oneof![
        2 => "[a-z]{0,20}",
        3 => prop::collection::vec("[a-z]{1,15}", 0..4).prop_map(|chunks| {
            let chunks: String = chunks.iter().map(|data| format!("{:x}\r\n{data}\r\n", data.len())).collect();
            format!("{chunks}0\r\n\r\n")
        }),
        1 => "[0-9a-f]{0,2}(;x)?\r?\n[a-z\r\n0]{0,12}",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]
    #[test]
    fn what_hyper_reads_is_the_same_rewritten(
        status in "HTTP/1\\.[01] ([1-5][0-9]{2}) ?[A-Za-z ]{0,5}\r?\n",
        lines in prop::collection::vec(line(), 0..6),
        body in body(),
        size in 1_usize..30,
    ) {
        let bytes = format!("{status}{}\r\n{body}", lines.concat());
        if let Ok(strict) = run(async { by_hyper(peer(bytes.as_bytes(), size)).await }) {
            let lenient = read(bytes.as_bytes(), size);
            prop_assert!(lenient.is_ok(), "{:?}", bytes);
            let (mut lenient, is_complete) = (lenient.unwrap(), strict.3);
            if !is_complete {
                // It may read on where hyper stops.
                prop_assert!(lenient.2.starts_with(&strict.2), "{:?}", bytes);
                (lenient.2, lenient.3) = (strict.2.clone(), false);
            }
            prop_assert_eq!(lenient, strict, "{:?}", bytes);
        }
    }

    #[test]
    fn bytes_that_are_not_http_harm_nobody(bytes: Vec<u8>) {
        fuzz(&bytes);
        fuzz(&[b"HTTP/1.1 200 OK\r\n", &*bytes].concat());
        fuzz(&[b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", &*bytes].concat());
    }
}
