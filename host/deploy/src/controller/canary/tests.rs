use super::*;
use daca_manifest::CompileLimits;
use daca_runtime::component::TurnEnd;

const SECOND: Duration = Duration::from_secs(1);

fn rules() -> DeployRules {
    let (signers, versions) = (Vec::new(), None);
    DeployRules {
        signers,
        window: 10 * SECOND,
        max_error_delta: 10,
        least_turns: 10,
        rolls_back: true,
        keep: 20,
        versions,
        versions_line: 1,
        compiling: CompileLimits { time: 30 * SECOND, memory: bytesize::ByteSize::mib(768) },
    }
}

fn count(counters: &Counters, well: u32, failed: u32) {
    (0..well).for_each(|_| counters.count(TurnEnd::Well));
    (0..failed).for_each(|_| counters.count(TurnEnd::Failed));
}

fn fails(verdict: &Verdict) -> bool {
    matches!(verdict, Verdict::Failing(_))
}

#[test]
fn a_version_is_rolled_back_when_it_fails_more_often_than_the_margin_allows_and_not_before() {
    // Turns and failures of the new one, failures in percent of the old one, and whether it is rolled back.
    let cases = [
        (0, 9, 0, false),
        (0, 10, 0, true),
        (91, 9, 0, false),
        (89, 11, 0, true),
        (70, 30, 25, false),
        (60, 40, 25, true),
        (100, 0, 0, false),
    ];
    for (well, failed, old_percent, expected) in cases {
        let counters = Arc::new(Counters::default());
        let start = Instant::now();
        let mut analysed = AnalysedVersion::canary("v2".into(), counters.clone(), start);
        count(&counters, well, failed);
        let serving = WindowStats { turns: 100, failed: old_percent };
        let verdict = analysed.verdict(&rules(), serving, start + SECOND);
        assert_eq!(fails(&verdict), expected, "{well} well, {failed} failed: {verdict:?}");
    }
}

#[test]
fn what_happened_before_the_window_counts_no_more() {
    let counters = Arc::new(Counters::default());
    let start = Instant::now();
    let mut analysed = AnalysedVersion::canary("v2".into(), counters.clone(), start);
    let serving = WindowStats { turns: 100, failed: 50 };
    count(&counters, 20, 12);
    assert_eq!(analysed.verdict(&rules(), serving, start + SECOND), Verdict::Open);
    count(&counters, 20, 0);
    // The old one is better now, and the bad second is eleven seconds ago.
    let verdict = analysed.verdict(&rules(), WindowStats { turns: 100, failed: 0 }, start + 12 * SECOND);
    assert_eq!(verdict, Verdict::Open);
}

#[test]
fn a_successor_is_compared_with_its_predecessors_last_window_and_passes_after_one_window() {
    let counters = Arc::new(Counters::default());
    let start = Instant::now();
    let before = WindowStats { turns: 100, failed: 90 };
    let mut analysed = AnalysedVersion::successor("v2".into(), counters.clone(), before, start);
    count(&counters, 10, 90);
    let serving = WindowStats::default();
    assert_eq!(analysed.verdict(&rules(), serving, start + SECOND), Verdict::Open);
    assert_eq!(analysed.verdict(&rules(), serving, start + 9 * SECOND), Verdict::Open);
    assert_eq!(analysed.verdict(&rules(), serving, start + 10 * SECOND), Verdict::Passed);
}
