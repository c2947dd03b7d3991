//! The rows as a table: for a terminal, and for docs/devices.md.

use comfy_table::{CellAlignment, Table};

use super::Row;

const HEADINGS: [&str; 8] = [
    "target",
    "what",
    "flash: code",
    "flash: model",
    "RAM",
    "stack",
    "instructions",
    "as on the host",
];

/// For a terminal.
pub(super) fn text(rows: &[Row]) -> String {
    let mut table = Table::new();
    table.set_header(HEADINGS);
    for row in rows {
        table.add_row(cells(row));
    }
    for column in 2..7 {
        table.column_mut(column).expect("a heading").set_cell_alignment(CellAlignment::Right);
    }
    format!("{table}\n")
}

/// For a page.
pub(super) fn markdown(rows: &[Row]) -> String {
    let line = |cells: &[String; 8]| format!("| {} |\n", cells.join(" | "));
    let mut text = line(&HEADINGS.map(str::to_owned));
    text += "| --- | --- | ---: | ---: | ---: | ---: | ---: | --- |\n";
    for row in rows {
        text += &line(&cells(row));
    }
    text
}

fn cells(row: &Row) -> [String; 8] {
    let number = |value: Option<u64>| value.map(thousands).unwrap_or_default();
    [
        row.target.clone(),
        row.what.clone(),
        number(row.code),
        number(row.model),
        number(row.ram),
        number(row.stack),
        number(row.instructions),
        row.matches.clone(),
    ]
}

/// 1234567 as 1,234,567.
pub(super) fn thousands(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_set_apart() {
        let cases = [(0, "0"), (999, "999"), (1000, "1,000"), (1_234_567, "1,234,567")];
        for (value, text) in cases {
            assert_eq!(thousands(value), text);
        }
    }

    #[test]
    fn what_is_not_known_is_left_empty() {
        let row = Row {
            target: "t".into(),
            what: "w".into(),
            code: Some(9876),
            model: None,
            ram: None,
            stack: Some(0),
            instructions: None,
            matches: "all".into(),
        };
        let text = markdown(std::slice::from_ref(&row));
        assert_eq!(text.lines().nth(2), Some("| t | w | 9,876 |  |  | 0 |  | all |"));
        assert_eq!(text.lines().map(|line| line.matches('|').count()).max(), Some(9));
        assert!(super::text(&[row]).contains("9,876"));
    }
}
