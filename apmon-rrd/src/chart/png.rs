//! PNG files (RFC 2083). The library for them would make `flate2` use another decompressor in the
//! whole program, and reads far more than is written here.

use std::io::Write as _;

use flate2::{Compression, Crc, write::ZlibEncoder};

/// A picture as a PNG file. The rows consist of red, green, blue and opacity; the latter is left
/// out, as the background covers everything.
pub(crate) fn encode(width: u32, height: u32, pixels: &[u8]) -> Vec<u8> {
    const IN_MEMORY: &str = "memory takes everything";
    let row = usize::try_from(width)
        .unwrap_or(usize::MAX)
        .saturating_mul(4)
        .max(1);
    let mut compressed = ZlibEncoder::new(Vec::new(), Compression::default());
    let mut line = Vec::new();
    for pixels in pixels.chunks_exact(row) {
        line.clear();
        // No filter: most pixels equal the one before, which deflate sees as it is.
        line.push(0);
        for pixel in pixels.chunks_exact(4) {
            line.extend_from_slice(&pixel[..3]);
        }
        compressed.write_all(&line).expect(IN_MEMORY);
    }
    let compressed = compressed.finish().expect(IN_MEMORY);

    let mut header = Vec::from(width.to_be_bytes());
    header.extend(height.to_be_bytes());
    // 8 bits a sample; red, green and blue; deflate; filters of type 0; not interlaced.
    header.extend([8, 2, 0, 0, 0]);

    let mut file = Vec::from(*b"\x89PNG\r\n\x1a\n");
    chunk(&mut file, b"IHDR", &header);
    // The length of a chunk is given in 31 bits.
    for part in compressed.chunks(1 << 30) {
        chunk(&mut file, b"IDAT", part);
    }
    chunk(&mut file, b"IEND", &[]);
    file
}

fn chunk(file: &mut Vec<u8>, kind: &[u8; 4], content: &[u8]) {
    file.extend(u32::try_from(content.len()).unwrap_or(u32::MAX).to_be_bytes());
    file.extend(kind);
    file.extend(content);
    let mut check = Crc::new();
    check.update(kind);
    check.update(content);
    file.extend(check.sum().to_be_bytes());
}

/// The size of a picture, and its pixels as red, green and blue.
#[cfg(test)]
pub(crate) fn decode(file: &[u8]) -> ((u32, u32), Vec<[u8; 3]>) {
    use std::io::Read as _;

    let number = |bytes: &[u8]| u32::from_be_bytes(bytes.try_into().expect("it has four bytes"));
    let mut rest = file.strip_prefix(b"\x89PNG\r\n\x1a\n").expect("it is a PNG file");
    let (mut size, mut compressed) = ((0, 0), Vec::new());
    while !rest.is_empty() {
        let length = usize::try_from(number(&rest[..4])).expect("it is in memory");
        let (kind, content) = (&rest[4..8], &rest[8..8 + length]);
        let mut check = Crc::new();
        check.update(&rest[4..8 + length]);
        assert_eq!(check.sum(), number(&rest[8 + length..12 + length]));
        match kind {
            b"IHDR" => size = (number(&content[..4]), number(&content[4..8])),
            b"IDAT" => compressed.extend_from_slice(content),
            _ => assert_eq!(kind, b"IEND"),
        }
        rest = &rest[12 + length..];
    }
    let mut lines = Vec::new();
    let mut reader = flate2::read::ZlibDecoder::new(compressed.as_slice());
    reader.read_to_end(&mut lines).expect("it is compressed");
    let row = usize::try_from(size.0).expect("it is in memory") * 3 + 1;
    let pixels: Vec<[u8; 3]> = lines
        .chunks_exact(row)
        .flat_map(|line| line[1..].chunks_exact(3))
        .map(|pixel| [pixel[0], pixel[1], pixel[2]])
        .collect();
    (size, pixels)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smallest_picture_is_as_the_standard_has_it() {
        let file = encode(1, 1, &[0xff, 0, 0, 0xff]);
        // The checksum of this header is a constant that other programs write as well.
        let header = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\x02\0\0\0\x90\x77\x53\xde";
        assert_eq!(&file[..header.len()], header);
        assert!(file.ends_with(b"\0\0\0\0IEND\xae\x42\x60\x82"));
        assert_eq!(decode(&file), ((1, 1), vec![[0xff, 0, 0]]));
    }
}
