//! Runs in numbers, and the table of several seeds.

use std::fmt::Write as _;

use crate::checker::{Rule, Violation};
use crate::history::{HistoryEvent, Outcome, Record};

/// A run in numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) faults: usize,
    /// Operations that were asked for.
    pub(crate) calls: usize,
    /// Those that were acknowledged.
    pub(crate) kept: usize,
    /// Acknowledged entries, effects, reminders and timers that are not there, and what is there too often. Nothing explains them.
    pub(crate) lost: usize,
    pub(crate) doubled: usize,
    /// Violations that are known of Dapr, and all others.
    pub(crate) known: usize,
    pub(crate) violations: usize,
}

impl Counts {
    pub(crate) fn of(history: &[Record], violations: &[Violation]) -> Counts {
        let of =
            |is_one: fn(&HistoryEvent) -> bool| history.iter().filter(|record| is_one(&record.what)).count();
        let unknown = || violations.iter().filter(|it| it.known.is_none());
        let with = |rules: &[Rule]| unknown().filter(|it| rules.contains(&it.rule)).count();
        Counts {
            faults: of(|what| matches!(what, HistoryEvent::Healed(_))),
            calls: of(|what| matches!(what, HistoryEvent::Asked(_))),
            kept: of(|what| matches!(what, HistoryEvent::Answered { outcome: Outcome::Kept(_), .. })),
            lost: with(&[Rule::Lost, Rule::EffectLost, Rule::ReminderLost, Rule::TimerLost, Rule::NotStored]),
            doubled: with(&[Rule::Doubled, Rule::ReminderEndless]),
            known: violations.len() - unknown().count(),
            violations: unknown().count(),
        }
    }
}

/// The runs of several seeds, a line each, with their sum at the end. Of one that was broken off the reason is there.
pub(crate) fn table(runs: &[(u64, Result<Counts, String>)]) -> String {
    const HEAD: [&str; 8] = ["seed", "faults", "calls", "kept", "lost", "doubled", "known", "result"];
    let line = |cells: [String; 7], result: &str| {
        let cells = cells.map(|cell| format!("{cell:>8}"));
        format!("{}  {result}\n", cells.concat())
    };
    let [head @ .., result] = HEAD.map(str::to_owned);
    let mut text = line(head, &result);
    let numbers = |seed: String, it: &Counts| {
        let numbers = [it.faults, it.calls, it.kept, it.lost, it.doubled, it.known].map(|it| it.to_string());
        let [faults, calls, kept, lost, doubled, known] = numbers;
        [seed, faults, calls, kept, lost, doubled, known]
    };
    let (mut sum, mut good) = (Counts::default(), 0);
    for (seed, run) in runs {
        match run {
            Ok(counts) => {
                sum.add(counts);
                good += usize::from(counts.violations == 0);
                let result = match counts.violations {
                    0 => "good".to_owned(),
                    violations => format!("{violations} violations"),
                };
                text += &line(numbers(seed.to_string(), counts), &result);
            }
            Err(error) => writeln!(text, "{seed:>8}  broken off: {error}").unwrap_or_default(),
        }
    }
    text += &line(numbers("all".to_owned(), &sum), &format!("{good} of {} good", runs.len()));
    text
}

impl Counts {
    fn add(&mut self, other: &Counts) {
        self.faults += other.faults;
        self.calls += other.calls;
        self.kept += other.kept;
        self.lost += other.lost;
        self.doubled += other.doubled;
        self.known += other.known;
        self.violations += other.violations;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_a_line_for_each_seed_and_their_sum() {
        let good = Counts { faults: 20, calls: 900, kept: 800, known: 3, ..Counts::default() };
        let bad = Counts { faults: 21, calls: 100, kept: 90, lost: 2, violations: 2, ..Counts::default() };
        let text = table(&[(1, Ok(good)), (2, Ok(bad)), (3, Err("no Redis".to_owned()))]);
        let lines = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
        let expected = [
            "seed faults calls kept lost doubled known result",
            "1 20 900 800 0 0 3 good",
            "2 21 100 90 2 0 0 2 violations",
            "3 broken off: no Redis",
            "all 41 1000 890 2 0 3 1 of 3 good",
        ];
        assert_eq!(lines.collect::<Vec<_>>(), expected, "{text}");
    }

    #[test]
    fn what_is_explained_is_not_counted_as_lost() {
        let lost = || Violation::new(Rule::Lost, "a", None, "one", "none".to_owned());
        let known = lost().explained(Some(crate::checker::Known::DeafSidecar));
        let counts = Counts::of(&[], &[lost(), known]);
        assert_eq!((counts.lost, counts.known, counts.violations), (1, 1, 1));
    }
}
