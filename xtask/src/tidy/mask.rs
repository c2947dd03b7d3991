//! Blanks everything in Rust source that is not code: comments, strings and characters. It is no
//! parser; it knows just enough of the lexical grammar that a word found in what is left is code.

/// `source` with each byte of comments, string and character literals turned into a space. Line
/// breaks stay, so that a line of the result is the same line of the source.
pub(super) fn code_only(source: &str) -> String {
    let bytes = source.as_bytes();
    let mut masked = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let end = token_end(bytes, at);
        match end {
            Some(end) => {
                for byte in &mut masked[at..end] {
                    if *byte != b'\n' {
                        *byte = b' ';
                    }
                }
                at = end;
            }
            None if is_word(bytes[at]) => {
                at += bytes[at..].iter().take_while(|&&byte| is_word(byte)).count();
            }
            None => at += 1,
        }
    }
    String::from_utf8(masked).expect("whole literals and comments became ASCII spaces")
}

/// Whether a byte belongs to an identifier or number; all of a non-ASCII character's do.
pub(super) fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}

/// Where the comment or literal that begins at `at` ends; `None` where none begins there.
fn token_end(bytes: &[u8], at: usize) -> Option<usize> {
    let rest = &bytes[at..];
    match rest {
        [b'/', b'/', ..] => {
            Some(at + rest.iter().position(|&byte| byte == b'\n').unwrap_or(rest.len()))
        }
        [b'/', b'*', ..] => Some(at + block_comment_len(rest)),
        [b'"', ..] => Some(at + 1 + quoted_len(&rest[1..], b'"')),
        [b'\'', ..] => char_len(rest).map(|len| at + len),
        [b'b' | b'c' | b'r', ..] => prefixed_len(rest).map(|len| at + len),
        _ => None,
    }
}

/// Block comments nest.
fn block_comment_len(rest: &[u8]) -> usize {
    let mut depth = 0_usize;
    let mut len = 0;
    while len < rest.len() {
        match &rest[len..] {
            [b'/', b'*', ..] => {
                depth += 1;
                len += 2;
            }
            [b'*', b'/', ..] => {
                depth -= 1;
                len += 2;
                if depth == 0 {
                    break;
                }
            }
            _ => len += 1,
        }
    }
    len
}

/// The length up to and with the closing quote, escapes skipped; `rest` begins after the opening.
fn quoted_len(rest: &[u8], quote: u8) -> usize {
    let mut len = 0;
    while len < rest.len() {
        match rest[len] {
            b'\\' => len += 2,
            byte if byte == quote => return len + 1,
            _ => len += 1,
        }
    }
    rest.len()
}

/// A character literal; `None` for a lifetime or loop label.
fn char_len(rest: &[u8]) -> Option<usize> {
    let second = *rest.get(1)?;
    if second == b'\\' {
        return Some(1 + quoted_len(&rest[1..], b'\''));
    }
    // One character, of however many bytes, and the closing quote.
    let width = 1 + rest[2..].iter().take_while(|&&byte| byte & 0xc0 == 0x80).count();
    (rest.get(1 + width) == Some(&b'\'')).then_some(width + 2)
}

/// `b"..."`, `b'...'`, `c"..."`, `r"..."`, `r#"..."#` and their combinations; `None` for any other
/// word that begins with one of these letters, raw identifiers among them.
fn prefixed_len(rest: &[u8]) -> Option<usize> {
    let letters = rest.iter().take_while(|&&byte| is_word(byte)).count();
    let raw = match &rest[..letters] {
        b"b" | b"c" => false,
        b"r" | b"br" | b"cr" => true,
        _ => return None,
    };
    let after = &rest[letters..];
    if !raw {
        return match after {
            [b'"', ..] => Some(letters + 1 + quoted_len(&after[1..], b'"')),
            [b'\'', ..] if rest[0] == b'b' => char_len(after).map(|len| letters + len),
            _ => None,
        };
    }
    let hashes = after.iter().take_while(|&&byte| byte == b'#').count();
    if after.get(hashes) != Some(&b'"') {
        return None;
    }
    let body = &after[hashes + 1..];
    let closing = [b"\"".as_slice(), &after[..hashes]].concat();
    let len = body.windows(closing.len()).position(|window| window == closing);
    let body_len = len.map_or(body.len(), |len| len + closing.len());
    Some(letters + hashes + 1 + body_len)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The words that are left.
    fn words(source: &str) -> Vec<String> {
        let masked = code_only(source);
        assert_eq!(masked.len(), source.len());
        assert_eq!(masked.lines().count(), source.lines().count());
        let words = masked.split(|ch: char| !(ch.is_alphanumeric() || ch == '_'));
        words.filter(|word| !word.is_empty()).map(str::to_owned).collect()
    }

    #[test]
    fn comments_are_blanked() {
        assert_eq!(words("a // b \" c\nd /* e /* f */ g */ h"), ["a", "d", "h"]);
        assert_eq!(words("//! a\n/// b\nc"), ["c"]);
        assert_eq!(words("a /* never closed"), ["a"]);
    }

    #[test]
    fn strings_are_blanked() {
        assert_eq!(words(r#"a("b \" c", d) "e // f" g"#), ["a", "d", "g"]);
        assert_eq!(words("a r\"b\\\" c r#\"d \" e\"# f br##\"g\"# h\"## i"), ["a", "c", "f", "i"]);
        assert_eq!(words("a b\"c\" d c\"e\" f"), ["a", "d", "f"]);
        assert_eq!(words("a \"two\nlines\" b"), ["a", "b"]);
        assert_eq!(words("a \"\u{e4} \u{4e2d}\" \u{e4}b"), ["a", "\u{e4}b"]);
    }

    #[test]
    fn characters_are_told_from_lifetimes() {
        assert_eq!(words("a '\"' b '\\'' c b'\"' d '\u{4e2d}' e"), ["a", "b", "c", "d", "e"]);
        assert_eq!(
            words("fn f<'a>(x: &'a str) -> &'a u8"),
            ["fn", "f", "a", "x", "a", "str", "a", "u8"]
        );
        assert_eq!(words("'outer: loop { break 'outer }"), ["outer", "loop", "break", "outer"]);
    }

    #[test]
    fn words_that_begin_like_a_literal_are_code() {
        assert_eq!(words("r#type bar r b c"), ["r", "type", "bar", "r", "b", "c"]);
        assert_eq!(words("macro_rules! r { () => { b } }"), ["macro_rules", "r", "b"]);
        // The quote ends no word: `bar` is one, and the string after it is a string.
        assert_eq!(words("bar\"x\" y"), ["bar", "y"]);
    }
}
