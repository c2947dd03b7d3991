//! The source file of Rust: constants, the bytes as a static, the session's type. It holds no code, and no inner attribute or
//! inner comment, so that it may be a module or the argument of `include!`.

use std::fmt::Write as _;

use super::{Embedding, Port, words};

/// Bytes a line of the file: no line is much longer than 100 columns.
const LINE: usize = 23;

impl Embedding<'_> {
    /// A file of Rust for programs that link `penjing-runtime`, with or without its features.
    #[must_use]
    pub fn rust(&self) -> String {
        let mut out = format!(
            "// Made by `penjing convert --rust`, version {}. Do not edit.\n//\n",
            env!("CARGO_PKG_VERSION")
        );
        for line in self.head() {
            out += &format!("// {line}\n");
        }
        let constant = |name: &str| self.constant(name);
        let (session, arena) = (self.type_name("Session"), self.type_name("Arena"));
        let (model, arena_bytes, ops) =
            (constant("MODEL"), constant("ARENA_BYTES"), constant("OPS"));
        out += &format!(
            "//\n// A `static` {arena}, or one on the stack, is memory for a session:\n//\n"
        );
        out += &format!("//     let model = penjing_runtime::Model::from_static({model})?;\n");
        out += &format!("//     let mut session = {session}::new(&model, &mut arena.0)?;\n");
        out += "//     session.run(&input[..], &mut output[..])?;\n";
        item(&mut out, "Bytes of the arena, where its address is a multiple of 4.");
        out += &format!("pub const {arena_bytes}: usize = {};\n", self.arena_bytes);
        item(&mut out, "What a session must be made of for this model; all else is not linked.");
        out += &format!("pub const {ops}: u32 = {:#x};\n", self.ops);
        item(&mut out, "A session in place of this model.");
        out += &format!("pub type {session}<'a> = penjing_runtime::InPlace<'a, {ops}>;\n");
        item(&mut out, "Memory for such a session.");
        out += &format!("pub type {arena} = penjing_runtime::in_place::Arena<{arena_bytes}>;\n");
        for port in self.ports() {
            self.port(&mut out, port);
        }
        if !self.labels.is_empty() {
            item(&mut out, "Names of the classes.");
            let labels = constant("LABELS");
            out += &format!(
                "#[rustfmt::skip]\npub const {labels}: [&str; {}] = [\n",
                self.labels.len()
            );
            for label in &self.labels {
                out += &format!("    {},\n", words::rust_literal(label));
            }
            out += "];\n";
        }
        self.bytes(&mut out, &model);
        out
    }

    fn port(&self, out: &mut String, port: &Port) {
        let constant = |name| self.constant(&format!("{}_{name}", port.what.to_uppercase()));
        item(out, &format!("Elements of one image, `{:?}` of {}.", port.shape, port.dtype));
        *out += &format!("pub const {}: usize = {};\n", constant("LEN"), port.len);
        if let Some((scale, zero_point)) = port.grid {
            item(out, "Real units a step.");
            *out += &format!("pub const {}: f32 = {scale:?};\n", constant("SCALE"));
            item(out, "The integer that stands for real 0.");
            *out += &format!("pub const {}: i32 = {zero_point};\n", constant("ZERO_POINT"));
        }
    }

    /// One token, which compilers read far faster than as many numbers.
    fn bytes(&self, out: &mut String, model: &str) {
        let len = self.file.len();
        item(out, "The model file, at an address that is a multiple of 4.");
        *out += &format!(
            "#[rustfmt::skip]\npub static {model}: &[u8] = {{\n    #[repr(C, align(4))]\n    struct Aligned([u8; {len}]);\n    static ALIGNED: Aligned = Aligned(*b\"\\\n"
        );
        for line in self.file.chunks(LINE) {
            *out += "        ";
            for byte in line {
                let _ = write!(out, "\\x{byte:02x}");
            }
            *out += "\\\n";
        }
        *out += "    \");\n    &ALIGNED.0\n};\n";
    }

    /// `MODEL`, or `KWS_MODEL`.
    fn constant(&self, name: &str) -> String {
        match &self.name {
            None => name.to_owned(),
            Some(prefix) => format!("{}_{name}", prefix.0.to_uppercase()),
        }
    }

    /// `Session`, or `KwsSession`.
    fn type_name(&self, name: &str) -> String {
        let words = self.name.iter().flat_map(|prefix| prefix.0.split('_')).map(|word| {
            let (first, rest) = word.split_at(word.len().min(1));
            first.to_uppercase() + rest
        });
        words.chain([name.to_owned()]).collect()
    }
}

/// A line above an item. A program need not use all of them.
fn item(out: &mut String, says: &str) {
    *out += &format!("\n/// {says}\n#[allow(dead_code, unreachable_pub)]\n");
}
