//! The messages in `proto` are those of schemas/onnx.proto: field by field, number, type and label.

use std::collections::BTreeMap;

/// Message and field: type, number, label.
type Fields = BTreeMap<(String, String), (String, u32, String)>;

/// Fields of the schema; every line that is one reads `[label] type name = number;`.
fn schema(text: &str) -> Fields {
    let (mut fields, mut message) = (Fields::new(), String::new());
    for line in text.lines().map(str::trim) {
        if let Some(rest) = line.strip_prefix("message ") {
            message = rest.trim_end_matches(" {").to_owned();
        } else if let Some((left, number)) = line.trim_end_matches(';').split_once(" = ")
            && !message.is_empty()
        {
            let words: Vec<&str> = left.split(' ').collect();
            let (label, kind, name) = match words[..] {
                [kind, name] => ("", kind, name),
                [label, kind, name] => (label, kind, name),
                _ => panic!("a line that is no field: {line}"),
            };
            let number = number.parse().expect("a field number");
            let field = (kind.to_owned(), number, label.to_owned());
            fields.insert((message.clone(), name.to_owned()), field);
        }
    }
    fields
}

/// Fields of the Rust messages: an attribute line, then the field's.
fn messages(text: &str) -> Fields {
    let (mut fields, mut message, mut attribute) = (Fields::new(), String::new(), None);
    for line in text.lines().map(str::trim) {
        if let Some(rest) = line.strip_prefix("pub(super) struct ") {
            message = rest.trim_end_matches(" {").to_owned();
        } else if let Some(rest) = line.strip_prefix("#[prost(") {
            attribute = Some(rest.trim_end_matches(")]").to_owned());
        } else if let Some(attribute) = attribute.take() {
            let (name, rust) =
                line.trim_start_matches("pub(super) ").split_once(": ").expect("a field");
            let name = name.trim_start_matches("r#").to_owned();
            fields.insert((message.clone(), name), field(&attribute, rust));
        }
    }
    fields
}

fn field(attribute: &str, rust: &str) -> (String, u32, String) {
    let parts: Vec<&str> = attribute.split(", ").collect();
    let tag = parts.iter().find_map(|part| part.strip_prefix("tag = \"")).expect("a tag");
    let number = tag.trim_end_matches('"').parse().expect("a number");
    let label = ["optional", "repeated"].into_iter().find(|label| parts.contains(label));
    let wrappers = ["Option<", "Vec<", "Box<"];
    let mut inner = rust.trim_end_matches(',').trim_end_matches('>');
    while let Some(rest) = wrappers.iter().find_map(|wrapper| inner.strip_prefix(wrapper)) {
        inner = rest.trim_end_matches('>');
    }
    let kind = match parts[0] {
        "message" => inner,
        "bytes = \"vec\"" => "bytes",
        scalar => scalar,
    };
    (kind.to_owned(), number, label.unwrap_or_default().to_owned())
}

#[test]
fn every_field_is_that_of_the_schema() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../schemas/onnx.proto");
    let text = std::fs::read_to_string(path).expect("schemas/onnx.proto");
    let (schema, messages) = (schema(&text), messages(include_str!("../proto.rs")));
    assert!(schema.len() > 30);
    assert_eq!(schema, messages);
}
