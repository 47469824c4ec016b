use flate2::{
    Compression,
    write::{DeflateEncoder, GzEncoder, ZlibEncoder},
};

use super::*;

fn compressed(coding: Coding, data: &[u8]) -> Vec<u8> {
    match coding {
        Coding::Gzip => {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
            encoder.write_all(data).unwrap();
            encoder.finish().unwrap()
        }
        Coding::Deflate => {
            let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
            encoder.write_all(data).unwrap();
            encoder.finish().unwrap()
        }
        Coding::Brotli => {
            let mut out = Vec::new();
            let parameters = ::brotli::enc::BrotliEncoderParams {
                quality: 5,
                ..Default::default()
            };
            ::brotli::BrotliCompress(&mut &*data, &mut out, &parameters).unwrap();
            out
        }
    }
}

/// Feeds until the end or an error; returns the data, the error and the number of pauses.
fn decompress(coding: Coding, bytes: &[u8], size: usize) -> (Vec<u8>, Option<String>, usize) {
    let (mut decoder, mut data, mut pauses) = (Decoder::new(coding), Vec::new(), 0);
    for piece in bytes.chunks(size) {
        let (mut rest, mut more) = (piece, false);
        while !rest.is_empty() || more {
            match decoder.step(rest, &mut data) {
                Ok(step) => (rest, more) = (&rest[step.taken..], step.more),
                Err(error) => return (data, Some(error.to_string()), pauses),
            }
            pauses += usize::from(decoder.pauses());
        }
    }
    let end = decoder.end(&mut data).err().map(|error| error.to_string());
    (data, end, pauses)
}

const ALL: [Coding; 3] = [Coding::Gzip, Coding::Deflate, Coding::Brotli];

#[test]
fn every_coding_is_read_however_it_is_cut() {
    let data: Vec<u8> = (0..5_000_u32).flat_map(|i| (i * i).to_be_bytes()).collect();
    for coding in ALL {
        let bytes = compressed(coding, &data);
        for size in [1, 50, 256, 100_000] {
            let (read, error, _) = decompress(coding, &bytes, size);
            assert_eq!((read == data, error), (true, None), "{coding:?} {size}");
        }
        let (_, error, _) = decompress(coding, &bytes[..bytes.len() / 2], 256);
        assert!(error.is_some(), "{coding:?}");
        let (read, error, _) = decompress(coding, b"", 1);
        assert!(read.is_empty());
        assert!(coding == Coding::Gzip || error.is_none(), "{coding:?}: {error:?}");
        // What follows the end is nobody's.
        if coding != Coding::Gzip {
            let (read, error, _) = decompress(coding, &[&*bytes, b"more"].concat(), 256);
            assert_eq!((read == data, error), (true, None), "{coding:?}");
        }
    }
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(&data).unwrap();
    let bytes = encoder.finish().unwrap();
    for size in [1, 256] {
        let (read, error, _) = decompress(Coding::Deflate, &bytes, size);
        assert_eq!((read == data, error), (true, None), "bare, {size}");
    }
}

#[test]
fn members_that_follow_each_other_are_one_body() {
    let member = |data| compressed(Coding::Gzip, data);
    let bytes = [member(b"hay"), member(b""), member(b" and needle")].concat();
    for size in 1..bytes.len() {
        let (data, error, _) = decompress(Coding::Gzip, &bytes, size);
        assert_eq!(
            (&*data, error),
            (&b"hay and needle"[..], None),
            "cut after {size}"
        );
    }
}

#[test]
fn ten_thousand_members_are_read_and_no_more() {
    let empty = compressed(Coding::Gzip, b"");
    let (_, error, pauses) = decompress(Coding::Gzip, &empty.repeat(MAX_EMPTY as usize), 256);
    assert_eq!(error, None);
    assert!(pauses >= MAX_EMPTY as usize / 50, "{pauses}");
    let (_, error, _) = decompress(Coding::Gzip, &empty.repeat(MAX_EMPTY as usize + 1), 256);
    let expected = "the body consists of more than 10000 gzip members";
    assert_eq!(error.as_deref(), Some(expected));
}

/// Stored blocks of no bytes (RFC 1951 section 3.2.4), and metadata blocks of no bytes
/// (RFC 7932 section 9.2).
#[test]
fn a_body_that_never_holds_data_ends_the_check() {
    let gzip = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];
    for (coding, begin, block) in [
        (Coding::Gzip, gzip, &[0, 0, 0, 0xff, 0xff][..]),
        (Coding::Deflate, vec![0x78, 0x9c], &[0, 0, 0, 0xff, 0xff]),
        (Coding::Brotli, vec![0x0c], &[0x06]),
    ] {
        let mut bytes = begin;
        let begin = bytes.len();
        bytes.extend(block.repeat((MAX_IDLE as usize - begin) / block.len()));
        let (_, error, pauses) = decompress(coding, &bytes, 256);
        let name = coding.as_str();
        let invalid = format!("the body is not valid {name}: ");
        assert!(
            error.as_ref().is_some_and(|error| error.starts_with(&invalid)),
            "{error:?}"
        );
        assert!(pauses > 350, "{coding:?}: {pauses}");
        bytes.extend(block.repeat(5 * 256));
        let (_, error, _) = decompress(coding, &bytes, 256);
        let expected = format!("the body has more than 1048576 bytes of {name} that hold no data");
        assert_eq!(error, Some(expected));
    }
}

/// In blocks of one letter (RFC 1951 section 3.2.4).
#[test]
fn a_page_that_is_flushed_after_each_letter_is_read() {
    let mut bytes = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];
    bytes.extend([0, 1, 0, 0xfe, 0xff, b'x'].repeat(499_999));
    bytes.extend([1, 1, 0, 0xfe, 0xff, b'x']);
    let mut checksum = flate2::Crc::new();
    checksum.update(&vec![b'x'; 500_000]);
    bytes.extend(checksum.sum().to_le_bytes());
    bytes.extend(500_000_u32.to_le_bytes());
    let (data, error, _) = decompress(Coding::Gzip, &bytes, 256);
    assert_eq!((data.len(), error), (500_000, None));
}

#[test]
fn much_data_of_few_bytes_pauses_often() {
    for coding in ALL {
        let bytes = compressed(coding, &vec![b'x'; 4 << 20]);
        let (data, error, pauses) = decompress(coding, &bytes, 256);
        assert_eq!((data.len(), error), (4 << 20, None), "{coding:?}");
        assert!(pauses >= 8, "{coding:?}: {pauses}");
    }
}

#[test]
fn a_window_of_brotli_that_is_larger_than_what_is_searched_is_refused() {
    for (first, words) in [
        (
            0x0f,
            "the body is not valid br: its window of 2^24 bytes is larger than 2^22",
        ),
        (0x11, "the body is not valid br: its window is invalid"),
    ] {
        let (_, error, _) = decompress(Coding::Brotli, &[first, 0, 0, 0], 256);
        assert_eq!(error.as_deref(), Some(words));
    }
}

#[test]
fn a_content_encoding_is_read() {
    let read = |values: &[&str]| {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header::CONTENT_ENCODING, value.parse().unwrap());
        }
        Encoded::read(&headers)
    };
    for plain in [&[][..], &[""], &["identity"], &["None"], &["identity, "]] {
        assert_eq!(read(plain), Encoded::Plain, "{plain:?}");
    }
    assert_eq!(read(&["GZIP"]), Encoded::As(Coding::Gzip));
    assert_eq!(read(&["identity", "x-gzip"]), Encoded::As(Coding::Gzip));
    assert_eq!(read(&["deflate "]), Encoded::As(Coding::Deflate));
    assert_eq!(read(&["br"]), Encoded::As(Coding::Brotli));
    assert_eq!(read(&["zstd"]), Encoded::Unknown("zstd".to_owned()));
    assert_eq!(read(&["gzip", "br"]), Encoded::Unknown("gzip, br".to_owned()));
}

#[test]
fn what_follows_the_end_is_taken_with_it() {
    // Found by the fuzz target: a Brotli stream that ends within its first bytes, as the
    // decoder notices only when it is asked for more.
    let found = [
        0x4a, 0xc4, 0x04, 0x01, 0x48, 0x54, 0x45, 0x05, 0x45, 0x7a, 0x45, 0x00, 0x00, 0x00, 0x00, 0x7a, 0x00,
        0x00, 0x00, 0x19, 0x00, 0x45, 0x66, 0x69, 0xc0,
    ];
    super::fuzz(&found);
    for coding in [Coding::Deflate, Coding::Brotli] {
        for data in [vec![b'a'; 200], vec![b'a'; 200_000]] {
            let bytes = [compressed(coding, &data), b"and more".to_vec()].concat();
            super::fuzz(&bytes);
            assert_eq!(decompress(coding, &bytes, 256), decompress(coding, &bytes, 1), "{coding:?}");
            assert_eq!(decompress(coding, &bytes, 256).0, data, "{coding:?}");
        }
    }
}
