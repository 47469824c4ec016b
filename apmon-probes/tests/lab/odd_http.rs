//! Answers in HTTP/1 that break its rules in ways that are found in the field, and in
//! some that are not. A server that sends one closes the connection after it.

/// The status line of an honest answer.
const OK: &[u8] = b"HTTP/1.1 200 OK\r\n";
/// The end of its head, and its body.
const END: &[u8] = b"Content-Length: 7\r\n\r\nWelcome";

/// Status lines.
pub const STATUS_LINES: &[(&str, &[u8])] = &[
    ("no reason", b"HTTP/1.1 200"),
    ("two blanks", b"HTTP/1.1  200 OK"),
    ("no blank reason", b"HTTP/1.1 200OK"),
    ("tab status", b"HTTP/1.1\t200\tOK"),
    ("lower http", b"http/1.1 200 OK"),
    ("no version", b"HTTP 200 OK"),
    ("version 1", b"HTTP/1 200 OK"),
    ("version 1 2", b"HTTP/1.2 200 OK"),
    ("version 1 10", b"HTTP/1.10 200 OK"),
    ("version 0 9", b"HTTP/0.9 200 OK"),
    ("version 2", b"HTTP/2 200 OK"),
    ("version 2 0", b"HTTP/2.0 200 OK"),
    ("version 3", b"HTTP/3 200 OK"),
    ("version 4 2", b"HTTP/4.2 200 OK"),
    ("version x", b"HTTP/x.y 200 OK"),
    ("icy", b"ICY 200 OK"),
    ("rtsp", b"RTSP/1.0 200 OK"),
    ("status 2000", b"HTTP/1.1 2000 OK"),
    ("status 20", b"HTTP/1.1 20 OK"),
    ("status 020", b"HTTP/1.1 020 OK"),
    ("status 600", b"HTTP/1.1 600 OK"),
    ("status word", b"HTTP/1.1 OK"),
    ("status negative", b"HTTP/1.1 -200 OK"),
    ("reason control", b"HTTP/1.1 200 O\x01K"),
    ("reason nul", b"HTTP/1.1 200 O\0K"),
    ("reason latin1", b"HTTP/1.1 200 Gr\xfcn"),
    ("leading lf3", b"\n\n\nHTTP/1.1 200 OK"),
    ("leading space", b" HTTP/1.1 200 OK"),
    ("leading bom", b"\xef\xbb\xbfHTTP/1.1 200 OK"),
    ("interim odd", b"HTTP/1.1  100  Continue\n\nHTTP/1.1 200 OK"),
    ("body of 204", b"HTTP/1.1 204 No Content"),
    ("body of 304", b"HTTP/1.1 304 Not Modified"),
];

/// Header lines.
pub const HEADERS: &[(&str, &[u8])] = &[
    ("fold", b"X: a;\r\n b\r\n"),
    ("fold tab", b"X: a;\r\n\tb\r\n"),
    ("fold empty", b"X: a\r\n \r\n"),
    ("fold first", b" X: a\r\n"),
    ("space colon", b"Server : old\r\n"),
    ("space name", b"My Server: old\r\n"),
    ("no colon", b"garbage\r\n"),
    ("empty name", b": x\r\n"),
    ("utf8 name", b"Gr\xc3\xb6\xc3\x9fe: 1\r\n"),
    ("brackets name", b"[x]: 1\r\n"),
    ("control value", b"X: a\x01b\x07\r\n"),
    ("esc value", b"X: \x1b[1mb\r\n"),
    ("del value", b"X: a\x7f\r\n"),
    ("nul value", b"X: a\0b\r\n"),
    ("cr value", b"X: a\rb\r\n"),
    ("latin1 value", b"X: Gr\xfcn\r\n"),
    ("control name", b"X\x01: a\r\n"),
    ("nul name", b"X\0: a\r\n"),
    ("length twice same", b"Content-Length: 7\r\n"),
    ("length twice other", b"Content-Length: 5\r\n"),
    ("identity", b"Transfer-Encoding: identity\r\n"),
    ("coding none length", b"Transfer-Encoding: none\r\n"),
    ("coding empty", b"Transfer-Encoding:\r\n"),
    ("encoding none", b"Content-Encoding: none\r\n"),
    ("encoding utf8", b"Content-Encoding: utf-8\r\n"),
    ("encoding gzip lie", b"Content-Encoding: gzip\r\n"),
    ("encoding br lie", b"Content-Encoding: br\r\n"),
];

/// What says where the body of seven letters ends.
pub const FRAMINGS: &[(&str, &[u8])] = &[
    ("fold length", b"Content-Length:\r\n 7"),
    ("space colon length", b"Content-Length : 7"),
    ("length plus", b"Content-Length: +7"),
    ("length minus", b"Content-Length: -7"),
    ("length minus 1", b"Content-Length: -1"),
    ("length zeros", b"Content-Length: 0007"),
    ("length hex", b"Content-Length: 0x7"),
    ("length word", b"Content-Length: abc"),
    ("length empty", b"Content-Length:"),
    ("length suffix", b"Content-Length: 7abc"),
    ("length bytes", b"Content-Length: 7 bytes"),
    ("length decimal", b"Content-Length: 7.0"),
    ("length quoted", b"Content-Length: \"7\""),
    ("length list same", b"Content-Length: 7, 7"),
    ("length list other", b"Content-Length: 7, 5"),
    ("length twice longer", b"Content-Length: 7\r\nContent-Length: 70"),
    ("length overflow", b"Content-Length: 99999999999999999999999"),
    ("length too short", b"Content-Length: 3"),
    ("length too long", b"Content-Length: 100"),
    ("length none", b""),
    ("coding none", b"Transfer-Encoding: none"),
    ("coding unknown", b"Transfer-Encoding: foo"),
];

/// Bodies in chunks.
pub const CHUNKS: &[(&str, &[u8])] = &[
    ("chunked", b"3\r\nWel\r\n4\r\ncome\r\n0\r\n\r\n"),
    ("chunked lf", b"3\nWel\n4\ncome\n0\n\n"),
    ("chunked lf size", b"7\nWelcome\r\n0\r\n\r\n"),
    ("chunked extension", b"7;a=b;c=\"d\"\r\nWelcome\r\n0\r\n\r\n"),
    ("chunked extension lf", b"7;a=b\nWelcome\r\n0\r\n\r\n"),
    ("chunked blank before", b" 7\r\nWelcome\r\n0\r\n\r\n"),
    ("chunked blanks after", b"7     \r\nWelcome\r\n0\r\n\r\n"),
    ("chunked zeros", b"00000007\r\nWelcome\r\n0000\r\n\r\n"),
    (
        "chunked zeros 20",
        b"00000000000000000007\r\nWelcome\r\n0\r\n\r\n",
    ),
    ("chunked 0x", b"0x7\r\nWelcome\r\n0\r\n\r\n"),
    ("chunked comment", b"7 bytes\r\nWelcome\r\n0\r\n\r\n"),
    ("chunked garbage", b"7xyz\r\nWelcome\r\n0\r\n\r\n"),
    ("chunked no crlf after data", b"7\r\nWelcome0\r\n\r\n"),
    ("chunked extra crlf", b"7\r\nWelcome\r\n\r\n0\r\n\r\n"),
    ("chunked leading crlf", b"\r\n7\r\nWelcome\r\n0\r\n\r\n"),
    ("chunked no last crlf", b"7\r\nWelcome\r\n0\r\n"),
    ("chunked no last lf", b"7\r\nWelcome\r\n0"),
    ("chunked no last", b"7\r\nWelcome\r\n"),
    ("chunked cut", b"9\r\nWelcome"),
    ("chunked trailer", b"7\r\nWelcome\r\n0\r\nX: y\r\n\r\n"),
    ("chunked trailer bad", b"7\r\nWelcome\r\n0\r\ngarbage\r\n\r\n"),
    ("chunked not", b"Welcome"),
    ("chunked overflow", b"FFFFFFFFFFFFFFFFF\r\nWelcome\r\n0\r\n\r\n"),
];

/// Whole answers.
pub const WHOLE: &[(&str, &[u8])] = &[
    ("leading crlf", b"\r\nHTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nWelcome"),
    ("http09", b"<html>Welcome</html>"),
    ("http09 text", b"Welcome"),
    ("ssh", b"SSH-2.0-OpenSSH_9.2\r\n"),
    ("nothing", b""),
    ("crlf only", b"\r\n\r\n"),
    ("lf only", b"HTTP/1.1 200 OK\nContent-Length: 7\n\nWelcome"),
    ("cr only", b"HTTP/1.1 200 OK\rContent-Length: 7\r\rWelcome"),
    ("crcrlf", b"HTTP/1.1 200 OK\r\r\nContent-Length: 7\r\r\n\r\r\nWelcome"),
    ("mixed ends", b"HTTP/1.1 200 OK\r\nX: a\nContent-Length: 7\n\r\nWelcome"),
    ("head eof", b"HTTP/1.1 200 OK\r\nServer: x\r\n"),
    ("head eof nolf", b"HTTP/1.1 200 OK\r\nServer: x"),
    ("status eof", b"HTTP/1.1 200 OK\r\n"),
    ("status eof nolf", b"HTTP/1.1 200 OK"),
    ("head eof length", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n"),
    ("http10 none", b"HTTP/1.0 200 OK\r\n\r\nWelcome"),
    ("chunked upper", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: CHUNKED\r\n\r\n7\r\nWelcome\r\n0\r\n\r\n"),
    ("chunked and length", b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n7\r\nWelcome\r\n0\r\n\r\n"),
    ("chunked 10", b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n7\r\nWelcome\r\n0\r\n\r\n"),
    ("chunked twice", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n7\r\nWelcome\r\n0\r\n\r\n"),
    ("chunked list twice", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, chunked\r\n\r\n7\r\nWelcome\r\n0\r\n\r\n"),
    ("chunked then identity", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, identity\r\n\r\n7\r\nWelcome\r\n0\r\n\r\n"),
    ("chunked comma", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked,\r\n\r\n7\r\nWelcome\r\n0\r\n\r\n"),
    ("coding space", b"HTTP/1.1 200 OK\r\nTransfer-Encoding : chunked\r\n\r\n7\r\nWelcome\r\n0\r\n\r\n"),
    ("coding fold", b"HTTP/1.1 200 OK\r\nTransfer-Encoding:\r\n chunked\r\n\r\n7\r\nWelcome\r\n0\r\n\r\n"),
    ("interim 100", b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nWelcome"),
    ("switching 101", b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nWelcome"),
    ("two answers", b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nWelcomeHTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nWelcome"),
    ("trailing garbage", b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nWelcome\r\n\r\n\0\0"),
];

/// All answers by name.
pub fn all() -> Vec<(String, Vec<u8>)> {
    let named = |name: &str, parts: &[&[u8]]| (name.to_owned(), parts.concat());
    let mut all = vec![named("plain", &[OK, END])];
    all.extend(
        STATUS_LINES
            .iter()
            .map(|(name, line)| named(name, &[line, b"\r\n", END])),
    );
    all.extend(HEADERS.iter().map(|(name, lines)| named(name, &[OK, lines, END])));
    all.extend(
        FRAMINGS
            .iter()
            .map(|(name, lines)| named(name, &[OK, lines, b"\r\n\r\nWelcome"])),
    );
    let chunked = b"Transfer-Encoding: chunked\r\n\r\n";
    all.extend(
        CHUNKS
            .iter()
            .map(|(name, body)| named(name, &[OK, chunked, body])),
    );
    all.extend(WHOLE.iter().map(|(name, answer)| named(name, &[answer])));
    for count in [120, 1000, 5000] {
        let lines: String = (0..count).map(|i| format!("X-{i}: y\r\n")).collect();
        all.push(named(&format!("{count} headers"), &[OK, lines.as_bytes(), END]));
    }
    for (length, count) in [(60_000, 1), (90_000, 1), (50_000, 4), (50_000, 8)] {
        let lines = format!("X: {}\r\n", "y".repeat(length)).repeat(count);
        let name = format!("{count} headers of {length} bytes");
        all.push(named(&name, &[OK, lines.as_bytes(), END]));
    }
    let interim = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n".repeat(20);
    all.push(named("20 interim answers", &[&interim, OK, END]));
    all
}
