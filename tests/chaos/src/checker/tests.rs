//! Made-up histories: one in which all is well, and what is changed in it for each rule.

mod blame;
mod effects;
mod ledgers;
mod places;
mod run;
mod timers;
mod told;
mod world;
