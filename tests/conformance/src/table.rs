//! The table of what came of each case with each agent.

use std::fmt;

use crate::run::Outcome;

/// What came of each case, with each agent or host that it was tried with.
#[derive(Debug, Default)]
pub struct Table {
    columns: Vec<String>,
    rows: Vec<(String, Vec<Outcome>)>,
}

impl Table {
    /// Adds a column: the outcomes of all cases, by their names and in the same order as those of every other column.
    pub fn add(&mut self, name: &str, outcomes: Vec<(String, Outcome)>) {
        self.columns.push(name.to_owned());
        for (number, (case, outcome)) in outcomes.into_iter().enumerate() {
            match self.rows.get_mut(number) {
                Some((_, row)) => row.push(outcome),
                None => self.rows.push((case, vec![outcome])),
            }
        }
    }

    /// What failed, each with its agent and its case.
    pub fn failures(&self) -> Vec<String> {
        let of_row = |(case, row): &(String, Vec<Outcome>)| {
            let failed = self.columns.iter().zip(row).filter_map(|(agent, outcome)| match outcome {
                Outcome::Failed(reason) => Some(format!("{agent}: {case}: {reason}")),
                Outcome::Passed | Outcome::Skipped(_) => None,
            });
            failed.collect::<Vec<_>>()
        };
        self.rows.iter().flat_map(of_row).collect()
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.rows.iter().map(|(case, _)| case.chars().count()).max().unwrap_or(0).max(4);
        let title = "case";
        write!(f, "{title:width$}")?;
        for column in &self.columns {
            write!(f, "  {column}")?;
        }
        for (case, row) in &self.rows {
            write!(f, "\n{case:width$}")?;
            for (column, outcome) in self.columns.iter().zip(row) {
                let word = match outcome {
                    Outcome::Passed => "ok",
                    Outcome::Failed(_) => "FAILS",
                    Outcome::Skipped(_) => "–",
                };
                write!(f, "  {word:width$}", width = column.chars().count())?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_in_the_table_and_told_with_its_reason() {
        let mut table = Table::default();
        let case = |outcome| vec![("one".to_owned(), Outcome::Passed), ("two".to_owned(), outcome)];
        table.add("rust", case(Outcome::Passed));
        table.add("c", case(Outcome::Failed("no reply".to_owned())));
        assert_eq!(table.to_string(), "case  rust  c\none   ok    ok\ntwo   ok    FAILS");
        assert_eq!(table.failures(), ["c: two: no reply"]);
    }
}
