//! The body of an answer: unpacked and searched as it comes.

use std::{
    future::Future,
    io::{self, Write},
};

use apmon_core::{Check, Failure, FailureClass, text::excerpt};
use bytes::Bytes;
use flate2::write::MultiGzDecoder;
use hyper::{HeaderMap, StatusCode, header};

use crate::expect::Search;

/// So much of a body is searched, unpacked.
const MAX_BODY: usize = 4 * 1024 * 1024;

/// How a body can end before its time.
pub(crate) enum Broken {
    /// The peer has just stopped.
    Closed,
    /// Something worse.
    Failed(Failure),
}

/// A body, piece by piece, whatever carries it.
pub(crate) trait Pieces: Send {
    /// The next piece; `None` at the end.
    fn next(&mut self) -> impl Future<Output = Result<Option<Bytes>, Broken>> + Send;
}

/// Reads until what is expected has come.
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
    let mut unpacker = Unpacker::new(headers, search)?;
    loop {
        let Ok(piece) = tokio::time::timeout_at(check.deadline(), pieces.next()).await else {
            return Err(of_status(unpacker.search().late(check)));
        };
        match piece {
            Ok(Some(piece)) => match unpacker.feed(&piece)? {
                Fed::Found => return Ok(()),
                Fed::Full => return Err(of_status(unpacker.search().too_long())),
                Fed::More => {}
            },
            Ok(None) => {
                return match unpacker.end()? {
                    Fed::Found => Ok(()),
                    Fed::Full => Err(of_status(unpacker.search().too_long())),
                    Fed::More => Err(of_status(unpacker.search().missing())),
                };
            }
            // The rest did not come: cut off, garbled, or closed without a word.
            Err(Broken::Closed) => return Err(of_status(unpacker.search().closed())),
            Err(Broken::Failed(failure)) => return Err(failure),
        }
    }
}

/// What came of a piece.
enum Fed {
    Found,
    /// More is not read.
    Full,
    More,
}

/// Feeds the search with what the server meant.
enum Unpacker<'a, 'b> {
    Plain(Sink<'a, 'b>),
    Gzip(Box<MultiGzDecoder<Sink<'a, 'b>>>),
}

/// The unpacked bytes end here. It stops the unpacking by an error: a few
/// kilobytes may stand for gigabytes.
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

impl<'a, 'b> Unpacker<'a, 'b> {
    fn new(headers: &HeaderMap, search: &'a mut Search<'b>) -> Result<Self, Failure> {
        let sink = Sink { search, found: false };
        let coding = headers.get(header::CONTENT_ENCODING).map(|value| {
            String::from_utf8_lossy(value.as_bytes())
                .trim()
                .to_ascii_lowercase()
        });
        match coding.as_deref() {
            None | Some("" | "identity") => Ok(Self::Plain(sink)),
            Some("gzip" | "x-gzip") => Ok(Self::Gzip(Box::new(MultiGzDecoder::new(sink)))),
            Some(other) => Err(Failure::new(
                FailureClass::Protocol,
                format!(
                    "the body is packed as {}, which was not asked for",
                    excerpt(other, 40)
                ),
            )),
        }
    }

    fn search(&self) -> &Search<'b> {
        match self {
            Self::Plain(sink) => sink.search,
            Self::Gzip(decoder) => decoder.get_ref().search,
        }
    }

    fn found(&self) -> bool {
        match self {
            Self::Plain(sink) => sink.found,
            Self::Gzip(decoder) => decoder.get_ref().found,
        }
    }

    fn feed(&mut self, piece: &[u8]) -> Result<Fed, Failure> {
        let result = match self {
            Self::Plain(sink) => sink.write_all(piece),
            Self::Gzip(decoder) => decoder.write_all(piece).and_then(|()| decoder.flush()),
        };
        self.fed(result)
    }

    fn end(&mut self) -> Result<Fed, Failure> {
        let result = match self {
            Self::Plain(_) => Ok(()),
            Self::Gzip(decoder) => decoder.try_finish(),
        };
        self.fed(result)
    }

    fn fed(&self, result: io::Result<()>) -> Result<Fed, Failure> {
        match result {
            _ if self.found() => Ok(Fed::Found),
            _ if self.search().seen() >= MAX_BODY => Ok(Fed::Full),
            Ok(()) => Ok(Fed::More),
            Err(error) => Err(Failure::new(
                FailureClass::Protocol,
                format!("the body is no valid gzip: {}", excerpt(&error.to_string(), 80)),
            )),
        }
    }
}

/// Unpacks `bytes`, cut in two.
pub(crate) fn fuzz(bytes: &[u8]) {
    struct Nowhere(usize);
    impl Write for Nowhere {
        fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
            self.0 += piece.len();
            assert!(self.0 <= MAX_BODY + 64 * 1024, "more than is read");
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
    let mut decoder = MultiGzDecoder::new(Nowhere(0));
    let _ = decoder
        .write_all(one)
        .and_then(|()| decoder.write_all(other))
        .and_then(|()| decoder.try_finish());
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use flate2::{Compression, write::GzEncoder};

    use super::*;
    use crate::expect::Expect;

    struct Given(Vec<Bytes>);

    impl Pieces for Given {
        async fn next(&mut self) -> Result<Option<Bytes>, Broken> {
            Ok((!self.0.is_empty()).then(|| self.0.remove(0)))
        }
    }

    fn packed(text: &[u8]) -> Vec<u8> {
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
    async fn a_packed_body_is_searched_as_if_it_were_not() {
        let mut text = "hay ".repeat(10_000).into_bytes();
        text.extend_from_slice(b"needle");
        for piece in [1, 7, 4096] {
            search(&packed(&text), piece, "gzip").await.unwrap();
            search(&text, piece, "identity").await.unwrap();
        }
        let without = search(&packed(&text[..400]), 7, "GZIP").await.unwrap_err();
        assert_eq!(without, "\"needle\" not found in 400 bytes (status 200)");
    }

    #[tokio::test]
    async fn a_bomb_is_not_unpacked() {
        let bomb = packed(&vec![b'x'; 100 << 20]);
        let reason = search(&bomb, 1 << 20, "gzip").await.unwrap_err();
        assert_eq!(reason, "\"needle\" not in the first 4194304 bytes (status 200)");
    }

    #[tokio::test]
    async fn what_is_no_gzip_or_broken_off_is_named() {
        let reason = search(b"not packed at all, though it says so", 5, "gzip")
            .await
            .unwrap_err();
        assert!(reason.starts_with("the body is no valid gzip: "), "{reason}");
        let whole = packed(b"some hay");
        let reason = search(&whole[..whole.len() - 4], 5, "gzip").await.unwrap_err();
        assert!(reason.starts_with("the body is no valid gzip: "), "{reason}");
        let reason = search(b"x", 1, "br").await.unwrap_err();
        assert_eq!(reason, "the body is packed as br, which was not asked for");
    }
}
