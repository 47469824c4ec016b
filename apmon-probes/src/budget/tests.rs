use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use proptest::prelude::*;
use tokio::io::{AsyncReadExt as _, repeat};

use super::*;

/// Reads `bytes` in pieces of `size`.
fn read_all(mut framing: Framing, bytes: &[u8], size: usize) -> Passed {
    let mut total = Passed::default();
    for piece in bytes.chunks(size) {
        let passed = framing.read(piece);
        total.interim += passed.interim;
        total.frames += passed.frames;
        total.empty += passed.empty;
        total.records += passed.records;
    }
    total
}

fn http2(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags, 0, 0, 0, 1], payload].concat()
}

proptest! {
    #[test]
    fn interim_answers_are_counted_however_they_are_cut(count in 0_usize..5, size in 1_usize..40) {
        let interim = "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n\r\nHTTP/1.0 100\n\n".repeat(count);
        let page = "HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n";
        let seen = read_all(Framing::http1(), format!("{interim}{page}").as_bytes(), size);
        prop_assert_eq!(seen, Passed { interim: 2 * count as u64, ..Passed::default() });
    }

    #[test]
    fn frames_of_http_2_are_counted_however_they_are_cut(size in 1_usize..40) {
        let head = http2(1, 4, b"\x48\x03100");
        let frames = [
            http2(4, 0, b""),
            head.repeat(3),
            http2(8, 0, &[0; 4]),
            http2(0, 0, b"data"),
            http2(0, 0, b""),
            http2(0, 8, &[9; 10]),
            http2(0, 8, &[9; 257]),
            http2(1, 5, b"\x88"),
        ];
        let seen = read_all(Framing::http2(), &frames.concat(), size);
        // Of heads after which the stream goes on, the last is the answer's own.
        prop_assert_eq!(seen, Passed { interim: 2, frames: 10, empty: 8, ..Passed::default() });
    }

    #[test]
    fn tls_records_are_counted_however_they_are_cut(size in 1_usize..40) {
        let records = [&b"\x16\x03\x03\0\x04abcd"[..], b"\x17\x03\x03\0\0", b"\x17\x03\x03\0\x01a"].concat();
        let seen = read_all(Framing::tls(), &records, size);
        prop_assert_eq!(seen, Passed { records: 3, ..Passed::default() });
    }

    #[test]
    fn what_is_not_framed_harms_nobody(bytes: Vec<u8>, size in 1_usize..40) {
        for framing in [Framing::Plain, Framing::tls(), Framing::http1(), Framing::http2()] {
            let seen = read_all(framing, &bytes, size);
            prop_assert!(seen.frames + seen.records + seen.interim <= bytes.len() as u64);
        }
    }
}

#[cfg(feature = "quic")]
proptest! {
    #[test]
    fn frames_of_http_3_are_counted_however_they_are_cut(size in 1_usize..40) {
        let frames = [
            // SETTINGS, HEADERS, DATA, empty DATA, and an unknown frame with longer integers.
            &b"\x04\0"[..], b"\x01\x03abc", b"\0\x04data", b"\0\0", b"\x40\x21\x40\x02ab", b"\x21\0",
        ]
        .concat();
        let expected = Passed { frames: 6, empty: 5, ..Passed::default() };
        prop_assert_eq!(read_all(Framing::http3(), &frames, size), expected);
        // The control stream, and one of QPACK, whose bytes are not frames.
        let control = [&[0], &frames[..]].concat();
        prop_assert_eq!(read_all(Framing::http3_one_way(), &control, size), expected);
        let other = [&[2], &frames[..]].concat();
        prop_assert_eq!(read_all(Framing::http3_one_way(), &other, size), Passed::default());
    }
}

#[test]
fn the_budget_is_spent_to_its_end_and_no_further() {
    let of = |field: fn(&mut Passed) -> &mut u64, count: u64| {
        let mut passed = Passed::default();
        *field(&mut passed) = count;
        passed
    };
    type Field = fn(&mut Passed) -> &mut u64;
    for (field, limit, flood) in [
        ((|passed| &mut passed.interim) as Field, 100, Flood::Interim),
        (|passed| &mut passed.empty, 10_000, Flood::EmptyFrames),
        (|passed| &mut passed.frames, 500_000, Flood::Frames),
        (|passed| &mut passed.records, 10_000, Flood::EmptyRecords),
        (|passed| &mut passed.bytes, 1 << 20, Flood::Head),
    ] {
        let meter = Meter::default();
        assert_eq!(meter.add(of(field, limit)), Ok(()), "{flood}");
        assert_eq!(meter.add(of(field, 1)), Err(flood));
        // It is final.
        assert_eq!(meter.add(Passed::default()), Err(flood));
        assert_eq!(meter.flood(), Some(flood));
    }
    // Each byte of an answer may have a record of its own, and there is more room for it.
    let meter = Meter::default();
    meter.answer_begins();
    let letters = Passed {
        bytes: 16 << 20,
        data: 500_000,
        records: 500_000,
        ..Passed::default()
    };
    assert_eq!(meter.add(letters), Ok(()));
    assert_eq!(
        meter.clone().add(of(|passed| &mut passed.records, 1)),
        Err(Flood::Records)
    );
    let meter = Meter::default();
    meter.answer_begins();
    assert_eq!(
        meter.add(of(|passed| &mut passed.bytes, (16 << 20) + 1)),
        Err(Flood::Bytes)
    );
}

#[test]
fn what_tls_carries_besides_data_is_bounded() {
    // Half of it is data, and then nothing more is.
    let meter = Meter::default();
    meter.answer_begins();
    let page = Passed {
        bytes: 40_000,
        data: 20_000,
        records: 20,
        ..Passed::default()
    };
    assert_eq!(meter.add(page), Ok(()));
    let tickets = Passed {
        bytes: 16_384,
        records: 1,
        ..Passed::default()
    };
    let mut added = 0;
    while meter.add(tickets).is_ok() {
        added += 1;
    }
    assert_eq!(meter.flood(), Some(Flood::Overhead));
    assert_eq!(added, ((1 << 20) + 64 * 20_000 - 40_000) / 16_384);
    // Without TLS, nothing is known of data.
    let meter = Meter::default();
    meter.answer_begins();
    let plain = Passed {
        bytes: 15 << 20,
        ..Passed::default()
    };
    assert_eq!(meter.add(plain), Ok(()));
}

#[tokio::test]
async fn a_reader_that_never_waits_leaves_time_for_others() {
    let turns = Arc::new(AtomicUsize::new(0));
    let other = tokio::spawn({
        let turns = Arc::clone(&turns);
        async move {
            loop {
                turns.fetch_add(1, Ordering::Relaxed);
                tokio::task::yield_now().await;
            }
        }
    });
    let mut stream = Metered::wire(repeat(b'x'), Framing::Plain);
    let mut read = 0;
    let error = loop {
        let mut buffer = [0; 64 * 1024];
        match stream.read(&mut buffer).await {
            Ok(n) => read += n,
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind(), io::ErrorKind::Other);
    assert_eq!(
        error.to_string(),
        "the server has sent more than 1048576 bytes without an answer"
    );
    assert_eq!(read, 1 << 20);
    let pauses = stream.meter().counts().pauses;
    assert_eq!(pauses, (1 << 20) / TURN);
    let turns = turns.load(Ordering::Relaxed);
    assert!(turns as u64 >= pauses, "{turns} turns in {pauses} pauses");
    other.abort();
}

#[tokio::test]
async fn small_frames_pause_the_reader_as_often_as_many_bytes() {
    let bytes = http2(8, 0, &[0; 4]).repeat(1000);
    let mut stream = Metered::wire(Cycle { bytes, at: 0 }, Framing::http2());
    stream.meter().answer_begins();
    let mut buffer = [0; 64 * 1024];
    while stream.read(&mut buffer).await.is_ok() {}
    let counts = stream.meter().counts();
    assert_eq!(counts.flood, Some(Flood::EmptyFrames));
    assert!(counts.pauses >= MAX_EMPTY * FRAME / TURN / 2, "{}", counts.pauses);
    assert!(counts.total.bytes < 256 * 1024, "{}", counts.total.bytes);
}

/// A stream of the same bytes over and over, which is always ready.
struct Cycle {
    bytes: Vec<u8>,
    at: usize,
}

impl tokio::io::AsyncRead for Cycle {
    fn poll_read(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut tokio::io::ReadBuf<'_>,
    ) -> std::task::Poll<io::Result<()>> {
        let count = buffer.remaining().min(self.bytes.len() - self.at);
        buffer.put_slice(&self.bytes[self.at..][..count]);
        self.at = (self.at + count) % self.bytes.len();
        std::task::Poll::Ready(Ok(()))
    }
}
