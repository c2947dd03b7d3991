//! How the commands' tables look: a line under the header, nothing else, so that they read well in a log.

use comfy_table::{ContentLineStyle, LineStyle, Table, TableStyle};

/// An empty table.
pub(crate) fn new() -> Table {
    let mut table = Table::new();
    table.load_style(
        TableStyle::new()
            .header_lines(ContentLineStyle::new(' ', ' ', ' '))
            .header_separator(LineStyle::new('-', '-', '-', '-'))
            .content_lines(ContentLineStyle::new(' ', ' ', ' ')),
    );
    table
}
