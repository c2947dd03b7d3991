//! The rules of schemas/README.md by which a schema may grow, held against two parsed schemas: the newer one must read every
//! file of the older. Strict where that is simpler: `= 0` in place of no default is a change, though it means the same.

use std::collections::BTreeSet;
use std::fmt::Display;

use super::parse::{Enum, Field, Schema, Table};

/// What `current` changed of `released` that a later schema must keep.
pub(super) fn problems(released: &Schema, current: &Schema) -> Vec<String> {
    let mut found = Problems::default();
    found.same("namespace", &released.namespace, &current.namespace);
    found.same("root_type", &released.root_type, &current.root_type);
    found.same("file_identifier", &released.file_identifier, &current.file_identifier);
    found.same("file_extension", &released.file_extension, &current.file_extension);
    for old in &released.tables {
        match current.tables.iter().find(|new| new.name == old.name) {
            Some(new) => found.table(old, new),
            None => found.push(&format!("table {}", old.name), "the table", "none"),
        }
    }
    for old in &released.enums {
        let place = format!("{} {}", word(old), old.name);
        match current.enums.iter().find(|new| new.name == old.name) {
            Some(new) => found.enumeration(&place, old, new),
            None => found.push(&place, format!("the {}", word(old)), "none"),
        }
    }
    found.0
}

/// What is wrong with a schema by itself, and the parser does not see.
pub(super) fn unsound(schema: &Schema) -> Vec<String> {
    let mut found = Problems::default();
    let tables = schema.tables.iter().map(|table| &table.name);
    found.unique("tables and enums", tables.chain(schema.enums.iter().map(|e| &e.name)));
    for e in &schema.enums {
        let place = format!("{} {}", word(e), e.name);
        found.unique(&place, e.values.iter().map(|(name, _)| name));
    }
    for table in &schema.tables {
        let place = format!("table {}", table.name);
        found.unique(&place, table.fields.iter().map(|field| &field.name));
        let mut ids: Vec<i32> = table.fields.iter().map(|field| i32::from(field.id)).collect();
        // A field of a union has two ids; its code's is one less than the stated.
        ids.extend(
            table.fields.iter().filter(|f| is_union(schema, f)).map(|f| i32::from(f.id) - 1),
        );
        ids.sort_unstable();
        if !ids.iter().copied().eq(0..ids.len() as i32) {
            found.push(&place, "ids from 0 on, each once", format!("{ids:?}"));
        }
    }
    found.0
}

fn word(e: &Enum) -> &'static str {
    if e.underlying.is_some() { "enum" } else { "union" }
}

/// Whether a field holds one or many of a union.
fn is_union(schema: &Schema, field: &Field) -> bool {
    let element = field.kind.trim_matches(['[', ']']);
    schema.enums.iter().any(|e| e.underlying.is_none() && e.name == element)
}

#[derive(Default)]
struct Problems(Vec<String>);

impl Problems {
    fn push(&mut self, place: &str, expected: impl Display, found: impl Display) {
        self.0.push(format!("{place}: expected {expected}, found {found}"));
    }

    fn same<T: Display + PartialEq>(&mut self, place: &str, expected: T, found: T) {
        if expected != found {
            self.push(place, expected, found);
        }
    }

    fn unique<'a>(&mut self, place: &str, names: impl Iterator<Item = &'a String>) {
        let mut seen = BTreeSet::new();
        for name in names {
            if !seen.insert(name) {
                self.push(place, format!("one {name}"), "another");
            }
        }
    }

    fn table(&mut self, old: &Table, new: &Table) {
        for before in &old.fields {
            let place = format!("table {}, field {}", old.name, before.name);
            match new.fields.iter().find(|field| field.name == before.name) {
                Some(now) => self.field(&place, before, now),
                None => {
                    let renamed = new.fields.iter().find(|field| field.id == before.id);
                    let renamed = renamed.map_or("none", |field| &field.name);
                    self.push(&place, format!("the field of id {}", before.id), renamed);
                }
            }
        }
        for now in &new.fields {
            let known = old.fields.iter().any(|before| before.name == now.name);
            if !known && now.required {
                let place = format!("table {}, field {}", new.name, now.name);
                self.push(&place, "an optional field, which released files lack", "`required`");
            }
        }
    }

    fn field(&mut self, place: &str, before: &Field, now: &Field) {
        self.same(&format!("{place}, id"), before.id, now.id);
        self.same(&format!("{place}, type"), &before.kind, &now.kind);
        let default = |field: &Field| field.default.clone().unwrap_or("none".to_owned());
        self.same(&format!("{place}, default"), default(before), default(now));
        let required = |field: &Field| if field.required { "`required`" } else { "optional" };
        self.same(place, required(before), required(now));
        if before.deprecated && !now.deprecated {
            self.push(place, "`deprecated`", "a field in use");
        }
    }

    fn enumeration(&mut self, place: &str, old: &Enum, new: &Enum) {
        self.same(place, word(old), word(new));
        if let (Some(before), Some(now)) = (&old.underlying, &new.underlying) {
            self.same(&format!("{place}, underlying type"), before, now);
        }
        for (name, before) in &old.values {
            let place = format!("{place}, value {name}");
            match new.values.iter().find(|(now, _)| now == name) {
                Some((_, now)) => self.same(&format!("{place}, number"), before, now),
                None => {
                    let renamed = new.values.iter().find(|(_, now)| now == before);
                    let renamed = renamed.map_or("none", |(name, _)| name);
                    self.push(&place, format!("the value of number {before}"), renamed);
                }
            }
        }
        let Some(&(_, last)) = old.values.last() else { return };
        for (name, number) in &new.values {
            if *number < last && !old.values.iter().any(|(before, _)| before == name) {
                let place = format!("{place}, value {name}");
                self.push(&place, format!("a number above {last}"), number);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::parse::parse;
    use super::*;

    /// A released schema: model.fbs may grow away from the strings that the tests replace.
    fn released() -> String {
        let path = crate::workspace_root().join("schemas/released/v1.fbs");
        std::fs::read_to_string(path).unwrap()
    }

    /// The released schema with every pair's first string, which must be there once, replaced by its second.
    fn changed(pairs: &[(&str, &str)]) -> Schema {
        let text = pairs.iter().fold(released(), |text, (old, new)| {
            assert_eq!(text.matches(old).count(), 1, "{old}");
            text.replace(old, new)
        });
        parse(&text).unwrap_or_else(|error| panic!("{pairs:?}: {error:#}"))
    }

    fn refusals(pairs: &[(&str, &str)]) -> Vec<String> {
        problems(&parse(&released()).unwrap(), &changed(pairs))
    }

    const KEPT: &str = "  kept: ubyte = 2 (id: 8);";
    const TARGET: &str = "  target: [int] (id: 11);";

    #[test]
    fn a_change_of_a_setting_is_refused() {
        for (old, new, error) in [
            ("namespace penjing;", "namespace a;", "namespace: expected penjing, found a"),
            ("root_type Model", "root_type Node", "root_type: expected Model, found Node"),
            ("\"PNJ1\"", "\"PNJ2\"", "file_identifier: expected PNJ1, found PNJ2"),
            ("\"pnj\"", "\"pnx\"", "file_extension: expected pnj, found pnx"),
        ] {
            assert_eq!(refusals(&[(old, new)]), [error]);
        }
    }

    #[test]
    fn a_change_of_a_field_is_refused() {
        let kept = "table Weights, field kept";
        for (old, new, error) in [
            (KEPT, "keep: ubyte = 2 (id: 8);", ": expected the field of id 8, found keep"),
            (KEPT, "", ": expected the field of id 8, found none"),
            (KEPT, "kept: ubyte = 2 (id: 12);", ", id: expected 8, found 12"),
            (KEPT, "kept: byte = 2 (id: 8);", ", type: expected ubyte, found byte"),
            (KEPT, "kept: [ubyte] = 2 (id: 8);", ", type: expected ubyte, found [ubyte]"),
            (KEPT, "kept: ubyte = 3 (id: 8);", ", default: expected 2, found 3"),
            (KEPT, "kept: ubyte (id: 8);", ", default: expected 2, found none"),
            (KEPT, "kept: ubyte = 2 (id: 8, required);", ": expected optional, found `required`"),
        ] {
            assert_eq!(refusals(&[(old, new)]), [format!("{kept}{error}")]);
        }
        let target = "table Node, field target: expected the field of id 11, found none";
        assert_eq!(refusals(&[(TARGET, "")]), [target]);
        let required = format!("{TARGET} more: string (id: 12, required);");
        assert_eq!(
            refusals(&[(TARGET, &required)]),
            ["table Node, field more: expected an optional field, which released files lack, \
              found `required`"]
        );
    }

    #[test]
    fn fields_that_swap_ids_are_refused() {
        let swapped = [
            ("stride_h: ushort = 0 (id: 2)", "stride_h: ushort = 0 (id: 3)"),
            ("stride_w: ushort = 0 (id: 3)", "stride_w: ushort = 0 (id: 2)"),
        ];
        assert_eq!(
            refusals(&swapped),
            [
                "table Window, field stride_h, id: expected 2, found 3",
                "table Window, field stride_w, id: expected 3, found 2"
            ]
        );
    }

    #[test]
    fn an_attribute_of_a_released_field_stays() {
        let with = |attribute: &str| changed(&[("(id: 8);\n  /// Whether", attribute)]);
        let plain = changed(&[]);
        let deprecated = with("(id: 8, deprecated);\n  ///");
        assert_eq!(problems(&plain, &deprecated), [""; 0]);
        assert_eq!(
            problems(&deprecated, &plain),
            ["table Weights, field kept: expected `deprecated`, found a field in use"]
        );
        assert_eq!(
            problems(&with("(id: 8, required);\n  ///"), &plain),
            ["table Weights, field kept: expected `required`, found optional"]
        );
    }

    #[test]
    fn a_lost_table_or_enum_is_refused() {
        let table = [("table Normalization {", "table Scaling {")];
        assert_eq!(refusals(&table), ["table Normalization: expected the table, found none"]);
        let e = [("enum Activation : ubyte {", "enum Function : ubyte {")];
        assert_eq!(refusals(&e), ["enum Activation: expected the enum, found none"]);
        let union = [("enum Activation : ubyte {", "union Activation {")];
        assert_eq!(refusals(&union), ["enum Activation: expected enum, found union"]);
    }

    #[test]
    fn a_change_of_an_enum_is_refused() {
        for (old, new, error) in [
            (", U8 = 3 }", " }", "DataType, value U8: expected the value of number 3, found none"),
            ("U8 = 3", "B8 = 3", "DataType, value U8: expected the value of number 3, found B8"),
            ("U8 = 3", "U8 = 4", "DataType, value U8, number: expected 3, found 4"),
            (
                "Activation : ubyte",
                "Activation : byte",
                "Activation, underlying type: expected ubyte, found byte",
            ),
            ("F32 = 1, ", "", "DataType, value F32: expected the value of number 1, found none"),
            (
                "Unspecified = 0, F32",
                "Any = -1, Unspecified = 0, F32",
                "DataType, value Any: expected a number above 3, found -1",
            ),
        ] {
            assert_eq!(refusals(&[(old, new)]), [format!("enum {error}")]);
        }
    }

    #[test]
    fn a_lost_last_union_member_is_refused() {
        let union = |members: &str| {
            let text = format!("namespace penjing; union Any {{ {members} }}");
            changed(&[("namespace penjing;", &text)])
        };
        let old = union("Node = 1, Value = 2");
        assert_eq!(problems(&old, &union("Node = 1, Value = 2, Model = 3")), [""; 0]);
        assert_eq!(
            problems(&old, &union("Node = 1")),
            ["union Any, value Value: expected the value of number 2, found none"]
        );
        assert_eq!(
            problems(&old, &union("Node = 1, Model = 2, Value = 3")),
            ["union Any, value Value, number: expected 2, found 3"]
        );
    }

    #[test]
    fn additions_pass() {
        let field = format!("{TARGET} more: string (id: 12);");
        let table =
            "table Added { x: string (id: 0, required); } enum Kind : byte { A = -1 } root_type";
        for pair in [
            (TARGET, field.as_str()),
            ("U8 = 3 }", "U8 = 3, I4 = 4 }"),
            ("root_type", table),
            ("// Frozen", "// Thawed"),
        ] {
            let new = changed(&[pair]);
            assert_eq!(problems(&parse(&released()).unwrap(), &new), [""; 0]);
            assert_eq!(unsound(&new), [""; 0]);
        }
    }

    #[test]
    fn a_schema_is_sound_by_itself() {
        let ids = |name: &str, ids: &str| {
            format!("table {name}: expected ids from 0 on, each once, found {ids}")
        };
        let weights = "[0, 1, 2, 3, 4, 5, 6, 7, 9, 10, 11]";
        assert_eq!(unsound(&changed(&[(KEPT, "")])), [ids("Weights", weights)]);
        let twice = "std: [float] (id: 0);";
        let twice = changed(&[("std: [float] (id: 1);", twice)]);
        assert_eq!(unsound(&twice), [ids("Normalization", "[0, 0]")]);
        // The union's code takes the id before the union's.
        let union = |id| {
            let text = format!("union U {{ Node = 1 }} table T {{ u: U (id: {id}); }} root_type");
            unsound(&changed(&[("root_type", &text)]))
        };
        assert_eq!(union(1), [""; 0]);
        assert_eq!(union(0), [ids("T", "[-1, 0]")]);
        for (old, new, error) in [
            (
                "std: [float]",
                "mean: [float]",
                "table Normalization: expected one mean, found another",
            ),
            ("U8 = 3", "I8 = 3", "enum DataType: expected one I8, found another"),
            ("table Window", "table Op", "tables and enums: expected one Op, found another"),
        ] {
            assert_eq!(unsound(&changed(&[(old, new)])), [error]);
        }
    }
}
