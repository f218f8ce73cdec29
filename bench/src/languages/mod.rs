//! What an agent costs in each language: the ChatAgent, whose versions in all of them hold the same conversation.
//!
//! [`contender`] has the files, [`running`] a host with one of them, [`comparison`] the rounds of all, [`measured`] what was
//! found, and [`saved`] the time from a save to an answer. [`python_engine`] measures what scripts in Python would cost.

mod comparison;
mod contender;
mod measured;
pub(crate) mod python_engine;
mod running;
mod saved;

use std::time::Duration;

use anyhow::Context as _;

use crate::extent::Extent;
use crate::report::{Bound, Figure, Measure, Ratio, Row};
use comparison::{FRESH_ROUNDS, NEW_ACTORS};
use contender::Contender;
use measured::{Measured, middle};

const CONTENDERS: [Contender; 7] = [
    Contender::Rust,
    Contender::Script,
    Contender::TypeScript,
    Contender::StarlingMonkey,
    Contender::Python,
    Contender::Go,
    Contender::C,
];
/// Versions of each after the first, at most.
const DEPLOYS: usize = 5;

/// An error unless all agents are built.
pub(crate) fn check_built() -> anyhow::Result<()> {
    contender::check_built(&CONTENDERS)
}

/// Measures all of them beside each other.
pub(crate) async fn measure(extent: Extent) -> anyhow::Result<Measure> {
    let all = comparison::compare("languages", &CONTENDERS, DEPLOYS, extent).await?;
    let saves = saved::times(extent).await?;
    let slowest = saves.iter().max().copied().unwrap_or_default();
    let saved = middle(saves).context("nothing was saved")?;
    let of = |contender| all.iter().find(|measured| measured.contender == contender);
    let missing = "a contender was not measured";
    let rust = of(Contender::Rust).context(missing)?;
    let script = of(Contender::Script).context(missing)?;
    let component = of(Contender::TypeScript).context(missing)?;
    Ok(Measure {
        name: "languages".to_owned(),
        title: "What an agent costs in each language".to_owned(),
        method: method(),
        rows: all.iter().map(|measured| row(measured, rust, saved)).collect(),
        ratios: ratios(script, component, saved),
        notes: vec![format!("The slowest save was served after {:.0} ms.", slowest.as_secs_f64() * 1e3)],
        charts: Vec::new(),
    })
}

fn method() -> String {
    format!(
        "The ChatAgent in each language, on a host of its own with the embedded backend and a store in memory. The hosts run at \
        the same time, and loads go from one to the next, in rounds, over one connection. *First deployment* is from the upload to the \
        answer of a host that has met nothing of the language, and compiles; for a script it compiles the engine, once for all scripts. \
        *Further ones* is the median of other versions of the same file. *Activation* is the median first call of {} new actors less \
        the median of further calls; *in the host* is the mean by its own clock, without HTTP, queue and commit. *Memory* is by how much \
        each of these actors made the process larger (resident, with page tables), *reserved* what the host counts for it in its budget. \
        *Call* is a message to an active actor, with its commit and effects. *Saved to served* is from the save of the file to the \
        first answer by it, with `daca dev` and a store on disk: the median of {}.",
        FRESH_ROUNDS * NEW_ACTORS,
        saved::SAVES,
    )
}

fn row(measured: &Measured, rust: &Measured, saved: Duration) -> Row {
    let mut figures = vec![
        measured::size("file", measured.bytes),
        Figure::milliseconds("first deployment", measured.first_deploy),
    ];
    let further = middle(measured.deploys.clone());
    figures.extend(further.map(|time| Figure::milliseconds("further ones", time)));
    let is_script = measured.contender == Contender::Script;
    figures.extend(is_script.then(|| Figure::milliseconds("saved to served", saved)));
    figures.extend(measured.of_actors());
    figures.push(Figure::new("p50 / Rust", measured.slowness(rust), ""));
    Row { who: measured.contender.name().to_owned(), load: String::new(), figures }
}

fn ratios(script: &Measured, component: &Measured, saved: Duration) -> Vec<Ratio> {
    let at_most = |name: &str, value: f64, bound: f64| Ratio {
        name: name.to_owned(),
        value,
        wanted: Some(Bound::AtMost(bound)),
    };
    vec![
        at_most("activation of a script, in ms", script.activation().as_secs_f64() * 1e3, 3.0),
        at_most("memory of a live actor with a script, in MB", script.resident(), 1.0),
        at_most("the same as the host reserves it, in MB", script.reserved(), 1.0),
        at_most("p50 of a call, script / component in TypeScript", script.slowness(component), 1.5),
        at_most("saved to served of a script, in ms", saved.as_secs_f64() * 1e3, 100.0),
    ]
}
