//! What was measured, in a form that becomes a table, JSON and charts.

use serde::{Deserialize, Serialize};

/// One measure: a question, what was found, and the ratios that count.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Measure {
    /// Its name on the command line, such as `sidecar`.
    pub name: String,
    /// The question, as a title.
    pub title: String,
    /// What was done, in a sentence or two.
    pub method: String,
    /// One row for each contender and load.
    pub rows: Vec<Row>,
    /// Ours against others.
    pub ratios: Vec<Ratio>,
    /// What a reader must know to read the figures rightly.
    pub notes: Vec<String>,
}

/// The figures of one contender under one load.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Row {
    /// Who: `host`, `native`, `go`, `python`.
    pub who: String,
    /// Under which load: `8 connections, 200 actors`.
    pub load: String,
    /// What was found.
    pub figures: Vec<Figure>,
}

/// One figure.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Figure {
    /// What: `messages a second`, `p50`, `p99`, `resident`.
    pub name: String,
    /// How much.
    pub value: f64,
    /// In which unit: `/s`, `ms`, `MiB`, `s`; empty for a count.
    pub unit: String,
}

/// One ratio in one run, with what is asked of it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Ratio {
    /// Of what to what.
    pub name: String,
    /// The ratio.
    pub value: f64,
    /// What it should be.
    pub wanted: Option<Wanted>,
}

/// A bound on a ratio or a figure.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Wanted {
    /// No less.
    AtLeast(f64),
    /// No more.
    AtMost(f64),
}

impl Figure {
    /// A figure.
    pub fn new(name: &str, value: f64, unit: &str) -> Figure {
        Figure { name: name.to_owned(), value, unit: unit.to_owned() }
    }
}
