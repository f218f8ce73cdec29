//! What is measured in the host's own process, by `daca-bench-native`: a turn and an activation.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context as _, ensure};
use daca_tests::{chat_agent, folders, foreign_agent};
use serde_json::Value;
use tokio::process::Command;

use crate::extent::Extent;
use crate::report::{Bound, Chart, Figure, Measure, Ratio, Row};
use crate::server::native;

const SECONDS: f64 = 6.0;
/// Turns of the two runs whose difference gives the instructions of one.
const TURNS: [u64; 2] = [500, 1_500];

/// A turn in memory: the component against the same logic compiled natively.
pub(crate) async fn turn(extent: Extent) -> anyhow::Result<Measure> {
    eprintln!("turn");
    let times = ask(&["turn", "--seconds", &seconds(extent)], &chat_agent()).await?;
    let time = |name: &str| times[name].as_f64().with_context(|| format!("no {name} in {times}"));
    let mut rows = Vec::new();
    let mut instructions = Vec::new();
    for who in ["native", "component"] {
        let mut figures = batches(time(&format!("{who}_ns"))?, time(&format!("{who}_median_ns"))?);
        if let Some(count) = instructions_of(who).await? {
            figures.push(Figure::new("instructions", count, ""));
            instructions.push(count);
        }
        rows.push(Row { who: who.to_owned(), load: "one message".to_owned(), figures });
    }
    let spread = format!("one message of each of {} actors", times["actors"]);
    for who in ["native", "component"] {
        let figures = batches(time(&format!("spread_{who}_ns"))?, time(&format!("spread_{who}_median_ns"))?);
        rows.push(Row { who: who.to_owned(), load: spread.clone(), figures });
    }
    for (who, name) in [("whole turn", "actors_call_ns"), ("whole turn, handed over", "handed_over_ns")] {
        let figures = vec![Figure::new("best batch", time(name)? / 1e3, "µs")];
        rows.push(Row { who: who.to_owned(), load: "one message".to_owned(), figures });
    }
    let mut ratios = vec![Ratio {
        name: "time of a turn, component / native".to_owned(),
        value: time("component_ns")? / time("native_ns")?,
        wanted: Some(Bound::AtMost(2.2)),
    }];
    ratios.push(Ratio {
        name: format!("time of a turn, component / native, {spread}"),
        value: time("spread_component_ns")? / time("spread_native_ns")?,
        wanted: Some(Bound::AtMost(4.0)),
    });
    let mut notes = Vec::new();
    match *instructions {
        [native, component] => {
            let name = "instructions of a turn, component / native".to_owned();
            ratios.push(Ratio { name, value: component / native, wanted: None });
        }
        _ => notes.push(
            "There is no valgrind here, or it cannot run the host, so instructions were not counted."
                .to_owned(),
        ),
    }
    Ok(Measure {
        name: "turn".to_owned(),
        title: "A turn in memory".to_owned(),
        method: "The ChatAgent's `ProcessMessage` with a full history, all imports answered in memory: in a live instance as the host makes \
            it, with interruption on, and the same logic compiled natively. Batches of both alternate. The two give the same \
            replies, writes and effects, which is checked first. `whole turn` is the same through the host's table, queue and commit, on one thread; \
            `handed over` to the threads of guests and back, one call at a time, as in a host. \
            Instructions are those that callgrind counts."
            .to_owned(),
        rows,
        ratios,
        notes,
        charts: vec![Chart { figure: "best batch".to_owned(), title: "Time of a turn".to_owned() }],
    })
}

/// The best and the middle batch, from nanoseconds.
fn batches(best: f64, median: f64) -> Vec<Figure> {
    vec![Figure::new("best batch", best / 1e3, "µs"), Figure::new("middle batch", median / 1e3, "µs")]
}

/// A new instance, its activation and first message, and its end.
pub(crate) async fn activation(extent: Extent) -> anyhow::Result<Measure> {
    eprintln!("activation");
    let rates = ask(&["activation", "--seconds", &seconds(extent)], &chat_agent()).await?;
    let rate = |name: &str| rates[name].as_f64().with_context(|| format!("no {name} in {rates}"));
    let threads = rates["threads"].as_u64().unwrap_or(1);
    let all = format!("{threads} threads");
    let (host_one, bare_one) = (rate("host_1_per_s")?, rate("bare_1_per_s")?);
    let (host_all, bare_all) = (rate("host_all_per_s")?, rate("bare_all_per_s")?);
    let row = |who: &str, load: &str, busy: u64, rate: f64| Row {
        who: who.to_owned(),
        load: load.to_owned(),
        figures: vec![
            Figure::new("activations a second", rate, "/s"),
            Figure::new("each", 1e6 * busy as f64 / rate, "µs of a thread"),
        ],
    };
    let mut rows = vec![
        row("host", "1 thread", 1, host_one),
        row("bare wasmtime", "1 thread", 1, bare_one),
        row("host", &all, threads, host_all),
        row("bare wasmtime", &all, threads, bare_all),
    ];
    let mut ratios = vec![
        Ratio {
            name: "time, host / bare, 1 thread".to_owned(),
            value: bare_one / host_one,
            wanted: Some(Bound::AtMost(1.15)),
        },
        Ratio {
            name: format!("activations a second of the host, {all} / 1 thread"),
            value: host_all / host_one,
            wanted: Some(Bound::AtLeast(1.0)),
        },
    ];
    for (who, file, wanted) in chat_agents()? {
        eprintln!("activation: {who}, copied and mapped");
        let measured = ask(&["initial-memory", "--seconds", &seconds(extent)], &file).await?;
        in_both_ways(who, wanted, &measured, &mut rows, &mut ratios)?;
    }
    Ok(Measure {
        name: "activation".to_owned(),
        title: "An activation".to_owned(),
        method: "Instantiate, activate, handle the first message, drop: as the host does it, and in a bare loop on wasmtime with the same engine \
            and imports that answer at once. Batches of both alternate. `copied` and `mapped` are the two ways in which memories begin, \
            each forced upon the same ChatAgent, in Rust, as a script, and in other languages if they were built (`cargo xtask agents`). \
            The host copies the one in Rust, and maps the others if they have enough data."
            .to_owned(),
        rows,
        ratios,
        notes: Vec::new(),
        charts: vec![Chart { figure: "activations a second".to_owned(), title: "Activations a second".to_owned() }],
    })
}

/// The ChatAgents that are measured in both ways, and the least gain of mapping that is wanted where the host maps.
fn chat_agents() -> anyhow::Result<Vec<(&'static str, PathBuf, Option<Bound>)>> {
    let script = folders::root().join("guest/chat-agents/typescript/chat_agent.ts");
    let mut all = vec![("Rust", chat_agent(), None), ("script", script, Some(Bound::AtLeast(1.0)))];
    for (who, name) in [("Go", "chat-go"), ("Python", "chat-python")] {
        all.extend(foreign_agent(name)?.map(|file| (who, file, Some(Bound::AtLeast(1.0)))));
    }
    Ok(all)
}

/// Adds what was measured of one ChatAgent in both ways.
fn in_both_ways(
    who: &str,
    wanted: Option<Bound>,
    measured: &Value,
    rows: &mut Vec<Row>,
    ratios: &mut Vec<Ratio>,
) -> anyhow::Result<()> {
    let number = |name: &str| measured[name].as_f64().with_context(|| format!("no {name} in {measured}"));
    let threads = number("threads")?;
    let loads = [("1", 1.0, "1 thread".to_owned()), ("all", threads, format!("{threads} threads"))];
    for (key, busy, load) in loads {
        for way in ["copied", "mapped"] {
            let rate = number(&format!("{way}_{key}_per_s"))?;
            let bytes = number(&format!("{way}_bytes"))?;
            let figures = vec![
                Figure::new("new instances a second", rate, "/s"),
                Figure::new("each", 1e6 * busy / rate, "µs of a thread"),
                Figure::new("a live instance", bytes / 1024.0, "KiB"),
            ];
            rows.push(Row { who: format!("{who}, {way}"), load: load.clone(), figures });
        }
        let value = number(&format!("mapped_{key}_per_s"))? / number(&format!("copied_{key}_per_s"))?;
        ratios.push(Ratio { name: format!("time, {who}, copied / mapped, {load}"), value, wanted });
    }
    let value = number("copied_bytes")? / number("mapped_bytes")?.max(1.0);
    ratios.push(Ratio {
        name: format!("memory of an instance, {who}, copied / mapped"),
        value,
        wanted: None,
    });
    Ok(())
}

fn seconds(extent: Extent) -> String {
    extent.seconds(SECONDS).as_secs_f64().to_string()
}

async fn ask(arguments: &[&str], component: &Path) -> anyhow::Result<Value> {
    let output = Command::new(native())
        .args(arguments)
        .arg("--component")
        .arg(component)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .kill_on_drop(true)
        .output()
        .await
        .with_context(|| format!("starting {}", native().display()))?;
    ensure!(output.status.success(), "daca-bench-native {arguments:?} has failed ({})", output.status);
    serde_json::from_slice(&output.stdout).context("reading what daca-bench-native says")
}

/// Instructions of one turn: those of many turns less those of fewer, by the number of turns between. None without
/// valgrind, and if it cannot run them: it ends some programs that reserve as much address space as wasmtime does.
async fn instructions_of(who: &str) -> anyhow::Result<Option<f64>> {
    if Command::new("valgrind").arg("--version").output().await.is_err() {
        return Ok(None);
    }
    let folder = tempfile::tempdir()?;
    let mut counted = Vec::new();
    for turns in TURNS {
        let Some(count) = callgrind(folder.path(), who, turns).await? else { return Ok(None) };
        counted.push(count);
    }
    Ok(Some((counted[1] - counted[0]) / (TURNS[1] - TURNS[0]) as f64))
}

async fn callgrind(folder: &Path, who: &str, turns: u64) -> anyhow::Result<Option<f64>> {
    eprintln!("turn: instructions of {turns} turns, {who}");
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(native())
        .args(["turn", "--only", who, "--count", &turns.to_string(), "--component"])
        .arg(chat_agent())
        .current_dir(folder)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .context("starting valgrind")?;
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    if !output.status.success() {
        eprintln!("valgrind ended with {}:\n{text}", output.status);
        return Ok(None);
    }
    let collected = text.lines().find_map(|line| line.split_once("Collected :"));
    let count = collected.and_then(|(_, count)| count.trim().parse().ok());
    count.map(Some).with_context(|| format!("valgrind counted nothing:\n{text}"))
}
