//! Walks for machines with little room (`packing::stream`), over random elements in every packing and width: whatever a walk passes,
//! and wherever it stops, it sees the elements that were packed. Bytes that are no packing are only walked, without harm.
#![cfg(feature = "write")]

use penjing_format::lean::LeanWeights;
use penjing_format::packing::stream::{Fours, Stream, StreamMark, set};
use penjing_format::packing::{Levels, bitmap, blocks, columns, gaps, groups, n_of_m};
use proptest::prelude::*;

const DENSE: u8 = 0;
const BITMAP: u8 = 1;
const GROUPS: u8 = 2;
const GAPS: u8 = 3;
const N_OF_M: u8 = 4;
const BLOCKS: u8 = 5;
const COLUMNS: u8 = 6;

/// splitmix64.
struct Noise(u64);

impl Noise {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 8) as usize % end
    }
}

/// A constant's bytes.
#[derive(Clone, Debug)]
struct Bytes {
    packing: u8,
    index: Vec<u8>,
    values: Vec<u8>,
    group: u8,
    gap_bits: u8,
    kept: u8,
    value_bits: u8,
    no_zero: bool,
    stored: u32,
}

impl Bytes {
    fn weights(&self) -> LeanWeights<'_> {
        LeanWeights {
            values: &self.values,
            index: &self.index,
            packing: self.packing,
            group: self.group,
            gap_bits: self.gap_bits,
            kept: self.kept,
            value_bits: self.value_bits,
            no_zero: self.no_zero,
            stored: self.stored,
            ..LeanWeights::default()
        }
    }
}

/// The elements in every packing, in whole bytes and in every width that holds them.
fn each(elements: &[i8], row_len: usize, mut test: impl FnMut(&Bytes)) {
    let nonzero: Vec<bool> = elements.iter().map(|&element| element != 0).collect();
    let mut with = |packing: u8, index: Vec<u8>, is: &[bool], [group, gap_bits, kept]: [u8; 3]| {
        let stored = elements.iter().zip(is).filter(|(_, is)| **is);
        let stored: Vec<i8> = stored.map(|(&element, _)| element).collect();
        let values = stored.iter().map(|&element| element as u8).collect();
        let whole = Bytes {
            packing,
            index,
            values,
            group,
            gap_bits,
            kept,
            value_bits: 0,
            no_zero: false,
            stored: 0,
        };
        test(&whole);
        let masked = matches!(packing, BITMAP | GROUPS | GAPS);
        for (bits, zero) in (1..=7).flat_map(|bits| [(bits, false), (bits, true)]) {
            // Masks never have a level for 0, whatever is stated.
            let levels = Levels::Bits { bits, zero: zero && !masked };
            let Some(values) = levels.pack(&stored) else { continue };
            let (no_zero, stored) = (!zero, stored.len() as u32);
            test(&Bytes { values, value_bits: bits, no_zero, stored, ..whole.clone() });
        }
    };
    with(DENSE, Vec::new(), &vec![true; elements.len()], [4, 3, 2]);
    with(BITMAP, bitmap::pack(nonzero.iter().copied()), &nonzero, [4, 3, 2]);
    for size in [2, 3, 4, 6, 8, 13, 31, 32] {
        with(GROUPS, groups::pack(&nonzero, size), &nonzero, [size, 3, 2]);
    }
    for bits in gaps::BITS {
        with(GAPS, gaps::pack(&nonzero, bits), &nonzero, [4, bits, 2]);
    }
    for (kept, group) in [(1, 2), (2, 4), (5, 7), (9, 32), (31, 32)] {
        if let Some((is, index)) = n_of_m::pack(&nonzero, kept, group) {
            with(N_OF_M, index, &is, [group, 3, kept]);
        }
    }
    for size in [2, 3, 8, 100, 255] {
        let (is, index) = blocks::pack(&nonzero, size);
        with(BLOCKS, index, &is, [size, 3, 2]);
    }
    let (is, index) = columns::pack(&nonzero, row_len);
    with(COLUMNS, index, &is, [4, 3, 2]);
}

fn stream<'a>(bytes: &'a Bytes, elements: usize, row_len: usize) -> Stream<'a> {
    let mut stream = Stream::EMPTY;
    let weights = bytes.weights();
    assert!(stream.read::<{ set::ALL }>(&weights, elements as u32, row_len as u32), "{bytes:?}");
    stream
}

/// The elements that groups of four say, as their kernels read them.
fn of_fours(fours: &Fours<'_>, count: usize) -> Vec<i8> {
    let mut elements = vec![0; count];
    let nibble = |at: usize| fours.members[at / 2] >> (4 * (at % 2)) & 15;
    let (mut group, mut value) = (usize::from(fours.odd), 0);
    for four in (0..24).filter(|four| fours.live >> four & 1 == 1) {
        let members = nibble(group);
        group += 1;
        for place in (0..4).filter(|place| members >> place & 1 == 1) {
            elements[4 * four + place] = fours.values[value] as i8;
            value += 1;
        }
    }
    elements
}

/// Walks with stops in random places, of which some pass elements unseen.
fn walk(bytes: &Bytes, elements: &[i8], row_len: usize, noise: &mut Noise) {
    let stream = stream(bytes, elements.len(), row_len);
    assert_eq!(stream.elements() as usize, elements.len());
    let (mut mark, mut from) = (StreamMark::default(), 0);
    while from < elements.len() {
        let reach = [1, 4, 8, 30, 200][noise.below(5)];
        let mut to = (from + noise.below(reach + 1)).min(elements.len());
        if noise.below(3) == 0 {
            to = to.next_multiple_of(4).min(elements.len());
        }
        if let Some(fours) = stream.fours(&mark, to as u32) {
            assert!(bytes.packing == GROUPS && bytes.group == 4 && bytes.value_bits == 0);
            assert!(fours.members.len() >= 20 && fours.values.len() >= 96 && fours.live >> 24 == 0);
            assert_eq!(of_fours(&fours, to - from), elements[from..to], "{bytes:?}");
        }
        if noise.below(3) == 0 {
            stream.skip::<{ set::ALL }>(&mut mark, to as u32);
        } else {
            let (mut found, mut last) = (vec![0; to - from], None);
            stream.advance::<{ set::ALL }>(&mut mark, to as u32, |element, value| {
                assert!(last < Some(element), "elements ascend");
                last = Some(element);
                found[element as usize - from] = value;
            });
            assert_eq!(found, elements[from..to], "{from}..{to} of {bytes:?}");
        }
        if bytes.packing != GAPS {
            assert_eq!(mark.at as usize, to, "{bytes:?}");
        }
        from = to;
    }
    // Past the end there is nothing, and nothing changes.
    stream.advance::<{ set::ALL }>(&mut mark, u32::MAX, |_, _| panic!("past the end"));
    for extra in [0, 3] {
        let mut out = vec![0xa5; elements.len() + extra];
        stream.expand::<{ set::ALL }>(&mut out);
        let (found, rest) = out.split_at(elements.len());
        assert!(found.iter().zip(elements).all(|(&found, &want)| found as i8 == want));
        assert!(rest.iter().all(|&byte| byte == 0));
    }
    let whole = bytes.packing == DENSE && bytes.value_bits == 0;
    assert_eq!(stream.whole(), whole.then_some(&bytes.values[..]));
}

/// A matrix with rows of so many elements, of which few have many levels.
fn matrix() -> impl Strategy<Value = (usize, Vec<i8>)> {
    (1_usize..150, 1_usize..9, 0..8_u32, 1..9_u32, any::<u64>()).prop_map(
        |(row_len, rows, keep, bits, seed)| {
            let mut noise = Noise(seed);
            let element = |_| {
                let level = noise.below(256) as u8 as i8;
                let level = if bits == 8 { level } else { level >> (8 - bits) };
                if noise.below(8) < keep as usize { level } else { 0 }
            };
            (row_len, (0..row_len * rows).map(element).collect())
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn walks_see_what_was_packed((row_len, elements) in matrix(), seed: u64) {
        let mut noise = Noise(seed);
        each(&elements, row_len, |bytes| walk(bytes, &elements, row_len, &mut noise));
    }

    /// Long runs of groups without members, and of groups with all: what kernels of four read ahead.
    #[test]
    fn groups_of_four_are_read_ahead(runs in proptest::collection::vec((0..40_usize, 0..16_u8), 1..40), seed: u64) {
        let mut elements = Vec::new();
        for (groups, members) in runs {
            for _ in 0..groups {
                elements.extend((0..4).map(|place| (members >> place & 1) as i8 * (place + 3)));
            }
        }
        let nonzero: Vec<bool> = elements.iter().map(|&element| element != 0).collect();
        let bytes = Bytes {
            packing: GROUPS,
            index: groups::pack(&nonzero, 4),
            values: elements.iter().filter(|&&e| e != 0).map(|&e| e as u8).collect(),
            group: 4,
            gap_bits: 3,
            kept: 2,
            value_bits: 0,
            no_zero: false,
            stored: 0,
        };
        if !elements.is_empty() {
            for round in 0..8 {
                walk(&bytes, &elements, 4, &mut Noise(seed ^ round));
            }
        }
    }

    /// Any bytes, of any numbers: walks end, stay within the elements, and say nothing of other ones.
    #[test]
    fn any_bytes_are_walked(
        packing in 0..9_u8,
        index in proptest::collection::vec(any::<u8>(), 0..60),
        values in proptest::collection::vec(any::<u8>(), 0..60),
        numbers in any::<[u8; 3]>(),
        value_bits in 0..9_u8,
        stored in prop_oneof![0..100_u32, any::<u32>()],
        elements in prop_oneof![0..300_u32, (1_u32 << 20)..(1 << 28)],
        row_len in prop_oneof![1..40_u32, any::<u32>()],
        seed: u64,
    ) {
        let [group, gap_bits, kept] = numbers.map(|number| if seed & 1 == 0 { number % 34 } else { number });
        let no_zero = seed & 2 == 0;
        let bytes = Bytes { packing, index, values, group, gap_bits, kept, value_bits, no_zero, stored };
        let mut stream = Stream::EMPTY;
        let weights = bytes.weights();
        if !stream.read::<{ set::ALL }>(&weights, elements, row_len) {
            return Ok(());
        }
        let mut noise = Noise(seed);
        let (mut mark, mut to) = (StreamMark::default(), 0_u32);
        // A few steps, and then to the end where that is near; the packings that walk element by element do so in steps too.
        for _ in 0..20 {
            to = to.saturating_add(noise.below(60) as u32);
            let _ = stream.fours(&mark, to);
            if noise.below(2) == 0 {
                stream.skip::<{ set::ALL }>(&mut mark, to);
            } else {
                let end = to.min(elements);
                stream.advance::<{ set::ALL }>(&mut mark, to, |element, _| assert!(element < end));
            }
        }
        if elements < 300 {
            stream.advance::<{ set::ALL }>(&mut mark, elements, |element, _| assert!(element < elements));
        }
    }
}

/// A walk knows the packings that its caller names, and narrow elements where they are named.
#[test]
fn what_is_not_named_is_refused() {
    let elements: Vec<i8> = (0..64).map(|i| if i % 4 < 2 { 1 } else { 0 }).collect();
    let mut tried = std::collections::BTreeSet::new();
    each(&elements, 8, |bytes| {
        tried.insert((bytes.packing, bytes.value_bits > 0));
        macro_rules! tries {
            ($($bit:literal)*) => {$(
                let (mut narrow, mut whole) = (Stream::EMPTY, Stream::EMPTY);
                let (weights, own) = (bytes.weights(), bytes.packing == $bit);
                let narrow = narrow.read::<{ 1 << $bit | set::BITS }>(&weights, 64, 8);
                let whole = whole.read::<{ 1 << $bit }>(&weights, 64, 8);
                assert_eq!((narrow, whole), (own, own && bytes.value_bits == 0), "{bytes:?}");
                let mut without = Stream::EMPTY;
                assert!(!(own && without.read::<{ set::ALL & !(1 << $bit) }>(&weights, 64, 8)));
            )*};
        }
        tries!(0 1 2 3 4 5 6);
    });
    assert_eq!(tried.len(), 14, "{tried:?}");
}
