//! Every packing, over random elements: packing and then expanding, walking rows and walking columns give the elements back.
//! Bytes that are no packing are in `packing_refused.rs`.
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
