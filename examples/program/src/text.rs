//! Text and decimal numbers without `core::fmt`, which would be most of the program.

use crate::Board;

/// Text, then a number, then text.
pub(crate) fn say(board: &mut impl Board, before: &[u8], number: u32, after: &[u8]) {
    board.print(before);
    decimal(board, number);
    board.print(after);
}

fn decimal(board: &mut impl Board, mut number: u32) {
    // From the right, so that there is always one.
    let mut digits = [0; 10];
    let mut zeros = digits.len();
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
        zeros -= 1;
        if number == 0 {
            break;
        }
    }
    for digit in digits.iter().skip(zeros) {
        board.print(core::slice::from_ref(digit));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Keeps what is printed.
    struct Paper(Vec<u8>);

    impl Board for Paper {
        fn print(&mut self, text: &[u8]) {
            self.0.extend_from_slice(text);
        }

        fn now(&mut self) -> u32 {
            0
        }

        fn instructions_since(&mut self, _: u32) -> u32 {
            0
        }

        fn stack_bytes(&self) -> u32 {
            0
        }
    }

    #[test]
    fn numbers_have_all_their_digits_and_no_more() {
        for number in [0, 7, 10, 1_000, 987_654_321, u32::MAX] {
            let mut paper = Paper(Vec::new());
            say(&mut paper, b"a ", number, b".");
            assert_eq!(String::from_utf8(paper.0).unwrap(), format!("a {number}."));
        }
    }
}
