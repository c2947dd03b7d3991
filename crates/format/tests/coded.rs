//! The coded packing: elements return, bytes are the same everywhere and for ever, and any other bytes are refused or decode to
//! something else, without a panic.
#![cfg(feature = "write")]

use penjing_format::packing::{Element, coded};
use penjing_format::{DataType, PackingError};
use proptest::prelude::*;

/// Bits, for comparisons that know NaN.
fn raw<T: Element>(values: &[T]) -> Vec<u32> {
    values.iter().map(|value| value.raw()).collect()
}

fn decode<T: Element>(
    period: u16,
    data: &[u8],
    row_len: usize,
    elements: usize,
) -> Result<Vec<T>, PackingError> {
    let view = coded::View::new(T::DTYPE, period, data, elements)?;
    assert_eq!((view.dtype(), view.period()), (T::DTYPE, period));
    assert_eq!((view.elements(), view.data()), (elements, data));
    // What lies there before must not matter.
    let mut out = vec![T::from_le(&[0x41; 4][..T::SIZE]); elements];
    view.decode(row_len, &mut out)?;
    Ok(out)
}

/// Packs, unpacks and packs again.
fn returns<T: Element>(values: &[T], row_len: usize) -> (u16, Vec<u8>) {
    let (period, data) = coded::pack(values, row_len);
    let found = decode::<T>(period, &data, row_len, values.len()).unwrap();
    assert_eq!(raw(&found), raw(values));
    assert_eq!(coded::pack(values, row_len), (period, data.clone()));
    (period, data)
}

/// Every stream near `data` is refused or means something else.
fn neighbours<T: Element>(values: &[T], row_len: usize, period: u16, data: &[u8]) {
    let elements = values.len();
    let other = |data: &[u8]| match decode::<T>(period, data, row_len, elements) {
        Ok(found) => raw(&found) != raw(values),
        Err(_) => true,
    };
    for len in 1..data.len() {
        assert!(other(&data[..len]), "cut to {len} of {}", data.len());
    }
    for past in [0, 1, 255] {
        let long = [data, &[past]].concat();
        assert!(other(&long), "{past} after the end");
    }
    for bit in 16..data.len() * 8 {
        let mut flipped = data.to_vec();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert!(other(&flipped), "bit {bit}");
    }
    // The head says how to read the rest; any is as good as the encoder's.
    for head in 0..16.min(data.len() * 8) {
        let mut flipped = data.to_vec();
        flipped[head / 8] ^= 1 << (head % 8);
        let _ = decode::<T>(period, &flipped, row_len, elements);
    }
}

/// A generator that is the same on every machine.
struct Noise(u64);

impl Noise {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

/// Rows that are images: `side` by `side` pixels of `channels`, whose weights fade towards the edges.
fn image(rows: usize, side: usize, channels: usize) -> Vec<i8> {
    let mut noise = Noise(1);
    let mut values = Vec::new();
    for place in 0..rows * side * side * channels {
        let (channel, pixel) = (place * 5 % channels, place / channels % (side * side));
        let far = |at: usize| (2 * at).abs_diff(side - 1);
        let edge = (far(pixel % side) + far(pixel / side)) as u64 + channel as u64;
        let value = noise.below(60) as i8 + 1;
        let sign = if (pixel % side > side / 2) == (0b1101_0011_1000 >> channel & 1 == 0) {
            1
        } else {
            -1
        };
        values.push(if noise.below(24) < edge { 0 } else { sign * value });
    }
    values
}

fn matrix<T: Element>(
    value: impl Strategy<Value = T> + Clone,
) -> impl Strategy<Value = (usize, Vec<T>)> {
    (0_u32..9, 0_usize..40, 0_usize..9).prop_flat_map(move |(zeros, columns, rows)| {
        let element = prop_oneof![zeros => Just(T::default()), 3 => value.clone()];
        (Just(columns), prop::collection::vec(element, columns * rows))
    })
}

proptest! {
    #[test]
    fn i8_returns((row_len, values) in matrix(any::<i8>())) {
        returns(&values, row_len);
    }

    #[test]
    fn i16_returns((row_len, values) in matrix(any::<i16>())) {
        returns(&values, row_len);
    }

    #[test]
    fn i32_returns((row_len, values) in matrix(any::<i32>())) {
        returns(&values, row_len);
    }

    /// Of any bits, NaN and subnormal numbers too.
    #[test]
    fn f32_returns((row_len, values) in matrix(any::<u32>().prop_map(f32::from_bits))) {
        let values: Vec<f32> = values.iter().map(|v| if *v == 0.0 { 0.0 } else { *v }).collect();
        returns(&values, row_len);
    }

    #[test]
    fn row_lengths_need_not_divide(row_len in 0_usize..50, values in prop::collection::vec(-3_i8..3, 0..90)) {
        returns(&values, row_len);
    }

    #[test]
    fn near_streams_are_refused_or_other((row_len, values) in matrix(-9_i8..9)) {
        let values = &values[..values.len().min(60)];
        let (period, data) = returns(values, row_len);
        neighbours(values, row_len, period, &data);
    }

    #[test]
    fn near_f32_streams_are_refused_or_other(values in prop::collection::vec(-1_f32..1.0, 1..12)) {
        let (period, data) = returns(&values, 4);
        neighbours(&values, 4, period, &data);
    }

    #[test]
    fn any_bytes_end(
        data in prop::collection::vec(any::<u8>(), 0..200),
        (period, row_len) in (any::<u16>(), prop_oneof![0_usize..300, Just(usize::MAX)]),
        elements in 0_usize..400,
    ) {
        for exponent in [0, 1, 7, 8, 16, 32, 127, 255] {
            let mut data = data.clone();
            data.iter_mut().take(1).for_each(|first| *first = exponent);
            let _ = decode::<i8>(period, &data, row_len, elements);
            let _ = decode::<i16>(period, &data, row_len, elements);
            let _ = decode::<i32>(period, &data, row_len, elements);
            let _ = decode::<f32>(period, &data, row_len, elements);
        }
    }
}

/// Of docs/format.md. These bytes may never change.
#[test]
fn the_documented_example_is_these_bytes() {
    let (period, data) = returns(&[0_i8, 5, 0, 0, 0, 0, 0, -1, 3], 9);
    assert_eq!((period, data.as_slice()), EXAMPLE);
}

const EXAMPLE: (u16, &[u8]) = (1, &[0x03, 0x03, 0x92, 0x0c, 0xfd]);

/// Larger constants of each type; these sums may never change either.
#[test]
fn bytes_are_the_same_for_ever() {
    let hash = |(period, data): (u16, Vec<u8>)| {
        let sum = data
            .iter()
            .fold(0x811c_9dc5_u32, |sum, byte| (sum ^ u32::from(*byte)).wrapping_mul(0x0100_0193));
        (period, data.len(), sum)
    };
    let mut noise = Noise(2);
    let mut wide = || {
        let bits = noise.below(31);
        let magnitude = noise.below(1 << bits) as i32;
        if noise.below(2) == 0 { magnitude } else { -magnitude }
    };
    let integers: Vec<i32> = (0..1000).map(|_| wide()).collect();
    let short: Vec<i16> = integers.iter().map(|&value| value as i16).collect();
    let real: Vec<f32> = integers.iter().map(|&value| value as f32 / 1e6).collect();
    assert_eq!(hash(returns(&image(10, 9, 12), 972)), FROZEN[0]);
    assert_eq!(hash(returns(&short, 50)), FROZEN[1]);
    assert_eq!(hash(returns(&integers, 50)), FROZEN[2]);
    assert_eq!(hash(returns(&real, 50)), FROZEN[3]);
}

const FROZEN: [(u16, usize, u32); 4] = [
    (108, 4257, 2_628_461_659),
    (1, 1917, 2_233_368_892),
    (5, 2726, 754_571_358),
    (2, 3801, 113_426_206),
];

#[test]
fn an_image_is_found_and_packed_well() {
    let values = image(10, 13, 12);
    let (period, data) = returns(&values, 2028);
    assert_eq!(period, 12);
    let stored = values.iter().filter(|value| **value != 0).count();
    assert!(data.len() < values.len() / 8 + stored, "{} bytes, {stored} stored", data.len());
}

#[test]
fn zeros_and_nothing_take_no_bytes() {
    assert_eq!(returns::<i8>(&[], 3), (0, vec![]));
    assert_eq!(returns::<i8>(&[], 0), (0, vec![]));
    assert_eq!(returns(&[0_i8; 5000], 50), (0, vec![]));
    assert_eq!(returns(&[0_f32; 7], 7), (0, vec![]));
    let mut one = [0_i8; 5000];
    one[4321] = -7;
    assert!(returns(&one, 50).1.len() < 24);
}

#[test]
fn one_element_and_extremes_return() {
    for value in [1, -1, i8::MIN, i8::MAX] {
        returns(&[value], 1);
    }
    returns(&[i16::MIN, i16::MAX, 1, -1, 0], 5);
    returns(&[i32::MIN, i32::MAX, 1, -1, 0], 5);
    returns(&[f32::MIN, f32::MAX, f32::MIN_POSITIVE, 1e-45, -1e-45, 0.0, f32::INFINITY], 7);
}

#[test]
fn negative_zero_is_zero() {
    let (period, data) = coded::pack(&[-0.0_f32, 1.5, -0.0], 3);
    let found = decode::<f32>(period, &data, 3, 3).unwrap();
    assert_eq!(raw(&found), raw(&[0.0_f32, 1.5, 0.0]));
    assert_eq!(coded::pack(&[-0.0_f32; 4], 4), (0, vec![]));
}

#[test]
fn heads_and_lengths_are_checked() {
    let new = |dtype, data: &[u8], elements| coded::View::new(dtype, 1, data, elements).err();
    let length = |expected, found| Some(PackingError::Length { part: "values", expected, found });
    assert_eq!(new(DataType::I8, &[7, 0], 0), length(0, 2));
    assert_eq!(new(DataType::I8, &[7], 1), length(2, 1));
    for (dtype, largest) in [(DataType::I8, 8), (DataType::I16, 16), (DataType::I32, 32)] {
        assert_eq!(new(dtype, &[largest, 0], 1), None);
        let error = PackingError::Exponent { largest: u32::from(largest), found: largest + 1 };
        assert_eq!(new(dtype, &[largest + 1, 0], 1), Some(error));
        assert!(error.to_string().contains(&format!("at most {largest}, found {}", largest + 1)));
    }
    assert_eq!(new(DataType::F32, &[255, 0], 1), None);

    let (period, data) = coded::pack(&[3_i8, -4, 5], 3);
    let found = data.len();
    let decoded = |data: &[u8]| decode::<i8>(period, data, 3, 3).err();
    assert_eq!(decoded(&[&data[..], &[9]].concat()), length(found, found + 1));
    assert_eq!(decoded(&[&data[..], &[0]].concat()), length(found, found + 1));

    let view = coded::View::new(DataType::I8, period, &data, 3).unwrap();
    let error = view.decode(3, &mut [0_i16; 3]);
    let expected = PackingError::ElementType { expected: DataType::I16, found: DataType::I8 };
    assert_eq!(error, Err(expected));
    let error = view.decode(3, &mut [0_i8; 4]);
    assert_eq!(error, Err(PackingError::OutputLength { expected: 3, found: 4 }));
}

/// A magnitude of 128 is an i8 with a minus alone.
#[test]
fn elements_that_the_type_lacks_are_refused() {
    let (period, data) = coded::pack(&[128_i16], 1);
    assert_eq!(data[0], 8);
    assert_eq!(decode::<i16>(period, &data, 1, 1), Ok(vec![128]));
    let error = PackingError::Coded { element: 0 };
    assert_eq!(decode::<i8>(period, &data, 1, 1), Err(error));
    assert!(error.to_string().contains("element 0"));
}
