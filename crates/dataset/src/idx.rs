//! One IDX file of unsigned bytes, gzipped or raw, read against its own header. It knows nothing
//! of folders, splits or checksums.
//!
//! A header is hostile until the bytes behind it have been seen: what is read is bounded by what
//! it declares, and what is allocated by what is there.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;

use crate::error::{DatasetError, Part};

/// The first two bytes of every gzip stream.
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// Deflate cannot expand its input more than this.
const DEFLATE_MAX_RATIO: u64 = 1032;

/// How much may be reserved at once on a header's word; more grows as it is read.
const MAX_RESERVE: u64 = 64 << 20;

/// What an IDX file should hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Rank 3 or 4: `[N, H, W]` or `[N, H, W, C]`.
    Images,
    /// Rank 1: `[N]`.
    Labels,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Kind::Images => "images of unsigned bytes",
            Kind::Labels => "labels of unsigned bytes",
        }
    }

    fn magic_numbers(self) -> &'static str {
        match self {
            Kind::Images => "0x00000803 or 0x00000804",
            Kind::Labels => "0x00000801",
        }
    }

    /// The rank that a magic number stands for; `None` where it is not one of this kind's.
    fn rank(self, magic: u32) -> Option<usize> {
        match (self, magic) {
            (Kind::Labels, 0x801) => Some(1),
            (Kind::Images, 0x803) => Some(3),
            (Kind::Images, 0x804) => Some(4),
            _ => None,
        }
    }

    /// The bytes of the shortest header: the magic number and 4 bytes a dimension.
    fn min_header(self) -> u64 {
        match self {
            Kind::Images => 16,
            Kind::Labels => 8,
        }
    }
}

/// A file whose body is as long as its header says.
#[derive(Debug)]
pub(crate) struct Idx {
    /// The header's bytes, for the checksum.
    pub(crate) header: Vec<u8>,
    /// 1, 3 or 4 dimensions, none of them zero.
    pub(crate) dims: Vec<u32>,
    /// The values, row-major; as many as the product of `dims`.
    pub(crate) body: Vec<u8>,
}

/// Opens and reads a whole file.
pub(crate) fn read(file: &Path, kind: Kind) -> Result<Idx, DatasetError> {
    let io_error = |source| DatasetError::Io { file: file.to_owned(), source };
    let handle = File::open(file).map_err(io_error)?;
    let stored = handle.metadata().map_err(io_error)?.len();
    let mut reader = BufReader::with_capacity(64 << 10, handle);
    let gzipped = reader.fill_buf().map_err(io_error)?.starts_with(&GZIP_MAGIC);
    if gzipped {
        let available = stored.saturating_mul(DEFLATE_MAX_RATIO);
        let stream = Stream { file, kind, gzipped, available, decoded: 0 };
        stream.read_idx(&mut MultiGzDecoder::new(reader))
    } else {
        let stream = Stream { file, kind, gzipped, available: stored, decoded: 0 };
        stream.read_idx(&mut reader)
    }
}

/// What the messages about one file need while it is read.
struct Stream<'a> {
    file: &'a Path,
    kind: Kind,
    gzipped: bool,
    /// No more bytes than this can come out of the file.
    available: u64,
    /// How many have come out so far.
    decoded: u64,
}

impl Stream<'_> {
    fn read_idx(mut self, reader: &mut impl Read) -> Result<Idx, DatasetError> {
        let mut header = Vec::new();
        self.read_exactly(reader, 4, self.kind.min_header(), &mut header)?;
        let magic = be_u32(&header);
        let rank = self.kind.rank(magic).ok_or_else(|| DatasetError::WrongMagic {
            file: self.file.to_owned(),
            kind: self.kind.name(),
            expected: self.kind.magic_numbers(),
            found: magic,
        })?;
        let rest = 4 * rank as u64;
        self.read_exactly(reader, rest, 4 + rest, &mut header)?;
        let dims: Vec<u32> = header[4..].chunks_exact(4).map(be_u32).collect();
        let expected = self.body_len(&dims)?;

        let reserve = expected.min(self.available).min(MAX_RESERVE);
        let mut body = Vec::with_capacity(usize::try_from(reserve).unwrap_or(0));
        // One byte more than declared tells a longer file from a complete one, and lets gzip reach
        // its own checksum.
        self.read_up_to(reader, expected + 1, Part::Body, expected, &mut body)?;
        let found = body.len() as u64;
        if found > expected {
            let file = self.file.to_owned();
            return Err(DatasetError::TrailingBytes { file, expected, found });
        }
        if found < expected {
            return Err(self.truncated(Part::Body, expected, found));
        }
        Ok(Idx { header, dims, body })
    }

    /// The product of the dimensions.
    fn body_len(&self, dims: &[u32]) -> Result<u64, DatasetError> {
        if dims.contains(&0) {
            let file = self.file.to_owned();
            return Err(DatasetError::ZeroDimension { file, dims: dims.to_vec() });
        }
        // At most four factors below 2^32 fit.
        let bytes: u128 = dims.iter().map(|&dim| u128::from(dim)).product();
        let limit = isize::MAX as u64 - 1;
        if bytes > u128::from(limit) {
            return Err(DatasetError::TooLarge {
                file: self.file.to_owned(),
                dims: dims.to_vec(),
                bytes,
                limit,
            });
        }
        Ok(bytes as u64)
    }

    /// Appends `count` bytes of the header, whose whole length for a message is `header_len`.
    fn read_exactly(
        &mut self,
        reader: &mut impl Read,
        count: u64,
        header_len: u64,
        into: &mut Vec<u8>,
    ) -> Result<(), DatasetError> {
        let wanted = into.len() as u64 + count;
        self.read_up_to(reader, count, Part::Header, header_len, into)?;
        if (into.len() as u64) < wanted {
            return Err(self.truncated(Part::Header, header_len, into.len() as u64));
        }
        Ok(())
    }

    /// Appends at most `count` bytes: fewer where the file ends.
    fn read_up_to(
        &mut self,
        reader: &mut impl Read,
        count: u64,
        part: Part,
        part_len: u64,
        into: &mut Vec<u8>,
    ) -> Result<(), DatasetError> {
        let before = into.len();
        let result = reader.by_ref().take(count).read_to_end(into);
        self.decoded += (into.len() - before) as u64;
        let Err(source) = result else { return Ok(()) };
        let file = self.file.to_owned();
        if !self.gzipped {
            return Err(DatasetError::Io { file, source });
        }
        // A gzip stream that was cut off is a truncated file like any other, unless all the
        // values came through and only the stream's own trailer is missing.
        let found = into.len() as u64;
        if source.kind() == io::ErrorKind::UnexpectedEof && found < part_len {
            return Err(self.truncated(part, part_len, found));
        }
        Err(DatasetError::CorruptGzip { file, decoded: self.decoded, source })
    }

    fn truncated(&self, part: Part, expected: u64, found: u64) -> DatasetError {
        DatasetError::Truncated { file: self.file.to_owned(), part, expected, found }
    }
}

/// The first four bytes, big-endian; the callers have checked that they are there.
fn be_u32(bytes: &[u8]) -> u32 {
    u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
}
