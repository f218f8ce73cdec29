//! A measure as a table for the terminal.

use super::{Measure, Row, number};

/// The whole of it, in lines.
pub(crate) fn of(measure: &Measure) -> String {
    let mut text = format!("\n{}\n", measure.title);
    for table in [rows(measure), ratios(measure)] {
        text += "\n";
        text += &aligned(&table);
    }
    for note in &measure.notes {
        text += &format!("\n  {note}\n");
    }
    text
}

/// Names of the figures that rows have, each once, in their order.
pub(crate) fn columns(rows: &[Row]) -> Vec<&str> {
    let mut columns = Vec::new();
    for figure in rows.iter().flat_map(|row| &row.figures) {
        if !columns.contains(&&*figure.name) {
            columns.push(&figure.name);
        }
    }
    columns
}

/// The rows with a head, as cells.
pub(crate) fn rows(measure: &Measure) -> Vec<Vec<String>> {
    let columns = columns(&measure.rows);
    let has_load = measure.rows.iter().any(|row| !row.load.is_empty());
    let mut head = vec![String::new()];
    head.extend(has_load.then(|| "load".to_owned()));
    head.extend(columns.iter().map(|column| (*column).to_owned()));
    let mut table = vec![head];
    for row in &measure.rows {
        let mut cells = vec![row.who.clone()];
        cells.extend(has_load.then(|| row.load.clone()));
        cells.extend(columns.iter().map(|column| {
            let figure = row.figures.iter().find(|figure| figure.name == *column);
            figure.map(|figure| figure.text()).unwrap_or_default()
        }));
        table.push(cells);
    }
    table
}

/// The ratios with a head, as cells.
pub(crate) fn ratios(measure: &Measure) -> Vec<Vec<String>> {
    let mut table = vec![["ratio", "asked", "measured", ""].map(str::to_owned).to_vec()];
    for ratio in &measure.ratios {
        let verdict = ratio.verdict().to_owned();
        table.push(vec![ratio.name.clone(), ratio.wanted(), number(ratio.value), verdict]);
    }
    table
}

fn aligned(table: &[Vec<String>]) -> String {
    let columns = table.iter().map(Vec::len).max().unwrap_or_default();
    let width =
        |column: usize| table.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let widths = (0..columns).map(|column| width(column).unwrap_or_default()).collect::<Vec<_>>();
    let mut text = String::new();
    for row in table {
        for (cell, width) in row.iter().zip(&widths) {
            text += &format!("  {cell:width$}");
        }
        text.truncate(text.trim_end().len());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::tests::example;

    #[test]
    fn a_table_has_a_line_for_each_row_and_ratio() {
        let text = super::of(&example());
        assert!(text.contains("  host   8 connections  1,234/s"), "{text}");
        assert!(text.contains("≥ 1.5  103       met"), "{text}");
    }
}
