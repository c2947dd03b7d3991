//! Reads the part of flatbuffers' schema language that our schemas use. What it does not know is an error, never skipped, so
//! that no change goes unseen. It is no flatc: whether types exist and values fit is for flatc to say.

use anyhow::{Context, Result, anyhow, ensure};

use super::tokens::{Token, tokens};

#[derive(Debug, PartialEq)]
pub(super) struct Schema {
    pub(super) namespace: String,
    pub(super) root_type: String,
    pub(super) file_identifier: String,
    pub(super) file_extension: String,
    pub(super) tables: Vec<Table>,
    /// And unions.
    pub(super) enums: Vec<Enum>,
}

#[derive(Debug, PartialEq)]
pub(super) struct Table {
    pub(super) name: String,
    /// In the order of the text, which means nothing.
    pub(super) fields: Vec<Field>,
}

#[derive(Debug, PartialEq)]
pub(super) struct Field {
    pub(super) name: String,
    /// As written: `ubyte`, `[Node]`.
    pub(super) kind: String,
    /// As written, if it is.
    pub(super) default: Option<String>,
    pub(super) id: u16,
    pub(super) deprecated: bool,
    pub(super) required: bool,
}

#[derive(Debug, PartialEq)]
pub(super) struct Enum {
    pub(super) name: String,
    /// What a field of it holds: nothing for a union.
    pub(super) underlying: Option<String>,
    /// Names and numbers, which rise.
    pub(super) values: Vec<(String, i64)>,
}

/// Parses a whole schema.
///
/// # Errors
/// Where the text is not of the language's part that we use; the error names the line and the place.
pub(super) fn parse(text: &str) -> Result<Schema> {
    let mut parser = Parser { tokens: tokens(text)?, at: 0 };
    let (mut namespace, mut root_type, mut identifier, mut extension) = (None, None, None, None);
    let (mut tables, mut enums) = (Vec::new(), Vec::new());
    while let Some(token) = parser.peek() {
        let Token::Word(word) = token else { return Err(parser.expected("a declaration")) };
        if word == "namespace" && !(tables.is_empty() && enums.is_empty()) {
            return Err(parser.expected("`namespace` before all tables and enums"));
        }
        if word == "struct" {
            return Err(parser.expected("`table`, since a struct cannot grow (rule 1)"));
        }
        parser.at += 1;
        match word {
            "namespace" => parser.setting(word, &mut namespace, Parser::name)?,
            "root_type" => parser.setting(word, &mut root_type, Parser::name)?,
            "file_identifier" => parser.setting(word, &mut identifier, Parser::text)?,
            "file_extension" => parser.setting(word, &mut extension, Parser::text)?,
            "table" => tables.push(parser.table()?),
            "enum" | "union" => enums.push(parser.enumeration(word)?),
            _ => {
                parser.at -= 1;
                return Err(parser.expected("a declaration that xtask/src/schema/parse.rs knows"));
            }
        }
    }
    let stated = |setting: Option<String>, word| {
        setting.with_context(|| format!("expected `{word}`, found none"))
    };
    Ok(Schema {
        namespace: stated(namespace, "namespace")?,
        root_type: stated(root_type, "root_type")?,
        file_identifier: stated(identifier, "file_identifier")?,
        file_extension: stated(extension, "file_extension")?,
        tables,
        enums,
    })
}

struct Parser<'a> {
    tokens: Vec<(usize, Token<'a>)>,
    at: usize,
}

impl<'a> Parser<'a> {
    fn peek(&self) -> Option<Token<'a>> {
        self.tokens.get(self.at).map(|&(_, token)| token)
    }

    /// The error that the next token is not the one expected.
    fn expected(&self, what: &str) -> anyhow::Error {
        match self.tokens.get(self.at) {
            Some((line, token)) => anyhow!("line {line}: expected {what}, found {token}"),
            None => anyhow!("expected {what}, found the end of the file"),
        }
    }

    /// Whether the next token is this mark, which is then taken.
    fn take(&mut self, mark: char) -> bool {
        let is = self.peek() == Some(Token::Mark(mark));
        self.at += usize::from(is);
        is
    }

    fn mark(&mut self, mark: char) -> Result<()> {
        if self.take(mark) { Ok(()) } else { Err(self.expected(&format!("`{mark}`"))) }
    }

    /// The next word, if `accept` makes something of it.
    fn word<T>(&mut self, what: &str, accept: impl FnOnce(&str) -> Option<T>) -> Result<T> {
        let Some(Token::Word(word)) = self.peek() else { return Err(self.expected(what)) };
        let accepted = accept(word).ok_or_else(|| self.expected(what))?;
        self.at += 1;
        Ok(accepted)
    }

    fn name(&mut self) -> Result<String> {
        self.word("a name", |word| {
            let plain = word.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
            (plain && !word.starts_with(|ch: char| ch.is_ascii_digit())).then(|| word.to_owned())
        })
    }

    fn text(&mut self) -> Result<String> {
        let Some(Token::Text(text)) = self.peek() else {
            return Err(self.expected("text in quotes"));
        };
        self.at += 1;
        Ok(text.to_owned())
    }

    /// The rest of a declaration that may stand once, such as `root_type Model;`.
    fn setting(
        &mut self,
        word: &str,
        setting: &mut Option<String>,
        value: impl FnOnce(&mut Self) -> Result<String>,
    ) -> Result<()> {
        let line = self.tokens[self.at - 1].0;
        let value = value(self).with_context(|| word.to_owned())?;
        ensure!(setting.is_none(), "line {line}: expected `{word}` once, found it again");
        *setting = Some(value);
        self.mark(';').with_context(|| word.to_owned())
    }

    fn table(&mut self) -> Result<Table> {
        let name = self.name().context("table")?;
        let fields = self.fields().with_context(|| format!("table {name}"))?;
        Ok(Table { name, fields })
    }

    /// What stands between a table's braces, and these.
    fn fields(&mut self) -> Result<Vec<Field>> {
        let mut fields = Vec::new();
        self.mark('{')?;
        while !self.take('}') {
            let name = self.name()?;
            let field = self.field(&name);
            fields.push(field.with_context(|| format!("field {name}"))?);
        }
        Ok(fields)
    }

    /// What follows a field's name.
    fn field(&mut self, name: &str) -> Result<Field> {
        self.mark(':')?;
        let kind = if self.take('[') {
            let element = self.name()?;
            self.mark(']')?;
            format!("[{element}]")
        } else {
            self.name()?
        };
        let default = match self.take('=') {
            true => Some(self.word("a default", |word| Some(word.to_owned()))?),
            false => None,
        };
        if self.peek() != Some(Token::Mark('(')) {
            return Err(self.expected("`(id: N)`"));
        }
        self.at += 1;
        let (mut id, mut deprecated, mut required) = (None, false, false);
        loop {
            match self.peek() {
                Some(Token::Word("id")) if id.is_none() => {
                    self.at += 1;
                    self.mark(':')?;
                    id = Some(self.word("an id", |word| word.parse().ok())?);
                }
                Some(Token::Word("deprecated")) if !deprecated => {
                    self.at += 1;
                    deprecated = true;
                }
                Some(Token::Word("required")) if !required => {
                    self.at += 1;
                    required = true;
                }
                _ => return Err(self.expected("one each of `id`, `deprecated`, `required`")),
            }
            if !self.take(',') {
                break;
            }
        }
        let id = id.with_context(|| self.expected("`id: N`"))?;
        self.mark(')')?;
        self.mark(';')?;
        Ok(Field { name: name.to_owned(), kind, default, id, deprecated, required })
    }

    /// What follows the word `enum` or `union`.
    fn enumeration(&mut self, word: &str) -> Result<Enum> {
        let name = self.name().with_context(|| word.to_owned())?;
        let mut body = || {
            let underlying = match word {
                "enum" => {
                    self.mark(':')?;
                    Some(self.name()?)
                }
                _ => None,
            };
            anyhow::Ok((underlying, self.values()?))
        };
        let (underlying, values) = body().with_context(|| format!("{word} {name}"))?;
        Ok(Enum { name, underlying, values })
    }

    /// What stands between an enum's braces, and these.
    fn values(&mut self) -> Result<Vec<(String, i64)>> {
        let mut values: Vec<(String, i64)> = Vec::new();
        self.mark('{')?;
        while !self.take('}') {
            let name = self.name()?;
            let last = values.last().map(|&(_, last)| last);
            let number = self.value(last).with_context(|| format!("value {name}"))?;
            values.push((name, number));
            if !self.take(',') {
                self.mark('}')?;
                break;
            }
        }
        Ok(values)
    }

    /// The number of a value. Without it, an insertion would look like an addition to whoever reads the change.
    fn value(&mut self, last: Option<i64>) -> Result<i64> {
        self.mark('=')?;
        self.word("a number, larger than the one before", |word| {
            word.parse().ok().filter(|&number| last.is_none_or(|last| number > last))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: &str = "// Head: { \"\n\nnamespace n;\n\
        enum E : ubyte { A = 0, /// last\n B = 3 }\nunion U { T = 1 }\n\
        table T {\n  x: short = -1 (id: 1, deprecated);\n  y: [E] (required, id: 0);\n}\n\
        root_type T;\nfile_identifier \"ID//\";\nfile_extension \"e\";\n";

    #[test]
    fn every_part_is_read() {
        let schema = parse(SMALL).unwrap();
        let settings = [&schema.namespace, &schema.root_type, &schema.file_identifier];
        assert_eq!(settings, ["n", "T", "ID//"]);
        assert_eq!(schema.file_extension, "e");
        let value = |name: &str, number| (name.to_owned(), number);
        let (a_and_b, t) = (vec![value("A", 0), value("B", 3)], vec![value("T", 1)]);
        let e = Enum { name: "E".into(), underlying: Some("ubyte".into()), values: a_and_b };
        let u = Enum { name: "U".into(), underlying: None, values: t };
        assert_eq!(schema.enums, [e, u]);
        let x = Field {
            name: "x".into(),
            kind: "short".into(),
            default: Some("-1".into()),
            id: 1,
            deprecated: true,
            required: false,
        };
        let y = Field {
            name: "y".into(),
            kind: "[E]".into(),
            default: None,
            id: 0,
            deprecated: false,
            required: true,
        };
        assert_eq!(schema.tables, [Table { name: "T".into(), fields: vec![x, y] }]);
    }

    #[test]
    fn what_is_unknown_is_refused_with_its_place() {
        let field = "line 8: expected one each of `id`, `deprecated`, `required`, found ";
        for (old, new, error) in [
            ("table T", "struct T", "expected `table`, since a struct cannot grow (rule 1), found"),
            ("root_type T;", "include \"a\";", "line 11: expected a declaration that xtask/src/"),
            ("root_type T;", ";", "line 11: expected a declaration, found `;`"),
            ("root_type T;", "", "expected `root_type`, found none"),
            ("root_type T;", "root_type T", "root_type: line 12: expected `;`, found `file_id"),
            ("root_type T;", "namespace m;", "line 11: expected `namespace` before all tables"),
            ("namespace n;", "namespace n.m;", "namespace: line 3: expected a name, found `n.m`"),
            ("root_type T;", "root_type T; root_type T;", "line 11: expected `root_type` once"),
            ("\"e\"", "e", "file_extension: line 13: expected text in quotes, found `e`"),
            ("\"e\"", "\"e", "line 13: expected plain text in quotes, found "),
            ("\"e\"", "\"\\x65\"", "line 13: expected plain text in quotes, found "),
            ("// Head", "/* Head */", "line 1: expected no '/', found "),
            (", deprecated", ", key", &format!("table T: field x: {field}`key`")),
            (", deprecated", ", id: 2", &format!("table T: field x: {field}`id`")),
            (", deprecated", ",", &format!("table T: field x: {field}`)`")),
            ("id: 1, ", "", "table T: field x: line 8: expected `id: N`, found `)`"),
            (" (id: 1, deprecated)", "", "table T: field x: line 8: expected `(id: N)`, found `;`"),
            ("id: 1", "id: -1", "table T: field x: line 8: expected an id, found `-1`"),
            ("[E]", "[E:3]", "table T: field y: line 9: expected `]`, found `:`"),
            ("E : ubyte", "E", "enum E: line 4: expected `:`, found `{`"),
            ("ubyte {", "ubyte (bit_flags) {", "enum E: line 4: expected `{`, found `(`"),
            ("B = 3", "B", "enum E: value B: line 5: expected `=`, found `}`"),
            ("B = 3", "B = 0", "enum E: value B: line 5: expected a number, larger than the one"),
            ("B = 3", "B = 0x3", "enum E: value B: line 5: expected a number, larger than the one"),
            ("T = 1", "t: T = 1", "union U: value t: line 6: expected `=`, found `:`"),
        ] {
            assert_eq!(SMALL.matches(old).count(), 1, "{old}");
            let found = format!("{:#}", parse(&SMALL.replace(old, new)).unwrap_err());
            assert!(found.contains(error), "{new}: expected {error:?}, found {found:?}");
        }
        let error = parse("namespace n; table T { x").unwrap_err();
        assert_eq!(
            format!("{error:#}"),
            "table T: field x: expected `:`, found the end of the file"
        );
    }
}
