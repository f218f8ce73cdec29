//! What was measured, in the book: between two marks for each measure, so that the words around them stay.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use daca_tests::folders;

use super::{Measure, Report, chart, table};
use crate::machine::Machine;

/// Writes the tables into their pages, and the charts beside them.
pub(crate) fn write(report: &Report) -> anyhow::Result<()> {
    write_into(&folders::root().join("docs"), report)
}

fn write_into(docs: &Path, report: &Report) -> anyhow::Result<()> {
    std::fs::create_dir_all(docs.join("performance"))?;
    for measure in &report.measures {
        let path = docs.join(page_of(&measure.name));
        let page = std::fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
        let page = replaced(&page, &measure.name, &part(measure, &report.machine))
            .with_context(|| format!("in {}", path.display()))?;
        for (file, svg) in charts(measure) {
            std::fs::write(docs.join(&file), svg)?;
        }
        std::fs::write(&path, page).with_context(|| format!("writing {}", path.display()))?;
    }
    Ok(())
}

/// The page that a measure is on, in `docs`. Only measures without charts are on other pages than that on performance.
fn page_of(name: &str) -> &'static str {
    match name {
        "languages" | "python-engine" => "guide/languages.md",
        _ => "performance.md",
    }
}

/// The page with another text between the marks of a measure.
fn replaced(page: &str, name: &str, text: &str) -> anyhow::Result<String> {
    let (begin, end) = (format!("<!-- {name}: begin -->"), format!("<!-- {name}: end -->"));
    let (before, rest) = page.split_once(&begin).with_context(|| format!("there is no line {begin}"))?;
    let (_, after) =
        rest.split_once(&end).with_context(|| format!("there is no line {end} behind {begin}"))?;
    Ok(format!("{before}{begin}\n{text}\n{end}{after}"))
}

fn part(measure: &Measure, machine: &Machine) -> String {
    let mut text = format!("{}\n\n", measure.method);
    if !measure.ratios.is_empty() {
        text += &markdown(&table::ratios(measure));
        text += "\n";
    }
    for (chart, (file, _)) in measure.charts.iter().zip(charts(measure)) {
        text += &format!("![{}: {}]({})\n\n", measure.title, chart.title, file.display());
    }
    text += &markdown(&table::rows(measure));
    for note in &measure.notes {
        text += &format!("\n{note}\n");
    }
    text += &format!(
        "\n`{}`, commit {}, {}: {}, {} cores, {} GiB, {}.",
        machine.command,
        machine.commit,
        machine.date,
        machine.cpu,
        machine.cores,
        machine.memory,
        machine.kernel,
    );
    text
}

fn charts(measure: &Measure) -> Vec<(PathBuf, String)> {
    let draw = |chart: &super::Chart| {
        let figure = chart.figure.replace([' ', ',', '/'], "-").to_lowercase();
        let file = PathBuf::from(format!("performance/{}-{figure}.svg", measure.name));
        (file, chart::draw(measure, chart))
    };
    measure.charts.iter().map(draw).collect()
}

fn markdown(table: &[Vec<String>]) -> String {
    let line = |row: &Vec<String>| format!("| {} |\n", row.join(" | "));
    let Some((head, rows)) = table.split_first() else { return String::new() };
    let mut text = line(head);
    text += &format!("|{}\n", "---|".repeat(head.len()));
    text.extend(rows.iter().map(line));
    text
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum as _;

    use super::*;
    use crate::MeasureName;
    use crate::report::tests::example;

    #[test]
    fn every_measure_has_its_place_in_a_page() -> anyhow::Result<()> {
        for measure in MeasureName::value_variants() {
            let name = measure.to_possible_value().context("it has a name")?.get_name().to_owned();
            let page = std::fs::read_to_string(folders::root().join("docs").join(page_of(&name)))?;
            replaced(&page, &name, "").with_context(|| name.clone())?;
        }
        Ok(())
    }

    #[test]
    fn what_stands_around_the_marks_stays() -> anyhow::Result<()> {
        let docs = tempfile::tempdir()?;
        let path = docs.path().join("performance.md");
        let report = Report { machine: Machine::read()?, measures: vec![example()] };
        std::fs::write(&path, "before\n<!-- other: begin -->\n")?;
        let error = format!("{:#}", write_into(docs.path(), &report).expect_err("there are no marks"));
        assert!(error.contains("<!-- example: begin -->"), "{error}");

        std::fs::write(&path, "before\n<!-- example: begin -->\nold\n<!-- example: end -->\nafter\n")?;
        write_into(docs.path(), &report)?;
        write_into(docs.path(), &report)?;
        let page = std::fs::read_to_string(&path)?;
        assert!(page.starts_with("before\n") && page.ends_with("<!-- example: end -->\nafter\n"), "{page}");
        assert!(
            !page.contains("old") && page.matches("| host / a | ≥ 1.5 | 103 | met |").count() == 1,
            "{page}"
        );
        assert!(docs.path().join("performance/example-messages-a-second.svg").is_file());
        Ok(())
    }
}
