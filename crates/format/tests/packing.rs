//! Every packing, over random elements: packing and then expanding, walking rows and walking columns give the elements back;
//! bytes that are no packing are refused.
#![cfg(feature = "write")]

use penjing_format::packing::{Element, bitmap, dense, gaps};
use penjing_format::{DataType, Packed, PackingError};
use proptest::prelude::*;

/// A matrix in both packings: row length, elements.
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

fn check<T: Element>(
    columns: usize,
    elements: &[T],
    expand: impl Fn(Packed<'_>, &mut [T]) -> Result<(), PackingError>,
) {
    let nnz = elements.iter().filter(|element| **element != T::default()).count();
    let data = dense::pack(elements);
    let (mask, values) = bitmap::pack(elements);
    assert_eq!(values.len(), nnz * T::DTYPE.size());
    let gaps: Vec<_> = gaps::BITS.map(|bits| (bits, gaps::pack(elements, bits))).collect();
    let mut views = vec![
        Packed::Dense(dense::View::new(T::DTYPE, &data, elements.len()).unwrap()),
        Packed::Bitmap(bitmap::View::new(T::DTYPE, &mask, &values, elements.len()).unwrap()),
    ];
    for (bits, (codes, stored)) in &gaps {
        assert_eq!(*stored, values);
        let view = gaps::View::new(T::DTYPE, *bits, codes, stored, elements.len()).unwrap();
        views.push(Packed::Gaps(view));
    }
    for packed in views {
        assert_eq!((packed.elements(), packed.nnz()), (elements.len(), nnz));
        assert_eq!(packed.check_elements(), Ok(()));
        let mut out = vec![T::from_le(&[1; 4][..T::SIZE]); elements.len()];
        expand(packed, &mut out).unwrap();
        assert_eq!(out, elements);
        let error = expand(packed, &mut vec![T::default(); elements.len() + 1]);
        assert!(matches!(error, Err(PackingError::OutputLength { .. })));
        walks(packed, columns, elements);
    }
}

proptest! {
    #[test]
    fn i8_returns((columns, elements) in matrix(any::<i8>())) {
        check(columns, &elements, |packed, out| packed.expand_i8(out));
    }

    #[test]
    fn f32_returns((columns, elements) in matrix(-1e3_f32..1e3)) {
        check(columns, &elements, |packed, out| packed.expand_f32(out));
    }

    #[test]
    fn i32_returns((columns, elements) in matrix(any::<i32>())) {
        check(columns, &elements, |packed, out| packed.expand_i32(out));
    }

    #[test]
    fn i16_returns_widened((columns, elements) in matrix(any::<i16>())) {
        check(columns, &elements, |packed, out| {
            let mut wide = vec![7; out.len()];
            packed.expand_i32(&mut wide)?;
            for (narrow, wide) in out.iter_mut().zip(wide) {
                *narrow = wide.try_into().unwrap();
            }
            Ok(())
        });
    }

    #[test]
    fn rank_counts_bits(mask in prop::collection::vec(any::<u8>(), 0..40), a in 0_usize..330, b in 0_usize..330) {
        let elements = 8 * mask.len();
        let ones: usize = mask.iter().map(|byte| byte.count_ones() as usize).sum();
        let values = vec![1; ones];
        let view = bitmap::View::new(DataType::I8, &mask, &values, elements).unwrap();
        let (start, end) = (a.min(elements), b.min(elements));
        let counted = (start..end).filter(|bit| mask[bit / 8] >> (bit % 8) & 1 == 1).count();
        prop_assert_eq!(view.rank(start, end), counted);
    }
}

#[test]
fn the_documents_example() {
    let (mask, values) = bitmap::pack(&[0_i8, 5, 0, 0, 0, 0, 0, -1, 3]);
    assert_eq!(mask, [0x82, 0x01]);
    assert_eq!(values, [0x05, 0xff, 0x03]);
}

/// As docs/format.md shows it: gaps 1, 5 and 0 in codes of two bits, 5 being an escape of 3 and 2.
#[test]
fn the_documents_gaps() {
    let (codes, values) = gaps::pack(&[0_i8, 5, 0, 0, 0, 0, 0, -1, 3], 2);
    assert_eq!((codes, values), (vec![0b0010_1101], vec![5, 0xff, 3]));
}

#[test]
fn gaps_that_are_none_are_refused() {
    let check = |bits, codes: &[u8], values: &[u8]| {
        let view = gaps::View::new(DataType::I8, bits, codes, values, 9)?;
        Packed::Gaps(view).check_elements()
    };
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
    let length = |expected, found| Err(PackingError::Length { part: "codes", expected, found });
    assert_eq!(check(2, &[0b0010_1101, 0], &three), length(1, 2));
    assert_eq!(check(2, &[0], &[]), length(0, 1));
    // Escapes past the last stored element, few and many, in a constant that has the room for them.
    for more in [1, 7, 8, 40] {
        let codes = [&[0b0010_1101][..], &vec![0xff; more]].concat();
        let view = gaps::View::new(DataType::I8, 2, &codes, &three, 1000).unwrap();
        assert_eq!(Packed::Gaps(view).check_elements(), length(1, 1 + more));
    }
    let padding = Err(PackingError::PaddingBits { elements: 9, last: 0b0100_0101 });
    assert_eq!(check(2, &[0b0100_0101], &[1, 2, 3]), padding);
    assert_eq!(check(2, &[0b0010_1101], &[5, 0, 3]), Err(PackingError::StoredZero { index: 1 }));
    let odd = gaps::View::new(DataType::I16, 3, &[0], &[1, 2, 3], 9).map(|_| ());
    assert_eq!(odd, Err(PackingError::Length { part: "values", expected: 2, found: 3 }));
}

#[test]
fn negative_zero_is_packed_as_zero() {
    assert_eq!(dense::pack(&[-0.0_f32]), [0; 4]);
    assert_eq!(bitmap::pack(&[-0.0_f32]), (vec![0], vec![]));
}

#[test]
fn bytes_that_are_no_packing_are_refused() {
    let length = |part, expected, found| PackingError::Length { part, expected, found };
    let dense = |data: &[u8]| dense::View::new(DataType::I16, data, 3).map(|_| ());
    assert_eq!(dense(&[0; 5]), Err(length("data", 6, 5)));
    assert_eq!(dense(&[0; 7]), Err(length("data", 6, 7)));
    let bitmap =
        |mask: &[u8], values: &[u8]| bitmap::View::new(DataType::I16, mask, values, 10).map(|_| ());
    assert_eq!(bitmap(&[1], &[0; 2]), Err(length("mask", 2, 1)));
    assert_eq!(bitmap(&[1, 2, 0], &[0; 4]), Err(length("mask", 2, 3)));
    assert_eq!(bitmap(&[1, 2], &[0; 2]), Err(length("values", 4, 2)));
    assert_eq!(bitmap(&[1, 2], &[0; 6]), Err(length("values", 4, 6)));
    assert_eq!(bitmap(&[1, 2], &[0; 4]), Ok(()));
    let padding = PackingError::PaddingBits { elements: 10, last: 4 };
    assert_eq!(bitmap(&[1, 4], &[0; 4]), Err(padding));
}

#[test]
fn elements_that_may_not_be_stored_are_refused() {
    let check = |dtype, mask: &[u8], values: &[u8]| {
        let view = bitmap::View::new(dtype, mask, values, 8).unwrap();
        Packed::Bitmap(view).check_elements()
    };
    let zero = PackingError::StoredZero { index: 1 };
    assert_eq!(check(DataType::I8, &[3], &[9, 0]), Err(zero));
    assert_eq!(check(DataType::I16, &[3], &[0, 9, 0, 0]), Err(zero));
    let floats = |values: [f32; 2]| values.map(f32::to_le_bytes).concat();
    assert_eq!(check(DataType::F32, &[3], &floats([1.0, -0.0])), Err(zero));
    let not_finite = PackingError::NotFinite { index: 1 };
    assert_eq!(check(DataType::F32, &[3], &floats([1.0, f32::NAN])), Err(not_finite));
    let bytes = floats([0.0, f32::INFINITY]);
    let view = dense::View::new(DataType::F32, &bytes, 2).unwrap();
    assert_eq!(Packed::Dense(view).check_elements(), Err(not_finite));
}

#[test]
fn another_element_type_is_refused() {
    let packed = Packed::Dense(dense::View::new(DataType::I8, &[1, 2], 2).unwrap());
    let error = PackingError::ElementType { expected: DataType::F32, found: DataType::I8 };
    assert_eq!(packed.expand_f32(&mut [0.0; 2]), Err(error));
    assert!(packed.row::<f32>(0, 1).is_none());
    assert_eq!(packed.rows::<f32>(1).count(), 0);
    assert_eq!(packed.rows::<i8>(0).count(), 0);
}
