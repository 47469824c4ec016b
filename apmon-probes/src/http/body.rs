//! The body of an answer: decompressed, decoded and searched as it arrives.

mod coding;

use std::{
    future::Future,
    io::{self, Write},
    time::Duration,
};

use apmon_core::{Check, Failure, FailureClass, text::excerpt};
use bytes::Bytes;
use encoding_rs::Encoding;
use hyper::{HeaderMap, StatusCode, header};
use tokio::time::Instant;

use self::coding::{CodingError, Decoder, Encoded};
use crate::{
    budget::MAX_FRAMES,
    expect::{Search, charset},
};

/// The number of pieces after which the other checks have a turn.
const PIECES_AT_ONCE: u64 = 256;

/// How much of a body is searched, after decompression.
const MAX_BODY: usize = 4 * 1024 * 1024;

/// How much more is read once the verdict stands, and for how long, to notice a body that
/// breaks off.
const MAX_REST: usize = 16 * 1024;
const LINGER: Duration = Duration::from_millis(250);

/// How much is kept of a body that may turn out not to be compressed.
const MAX_KEPT: usize = 512;

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

/// A body, and what is worth a note if the answer is right nevertheless.
pub(crate) struct Watched<'a, P> {
    pub(crate) pieces: &'a mut P,
    /// How the body breaks off, if it does.
    pub(crate) break_off: Option<String>,
}

impl<P: Pieces> Pieces for Watched<'_, P> {
    async fn next(&mut self) -> Result<Option<Bytes>, BodyError> {
        self.pieces.next().await.inspect_err(|error| {
            let why = match error {
                BodyError::Closed => "connection closed by the peer",
                BodyError::Failed(failure) => failure.reason.trim_start_matches("request: "),
            };
            self.break_off = Some(format!("the body breaks off: {why}"));
        })
    }
}

/// The encoding that the headers declare for the text of a body.
pub(crate) fn charset(headers: &HeaderMap) -> Option<&'static Encoding> {
    let value = headers.get(header::CONTENT_TYPE)?;
    charset::of_content_type(value.as_bytes())
}

/// Reads until the expected text has arrived.
pub(crate) async fn receive(
    pieces: &mut impl Pieces,
    headers: &HeaderMap,
    status: StatusCode,
    search: &mut Search<'_>,
    check: &Check,
) -> Result<(), Failure> {
    let mut reader = Reader::new(headers, search);
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
            return Err(reader.missing(status, |search| search.late(check)));
        };
        let progress = match piece {
            Ok(Some(piece)) => reader.feed(&piece).await?,
            Ok(None) => match reader.end()? {
                Progress::More => return Err(reader.missing(status, |search| search.missing())),
                progress => progress,
            },
            Err(error) => {
                // What came before it may hold what is expected.
                return match (reader.end(), &error) {
                    (Ok(Progress::Found), _) => Ok(()),
                    (_, BodyError::Closed) => Err(reader.missing(status, |search| search.closed())),
                    (_, BodyError::Failed(failure)) => Err(failure.clone()),
                };
            }
        };
        match progress {
            Progress::Found => return Ok(()),
            Progress::Full if reader.sink.search.end() => return Ok(()),
            Progress::Full => return Err(reader.missing(status, |search| search.too_long())),
            Progress::More => {}
        }
    }
}

/// Reads a little more once the verdict stands: the body may break off.
pub(crate) async fn rest(pieces: &mut impl Pieces, check: &Check) {
    let until = check.deadline().min(Instant::now() + LINGER);
    let (mut length, mut count) = (0, 0);
    while length < MAX_REST && count < MAX_REST {
        match tokio::time::timeout_at(until, pieces.next()).await {
            Ok(Ok(Some(piece))) => length += piece.len(),
            Ok(Ok(None) | Err(_)) | Err(_) => return,
        }
        count += 1;
    }
}

/// The state of the search after a piece.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Progress {
    Found,
    /// The limit is reached; no more is read.
    Full,
    More,
}

/// Feeds the search with the decompressed body.
struct Reader<'a, 'b> {
    sink: Sink<'a, 'b>,
    /// `None` if the body is not compressed.
    decoder: Option<Box<Decoder>>,
    /// All that came, while the body may turn out not to be compressed at all.
    kept: Option<Vec<u8>>,
    charset: Option<&'static Encoding>,
    /// What is odd about the body and may be why nothing was found.
    oddity: Option<String>,
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

impl<'a, 'b> Reader<'a, 'b> {
    fn new(headers: &HeaderMap, search: &'a mut Search<'b>) -> Self {
        let sink = Sink { search, found: false };
        let (decoder, oddity) = match Encoded::read(headers) {
            Encoded::Plain => (None, None),
            Encoded::As(coding) => (Some(Box::new(Decoder::new(coding))), None),
            Encoded::Unknown(coding) => {
                let coding = excerpt(&coding, 40);
                let oddity = format!("Content-Encoding is {coding}, which apmon does not know");
                (None, Some(oddity))
            }
        };
        Self {
            sink,
            decoder,
            kept: Some(Vec::new()),
            charset: charset(headers),
            oddity,
        }
    }

    /// The failure of a body in which nothing was found.
    fn missing(&mut self, status: StatusCode, why: impl FnOnce(&Search<'_>) -> Failure) -> Failure {
        let Failure { class, reason } = why(self.sink.search);
        let oddity = self.oddity.as_ref().map(|oddity| format!("; {oddity}"));
        let (status, oddity) = (status.as_u16(), oddity.unwrap_or_default());
        Failure::new(class, format!("{reason} (status {status}{oddity})"))
    }

    /// Reads the next piece of the body.
    async fn feed(&mut self, piece: &[u8]) -> Result<Progress, Failure> {
        let (mut rest, mut more) = (piece, false);
        while !rest.is_empty() || more {
            let Some(decoder) = &mut self.decoder else {
                let result = self.sink.write_all(rest).map_err(CodingError::Sink);
                return self.fed(result);
            };
            let result = decoder.step(rest, &mut self.sink);
            let pauses = decoder.pauses();
            match result {
                Ok(step) => (rest, more) = (&rest[step.taken..], step.more),
                Err(_) if self.is_plain(piece) => return self.begin_anew(piece),
                Err(error) => return self.fed(Err(error)),
            }
            match self.fed(Ok(()))? {
                Progress::More if pauses => tokio::task::yield_now().await,
                Progress::More => {}
                progress => return Ok(progress),
            }
        }
        self.kept = self.kept.take().and_then(|mut kept| {
            kept.extend_from_slice(&piece[..piece.len().min(MAX_KEPT)]);
            (self.decoder.is_some() && kept.len() < MAX_KEPT).then_some(kept)
        });
        Ok(Progress::More)
    }

    /// Nothing more follows.
    fn end(&mut self) -> Result<Progress, Failure> {
        let result = match &mut self.decoder {
            None => Ok(()),
            Some(decoder) => decoder.end(&mut self.sink),
        };
        if result.is_err() && self.is_plain(b"") {
            self.begin_anew(b"")?;
        }
        let progress = match self.decoder {
            None => self.fed(Ok(())),
            Some(_) => self.fed(result),
        };
        self.sink.found |= self.sink.search.end();
        match self.sink.found {
            true => Ok(Progress::Found),
            false => progress,
        }
    }

    /// Whether a body that cannot be decompressed is plain text: all that came, of which
    /// `piece` is the last.
    fn is_plain(&self, piece: &[u8]) -> bool {
        let Some(kept) = &self.kept else {
            return false;
        };
        let early = self
            .decoder
            .as_ref()
            .is_some_and(|decoder| decoder.fed() <= MAX_KEPT as u64);
        let is_text = |byte: &u8| !byte.is_ascii_control() || byte.is_ascii_whitespace();
        early && kept.iter().chain(piece).take(MAX_KEPT).all(is_text)
    }

    /// Searches the body as it is.
    fn begin_anew(&mut self, piece: &[u8]) -> Result<Progress, Failure> {
        if let Some(decoder) = self.decoder.take() {
            let coding = decoder.coding().as_str();
            self.oddity = Some(format!(
                "the body is not {coding}, although Content-Encoding says so"
            ));
        }
        self.sink.search.restart(self.charset);
        self.sink.found = false;
        let bytes = [&self.kept.take().unwrap_or_default(), piece].concat();
        let result = self.sink.write_all(&bytes).map_err(CodingError::Sink);
        self.fed(result)
    }

    fn fed(&self, result: Result<(), CodingError>) -> Result<Progress, Failure> {
        match result {
            _ if self.sink.found => Ok(Progress::Found),
            _ if self.sink.search.seen() >= MAX_BODY => Ok(Progress::Full),
            Ok(()) => Ok(Progress::More),
            Err(error) => Err(Failure::new(
                FailureClass::Protocol,
                excerpt(&error.to_string(), 120),
            )),
        }
    }
}

/// Decompresses `bytes`, for the fuzz target.
pub(crate) fn fuzz(bytes: &[u8]) {
    coding::fuzz(bytes);
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
        let expect = Expect::of_text("needle");
        let mut search = Search::of_page(Some(&expect), None, &check);
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
        let whole = compressed(&[&b"some hay"[..], &(0..=255).collect::<Vec<u8>>().repeat(9)].concat());
        let reason = search(&whole[..whole.len() - 4], 5, "gzip").await.unwrap_err();
        assert!(reason.starts_with("the body is not valid gzip: "), "{reason}");
        let mut broken = whole.clone();
        broken[20] ^= 0xff;
        let reason = search(&broken, 5, "gzip").await.unwrap_err();
        assert!(reason.starts_with("the body is not valid gzip: "), "{reason}");
    }

    #[tokio::test]
    async fn a_body_that_is_not_compressed_as_it_says_is_searched_as_it_is() {
        for coding in ["gzip", "deflate", "br", "zstd", "none", "utf-8", "gzip, br", ""] {
            for piece in [1, 5, 4096] {
                for page in ["needle", "<html><p>a needle</p></html>", "Gr\u{fc}n: needle\r\n"] {
                    search(page.as_bytes(), piece, coding).await.unwrap();
                    let long = format!("{page}{}", "hay ".repeat(5000));
                    search(long.as_bytes(), piece, coding).await.unwrap();
                    let last = format!("<p>{}{page}", "hay ".repeat(5000));
                    search(last.as_bytes(), piece, coding).await.unwrap();
                }
            }
        }
        for (coding, words) in [
            (
                "gzip",
                "; the body is not gzip, although Content-Encoding says so",
            ),
            ("zstd", "; Content-Encoding is zstd, which apmon does not know"),
            ("none", ""),
        ] {
            let reason = search(b"<p>some hay</p>", 5, coding).await.unwrap_err();
            let wanted = format!("\"needle\" not found in 15 bytes (status 200{words})");
            assert_eq!(reason, wanted);
        }
    }

    /// A body that ends with an error.
    struct Broken(Vec<Bytes>, Option<BodyError>);

    impl Pieces for Broken {
        async fn next(&mut self) -> Result<Option<Bytes>, BodyError> {
            match self.0.pop() {
                Some(piece) => Ok(Some(piece)),
                None => self.1.take().map_or(Ok(None), Err),
            }
        }
    }

    #[tokio::test]
    async fn a_body_that_breaks_off_is_a_note_once_the_verdict_stands() {
        let check = crate::recorder::check(Duration::from_secs(20));
        let reset = || Failure::new(FailureClass::Reset, "request: connection reset by the peer");
        for (error, note) in [
            (None, None),
            (
                Some(BodyError::Closed),
                Some("the body breaks off: connection closed by the peer"),
            ),
            (
                Some(BodyError::Failed(reset())),
                Some("the body breaks off: connection reset by the peer"),
            ),
        ] {
            let mut broken = Broken(vec![Bytes::from_static(b"x"); 3], error);
            let mut body = Watched {
                pieces: &mut broken,
                break_off: None,
            };
            rest(&mut body, &check).await;
            assert_eq!(body.break_off.as_deref(), note);
        }
        // Much more is not read for it.
        let mut broken = Broken(
            vec![Bytes::from_static(&[b'x'; 4096]); 9],
            Some(BodyError::Closed),
        );
        rest(&mut broken, &check).await;
        assert_eq!(broken.0.len(), 5);
    }
}
