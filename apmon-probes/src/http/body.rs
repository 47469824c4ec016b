//! The body of an answer: decompressed and searched as it arrives.

mod gzip;

use std::{
    future::Future,
    io::{self, Write},
};

use apmon_core::{Check, Failure, FailureClass, text::excerpt};
use bytes::Bytes;
use hyper::{HeaderMap, StatusCode, header};

use self::gzip::{Gunzip, GzipError};
use crate::{budget::MAX_FRAMES, expect::Search};

/// The number of pieces after which the other checks have a turn.
const PIECES_AT_ONCE: u64 = 256;

/// How much of a body is searched, after decompression.
const MAX_BODY: usize = 4 * 1024 * 1024;

/// Why a body ended early.
pub(crate) enum BodyError {
    /// The peer closed the connection.
    Closed,
    /// Any other failure.
    Failed(Failure),
}

/// A body in pieces, whatever carries it.
pub(crate) trait Pieces: Send {
    /// The next piece; `None` at the end.
    fn next(&mut self) -> impl Future<Output = Result<Option<Bytes>, BodyError>> + Send;
}

/// Reads until the expected text has arrived.
pub(crate) async fn receive(
    pieces: &mut impl Pieces,
    headers: &HeaderMap,
    status: StatusCode,
    search: &mut Search<'_>,
    check: &Check,
) -> Result<(), Failure> {
    let of_status = |failure: Failure| {
        let Failure { class, reason } = failure;
        Failure::new(class, format!("{reason} (status {})", status.as_u16()))
    };
    let mut decompressor = Decompressor::new(headers, search)?;
    let mut count = 0;
    loop {
        if count > MAX_FRAMES {
            return Err(Failure::new(
                FailureClass::Protocol,
                format!("the body consists of more than {MAX_FRAMES} pieces"),
            ));
        }
        count += 1;
        if count % PIECES_AT_ONCE == 0 {
            tokio::task::yield_now().await;
        }
        let Ok(piece) = tokio::time::timeout_at(check.deadline(), pieces.next()).await else {
            return Err(of_status(decompressor.search().late(check)));
        };
        match piece {
            Ok(Some(piece)) => {
                for slice in piece.chunks(decompressor.slice()) {
                    match decompressor.feed(slice)? {
                        Progress::Found => return Ok(()),
                        Progress::Full => return Err(of_status(decompressor.search().too_long())),
                        Progress::More if decompressor.pauses() => tokio::task::yield_now().await,
                        Progress::More => {}
                    }
                }
            }
            Ok(None) => {
                return match decompressor.end()? {
                    Progress::Found => Ok(()),
                    Progress::Full => Err(of_status(decompressor.search().too_long())),
                    Progress::More => Err(of_status(decompressor.search().missing())),
                };
            }
            // The rest did not arrive: cut off, garbled, or closed without a word.
            Err(BodyError::Closed) => return Err(of_status(decompressor.search().closed())),
            Err(BodyError::Failed(failure)) => return Err(failure),
        }
    }
}

/// The state of the search after a piece.
enum Progress {
    Found,
    /// The limit is reached; no more is read.
    Full,
    More,
}

/// Feeds the search with the decompressed body.
struct Decompressor<'a, 'b> {
    sink: Sink<'a, 'b>,
    /// `None` if the body is not compressed.
    gunzip: Option<Box<Gunzip>>,
}

/// The end of the decompressed bytes. It stops the decompression by an error: a
/// few kilobytes may stand for gigabytes.
struct Sink<'a, 'b> {
    search: &'a mut Search<'b>,
    found: bool,
}

impl Write for Sink<'_, '_> {
    fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
        let room = piece.len().min(MAX_BODY.saturating_sub(self.search.seen()));
        if room == 0 || self.found {
            return match piece.len() {
                0 => Ok(0),
                _ => Err(io::ErrorKind::StorageFull.into()),
            };
        }
        self.found = self.search.feed(&piece[..room]);
        Ok(room)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a, 'b> Decompressor<'a, 'b> {
    fn new(headers: &HeaderMap, search: &'a mut Search<'b>) -> Result<Self, Failure> {
        let sink = Sink { search, found: false };
        let coding = headers.get(header::CONTENT_ENCODING).map(|value| {
            String::from_utf8_lossy(value.as_bytes())
                .trim()
                .to_ascii_lowercase()
        });
        let gunzip = match coding.as_deref() {
            None | Some("" | "identity") => None,
            Some("gzip" | "x-gzip") => Some(Box::new(Gunzip::new())),
            Some(other) => {
                return Err(Failure::new(
                    FailureClass::Protocol,
                    format!(
                        "the body is compressed as {}, which was not requested",
                        excerpt(other, 40)
                    ),
                ));
            }
        };
        Ok(Self { sink, gunzip })
    }

    fn search(&self) -> &Search<'b> {
        self.sink.search
    }

    /// How much may be fed at once. A few compressed bytes may mean much work.
    fn slice(&self) -> usize {
        match self.gunzip {
            None => usize::MAX,
            Some(_) => gzip::SLICE,
        }
    }

    /// Whether the other checks must have a turn now. Reading pauses by itself.
    fn pauses(&mut self) -> bool {
        self.gunzip.as_mut().is_some_and(|gunzip| gunzip.pauses())
    }

    fn feed(&mut self, slice: &[u8]) -> Result<Progress, Failure> {
        let result = match &mut self.gunzip {
            None => self.sink.write_all(slice).map_err(GzipError::Io),
            Some(gunzip) => gunzip.feed(slice, &mut self.sink),
        };
        self.fed(result)
    }

    fn end(&mut self) -> Result<Progress, Failure> {
        let result = match &mut self.gunzip {
            None => Ok(()),
            Some(gunzip) => gunzip.end(&mut self.sink),
        };
        self.fed(result)
    }

    fn fed(&self, result: Result<(), GzipError>) -> Result<Progress, Failure> {
        match result {
            _ if self.sink.found => Ok(Progress::Found),
            _ if self.search().seen() >= MAX_BODY => Ok(Progress::Full),
            Ok(()) => Ok(Progress::More),
            Err(error) => Err(Failure::new(
                FailureClass::Protocol,
                excerpt(&error.to_string(), 120),
            )),
        }
    }
}

/// Decompresses `bytes`, cut in two, for the fuzz target.
pub(crate) fn fuzz(bytes: &[u8]) {
    struct Nowhere(usize);
    impl Write for Nowhere {
        fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
            self.0 += piece.len();
            assert!(self.0 <= MAX_BODY + 1024 * gzip::SLICE, "more than is read");
            if self.0 > MAX_BODY {
                return Err(io::ErrorKind::StorageFull.into());
            }
            Ok(piece.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let (one, other) = bytes.split_at(bytes.len() / 2);
    let (mut gunzip, mut nowhere) = (Gunzip::new(), Nowhere(0));
    let mut slices = one.chunks(gzip::SLICE).chain(other.chunks(gzip::SLICE));
    let _ = slices
        .try_for_each(|slice| gunzip.feed(slice, &mut nowhere))
        .and_then(|()| gunzip.end(&mut nowhere));
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use flate2::{Compression, write::GzEncoder};

    use super::*;
    use crate::expect::Expect;

    struct Given(Vec<Bytes>);

    impl Pieces for Given {
        async fn next(&mut self) -> Result<Option<Bytes>, BodyError> {
            Ok((!self.0.is_empty()).then(|| self.0.remove(0)))
        }
    }

    fn compressed(text: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    async fn search(body: &[u8], piece: usize, coding: &'static str) -> Result<(), String> {
        let check = crate::recorder::check(Duration::from_secs(20));
        let expect = Expect::of_bytes(b"needle".to_vec());
        let mut search = Search::new(Some(&expect), &check);
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_ENCODING, coding.parse().unwrap());
        let mut given = Given(body.chunks(piece).map(Bytes::copy_from_slice).collect());
        receive(&mut given, &headers, StatusCode::OK, &mut search, &check)
            .await
            .map_err(|failure| failure.reason)
    }

    #[tokio::test]
    async fn a_compressed_body_is_searched_like_a_plain_one() {
        let mut text = "hay ".repeat(10_000).into_bytes();
        text.extend_from_slice(b"needle");
        for piece in [1, 7, 4096] {
            search(&compressed(&text), piece, "gzip").await.unwrap();
            search(&text, piece, "identity").await.unwrap();
        }
        let without = search(&compressed(&text[..400]), 7, "GZIP").await.unwrap_err();
        assert_eq!(without, "\"needle\" not found in 400 bytes (status 200)");
    }

    #[tokio::test]
    async fn a_decompression_bomb_is_stopped() {
        let bomb = compressed(&vec![b'x'; 100 << 20]);
        let reason = search(&bomb, 1 << 20, "gzip").await.unwrap_err();
        assert_eq!(reason, "\"needle\" not in the first 4194304 bytes (status 200)");
    }

    #[tokio::test]
    async fn an_invalid_or_truncated_gzip_is_named() {
        let reason = search(b"not packed at all, though it says so", 5, "gzip")
            .await
            .unwrap_err();
        assert!(reason.starts_with("the body is not valid gzip: "), "{reason}");
        let whole = compressed(b"some hay");
        let reason = search(&whole[..whole.len() - 4], 5, "gzip").await.unwrap_err();
        assert!(reason.starts_with("the body is not valid gzip: "), "{reason}");
        let reason = search(b"x", 1, "br").await.unwrap_err();
        assert_eq!(reason, "the body is compressed as br, which was not requested");
    }
}
