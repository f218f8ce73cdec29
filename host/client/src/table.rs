//! Tables with aligned columns.

use std::fmt;

use daca_base::telemetry::printable;

/// The gap between two columns.
const GAP: &str = "  ";

/// The alignment of a column, with its heading.
#[derive(Clone, Copy)]
pub(super) enum Column {
    /// To the left.
    Text(&'static str),
    /// To the right.
    Number(&'static str),
}

/// Rows of cells below the column headings.
pub(super) struct Table<const N: usize> {
    columns: [Column; N],
    rows: Vec<[String; N]>,
}

impl<const N: usize> Table<N> {
    pub(super) fn new(columns: [Column; N]) -> Table<N> {
        Table { columns, rows: Vec::new() }
    }

    /// Appends a row. Control characters are escaped.
    pub(super) fn row(&mut self, cells: [String; N]) {
        self.rows.push(cells.map(|cell| printable(&cell).into_owned()));
    }
}

impl<const N: usize> fmt::Display for Table<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let heads = self.columns.map(|column| match column {
            Column::Text(head) | Column::Number(head) => head.to_owned(),
        });
        let lines = || std::iter::once(&heads).chain(&self.rows);
        let width = |at: usize| lines().map(|line| line[at].chars().count()).max().unwrap_or(0);
        let widths: [usize; N] = std::array::from_fn(width);
        for (number, line) in lines().enumerate() {
            let cells = line.iter().zip(self.columns).zip(widths);
            let cells = cells.map(|((cell, column), width)| match column {
                Column::Text(_) => format!("{cell:width$}"),
                Column::Number(_) => format!("{cell:>width$}"),
            });
            let text = cells.collect::<Vec<_>>().join(GAP);
            let end = if number == 0 { "" } else { "\n" };
            write!(f, "{end}{}", text.trim_end())?;
        }
        Ok(())
    }
}
