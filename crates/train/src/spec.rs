//! A spec file (TOML) to an `Architecture` whose layers have names and whose shapes fit. The meaning of the fields is
//! `penjing_checkpoint::Architecture`'s; weights and settings of a run are no part of a spec.

use std::path::Path;

use penjing_checkpoint::{Architecture, Layer, Padding};
use serde::Deserialize;
use toml::{Table, Value};

use crate::TrainError;

/// Reads a spec file, names its layers and checks every shape.
///
/// # Errors
/// Names the file, the layer, the field, what was expected and what was found.
pub fn load_spec(path: &Path) -> Result<Architecture, TrainError> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| TrainError::Io { path: path.into(), source })?;
    parse_spec(&text, path)
}

/// [`load_spec`] of a text in memory; `path` is for messages.
///
/// # Errors
/// As [`load_spec`].
pub fn parse_spec(text: &str, path: &Path) -> Result<Architecture, TrainError> {
    let table: Table = text.parse().map_err(|e: toml::de::Error| TrainError::SpecSyntax {
        path: path.into(),
        message: e.to_string().trim_end().to_owned(),
    })?;
    let field = |field: &str, expected: &str, found: String| TrainError::SpecField {
        path: path.into(),
        field: field.into(),
        expected: expected.into(),
        found,
    };
    if let Some(key) = table.keys().find(|k| !["name", "input", "layers"].contains(&k.as_str())) {
        return Err(field(
            key,
            "one of the fields name, input and layers",
            "an unknown field".into(),
        ));
    }
    let get = |key: &str, expected: &str| {
        table.get(key).ok_or_else(|| field(key, expected, "nothing".into()))
    };
    let expected = "a text";
    let name = get("name", expected)?;
    let name = name.as_str().ok_or_else(|| field("name", expected, show(name)))?.to_owned();
    let expected = "three whole numbers: height, width, channels";
    let input = get("input", expected)?;
    let input = <[usize; 3]>::deserialize(input.clone())
        .map_err(|_| field("input", expected, show(input)))?;
    let expected = "a list of tables [[layers]]";
    let layers = get("layers", expected)?;
    let layers = layers
        .as_array()
        .ok_or_else(|| field("layers", expected, layers.type_str().into()))?
        .iter()
        .enumerate()
        .map(|(index, value)| layer(value, index, path))
        .collect::<Result<Vec<_>, _>>()?;
    let mut architecture = Architecture { name, input, layers };
    architecture.name_layers();
    match architecture.resolve() {
        Ok(_) => Ok(architecture),
        Err(source) => Err(TrainError::SpecShapes { path: path.into(), source: Box::new(source) }),
    }
}

/// A value as messages show it.
fn show(value: &Value) -> String {
    serde_json::to_string(value).unwrap_or_else(|_| value.type_str().to_owned())
}

/// One `[[layers]]` entry. The op is taken out first and its own type read from the rest: serde's tagged enum would
/// buffer the fields and lose their names in messages.
fn layer(value: &Value, index: usize, path: &Path) -> Result<Layer, TrainError> {
    let text = |key| value.get(key).and_then(Value::as_str).unwrap_or_default();
    let (op, name) = (text("op"), text("name"));
    let label = match (op, name) {
        ("", "") => "no op".to_owned(),
        (op, "") => op.to_owned(),
        (op, name) => format!("{name:?}, {op}"),
    };
    let wrong = |message: String| TrainError::SpecLayer {
        path: path.into(),
        index,
        layer: label.clone(),
        message,
    };
    let mut fields = value
        .as_table()
        .ok_or_else(|| wrong(format!("expected a table, found {}", value.type_str())))?
        .clone();
    fields.remove("op");
    // an untagged enum, whose own message names neither what was expected nor what was found
    if let Some(padding) = fields.get("padding")
        && Padding::deserialize(padding.clone()).is_err()
    {
        let expected = "\"valid\", \"same\" or [top, bottom, left, right]";
        return Err(wrong(format!("padding: expected {expected}, found {}", show(padding))));
    }
    let layer = match op {
        "conv2d" => fields.try_into().map(Layer::Conv2d),
        "max_pool2d" => fields.try_into().map(Layer::MaxPool2d),
        "flatten" => fields.try_into().map(Layer::Flatten),
        "dense" => fields.try_into().map(Layer::Dense),
        _ => {
            let found = value.get("op").map_or("nothing".into(), show);
            let expected = "\"conv2d\", \"max_pool2d\", \"flatten\" or \"dense\"";
            return Err(wrong(format!("op: expected {expected}, found {found}")));
        }
    };
    layer.map_err(|e: toml::de::Error| wrong(e.to_string().trim_end().replace('\n', " ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ARTICLE: &str = include_str!("../../../specs/article.toml");

    fn message(text: &str) -> String {
        parse_spec(text, Path::new("net.toml")).unwrap_err().to_string()
    }

    #[test]
    fn the_articles_spec_is_read() {
        let a = parse_spec(ARTICLE, Path::new("article.toml")).unwrap();
        let network = a.resolve().unwrap();
        assert_eq!(network.input, [28, 28, 1]);
        assert_eq!(network.layers[2].output, [2028]);
        assert_eq!(network.classes, 10);
    }

    #[test]
    fn layers_without_a_name_get_one() {
        let text = ARTICLE.replace("name = \"conv\"\n", "").replace("name = \"dense\"\n", "");
        let a = parse_spec(&text, Path::new("x")).unwrap();
        let names: Vec<_> = a.layers.iter().map(Layer::name).collect();
        assert_eq!(names, ["conv2d", "pool", "flatten", "dense"]);
    }

    #[test]
    fn each_mistake_names_file_layer_and_field() {
        let cases: &[(&str, &str, &[&str])] = &[
            ("units = 10", "units = ", &["line", "units"]),
            ("units = 10", "units = \"ten\"", &["layer 3", "\"dense\"", "units", "ten"]),
            ("units = 10", "", &["layer 3", "missing field", "units"]),
            ("units = 10", "units = -1", &["layer 3", "units", "-1"]),
            ("kernel = [3, 3]", "kernel = [3]", &["layer 0", "\"conv\"", "kernel"]),
            ("kernel = [3, 3]", "kernel = [30, 3]", &["conv", "kernel", "[30, 3]", "[28, 28]"]),
            ("kernel = [3, 3]", "kernel = [3, 3]\nstrides = 2", &["layer 0", "strides"]),
            (
                "kernel = [3, 3]",
                "kernel = [3, 3]\npadding = \"sane\"",
                &["layer 0", "padding", "valid", "sane"],
            ),
            ("activation = \"relu\"", "activation = \"gelu\"", &["layer 0", "gelu", "relu"]),
            ("op = \"dense\"", "op = \"lstm\"", &["layer 3", "lstm", "dense"]),
            ("op = \"dense\"", "", &["layer 3", "op", "nothing"]),
            ("input = [28, 28, 1]", "input = [28, 28]", &["input", "channels", "[28,28]"]),
            ("input = [28, 28, 1]", "", &["input", "nothing"]),
            ("name = \"article\"", "title = \"article\"", &["title", "unknown"]),
        ];
        for (from, to, words) in cases {
            let text = ARTICLE.replacen(from, to, 1);
            assert_ne!(text, ARTICLE, "{from}");
            let m = message(&text);
            assert!(m.starts_with("net.toml: "), "{m}");
            for word in *words {
                assert!(m.contains(word), "{m:?} should speak of {word:?}");
            }
        }
    }
}
