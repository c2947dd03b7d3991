//! Every packing, over random elements: packing and then expanding, walking rows and walking columns give the elements back;
//! bytes that are no packing are refused.
#![cfg(feature = "write")]

use penjing_format::packing::{
    Element, Levels, Values, bitmap, blocks, columns, dense, gaps, groups, n_of_m,
};
use penjing_format::{DataType, Layout, Packed, PackingError};
use proptest::prelude::*;

/// A matrix: row length, elements.
fn matrix<T: Element>(
    value: impl Strategy<Value = T> + Clone,
) -> impl Strategy<Value = (usize, Vec<T>)> {
    let element = prop_oneof![2 => Just(T::default()), 1 => value];
    (1_usize..150, 0_usize..9).prop_flat_map(move |(columns, rows)| {
        (Just(columns), prop::collection::vec(element.clone(), columns * rows))
    })
}

/// Checks rows and columns of `packed` against `elements`.
fn walks<T: Element>(packed: Packed<'_>, columns: usize, elements: &[T]) {
    let rows: Vec<_> = packed.rows::<T>(columns).collect();
    assert_eq!(rows.len(), elements.len() / columns);
    assert_eq!(packed.rows::<T>(columns).len(), rows.len());
    for (index, (row, expected)) in rows.iter().zip(elements.chunks(columns)).enumerate() {
        let mut found = vec![T::default(); columns];
        let mut last = None;
        for (column, value) in *row {
            assert!(last < Some(column), "columns ascend");
            assert!(value != T::default(), "zeros are passed over");
            last = Some(column);
            found[column as usize] = value;
        }
        assert_eq!(found, expected);
        for passed in [0, 1, columns / 2] {
            let mut rest = *row;
            let before: Vec<_> = rest.by_ref().take(passed).collect();
            let whole = rest.fold(before, |mut elements, element| {
                elements.push(element);
                elements
            });
            assert!(row.eq(whole), "a fold visits what a loop visits");
        }
        assert!(packed.row::<T>(index, columns).unwrap().eq(*row), "a row alone is that row");
    }
    assert!(packed.row::<T>(rows.len(), columns).is_none());
    let mut cursors = rows.clone();
    for column in 0..columns {
        for (row, cursor) in cursors.iter_mut().enumerate() {
            let expected = elements[row * columns + column];
            assert_eq!(cursor.at(column as u32).unwrap_or_default(), expected);
        }
    }
    // Every third column only: what lies between must be passed over rightly.
    for (row, cursor) in rows.into_iter().enumerate() {
        let mut cursor = cursor;
        for column in (0..columns).step_by(3) {
            let expected = elements[row * columns + column];
            assert_eq!(cursor.at(column as u32).unwrap_or_default(), expected);
        }
        assert_eq!(cursor.at(0), None, "column 0 was passed");
        assert_eq!(cursor.at(columns as u32), None, "past the end");
    }
}

/// The bytes of stored elements, in each way that they can be stored.
type Stored = Vec<(Levels, Vec<u8>)>;

/// Elements in every packing, by turns.
struct Packings<'e, T> {
    columns: usize,
    elements: &'e [T],
    /// Of stored elements, masked or not.
    store: fn(&[T], bool) -> Stored,
}

impl<T: Element> Packings<'_, T> {
    fn with(&self, layout: Layout<'_>, is: &[bool], test: &mut impl FnMut(Packed<'_>)) {
        let stored =
            self.elements.iter().zip(is).filter_map(|(&element, &is)| is.then_some(element));
        let stored: Vec<T> = stored.collect();
        let masked = matches!(layout, Layout::Bitmap(_) | Layout::Groups(_) | Layout::Gaps(_));
        for (levels, bytes) in (self.store)(&stored, masked) {
            let values = Values::new(T::DTYPE, levels, &bytes, Some(stored.len())).unwrap();
            assert_eq!(values.len(), stored.len());
            test(Packed::new(layout, values, self.elements.len(), 0));
        }
    }

    fn each(&self, mut test: impl FnMut(Packed<'_>)) {
        let len = self.elements.len();
        let nonzero: Vec<bool> = self.elements.iter().map(|e| *e != T::default()).collect();
        let test = &mut test;
        self.with(Layout::Dense(dense::View::new(len)), &vec![true; len], test);
        let index = bitmap::pack(nonzero.iter().copied());
        self.with(Layout::Bitmap(bitmap::View::new(&index, len).unwrap()), &nonzero, test);
        for size in [2, 3, 6, 8, 13, 31, 32] {
            let index = groups::pack(&nonzero, size);
            let view = groups::View::new(size, &index, len).unwrap();
            assert_eq!(view.stored(), nonzero.iter().filter(|is| **is).count());
            self.with(Layout::Groups(view), &nonzero, test);
        }
        for bits in gaps::BITS {
            let codes = gaps::pack(&nonzero, bits);
            let count = nonzero.iter().filter(|is| **is).count();
            let view = gaps::View::new(bits, &codes, count, len).unwrap();
            self.with(Layout::Gaps(view), &nonzero, test);
        }
        for (kept, group) in [(1, 2), (3, 4), (5, 7), (9, 32), (31, 32)] {
            let Some((is, index)) = n_of_m::pack(&nonzero, kept, group) else { continue };
            let view = n_of_m::View::new(kept, group, &index, len).unwrap();
            assert_eq!(view.stored(), len / usize::from(group) * usize::from(kept));
            self.with(Layout::NOfM(view), &is, test);
        }
        for size in [2, 3, 8, 100, 255] {
            let (is, index) = blocks::pack(&nonzero, size);
            let view = blocks::View::new(size, &index, len).unwrap();
            assert_eq!(view.stored(), is.iter().filter(|is| **is).count());
            self.with(Layout::Blocks(view), &is, test);
        }
        let (is, index) = columns::pack(&nonzero, self.columns);
        let view = columns::View::new(self.columns, &index, len).unwrap();
        assert_eq!(view.stored(), is.iter().filter(|is| **is).count());
        self.with(Layout::Columns(view), &is, test);
    }
}

fn whole<T: Element>(stored: &[T], _: bool) -> Stored {
    vec![(Levels::Whole, dense::pack(stored))]
}

/// In every number of bits that holds them.
fn narrow(stored: &[i8], masked: bool) -> Stored {
    let mut ways = whole(stored, masked);
    for bits in 1..=7 {
        for zero in [false, true] {
            let levels = Levels::Bits { bits, zero };
            ways.extend(levels.pack(stored).map(|bytes| (levels, bytes)));
        }
    }
    ways
}

fn check<T: Element>(
    columns: usize,
    elements: &[T],
    store: fn(&[T], bool) -> Stored,
    expand: impl Fn(Packed<'_>, &mut [T]) -> Result<(), PackingError>,
) {
    let nnz = elements.iter().filter(|element| **element != T::default()).count();
    Packings { columns, elements, store }.each(|packed| {
        assert_eq!((packed.elements(), packed.nnz()), (elements.len(), nnz));
        assert_eq!(packed.check_elements(), Ok(()));
        let mut out = vec![T::from_le(&[1; 4][..T::SIZE]); elements.len()];
        expand(packed, &mut out).unwrap();
        assert_eq!(out, elements, "{packed:?}");
        let error = expand(packed, &mut vec![T::default(); elements.len() + 1]);
        assert!(matches!(error, Err(PackingError::OutputLength { .. })));
        walks(packed, columns, elements);
    });
}

proptest! {
    #[test]
    fn i8_returns((columns, elements) in matrix(any::<i8>())) {
        check(columns, &elements, whole, |packed, out| packed.expand_i8(out));
    }

    #[test]
    fn f32_returns((columns, elements) in matrix(-1e3_f32..1e3)) {
        check(columns, &elements, whole, |packed, out| packed.expand_f32(out));
    }

    #[test]
    fn i32_returns((columns, elements) in matrix(any::<i32>())) {
        check(columns, &elements, whole, |packed, out| packed.expand_i32(out));
    }

    #[test]
    fn i16_returns_widened((columns, elements) in matrix(any::<i16>())) {
        check(columns, &elements, whole, |packed, out| {
            let mut wide = vec![7; out.len()];
            packed.expand_i32(&mut wide)?;
            for (narrow, wide) in out.iter_mut().zip(wide) {
                *narrow = wide.try_into().unwrap();
            }
            Ok(())
        });
    }

    #[test]
    fn few_levels_return((columns, elements) in matrix(-4..=4_i8)) {
        check(columns, &elements, narrow, |packed, out| packed.expand_i8(out));
    }

    #[test]
    fn levels_without_zero_return((columns, elements) in matrix(prop_oneof![Just(1_i8), Just(-1)])) {
        check(columns, &elements, narrow, |packed, out| packed.expand_i8(out));
    }

    #[test]
    fn sparse_ones_return((columns, elements) in sparse()) {
        check(columns, &elements, narrow, |packed, out| packed.expand_i8(out));
    }
}

/// Few elements, so that whole groups, blocks and words of them are zero.
fn sparse() -> impl Strategy<Value = (usize, Vec<i8>)> {
    let element = prop_oneof![40 => Just(0_i8), 1 => any::<i8>()];
    (1_usize..150, 0_usize..9).prop_flat_map(move |(columns, rows)| {
        (Just(columns), prop::collection::vec(element.clone(), columns * rows))
    })
}

/// The row of docs/format.md.
const ROW: [i8; 9] = [0, 5, 0, 0, 0, 0, 0, -1, 3];

fn nonzero() -> Vec<bool> {
    ROW.iter().map(|&element| element != 0).collect()
}

#[test]
fn the_documents_examples() {
    assert_eq!(dense::pack(&ROW), [0, 5, 0, 0, 0, 0, 0, 0xff, 3]);
    assert_eq!(bitmap::pack(nonzero()), [0x82, 0x01]);
    // Groups of 3: the first and the last have bits, 010 and 011 from the lowest on.
    assert_eq!(groups::pack(&nonzero(), 3), [0b101, 0b11_0010]);
    // Gaps 1, 5 and 0 in codes of two bits, 5 being an escape of 3 and 2.
    assert_eq!(gaps::pack(&nonzero(), 2), [0b0010_1101]);
    // Two of each three: places 0 and 1, 0 and 1, 1 and 2 in two bits each.
    let (is, index) = n_of_m::pack(&nonzero(), 2, 3).unwrap();
    assert_eq!(is, [1, 1, 0, 1, 1, 0, 0, 1, 1].map(|is| is == 1));
    assert_eq!(index, [0b0100_0100, 0b1001]);
    // Blocks of 2: 0, 3 and the cut one.
    let (is, index) = blocks::pack(&nonzero(), 2);
    assert_eq!((is, index), ([1, 1, 0, 0, 0, 0, 1, 1, 1].map(|is| is == 1).into(), vec![0b1_1001]));
    // Rows of 3: the first column is all zeros.
    let (is, index) = columns::pack(&nonzero(), 3);
    assert_eq!((is, index), ([0, 1, 1].repeat(3).iter().map(|&is| is == 1).collect(), vec![0b110]));
    // 5, -1 and 3 in four bits without a zero: levels -8 to -1, then 1 to 8.
    let bytes = Levels::Bits { bits: 4, zero: false }.pack(&[5, -1, 3]);
    assert_eq!(bytes, Some(vec![0x7c, 0x0a]));
    let bytes = Levels::Bits { bits: 4, zero: true }.pack(&[5, -1, 3]);
    assert_eq!(bytes, Some(vec![0xf5, 0x03]));
}

fn i8_values(bytes: &[u8]) -> Values<'_> {
    Values::new(DataType::I8, Levels::Whole, bytes, None).unwrap()
}

#[test]
fn gaps_that_are_none_are_refused() {
    let check_of = |elements, bits, codes: &[u8], values: &[u8]| {
        let values = i8_values(values);
        let view = gaps::View::new(bits, codes, values.len(), elements)?;
        Packed::new(Layout::Gaps(view), values, elements, codes.len()).check_elements()
    };
    let check = |bits, codes: &[u8], values: &[u8]| check_of(9, bits, codes, values);
    let three = [5, 0xff, 3];
    assert_eq!(check(2, &[0b0010_1101], &three), Ok(()));
    for bits in [0, 9, 255] {
        assert_eq!(
            check(bits, &[0b0010_1101], &three),
            Err(PackingError::CodeBits { found: bits })
        );
    }
    let codes = |stored| Err(PackingError::Codes { stored, elements: 9 });
    assert_eq!(check(2, &[], &three), codes(0), "no code");
    assert_eq!(check(2, &[0b1010_1101], &three), codes(2), "a place past the end");
    assert_eq!(check(2, &[0xff; 9], &three), codes(0), "escapes without end");
    let length = |expected, found| Err(PackingError::Length { part: "index", expected, found });
    assert_eq!(check(2, &[0b0010_1101, 0], &three), length(1, 2));
    assert_eq!(check(2, &[0], &[]), length(0, 1));
    // Escapes past the last stored element, few and many, in a constant that has the room for them.
    for more in [1, 7, 8, 40] {
        let codes = [&[0b0010_1101][..], &vec![0xff; more]].concat();
        assert_eq!(check_of(1000, 2, &codes, &three), length(1, 1 + more));
    }
    let padding = Err(PackingError::PaddingBits { part: "index", used: 6, last: 0b0100_0101 });
    assert_eq!(check(2, &[0b0100_0101], &[1, 2, 3]), padding);
    assert_eq!(check(2, &[0b0010_1101], &[5, 0, 3]), Err(PackingError::StoredZero { index: 1 }));
    let odd = Values::new(DataType::I16, Levels::Whole, &[1, 2, 3], None).map(|_| ());
    assert_eq!(odd, Err(PackingError::Length { part: "values", expected: 2, found: 3 }));
}

#[test]
fn groups_that_are_none_are_refused() {
    let view = |size, index: &[u8]| {
        let view = groups::View::new(size, index, 9)?;
        view.check_bits().map(|()| view.stored())
    };
    let length = |expected, found| Err(PackingError::Length { part: "index", expected, found });
    assert_eq!(view(3, &[0b101, 0b11_0010]), Ok(3));
    for size in [0, 1, 33] {
        let expected = (2, 32);
        assert_eq!(view(size, &[0; 2]), Err(PackingError::GroupSize { expected, found: size }));
    }
    assert_eq!(view(3, &[]), length(1, 0));
    assert_eq!(view(3, &[0b101]), length(1, 0), "no bits of the groups");
    assert_eq!(view(3, &[0b101, 1, 2]), length(1, 2));
    let padding = |used, last| Err(PackingError::PaddingBits { part: "index", used, last });
    assert_eq!(view(3, &[0b1101, 0b11_0010]), padding(3, 0b1101), "a fourth group");
    assert_eq!(view(3, &[0b101, 0b111_0010]), padding(6, 0b111_0010));
    assert_eq!(view(3, &[0b101, 0b00_0010]), Err(PackingError::EmptyGroup { group: 1 }));
    // Of the third group of 4 only one place is an element.
    assert_eq!(view(4, &[0b100, 0b0001]), Ok(1));
    assert_eq!(view(4, &[0b100, 0b0011]), padding(9, 0b0011));
}

#[test]
fn places_that_are_none_are_refused() {
    let view = |kept, group, index: &[u8]| n_of_m::View::new(kept, group, index, 9)?.check_places();
    assert_eq!(view(2, 3, &[0b0100_0100, 0b1001]), Ok(()));
    let place = |stored| Err(PackingError::Place { stored, group: 3 });
    assert_eq!(view(2, 3, &[0b0100_0100, 0b1010]), place(5), "the same place twice");
    assert_eq!(view(2, 3, &[0b0100_0001, 0b1001]), place(1), "descending");
    assert_eq!(view(2, 3, &[0b0100_1100, 0b1001]), place(1), "past the group");
    assert_eq!(
        view(2, 3, &[0b0100_0100]),
        Err(PackingError::Length { part: "index", expected: 2, found: 1 })
    );
    for kept in [0, 3, 4] {
        assert_eq!(view(kept, 3, &[0; 2]), Err(PackingError::Kept { group: 3, found: kept }));
    }
    assert_eq!(view(2, 4, &[0; 2]), Err(PackingError::Groups { group: 4, elements: 9 }));
    for size in [0, 1, 33] {
        let expected = (2, 32);
        assert_eq!(view(1, size, &[0]), Err(PackingError::GroupSize { expected, found: size }));
    }
}

#[test]
fn blocks_and_columns_that_are_none_are_refused() {
    let blocks = |size, index: &[u8]| blocks::View::new(size, index, 9).map(|view| view.stored());
    assert_eq!(blocks(2, &[0b1_1001]), Ok(5), "the last one is cut");
    assert_eq!(
        blocks(2, &[0b11_1001]),
        Err(PackingError::PaddingBits { part: "index", used: 5, last: 0b11_1001 })
    );
    let length = |expected, found| Err(PackingError::Length { part: "index", expected, found });
    assert_eq!(blocks(2, &[]), length(1, 0));
    for size in [0, 1] {
        let expected = (2, 255);
        assert_eq!(blocks(size, &[0]), Err(PackingError::GroupSize { expected, found: size }));
    }
    let columns =
        |columns, index: &[u8]| columns::View::new(columns, index, 9).map(|view| view.kept());
    assert_eq!(columns(3, &[0b110]), Ok(2));
    assert_eq!(columns(9, &[0, 1]), Ok(1));
    assert_eq!(columns(9, &[0]), length(2, 1));
    for group in [0, 2, 10] {
        assert_eq!(columns(group, &[0]), Err(PackingError::Groups { group, elements: 9 }));
    }
    assert_eq!(
        columns(3, &[0b1110]),
        Err(PackingError::PaddingBits { part: "index", used: 3, last: 0b1110 })
    );
}

#[test]
fn values_that_are_none_are_refused() {
    let new = |dtype, bits, bytes: &[u8]| {
        let levels = Levels::Bits { bits, zero: true };
        Values::new(dtype, levels, bytes, Some(3)).map(|_| ())
    };
    assert_eq!(new(DataType::I8, 3, &[0xff, 1]), Ok(()));
    for (dtype, bits) in [(DataType::I8, 0), (DataType::I8, 8), (DataType::F32, 3)] {
        let error = Err(PackingError::ValueBits { found: bits, dtype });
        assert_eq!(new(dtype, bits, &[0xff, 1]), error);
    }
    let length = |expected, found| Err(PackingError::Length { part: "values", expected, found });
    assert_eq!(new(DataType::I8, 3, &[0xff]), length(2, 1));
    assert_eq!(
        new(DataType::I8, 3, &[0xff, 2]),
        Err(PackingError::PaddingBits { part: "values", used: 9, last: 2 })
    );
}

/// Every code of every number of bits has a level of its own, and the level that code.
#[test]
fn levels_are_one_to_one_and_ascend() {
    for bits in 1..=7_u8 {
        for zero in [false, true] {
            let levels = Levels::Bits { bits, zero };
            let half = 1_i16 << (bits - 1);
            let all: Vec<i8> = (-half..=half)
                .filter(|&level| if zero { level < half } else { level != 0 })
                .map(|level| i8::try_from(level).unwrap())
                .collect();
            assert_eq!(all.len(), 1 << bits);
            let bytes = levels.pack(&all).unwrap();
            let values = Values::new(DataType::I8, levels, &bytes, Some(all.len())).unwrap();
            assert_eq!(values.iter::<i8>(0).collect::<Vec<_>>(), all);
            let past = i8::try_from(half).ok().and_then(|half| half.checked_add(1));
            for none in [past.unwrap_or(127).max(65), -65] {
                assert_eq!(levels.pack(&[none]), None);
            }
        }
    }
    assert_eq!(Levels::Bits { bits: 3, zero: false }.pack(&[0]), None);
    assert_eq!(Levels::Bits { bits: 3, zero: true }.pack(&[4]), None);
}

#[test]
fn negative_zero_is_packed_as_zero() {
    assert_eq!(dense::pack(&[-0.0_f32]), [0; 4]);
}

#[test]
fn bytes_that_are_no_packing_are_refused() {
    let length = |part, expected, found| PackingError::Length { part, expected, found };
    let dense = |data: &[u8]| Packed::dense(DataType::I16, data, 3).map(|_| ());
    assert_eq!(dense(&[0; 5]), Err(length("values", 6, 5)));
    assert_eq!(dense(&[0; 7]), Err(length("values", 6, 7)));
    let bitmap = |index: &[u8]| bitmap::View::new(index, 10).map(|view| view.stored());
    assert_eq!(bitmap(&[1]), Err(length("index", 2, 1)));
    assert_eq!(bitmap(&[1, 2, 0]), Err(length("index", 2, 3)));
    assert_eq!(bitmap(&[1, 2]), Ok(2));
    let padding = PackingError::PaddingBits { part: "index", used: 10, last: 4 };
    assert_eq!(bitmap(&[1, 4]), Err(padding));
}

#[test]
fn elements_that_may_not_be_stored_are_refused() {
    let check = |dtype, index: &[u8], values: &[u8]| {
        let values = Values::new(dtype, Levels::Whole, values, None).unwrap();
        let view = bitmap::View::new(index, 8).unwrap();
        Packed::new(Layout::Bitmap(view), values, 8, 1).check_elements()
    };
    let zero = PackingError::StoredZero { index: 1 };
    assert_eq!(check(DataType::I8, &[3], &[9, 0]), Err(zero));
    assert_eq!(check(DataType::I16, &[3], &[0, 9, 0, 0]), Err(zero));
    let floats = |values: [f32; 2]| values.map(f32::to_le_bytes).concat();
    assert_eq!(check(DataType::F32, &[3], &floats([1.0, -0.0])), Err(zero));
    let not_finite = PackingError::NotFinite { index: 1 };
    assert_eq!(check(DataType::F32, &[3], &floats([1.0, f32::NAN])), Err(not_finite));
    let bytes = floats([0.0, f32::INFINITY]);
    let packed = Packed::dense(DataType::F32, &bytes, 2).unwrap();
    assert_eq!(packed.check_elements(), Err(not_finite));
}

#[test]
fn another_element_type_is_refused() {
    let packed = Packed::dense(DataType::I8, &[1, 2], 2).unwrap();
    let error = PackingError::ElementType { expected: DataType::F32, found: DataType::I8 };
    assert_eq!(packed.expand_f32(&mut [0.0; 2]), Err(error));
    assert!(packed.row::<f32>(0, 1).is_none());
    assert_eq!(packed.rows::<f32>(1).count(), 0);
    assert_eq!(packed.rows::<i8>(0).count(), 0);
}
