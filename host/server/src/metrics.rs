//! `GET /metrics`: the metrics for autoscaling and for operators, in the text format of Prometheus (version 0.0.4).

use std::fmt::{Display, Write as _};

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};

use super::admin_state::AdminState;

pub(super) async fn metrics(State(state): State<AdminState>) -> Response {
    let mut text = String::new();
    let (live, most) = state.actors.live_instances();
    let outbox = state.outbox.counts();
    let whole = [
        (
            "daca_turns_in_flight",
            "gauge",
            "Turns that run or wait for their actor.",
            state.actors.turns_in_flight(),
        ),
        ("daca_active_actors", "gauge", "Actors that are active.", state.actors.active()),
        ("daca_live_instances", "gauge", "Instances of components that are in memory.", live),
        ("daca_live_instances_max", "gauge", "The maximum number of instances in memory.", most),
        ("daca_effects_pending", "gauge", "Effects that are not sent yet.", outbox.pending),
    ];
    for (name, kind, help, value) in whole {
        describe(&mut text, name, kind, help);
        sample(&mut text, name, None, value);
    }
    let totals = [
        (
            "daca_misdelivered_calls_total",
            "Calls that the sidecar delivered to another actor; they were refused.",
            state.router.misdelivered(),
        ),
        (
            "daca_log_lines_dropped_total",
            "Lines of the log that were dropped because standard error is too slow or closed.",
            state.log.output.dropped(),
        ),
    ];
    for (name, help, value) in totals {
        describe(&mut text, name, "counter", help);
        sample(&mut text, name, None, value);
    }
    let agents = state.actors.agents();
    type Count = fn(&daca_runtime::component::Counted) -> u64;
    let counters: [(&str, &str, Count); 3] = [
        ("daca_turns_total", "Turns that ended.", |counted| counted.turns),
        ("daca_failed_turns_total", "Turns that failed by the agent's fault.", |counted| {
            counted.failed_turns
        }),
        ("daca_faults_total", "Turns in which the guest trapped or exceeded a limit.", |counted| {
            counted.faults
        }),
    ];
    for (name, help, count) in counters {
        describe(&mut text, name, "counter", help);
        for (agent, statistics) in &agents {
            sample(&mut text, name, Some(&agent.agent.name), count(&statistics.counted));
        }
    }
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response()
}

fn describe(text: &mut String, name: &str, kind: &str, help: &str) {
    let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
}

/// One sample. The names of agent types have no character that needs escaping.
fn sample(text: &mut String, name: &str, agent_type: Option<&str>, value: impl Display) {
    let label = agent_type.map(|agent_type| format!("{{agent_type=\"{agent_type}\"}}")).unwrap_or_default();
    let _ = writeln!(text, "{name}{label} {value}");
}
