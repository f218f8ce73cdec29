//! The host's own turns for effects: those who are to have one are in a queue for each kind.

use super::table::Actors;

impl Actors {
    /// Makes dead letters of effects that were given up, tells their agents, and removes from the store what has left.
    /// Runs until it is dropped. An actor that is not active here any more is left to the host's reminder.
    pub async fn run_effect_turns(&self) {
        let effects = &self.services.effects;
        let burials = effects.deliveries.burials().run(|actor| self.bury(actor));
        let tellings = effects.untold.run(|actor| self.tell(actor));
        let removals = effects.deliveries.removals().run(|actor| self.remove_sent(actor));
        tokio::join!(burials, tellings, removals, effects.deliveries.look_for_removals());
    }
}
