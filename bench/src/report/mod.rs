//! What was measured, in a form that becomes a table, JSON and charts.
//!
//! [`table`] prints it, [`chart`] draws it, [`page`] keeps it in the book.

pub(crate) mod chart;
pub(crate) mod page;
pub(crate) mod table;

use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use crate::machine::Machine;

/// A run of the benchmark.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Report {
    /// Where and when.
    pub(crate) machine: Machine,
    /// What was measured.
    pub(crate) measures: Vec<Measure>,
}

/// One measure: a question, what was found, and the ratios that count.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Measure {
    /// Its name on the command line, such as `sidecar`.
    pub(crate) name: String,
    /// The question, as a title.
    pub(crate) title: String,
    /// What was done, in a sentence or two.
    pub(crate) method: String,
    /// One row for each contender and load.
    pub(crate) rows: Vec<Row>,
    /// Ours against others.
    pub(crate) ratios: Vec<Ratio>,
    /// What a reader must know to read the figures rightly.
    pub(crate) notes: Vec<String>,
    /// Which figures are drawn.
    pub(crate) charts: Vec<Chart>,
}

/// A chart of one figure over all rows that have it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Chart {
    /// The figure's name.
    pub(crate) figure: String,
    /// The chart's title.
    pub(crate) title: String,
}

/// The figures of one contender under one load.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Row {
    /// Who: `host`, `native`, `go`, `python`.
    pub(crate) who: String,
    /// Under which load: `8 connections`.
    pub(crate) load: String,
    /// What was found.
    pub(crate) figures: Vec<Figure>,
}

/// One figure.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Figure {
    /// What: `messages a second`, `p50`, `p99`, `resident`.
    pub(crate) name: String,
    /// How much.
    pub(crate) value: f64,
    /// In which unit: `/s`, `ms`, `MiB`, `s`; empty for a count.
    pub(crate) unit: String,
}

/// One ratio in one run, with what is asked of it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Ratio {
    /// Of what to what.
    pub(crate) name: String,
    /// The ratio.
    pub(crate) value: f64,
    /// What it should be.
    pub(crate) wanted: Option<Bound>,
}

/// A bound on a ratio or a figure.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Bound {
    /// No less.
    AtLeast(f64),
    /// No more.
    AtMost(f64),
}

impl Report {
    /// Writes it to a file.
    pub(crate) fn write_json(&self, path: &Path) -> anyhow::Result<()> {
        let text = serde_json::to_string_pretty(self)? + "\n";
        std::fs::write(path, text).with_context(|| format!("writing {}", path.display()))
    }

    /// Prints how many ratios are what is asked, and those that are not.
    pub(crate) fn summarise(&self) {
        let ratios = self.measures.iter().flat_map(|measure| &measure.ratios);
        let (met, missed) = ratios
            .filter_map(|ratio| Some((ratio, ratio.is_met()?)))
            .partition::<Vec<_>, _>(|(_, is_met)| *is_met);
        println!("{} of {} ratios are what is asked", met.len(), met.len() + missed.len());
        for (ratio, _) in missed {
            println!("  {}: {}, asked: {}", ratio.name, number(ratio.value), ratio.wanted());
        }
    }
}

impl Figure {
    /// A figure.
    pub(crate) fn new(name: &str, value: f64, unit: &str) -> Figure {
        Figure { name: name.to_owned(), value, unit: unit.to_owned() }
    }

    /// A time, in milliseconds.
    pub(crate) fn milliseconds(name: &str, time: Duration) -> Figure {
        Figure::new(name, time.as_secs_f64() * 1e3, "ms")
    }

    /// Bytes, in MiB.
    pub(crate) fn mebibytes(name: &str, bytes: u64) -> Figure {
        Figure::new(name, bytes as f64 / f64::from(1 << 20), "MiB")
    }

    /// With its unit, as a reader wants it.
    pub(crate) fn text(&self) -> String {
        let space = if self.unit.is_empty() || self.unit.starts_with('/') { "" } else { " " };
        format!("{}{space}{}", number(self.value), self.unit)
    }
}

impl Ratio {
    /// Is it what is asked? None when nothing is.
    pub(crate) fn is_met(&self) -> Option<bool> {
        self.wanted.map(|wanted| match wanted {
            Bound::AtLeast(bound) => self.value >= bound,
            Bound::AtMost(bound) => self.value <= bound,
        })
    }

    /// What is asked, in words.
    pub(crate) fn wanted(&self) -> String {
        match self.wanted {
            Some(Bound::AtLeast(bound)) => format!("≥ {bound}"),
            Some(Bound::AtMost(bound)) => format!("≤ {bound}"),
            None => String::new(),
        }
    }

    /// The verdict, in a word.
    pub(crate) fn verdict(&self) -> &'static str {
        match self.is_met() {
            Some(true) => "met",
            Some(false) => "missed",
            None => "",
        }
    }
}

/// A number with the three digits that it is worth.
pub(crate) fn number(value: f64) -> String {
    let size = value.abs();
    let decimals = match size {
        _ if size >= 100.0 || size == 0.0 => 0,
        _ if size >= 10.0 => 1,
        _ if size >= 1.0 => 2,
        _ => 3,
    };
    let text = format!("{value:.decimals$}");
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
    let mut grouped = String::new();
    for (place, digit) in whole.chars().enumerate() {
        if place > 0 && (whole.len() - place) % 3 == 0 && !grouped.ends_with('-') {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    if fraction.is_empty() { grouped } else { format!("{grouped}.{fraction}") }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn example() -> Measure {
        let row = |who: &str, load: &str, rate: f64| Row {
            who: who.to_owned(),
            load: load.to_owned(),
            figures: vec![
                Figure::new("messages a second", rate, "/s"),
                Figure::new("p99", rate / 100.0, "ms"),
            ],
        };
        Measure {
            name: "example".to_owned(),
            title: "An example <of> \"all\" & more".to_owned(),
            method: "Made up.".to_owned(),
            rows: vec![row("host", "8 connections", 1234.5), row("a & b", "8 connections", 12.0)],
            ratios: vec![Ratio {
                name: "host / a".to_owned(),
                value: 102.9,
                wanted: Some(Bound::AtLeast(1.5)),
            }],
            notes: vec!["A note.".to_owned()],
            charts: vec![Chart { figure: "messages a second".to_owned(), title: "Rates <&>".to_owned() }],
        }
    }

    #[test]
    fn numbers_have_the_digits_that_they_are_worth() {
        let cases =
            [(1234567.8, "1,234,568"), (123.4, "123"), (99.94, "99.9"), (1.005, "1.00"), (0.01234, "0.012")];
        for (value, text) in cases {
            assert_eq!(number(value), text);
        }
        assert_eq!(number(0.0), "0");
    }

    #[test]
    fn a_report_is_read_back_as_it_was_written() -> anyhow::Result<()> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("report.json");
        let report = Report { machine: Machine::read()?, measures: vec![example()] };
        report.write_json(&path)?;
        let read: Report = serde_json::from_slice(&std::fs::read(&path)?)?;
        assert_eq!(serde_json::to_value(&read)?, serde_json::to_value(&report)?);
        assert_eq!(read.measures[0].ratios[0].verdict(), "met");
        Ok(())
    }
}
