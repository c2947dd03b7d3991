//! The words and marks of a schema's text, without its comments. Their order is the parser's business.

use std::fmt;

use anyhow::{Context, Result, bail};

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Token<'a> {
    /// A name, a keyword or a number.
    Word(&'a str),
    /// What stands between quotes.
    Text(&'a str),
    Mark(char),
}

impl fmt::Display for Token<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Token::Word(word) => write!(f, "`{word}`"),
            Token::Text(text) => write!(f, "`\"{text}\"`"),
            Token::Mark(mark) => write!(f, "`{mark}`"),
        }
    }
}

fn is_word(ch: char) -> bool {
    ch.is_ascii_alphanumeric() || "_.+-".contains(ch)
}

/// The tokens of a text with their lines, from 1. Comments are left out: no rule speaks of them.
pub(super) fn tokens(text: &str) -> Result<Vec<(usize, Token<'_>)>> {
    let mut tokens = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let number = index + 1;
        let mut rest = line.trim_start();
        while let Some(first) = rest.chars().next() {
            let token = match first {
                _ if rest.starts_with("//") => break,
                '"' => {
                    let text = rest[1..].split_once('"').map(|(text, _)| text);
                    let text = text.filter(|text| !text.contains('\\'));
                    Token::Text(text.with_context(|| {
                        format!("line {number}: expected plain text in quotes, found {line:?}")
                    })?)
                }
                _ if is_word(first) => {
                    let end = rest.find(|ch| !is_word(ch)).unwrap_or(rest.len());
                    Token::Word(&rest[..end])
                }
                '{' | '}' | '(' | ')' | '[' | ']' | ':' | ';' | ',' | '=' => Token::Mark(first),
                _ => bail!("line {number}: expected no {first:?}, found {line:?}"),
            };
            let len = match token {
                Token::Word(word) => word.len(),
                Token::Text(text) => text.len() + 2,
                Token::Mark(_) => 1,
            };
            tokens.push((number, token));
            rest = rest[len..].trim_start();
        }
    }
    Ok(tokens)
}
