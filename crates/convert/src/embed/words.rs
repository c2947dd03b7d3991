//! Text of a model file inside source files: a name or label may hold anything, and must neither end a comment or a literal nor
//! be read as code.

/// For comments of either language: letters and digits of any script, and ASCII signs that begin or end nothing there.
pub(super) fn comment(text: &str) -> String {
    let plain = |ch: char| {
        ch.is_alphanumeric() || ch == ' ' || (ch.is_ascii_graphic() && !"*?\\".contains(ch))
    };
    text.chars().fold(String::new(), |mut out, ch| {
        match plain(ch) {
            true => out.push(ch),
            false => out.extend(ch.escape_unicode()),
        }
        out
    })
}

/// A literal of Rust.
pub(super) fn rust_literal(text: &str) -> String {
    format!("{text:?}")
}

/// A literal of C and C++: UTF-8, all but plain signs as three octal digits, after which no digit is read with them. `?` is not
/// plain, for two of them may begin a trigraph.
pub(super) fn c_literal(text: &str) -> String {
    let mut out = String::from("\"");
    for &byte in text.as_bytes() {
        match byte {
            b'"' | b'\\' | b'?' => out.push_str(&format!("\\{byte:03o}")),
            b' ' | b'!'..=b'~' => out.push(char::from(byte)),
            _ => out.push_str(&format!("\\{byte:03o}")),
        }
    }
    out + "\""
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_ends_a_comment_or_a_literal() {
        let hostile = "*/ \n// \\ \" ??/ \u{202e}\u{2028}é7";
        let found = comment(hostile);
        assert_eq!(found, "\\u{2a}/ \\u{a}// \\u{5c} \" \\u{3f}\\u{3f}/ \\u{202e}\\u{2028}é7");
        assert_eq!(c_literal("a\"\\?\n é7"), r#""a\042\134\077\012 \303\2517""#);
        assert_eq!(rust_literal("a\"\\\n\u{202e}é"), r#""a\"\\\n\u{202e}é""#);
    }
}
