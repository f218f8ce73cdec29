//! One promise after the other, in an order in which each leaves the pods as the next one expects them.

mod coming_and_going;
mod memory;
mod refused;
mod swap;
mod troubles;
mod walk;

use futures::future::LocalBoxFuture;

use crate::deployment::Deployment;

type Scenario = for<'a> fn(&'a Deployment<'a>) -> LocalBoxFuture<'a, anyhow::Result<()>>;

/// All of them.
pub(crate) const ALL: [(&str, Scenario); 11] = [
    ("the overlays pass the server's validation", |it| Box::pin(walk::overlays_are_valid(it))),
    ("the walk-through of the guide", |it| Box::pin(walk::walk(it))),
    ("both ways to swap", |it| Box::pin(swap::both_ways(it))),
    ("a component that cannot serve", |it| Box::pin(refused::a_component_that_cannot_serve(it))),
    ("pods come and go", |it| Box::pin(coming_and_going::with_grace(it))),
    ("pods leave while SMS fail", |it| Box::pin(coming_and_going::while_sms_fail(it))),
    ("a pod is killed", |it| Box::pin(coming_and_going::without_grace(it))),
    ("a wrong secret", |it| Box::pin(troubles::wrong_secret(it))),
    ("a missing component", |it| Box::pin(troubles::missing_component(it))),
    ("redis away at the start", |it| Box::pin(troubles::redis_away(it))),
    ("10,000 active actors", |it| Box::pin(memory::many_actors(it))),
];
