//! Bytes that are no packing, as the packings' own constructors and checks refuse them, each with what was expected and what was found.
//! The same in whole files is in `packed_files.rs`.

use penjing_format::packing::{Levels, Values, bitmap, blocks, columns, gaps, groups, n_of_m};
use penjing_format::{DataType, Layout, Packed, PackingError};

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
