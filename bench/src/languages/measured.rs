//! What was found of a contender, and the figures that tables have of it.

use std::time::Duration;

use anyhow::ensure;
use daca_tests::metrics;

use super::contender::Contender;
use crate::load::Outcome;
use crate::report::Figure;
use crate::server::Server;

const MB: f64 = 1e6;

/// What was found of a contender.
#[derive(Debug)]
pub(super) struct Measured {
    pub(super) contender: Contender,
    /// The bytes of its file.
    pub(super) bytes: usize,
    /// From the upload of its first version to the answer: the new version serves then.
    pub(super) first_deploy: Duration,
    /// The same of further versions.
    pub(super) deploys: Vec<Duration>,
    /// The first calls of new actors.
    pub(super) fresh: Outcome,
    /// Further calls of one actor.
    pub(super) warm: Outcome,
    pub(super) of_actor: ActorCosts,
}

/// What one live actor costs: the mean of all new ones.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct ActorCosts {
    /// The start of its instance, by the host's own clock.
    pub(super) activation: Duration,
    /// Bytes by which it makes the process larger.
    pub(super) resident: f64,
    /// Bytes that the host reserves for it in its budget.
    pub(super) reserved: f64,
}

/// What a host has at one moment.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Reading {
    resident: f64,
    reserved: f64,
    instances: f64,
    /// Instances that were started, and the seconds that this took.
    activations: f64,
    activating: f64,
}

impl Reading {
    /// Reads the size of the process, and what the host counts itself. It has one agent type.
    pub(super) async fn of(host: &Server) -> anyhow::Result<Reading> {
        let resident = host.costs()?.resident as f64;
        let text = host.metrics().await?;
        let sum = |name: &str| metrics::sum(&text, &[name], |_| true);
        let of_a_type = |line: &str| !line.contains("agent_type=\"\"");
        Ok(Reading {
            resident,
            reserved: metrics::sum(&text, &["daca_memory_bytes"], of_a_type),
            instances: sum("daca_live_instances"),
            activations: sum("daca_activation_duration_seconds_count"),
            activating: sum("daca_activation_duration_seconds_sum"),
        })
    }

    /// What each of so many new actors cost since an earlier reading. An error unless each of them still has its instance.
    pub(super) fn since(self, before: Reading, actors: u64) -> anyhow::Result<ActorCosts> {
        let (count, live) = (actors as f64, self.instances - before.instances);
        ensure!(live >= count, "of {actors} new actors {live} have an instance");
        let activations = self.activations - before.activations;
        ensure!(activations >= count, "of {actors} new actors the host has activated {activations}");
        Ok(ActorCosts {
            activation: Duration::from_secs_f64((self.activating - before.activating) / activations),
            // The allocator may have given back what the deployment used.
            resident: (self.resident - before.resident) / count,
            reserved: (self.reserved - before.reserved) / count,
        })
    }
}

impl Measured {
    /// What the first call of an actor takes longer than a further one.
    pub(super) fn activation(&self) -> Duration {
        self.fresh.percentile(0.5).saturating_sub(self.p50())
    }

    /// The median of further calls.
    pub(super) fn p50(&self) -> Duration {
        self.warm.percentile(0.5)
    }

    /// How much slower a further call is than that of another contender.
    pub(super) fn slowness(&self, other: &Measured) -> f64 {
        self.p50().as_secs_f64() / other.p50().as_secs_f64()
    }

    /// Resident memory of a live actor in MB.
    pub(super) fn resident(&self) -> f64 {
        self.of_actor.resident / MB
    }

    /// Reserved memory of a live actor in MB.
    pub(super) fn reserved(&self) -> f64 {
        self.of_actor.reserved / MB
    }

    /// The figures of actors and their calls.
    pub(super) fn of_actors(&self) -> Vec<Figure> {
        vec![
            Figure::milliseconds("activation", self.activation()),
            Figure::milliseconds("in the host", self.of_actor.activation),
            Figure::new("memory", self.resident(), "MB"),
            Figure::new("reserved", self.reserved(), "MB"),
            Figure::milliseconds("call, p50", self.p50()),
            Figure::milliseconds("p99", self.warm.percentile(0.99)),
        ]
    }
}

/// The size of a file, in the unit that suits it.
pub(super) fn size(name: &str, bytes: usize) -> Figure {
    let bytes = bytes as f64;
    if bytes < MB { Figure::new(name, bytes / 1e3, "KB") } else { Figure::new(name, bytes / MB, "MB") }
}

/// The middle one of some times, if there are any.
pub(super) fn middle(mut times: Vec<Duration>) -> Option<Duration> {
    times.sort();
    times.get(times.len() / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_actor_costs_its_part_of_what_became_more() -> anyhow::Result<()> {
        let before =
            Reading { resident: 50.0, reserved: 7.0, instances: 1.0, activations: 3.0, activating: 2.0 };
        let after =
            Reading { resident: 90.0, reserved: 27.0, instances: 11.0, activations: 13.0, activating: 7.0 };
        let costs = after.since(before, 10)?;
        assert_eq!((costs.resident, costs.reserved), (4.0, 2.0));
        assert_eq!(costs.activation, Duration::from_millis(500));
        let error = after.since(before, 11).expect_err("one has no instance");
        assert!(error.to_string().contains("of 11 new actors 10 have"), "{error}");
        Ok(())
    }

    #[test]
    fn the_middle_of_times_does_not_depend_on_their_order() {
        let times = [3, 1, 2].map(Duration::from_secs);
        assert_eq!(middle(times.to_vec()), Some(Duration::from_secs(2)));
        assert_eq!(middle(Vec::new()), None);
    }
}
