//! How much flash and RAM a program for a board takes, read from its ELF file: 32 bits, little-endian. It runs nothing.

use anyhow::{Context, Result, ensure};

const SHT_NOBITS: u32 = 8;
const SHF_WRITE: u32 = 1;
const SHF_ALLOC: u32 = 2;

/// A program's sections that a board holds.
pub(super) struct Elf<'a> {
    sections: Vec<Section<'a>>,
}

struct Section<'a> {
    size: u64,
    writable: bool,
    /// What it holds; none of one that is zeros at the start.
    bytes: Option<&'a [u8]>,
}

impl<'a> Elf<'a> {
    /// Reads the table of sections.
    pub(super) fn parse(file: &'a [u8]) -> Result<Self> {
        ensure!(
            file.starts_with(b"\x7fELF\x01\x01"),
            "expected an ELF file of 32 bits, little-endian, found bytes {:02x?}",
            &file[..file.len().min(6)]
        );
        let table = word(file, 0x20)? as usize;
        let (entry, count) = (half(file, 0x2e)?, half(file, 0x30)?);
        let mut sections = Vec::new();
        for index in 0..count {
            let at = table + index * entry;
            let field = |number: usize| word(file, at + 4 * number);
            let (kind, flags, offset, size) = (field(1)?, field(2)?, field(4)?, field(5)?);
            if flags & SHF_ALLOC == 0 {
                continue;
            }
            let bytes = file.get(offset as usize..offset as usize + size as usize);
            ensure!(
                kind == SHT_NOBITS || bytes.is_some(),
                "section {index}: expected {size} bytes at {offset}, found a file of {}",
                file.len()
            );
            sections.push(Section {
                size: size.into(),
                writable: flags & SHF_WRITE != 0,
                bytes: bytes.filter(|_| kind != SHT_NOBITS),
            });
        }
        ensure!(!sections.is_empty(), "expected sections that a board holds, found none");
        Ok(Self { sections })
    }

    /// Bytes in flash: code, constants, and the values that statics start with.
    pub(super) fn flash(&self) -> u64 {
        self.sections.iter().filter(|section| section.bytes.is_some()).map(|s| s.size).sum()
    }

    /// Bytes in RAM that the linker placed.
    pub(super) fn statics(&self) -> u64 {
        self.sections.iter().filter(|section| section.writable).map(|s| s.size).sum()
    }

    /// How often bytes lie in flash.
    pub(super) fn count(&self, bytes: &[u8]) -> usize {
        let held = self.sections.iter().filter_map(|section| section.bytes);
        held.map(|held| held.windows(bytes.len()).filter(|window| *window == bytes).count()).sum()
    }
}

fn word(file: &[u8], at: usize) -> Result<u32> {
    let bytes = file.get(at..).and_then(<[u8]>::first_chunk);
    Ok(u32::from_le_bytes(*bytes.with_context(|| format!("an ELF file ends before byte {at}"))?))
}

fn half(file: &[u8], at: usize) -> Result<usize> {
    Ok((word(file, at)? & 0xffff) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file of a header, sections `(type, flags, bytes, size)` and their table.
    fn file(sections: &[(u32, u32, &[u8], u32)]) -> Vec<u8> {
        let mut file = b"\x7fELF\x01\x01".to_vec();
        file.resize(0x34, 0);
        let mut table = Vec::new();
        for &(kind, flags, bytes, size) in sections {
            let offset = file.len() as u32;
            file.extend_from_slice(bytes);
            for field in [0, kind, flags, 0, offset, size, 0, 0, 4, 0] {
                table.extend_from_slice(&field.to_le_bytes());
            }
        }
        let (start, count) = (file.len() as u32, sections.len() as u16);
        file[0x20..0x24].copy_from_slice(&start.to_le_bytes());
        file[0x2e..0x30].copy_from_slice(&40u16.to_le_bytes());
        file[0x30..0x32].copy_from_slice(&count.to_le_bytes());
        file.extend_from_slice(&table);
        file
    }

    #[test]
    fn flash_and_statics_are_sums_of_sections() {
        let bytes = file(&[
            (1, SHF_ALLOC, b"code-and-model", 14),
            (1, SHF_ALLOC | SHF_WRITE, b"data", 4),
            (SHT_NOBITS, SHF_ALLOC | SHF_WRITE, b"", 1000),
            (1, 0, b"model, in a comment", 19),
        ]);
        let elf = Elf::parse(&bytes).unwrap();
        assert_eq!((elf.flash(), elf.statics()), (18, 1004));
        assert_eq!((elf.count(b"model"), elf.count(b"d"), elf.count(b"x")), (1, 4, 0));
    }

    #[test]
    fn what_is_no_such_file_is_refused() {
        for bytes in [&b""[..], b"\x7fELF\x02\x01", b"\x7fELF\x01\x02", b"\x7fELF\x01\x01"] {
            assert!(Elf::parse(bytes).is_err(), "{bytes:?}");
        }
        assert!(Elf::parse(&file(&[(1, 0, b"x", 1)])).is_err());
        assert!(Elf::parse(&file(&[(1, SHF_ALLOC, b"x", 1000)])).is_err());
        let whole = file(&[(1, SHF_ALLOC, b"x", 1)]);
        assert!(Elf::parse(&whole[..whole.len() - 20]).is_err());
    }
}
