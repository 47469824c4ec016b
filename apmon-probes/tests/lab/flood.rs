//! Servers that send something small without end.

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, sink, split};

/// What a server sends after the request, once and then without end.
pub struct Flood {
    pub name: &'static str,
    pub once: Vec<u8>,
    pub again: Vec<u8>,
    /// What the reason of `http` contains, after this protocol was chosen.
    pub reason: &'static str,
}

/// A frame of HTTP/2 (RFC 9113 section 4.1).
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// The floods of HTTP/2. The server must have sent its [`SETTINGS`] before.
pub fn http2() -> Vec<Flood> {
    const END_HEADERS: u8 = 4;
    // `:status: 200` is number 8 of the static table (RFC 7541 appendix A).
    let page = frame(1, END_HEADERS, 1, &[0x88]);
    let interim = frame(1, END_HEADERS, 1, b"\x48\x03103");
    let flood = |name, once: &[u8], again: Vec<u8>, reason| Flood {
        name,
        once: once.to_vec(),
        again,
        reason,
    };
    let empty = "request: the server has sent more than 10000 frames that carry no data";
    let long = "request: the server has sent more than 1048576 bytes without an answer";
    let window = frame(8, 0, 0, &[0, 0, 0, 1]);
    vec![
        flood(
            "interim answers",
            b"",
            interim,
            "request: the server has sent more than 100 interim answers",
        ),
        flood("pings", b"", frame(6, 0, 0, &[7; 8]), empty),
        flood("window updates", b"", window.clone(), empty),
        flood("priorities", b"", frame(2, 0, 3, &[0, 0, 0, 0, 1]), empty),
        flood("settings", b"", frame(4, 0, 0, b""), empty),
        flood("unknown frames", b"", frame(0xbb, 0, 0, b"x"), empty),
        flood("long unknown frames", b"", frame(0xbb, 0, 0, &[0; 8000]), long),
        flood("window updates after the head", &page, window, empty),
        flood(
            "data of nothing",
            &page,
            frame(0, 0, 1, b""),
            "request: the server has sent ",
        ),
        flood(
            "data byte by byte",
            &page,
            frame(0, 0, 1, b"x"),
            "request: the server has sent more than 500000 frames",
        ),
        // A header list without end (RFC 9113 section 6.10).
        flood(
            "continuations",
            &frame(1, 0, 1, &[0x88]),
            frame(9, 0, 1, b"\0\x01a\x01b"),
            "request: ",
        ),
        flood(
            "continuations of nothing",
            &frame(1, 0, 1, &[0x88]),
            frame(9, 0, 1, b""),
            "request: ",
        ),
        flood(
            "padding",
            &page,
            frame(0, 8, 1, &[9; 10]),
            "request: the server has sent ",
        ),
        flood(
            "long settings",
            b"",
            frame(4, 0, 0, &[0, 3, 0, 0, 0, 100].repeat(1_000)),
            long,
        ),
        flood("acknowledged settings", b"", frame(4, 1, 0, b""), "request: "),
        flood("resets", b"", frame(3, 0, 1, &[0; 4]), "request: "),
        flood(
            "resets after the head",
            &page,
            frame(3, 0, 1, &[0, 0, 0, 2]),
            "request: ",
        ),
        flood(
            "resets of streams that nobody opened",
            b"",
            frame(3, 0, 7, &[0; 4]),
            "request: ",
        ),
        flood(
            "promises",
            b"",
            frame(5, END_HEADERS, 1, &[0, 0, 0, 2, 0x82]),
            "request: ",
        ),
        flood(
            "farewells",
            b"",
            frame(7, 0, 0, &[0, 0, 0, 1, 0, 0, 0, 0]),
            "request: ",
        ),
        flood(
            "heads of other streams",
            b"",
            frame(1, END_HEADERS, 2, &[0x88]),
            "request: ",
        ),
        // Beyond the window that HTTP/2 allows.
        flood("pages", &page, frame(0, 0, 1, &[b'x'; 8000]), ""),
    ]
}

/// The server's part of the preface of HTTP/2.
pub const SETTINGS: [u8; 9] = [0, 0, 0, 4, 0, 0, 0, 0, 0];

/// A gzip member of nothing (RFC 1952 section 2.2).
pub const EMPTY_MEMBER: [u8; 20] = [
    0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0,
];

/// The floods of HTTP/1.1.
pub fn http1() -> Vec<Flood> {
    let flood = |name, once: &str, again: &[u8], reason| Flood {
        name,
        once: once.as_bytes().to_vec(),
        again: again.to_vec(),
        reason,
    };
    let chunks = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
    let gzip = "HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\n\r\n";
    // Stored blocks of no bytes (RFC 1951 section 3.2.4), in one member.
    let blocks = Flood {
        name: "blocks of nothing",
        once: [gzip.as_bytes(), &EMPTY_MEMBER[..10]].concat(),
        again: vec![0, 0, 0, 0xff, 0xff],
        reason: "the body has more than 1048576 bytes of gzip that hold no data",
    };
    let deflate = Flood {
        name: "blocks of nothing in deflate",
        once: b"HTTP/1.1 200 OK\r\ncontent-encoding: deflate\r\n\r\n\x78\x9c".to_vec(),
        again: vec![0, 0, 0, 0xff, 0xff],
        reason: "the body has more than 1048576 bytes of deflate that hold no data",
    };
    // Metadata of no bytes (RFC 7932 section 9.2).
    let brotli = Flood {
        name: "blocks of nothing in br",
        once: b"HTTP/1.1 200 OK\r\ncontent-encoding: br\r\n\r\n\x0c".to_vec(),
        again: vec![0x06],
        reason: "the body has more than 1048576 bytes of br that hold no data",
    };
    vec![
        blocks,
        deflate,
        brotli,
        flood(
            "interim answers",
            "",
            b"HTTP/1.1 100 Continue\r\n\r\n",
            "request: the server has sent more than 100 interim answers",
        ),
        flood("empty lines", "", b"\r\n", "request: "),
        flood(
            "headers",
            "HTTP/1.1 200 OK\r\n",
            b"a: b\r\n",
            "request: the head of the answer is longer than 307200 bytes",
        ),
        flood(
            "a folded header",
            "HTTP/1.1 200 OK\r\na: b\r\n",
            b" b\r\n",
            "request: the head of the answer is longer than 307200 bytes",
        ),
        flood(
            "odd interim answers",
            "",
            b"HTTP/1.1  100\n\n",
            "request: the server has sent more than 100 interim answers",
        ),
        flood(
            "a header",
            "HTTP/1.1 200 OK\r\na: ",
            b"b",
            "request: the head of the answer is longer than 307200 bytes",
        ),
        flood(
            "members of nothing",
            gzip,
            &EMPTY_MEMBER,
            "the body consists of more than 10000 gzip members",
        ),
        flood(
            "chunks byte by byte",
            chunks,
            b"1\r\nx\r\n",
            "request: the server has sent more than 16777216 bytes",
        ),
        // The body ends before them.
        flood(
            "trailers",
            &format!("{chunks}0\r\n"),
            b"a: b\r\n",
            "\"needle\" not found in 0 bytes",
        ),
        flood("a chunk extension", &format!("{chunks}1;"), b"x", "request: "),
        flood("chunk extensions", chunks, b"1;a=b\r\nx\r\n", "request: "),
        flood("a chunk size", chunks, b"0", "request: "),
        flood(
            "a status line",
            "HTTP/1.1 200 ",
            b"x",
            "request: the head of the answer is longer than 307200 bytes",
        ),
        flood(
            "switches of the protocol",
            "",
            b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
            "",
        ),
        flood(
            "pages",
            "HTTP/1.1 200 OK\r\n\r\n",
            &[b'x'; 8000],
            "\"needle\" not in the first 4194304 bytes",
        ),
    ]
}

/// The floods of dialogues in lines, and of bytes that mean nothing.
pub fn others() -> Vec<Flood> {
    let flood = |name, again: &[u8]| Flood {
        name,
        once: Vec::new(),
        again: again.to_vec(),
        reason: "",
    };
    vec![
        flood("continuation lines", b"220-x\r\n"),
        flood("untagged lines", b"* OK\r\n"),
        flood("line ends", b"\n"),
        flood("TLS alerts", b"\x15\x03\x03\0\x02\x01\x5a"),
        flood("changes of the cipher", b"\x14\x03\x03\0\x01\x01"),
        flood("TLS records of nothing", b"\x16\x03\x03\0\0"),
        flood("LDAP messages of nothing", b"\x30\0"),
    ]
}

/// Reads a request: in HTTP/2 until its head has come, else the first bytes.
async fn request(stream: &mut (impl AsyncRead + Unpin), is_http2: bool) {
    let mut bytes = vec![0; 24];
    if !is_http2 {
        let _ = stream.read(&mut bytes).await;
        return;
    }
    if stream.read_exact(&mut bytes).await.is_err() {
        return;
    }
    let mut header = [0; 9];
    while stream.read_exact(&mut header).await.is_ok() {
        let length = u32::from_be_bytes([0, header[0], header[1], header[2]]);
        let mut payload = vec![0; length as usize];
        let _ = stream.read_exact(&mut payload).await;
        if header[3] == 1 {
            return;
        }
    }
}

/// Floods a client until it closes the connection. Returns how many bytes were
/// written.
pub async fn pour(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    once: &[u8],
    again: &[u8],
    is_http2: bool,
) -> usize {
    if is_http2 && stream.write_all(&SETTINGS).await.is_err() {
        return 0;
    }
    request(&mut stream, is_http2).await;
    let (mut receive, mut send) = split(stream);
    let mut written = 0;
    let flood = async {
        let mut piece = once.to_vec();
        while send.write_all(&piece).await.is_ok() && send.flush().await.is_ok() {
            written += piece.len();
            piece = again.repeat((16 * 1024 / again.len()).max(1));
        }
    };
    let mut nowhere = sink();
    let drained = async {
        let _ = tokio::io::copy(&mut receive, &mut nowhere).await;
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = flood => {}
        () = drained => {}
    }
    written
}
