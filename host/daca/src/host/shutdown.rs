//! How a host serves, and how it shuts down in the order that loses nothing.

use std::sync::Arc;
use std::time::Duration;

use daca_base::ErrorCode;
use daca_base::task;
use daca_model::HostPhase;
use daca_model::backend::Readiness;
use daca_runtime::actor::Actors;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::Host;
use super::core::Core;
use super::local::Local;
use super::ports::Ports;

/// The time for the last answers at the end of a shutdown.
const LAST_ANSWERS: Duration = Duration::from_millis(100);
/// The time that actors stay on a draining host because of attempts at effects, for example while Twilio does not answer.
const EFFECTS_TIMEOUT: Duration = Duration::from_secs(3);
/// The time that a shutdown waits for a sidecar to send its calls elsewhere. It checks the host's health each second.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(5);

/// The work that was left when the grace was over.
struct Left {
    turns: usize,
    active: usize,
    effects: usize,
}

/// The tasks of a host that no request starts.
struct Background {
    sweep: JoinHandle<()>,
    effect_turns: JoinHandle<()>,
    index: JoinHandle<()>,
    memory: JoinHandle<()>,
}

impl Host {
    /// Serves until `shutdown`. Then new calls are refused, running turns end, actors are deactivated, effects are
    /// delivered, and state is on disk; all within the manifest's `shutdown-grace`.
    pub async fn run(self, shutdown: CancellationToken) {
        let Host { core, ports: Ports { app, admin, stop_admin }, lifecycle, grace, behind_sidecar } = self;
        core.router.serve(core.actors.clone());
        let (actors, subscriptions) = (core.actors.clone(), core.subscriptions.clone());
        core.backend.start(Arc::new(Local { actors, subscriptions }));
        lifecycle.enter(HostPhase::Serving);
        let stop_app = CancellationToken::new();
        let servers = TaskTracker::new();
        let app = servers.spawn(app.run(stop_app.clone(), grace));
        let admin = servers.spawn(admin.run(stop_admin.clone(), LAST_ANSWERS));
        let background = Background::start(&core.actors);
        let app = until_it_ends(&shutdown, app, admin).await;
        shutdown.cancel();

        // First of all: who reads the line finds the host draining.
        lifecycle.enter(HostPhase::Draining);
        tracing::info!(
            phase = "draining",
            "shutting down: no new calls are accepted; {} turns are running",
            core.actors.turns_in_flight()
        );
        let deadline = Instant::now() + grace;
        core.deployer.close();
        if behind_sidecar && core.backend.readiness() == Readiness::Ready {
            core.hand_over(grace / 2).await;
        }
        lifecycle.enter(HostPhase::HandedOver);
        core.backend.leave((grace / 4).min(LEAVE_TIMEOUT)).await;
        core.router.cancel_waiting_calls();
        stop_app.cancel();
        // A client that is slow with its body must not use up the time for turns and effects.
        let left = deadline.saturating_duration_since(Instant::now());
        if let Some(app) = app {
            tokio::time::timeout(left / 2, app).await.ok();
        }
        background.stop_turns();
        let left = core.drain(behind_sidecar, deadline).await;
        background.stop_the_rest();
        lifecycle.enter(HostPhase::Stopped);
        core.deployer.shut_down().await;
        stop_admin.cancel();
        servers.close();
        // The application's port would wait a whole grace period after closing for clients that do not read.
        let end = deadline.max(Instant::now() + LAST_ANSWERS);
        tokio::time::timeout_at(end, servers.wait()).await.ok();
        core.backend.shut_down().await;
        // The runtime ends next, whose timers they would miss.
        core.actors.stop_turns();
        left.report(grace);
        // Data in a removed file is not on disk.
        let is_kept = behind_sidecar || core.backend.readiness() == Readiness::Ready;
        tracing::info!(
            phase = "stopped",
            state_on_disk = is_kept,
            "shut down{}",
            if is_kept { "; state is on disk" } else { "" }
        );
    }
}

impl Core {
    /// Ends actors while the sidecar still lets them write. Once it sends its calls elsewhere, it cuts off running calls, and lets
    /// nobody read or write state.
    async fn hand_over(&self, timeout: Duration) {
        let deadline = Instant::now() + timeout;
        self.actors.drain(deadline).await;
        self.let_effects_leave(deadline).await;
        let waiting = self.deliveries.pending();
        self.actors.deactivate_all(deadline).await;
        // The agents' last turns may have had some.
        if self.deliveries.pending() > waiting {
            self.let_effects_leave(deadline).await;
        }
    }

    /// Waits for effects, but not for those that are retried: they lie in the actors' state, and their next host sends
    /// them. What has left by then is removed at the end of the activations.
    async fn let_effects_leave(&self, deadline: Instant) {
        self.deliveries.drain(deadline.min(Instant::now() + EFFECTS_TIMEOUT)).await;
    }

    /// Waits for turns and effects, and ends the activations.
    async fn drain(&self, behind_sidecar: bool, deadline: Instant) -> Left {
        let turns = self.actors.drain(deadline).await;
        self.let_effects_leave(deadline).await;
        let active = match behind_sidecar {
            true => self.actors.active(),
            false => self.actors.deactivate_all(deadline).await,
        };
        let effects = self.deliveries.drain(deadline).await;
        Left { turns, active, effects }
    }
}

impl Background {
    fn start(actors: &Actors) -> Background {
        Background {
            sweep: tokio::spawn(sweep_idle(actors.clone())),
            effect_turns: tokio::spawn(run_effect_turns(actors.clone())),
            index: tokio::spawn(index_effects(actors.clone())),
            memory: tokio::spawn(watch_memory(actors.clone())),
        }
    }

    /// Stops what begins turns: a drain waits for the end of those that there are.
    fn stop_turns(&self) {
        self.sweep.abort();
        self.effect_turns.abort();
    }

    /// Stops what a drain still needs.
    fn stop_the_rest(&self) {
        self.index.abort();
        self.memory.abort();
    }
}

impl Left {
    fn report(&self, grace: Duration) {
        let Left { turns, active, effects } = self;
        if turns + active > 0 {
            tracing::warn!(
                code = ErrorCode::ShutdownIncomplete.as_str(),
                "the shutdown grace of {grace:?} is over: {turns} turns did not end, {active} actors were not deactivated"
            );
        }
        if *effects > 0 {
            tracing::info!(
                "{effects} effects could not be delivered yet; they leave with the next activation of their actors"
            );
        }
    }
}

/// Deactivates idle actors, forever.
async fn sweep_idle(actors: Actors) {
    let sweep = || {
        let actors = actors.clone();
        async move { actors.run_idle_sweep().await }
    };
    task::lasting("idle actors", sweep).await;
}

/// Makes dead letters of effects that were given up, and removes those that have left from the store, for ever.
async fn run_effect_turns(actors: Actors) {
    let run = || {
        let actors = actors.clone();
        async move { actors.run_effect_turns().await }
    };
    task::lasting("turns for effects", run).await;
}

/// Tells the other hosts which actors have dead letters and late effects, for ever.
async fn index_effects(actors: Actors) {
    let index = || {
        let actors = actors.clone();
        async move { actors.run_effect_index().await }
    };
    task::lasting("index of effects", index).await;
}

/// Keeps the host within its budget of memory, for ever.
async fn watch_memory(actors: Actors) {
    let watch = || {
        let actors = actors.clone();
        async move { actors.run_memory_watch().await }
    };
    task::lasting("memory", watch).await;
}

/// Waits for the shutdown, or for a port that no longer accepts connections: the host is then useless, and nobody else would
/// notice. Returns the application's port if it still serves.
async fn until_it_ends(
    shutdown: &CancellationToken,
    mut app: JoinHandle<()>,
    mut admin: JoinHandle<()>,
) -> Option<JoinHandle<()>> {
    tokio::select! {
        () = shutdown.cancelled() => Some(app),
        _panicked = &mut app => {
            port_ended("application's");
            None
        }
        _panicked = &mut admin => {
            port_ended("operator's");
            Some(app)
        }
    }
}

fn port_ended(whose: &str) {
    tracing::error!(
        code = ErrorCode::PortEnded.as_str(),
        "the {whose} port no longer accepts connections, because of a defect in the host: the host exits"
    );
}
