use super::*;

/// A record with one message of a handshake.
fn message(version: u8, kind: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len()).unwrap().to_be_bytes();
    let message = [&[kind][..], &length[1..], body].concat();
    let length = u16::try_from(message.len()).unwrap().to_be_bytes();
    [&[22, 3, version][..], &length, &message].concat()
}

fn server_hello(version: [u8; 2], suite: u16, extensions: &[u8]) -> Vec<u8> {
    let mut body = [&version[..], &[9; 32], &[0], &suite.to_be_bytes(), &[0]].concat();
    if !extensions.is_empty() {
        body.extend(u16::try_from(extensions.len()).unwrap().to_be_bytes());
        body.extend(extensions);
    }
    message(version[1], 2, &body)
}

fn read(bytes: &[u8]) -> Answer {
    let mut reader = AnswerReader::default();
    reader.push(bytes);
    reader.answer()
}

#[track_caller]
fn offer(bytes: &[u8]) -> (String, Reach) {
    match read(bytes) {
        Answer::Offer(offer) => (offer.to_string(), offer.reach()),
        Answer::Refusal => panic!("a refusal"),
        Answer::Nothing => panic!("not TLS"),
    }
}

const DONE: &[u8] = &[22, 3, 1, 0, 4, 14, 0, 0, 0];

#[test]
fn an_old_server_is_described() {
    let bytes = [&server_hello([3, 1], 0x002f, &[])[..], DONE].concat();
    let words = "TLS 1.0 at most, RSA key exchange, a CBC cipher";
    assert_eq!(offer(&bytes), (words.to_owned(), Reach::Legacy));
    let bytes = [&server_hello([3, 0], 0x0005, &[])[..], DONE].concat();
    let words = "SSL 3.0 at most, RSA key exchange, the cipher RC4";
    assert_eq!(offer(&bytes), (words.to_owned(), Reach::Never));
    let bytes = [&server_hello([3, 3], 0x0034, &[])[..], DONE].concat();
    let words = "TLS 1.2, no certificate, a CBC cipher";
    assert_eq!(offer(&bytes), (words.to_owned(), Reach::Never));
}

#[test]
fn the_group_of_the_key_exchange_is_read() {
    let prime = [&[0, 129][..], &[0], &[0x80; 128], &[0, 1, 2]].concat();
    let bytes = [
        &server_hello([3, 3], 0x009e, &[])[..],
        &message(3, 12, &prime),
        DONE,
    ]
    .concat();
    let words = "TLS 1.2, DHE with 1024 bits, an authenticated cipher";
    assert_eq!(offer(&bytes), (words.to_owned(), Reach::Legacy));
    let bytes = [
        &server_hello([3, 3], 0xc02f, &[])[..],
        &message(3, 12, &[3, 0, 30, 1, 4]),
        DONE,
    ]
    .concat();
    let words = "TLS 1.2, ECDHE on X448, an authenticated cipher";
    assert_eq!(offer(&bytes), (words.to_owned(), Reach::Legacy));
}

#[test]
fn a_server_of_tls_1_3_says_its_group_and_no_more() {
    let extensions = [&[0, 43, 0, 2, 3, 4][..], &[0, 51, 0, 2, 0, 30]].concat();
    let words = "TLS 1.3, a key exchange on X448";
    let bytes = server_hello([3, 3], 0x1301, &extensions);
    assert_eq!(offer(&bytes), (words.to_owned(), Reach::Legacy));
    let extensions = [&[0, 43, 0, 2, 3, 4][..], &[0, 51, 0, 2, 0, 25]].concat();
    let bytes = server_hello([3, 3], 0x1301, &extensions);
    assert_eq!(offer(&bytes).1, Reach::Always);
}

#[test]
fn what_is_not_a_hello_is_a_refusal_or_not_tls() {
    assert!(matches!(read(&[]), Answer::Refusal));
    assert!(matches!(read(&[21, 3, 1, 0, 2, 2, 40]), Answer::Refusal));
    // A warning comes before a hello (RFC 6066 section 3).
    let warning = [21, 3, 1, 0, 2, 1, 112];
    let bytes = [&warning[..], &server_hello([3, 1], 0x002f, &[]), DONE].concat();
    assert_eq!(offer(&bytes).1, Reach::Legacy);
    for other in [
        &b"HTTP/1.1 400 Bad Request\r\n\r\n"[..],
        b"SSH-2.0-x\r\n",
        &[22, 9, 9, 9, 9, 9],
    ] {
        assert!(matches!(read(other), Answer::Nothing));
    }
}

#[test]
fn an_answer_may_be_cut_and_split_anywhere() {
    let prime = [&[0, 128][..], &[0x80; 128]].concat();
    let bytes = [
        &server_hello([3, 3], 0x009e, &[0, 51, 0, 2, 0, 29])[..],
        &message(3, 11, &[0, 0, 5, 0, 0, 2, 1, 2]),
        &message(3, 12, &prime),
        DONE,
    ]
    .concat();
    let whole = offer(&bytes);
    for at in 0..bytes.len() {
        drop(read(&bytes[..at]));
        let mut reader = AnswerReader::default();
        reader.push(&bytes[..at]);
        reader.push(&bytes[at..]);
        match reader.answer() {
            Answer::Offer(offer) => assert_eq!(offer.to_string(), whole.0),
            _ => panic!("nothing is read if it is split at {at}"),
        }
        let mut changed = bytes.clone();
        changed[at] ^= 0xff;
        if let Answer::Offer(offer) = read(&changed) {
            drop((offer.to_string(), offer.reach()));
        }
    }
}

#[test]
fn every_suite_is_known_once() {
    let mut all: Vec<u16> = Suite::all().collect();
    let count = all.len();
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), count);
    for id in all {
        assert_ne!(Suite::of(id).exchange, Exchange::Unknown, "{id:#06x}");
    }
    assert_eq!(Suite::of(0xfefe).cipher, Cipher::Unknown);
}
