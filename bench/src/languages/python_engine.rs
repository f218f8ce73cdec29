//! What scripts in Python would cost: the engine that the host would have to bring, beside the engine for JavaScript that it
//! has, and beside a component in Python.
//!
//! The host has no such engine. In its place stands a component that gets its script by a setting and evaluates it in each
//! activation, as an engine would: `bench/python-engine`. All else of an engine is in it: the interpreter, the SDK, all
//! interfaces, and the part of the standard library that scripts may import, since a component cannot load what was not there
//! when it was made.

use anyhow::Context as _;
use daca_tests::folders;

use super::comparison;
use super::contender::{self, Contender};
use super::measured::{self, Measured};
use crate::extent::Extent;
use crate::report::{Bound, Figure, Measure, Ratio, Row};

const CONTENDERS: [Contender; 3] = [Contender::Script, Contender::PythonEngine, Contender::Python];

/// An error unless all that is measured is built.
pub(crate) fn check_built() -> anyhow::Result<()> {
    contender::check_built(&CONTENDERS)
}

/// Measures the two engines and the component beside each other.
pub(crate) async fn measure(extent: Extent) -> anyhow::Result<Measure> {
    let all = comparison::compare("python-engine", &CONTENDERS, 0, extent).await?;
    let [script, engine, component] = &*all else { anyhow::bail!("a contender was not measured") };
    let engine_of_scripts = engine_of_scripts()?;
    let rows = vec![
        row(script, "engine", engine_of_scripts),
        row(engine, "engine", engine.bytes),
        row(component, "component", component.bytes),
    ];
    Ok(Measure {
        name: "python-engine".to_owned(),
        title: "Scripts in Python, if the host had an engine for them".to_owned(),
        method: "The ChatAgent as a script in TypeScript and in Python, and as a component in Python, measured as in the table of the \
            languages. For Python, a component stands in the place of the engine: it has the interpreter, the SDK and a part of the \
            standard library, and evaluates the file in each activation. *Compiled in* is the first deployment. The goals are those of \
            scripts in TypeScript."
            .to_owned(),
        rows,
        ratios: ratios(engine, component, engine_of_scripts),
        ..Measure::default()
    })
}

/// The bytes of the engine that the host has.
fn engine_of_scripts() -> anyhow::Result<usize> {
    let path = folders::root().join("host/script/engine/javascript.wasm");
    let file = path.metadata().with_context(|| path.display().to_string())?;
    Ok(usize::try_from(file.len())?)
}

fn row(measured: &Measured, load: &str, bytes: usize) -> Row {
    let mut figures =
        vec![measured::size("size", bytes), Figure::milliseconds("compiled in", measured.first_deploy)];
    figures.extend(measured.of_actors());
    Row { who: measured.contender.name().to_owned(), load: load.to_owned(), figures }
}

fn ratios(engine: &Measured, component: &Measured, engine_of_scripts: usize) -> Vec<Ratio> {
    let ratio = |name: &str, value: f64, wanted| Ratio { name: name.to_owned(), value, wanted };
    let at_most = |bound| Some(Bound::AtMost(bound));
    vec![
        ratio(
            "activation of a script in Python, in ms",
            engine.activation().as_secs_f64() * 1e3,
            at_most(3.0),
        ),
        ratio("memory of a live actor, in MB", engine.resident(), at_most(1.0)),
        ratio("the same as the host reserves it, in MB", engine.reserved(), at_most(1.0)),
        ratio("p50 of a call, script / component in Python", engine.slowness(component), at_most(1.5)),
        ratio(
            "size of the engine, Python / JavaScript",
            engine.bytes as f64 / engine_of_scripts as f64,
            None,
        ),
    ]
}
