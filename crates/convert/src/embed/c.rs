//! The header of C and C++: macros, and the bytes as an array that is `static`, so that one source file of a program includes it.
//! C99 or later, C++98 or later.

use std::fmt::Write as _;

use super::{Embedding, Port, words};

/// Bytes a line of the file: no line is longer than 100 columns.
const LINE: usize = 16;

/// How compilers align, the ones that know several ways first.
const ALIGN: &str = "\
#if defined(__GNUC__) || defined(__clang__)
#define PENJING_ALIGN_4 __attribute__((aligned(4)))
#elif defined(_MSC_VER)
#define PENJING_ALIGN_4 __declspec(align(4))
#elif defined(__cplusplus) && __cplusplus >= 201103L
#define PENJING_ALIGN_4 alignas(4)
#elif defined(__STDC_VERSION__) && __STDC_VERSION__ >= 201112L
#define PENJING_ALIGN_4 _Alignas(4)
#else
#error \"expected a compiler that can align an array: of GNU C, C11 or C++11\"
#endif
";

impl Embedding<'_> {
    /// A header for programs that link Penjing's C library.
    #[must_use]
    pub fn c(&self) -> String {
        let prefix = self.name.as_ref().map_or("penjing", |name| &name.0).to_owned() + "_model";
        let upper = prefix.to_uppercase();
        let mut out = format!(
            "/* Made by `penjing convert --c`, version {}. Do not edit.\n *\n",
            env!("CARGO_PKG_VERSION")
        );
        for line in self.head() {
            out += &format!(" * {line}\n");
        }
        out += " *\n * Each source file that includes this header has an array of its own: one should.\n */\n";
        out += &format!("#ifndef {upper}_H\n#define {upper}_H\n");
        define(&mut out, "Bytes of the model file.", &upper, "BYTES", &self.file.len());
        let says = "Bytes of a session's arena, where its address is a multiple of 4.";
        define(&mut out, says, &upper, "ARENA_BYTES", &self.arena_bytes);
        let says = "What the model needs: PENJING_OPS of a library that is built for it alone.";
        define(&mut out, says, &upper, "OPS", &format!("{:#x}", self.ops));
        for port in self.ports() {
            port.define(&mut out, &upper);
        }
        if !self.labels.is_empty() {
            define(&mut out, "Names of the classes.", &upper, "LABELS", &self.labels.len());
            out += &format!("static const char *const {prefix}_labels[{upper}_LABELS] = {{\n");
            for label in &self.labels {
                out += &format!("    {},\n", words::c_literal(label));
            }
            out += "};\n";
        }
        out += &format!("\n{ALIGN}\n/* The model file. */\n");
        out +=
            &format!("PENJING_ALIGN_4 static const unsigned char {prefix}[{upper}_BYTES] = {{\n");
        for line in self.file.chunks(LINE) {
            out += "    ";
            for byte in line {
                let _ = write!(out, "0x{byte:02x},");
            }
            out += "\n";
        }
        out += &format!("}};\n\n#undef PENJING_ALIGN_4\n\n#endif /* {upper}_H */\n");
        out
    }
}

impl Port {
    fn define(&self, out: &mut String, upper: &str) {
        let name = |name| format!("{}_{name}", self.what.to_uppercase());
        let says = format!("Elements of one image, {:?} of {}.", self.shape, self.dtype);
        define(out, &says, upper, &name("LEN"), &self.len);
        if let Some((scale, zero_point)) = self.grid {
            define(out, "Real units a step.", upper, &name("SCALE"), &format!("{scale:?}f"));
            let says = "The integer that stands for real 0.";
            define(out, says, upper, &name("ZERO_POINT"), &format!("({zero_point})"));
        }
    }
}

/// A macro under a line that says what it is.
fn define(out: &mut String, says: &str, upper: &str, name: &str, value: &dyn std::fmt::Display) {
    *out += &format!("\n/* {says} */\n#define {upper}_{name} {value}\n");
}
