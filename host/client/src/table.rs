//! Tables with aligned columns and no lines.

use std::fmt;

use comfy_table::{CellAlignment, presets};
use daca_base::telemetry::printable;

/// The gap between two columns in spaces.
const GAP: u16 = 2;

/// The alignment of a column, with its heading.
#[derive(Clone, Copy)]
pub(super) enum Column {
    /// To the left.
    Text(&'static str),
    /// To the right.
    Number(&'static str),
}

/// Rows of cells below the column headings.
pub(super) struct TextTable<const N: usize>(comfy_table::Table);

impl<const N: usize> TextTable<N> {
    pub(super) fn new(columns: [Column; N]) -> TextTable<N> {
        let mut table = comfy_table::Table::new();
        table.load_style(presets::NOTHING);
        table.set_header(columns.map(|column| match column {
            Column::Text(heading) | Column::Number(heading) => heading,
        }));
        for (column, wanted) in table.column_iter_mut().zip(columns) {
            column.set_padding((0, GAP));
            if let Column::Number(_) = wanted {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        TextTable(table)
    }

    /// Appends a row. Control characters are escaped.
    pub(super) fn row(&mut self, cells: [String; N]) {
        self.0.add_row(cells.map(|cell| printable(&cell).into_owned()));
    }
}

impl<const N: usize> fmt::Display for TextTable<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.trim_fmt())
    }
}
