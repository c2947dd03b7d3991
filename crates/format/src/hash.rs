//! The content hash in bytes 8..16 of a file: XXH64 (Collet's xxHash, 64 bits) of all that follows it, up to the signature if
//! there is one, seeded with the eight bytes before it. It tells a damaged file and gives a file a name; it is no defence against
//! someone who means harm, which is `signature`'s business.

#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    deny(
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects,
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic
    )
)]

use crate::signature;

/// Where the hash lies.
pub(crate) const PLACE: core::ops::Range<usize> = 8..16;

const PRIMES: [u64; 5] = [
    0x9e37_79b1_85eb_ca87,
    0xc2b2_ae3d_27d4_eb4f,
    0x1656_67b1_9e37_79f9,
    0x85eb_ca77_c2b2_ae63,
    0x27d4_eb2f_1656_67c5,
];

/// The hash that a file states; `None` where it is too short to.
#[must_use]
pub fn stated(file: &[u8]) -> Option<u64> {
    file.get(PLACE)?.try_into().ok().map(u64::from_le_bytes)
}

/// The hash of a file's content; `None` where it is too short to have one.
#[must_use]
pub fn of(file: &[u8]) -> Option<u64> {
    let content = signature::split(file).0;
    let seed = content.first_chunk().copied().map(u64::from_le_bytes)?;
    Some(xxh64(content.get(PLACE.end..)?, seed))
}

/// Writes a file's hash into it, as whoever changes its content must.
pub fn stamp(file: &mut [u8]) {
    if let (Some(hash), Some(place)) = (of(file), file.get_mut(PLACE)) {
        place.copy_from_slice(&hash.to_le_bytes());
    }
}

/// XXH64 as its specification states it.
fn xxh64(bytes: &[u8], seed: u64) -> u64 {
    let [p1, p2, p3, p4, p5] = PRIMES;
    let (stripes, rest) = bytes.as_chunks::<32>();
    let mut hash = if stripes.is_empty() {
        seed.wrapping_add(p5)
    } else {
        let mut lanes = [
            seed.wrapping_add(p1).wrapping_add(p2),
            seed.wrapping_add(p2),
            seed,
            seed.wrapping_sub(p1),
        ];
        for stripe in stripes {
            for (lane, &word) in lanes.iter_mut().zip(stripe.as_chunks::<8>().0) {
                *lane = round(*lane, u64::from_le_bytes(word));
            }
        }
        let [a, b, c, d] = lanes;
        let sum = [(a, 1), (b, 7), (c, 12), (d, 18)]
            .into_iter()
            .fold(0, |sum: u64, (lane, by)| sum.wrapping_add(lane.rotate_left(by)));
        lanes
            .into_iter()
            .fold(sum, |hash, lane| (hash ^ round(0, lane)).wrapping_mul(p1).wrapping_add(p4))
    };
    hash = hash.wrapping_add(u64::try_from(bytes.len()).unwrap_or(0));
    let (words, rest) = rest.as_chunks::<8>();
    for &word in words {
        hash ^= round(0, u64::from_le_bytes(word));
        hash = hash.rotate_left(27).wrapping_mul(p1).wrapping_add(p4);
    }
    let (halves, rest) = rest.as_chunks::<4>();
    for &half in halves {
        hash ^= u64::from(u32::from_le_bytes(half)).wrapping_mul(p1);
        hash = hash.rotate_left(23).wrapping_mul(p2).wrapping_add(p3);
    }
    for &byte in rest {
        hash ^= u64::from(byte).wrapping_mul(p5);
        hash = hash.rotate_left(11).wrapping_mul(p1);
    }
    hash = (hash ^ hash.wrapping_shr(33)).wrapping_mul(p2);
    hash = (hash ^ hash.wrapping_shr(29)).wrapping_mul(p3);
    hash ^ hash.wrapping_shr(32)
}

#[inline(always)]
fn round(lane: u64, word: u64) -> u64 {
    let [p1, p2, ..] = PRIMES;
    lane.wrapping_add(word.wrapping_mul(p2)).rotate_left(31).wrapping_mul(p1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values that the reference implementation gives.
    #[test]
    fn equals_published_values() {
        for (text, seed, expected) in [
            ("", 0, 0xef46_db37_51d8_e999),
            ("a", 0, 0xd24e_c4f1_a98c_6e5b),
            ("as", 0, 0x1c33_0fb2_d66b_e179),
            ("asd", 0, 0x631c_37ce_72a9_7393),
            ("asdf", 0, 0x4158_72f5_99ce_a71e),
            (
                "Call me Ishmael. Some years ago--never mind how long precisely-",
                0,
                0x02a2_e854_70d6_fd96,
            ),
            ("", 0xae05_4331, 0x14c1_3775_4332_db5e),
        ] {
            assert_eq!(xxh64(text.as_bytes(), seed), expected, "{text}");
        }
    }

    #[test]
    fn a_stamp_is_what_is_stated_and_covers_every_byte() {
        let mut file = [7_u8; 100];
        stamp(&mut file);
        let hash = stated(&file);
        assert!(hash.is_some() && hash == of(&file));
        for at in (0..100).filter(|at| !PLACE.contains(at)) {
            let mut other = file;
            other[at] ^= 1;
            assert_ne!(of(&other), hash, "byte {at}");
        }
        assert_eq!((of(&file[..15]), stated(&file[..15])), (None, None));
        stamp(&mut file[..9]);
    }
}
