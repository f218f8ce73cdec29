//! What the reservations of a budget are for, and whose.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What memory is used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MemoryKind {
    /// Live instances: their memories, tables, stacks and core instances.
    Instances,
    /// The places of instances that are gone, of which the pool keeps some memory.
    WarmSlots,
    /// The state that actors keep between their turns.
    StateCaches,
    /// Active actors, without what they keep.
    Activations,
    /// Bodies of requests: for an agent type, or for none that is known before they are read.
    Bodies,
    /// The payloads of calls that wait or run, besides bodies.
    Queues,
    /// What turns write, until it is committed.
    Turns,
    /// Replies that nobody has read yet.
    Replies,
    /// Effects that wait for delivery.
    Effects,
    /// Compiled code.
    Code,
}

impl MemoryKind {
    /// All kinds.
    pub const ALL: [MemoryKind; 10] = [
        MemoryKind::Instances,
        MemoryKind::WarmSlots,
        MemoryKind::StateCaches,
        MemoryKind::Activations,
        MemoryKind::Bodies,
        MemoryKind::Queues,
        MemoryKind::Turns,
        MemoryKind::Replies,
        MemoryKind::Effects,
        MemoryKind::Code,
    ];

    /// The name, as the metrics show it.
    pub fn as_str(self) -> &'static str {
        match self {
            MemoryKind::Instances => "instances",
            MemoryKind::WarmSlots => "warm-slots",
            MemoryKind::StateCaches => "state-caches",
            MemoryKind::Activations => "activations",
            MemoryKind::Bodies => "bodies",
            MemoryKind::Queues => "queues",
            MemoryKind::Turns => "turns",
            MemoryKind::Replies => "replies",
            MemoryKind::Effects => "effects",
            MemoryKind::Code => "code",
        }
    }

    /// Returns `true` if each agent type has an account of it.
    pub fn is_of_type(self) -> bool {
        !matches!(self, MemoryKind::WarmSlots | MemoryKind::Code)
    }

    /// Returns `true` if the host itself has an account of it. Bodies may be of a type, or of none.
    pub fn is_of_host(self) -> bool {
        !self.is_of_type() || self == MemoryKind::Bodies
    }
}

/// The bytes of an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemoryAccount {
    /// Whose it is. `None` is the host's own.
    pub agent_type: Option<Arc<str>>,
    /// What it is for.
    pub kind: MemoryKind,
    /// The bytes.
    pub bytes: u64,
}

/// Names an account.
#[derive(Debug, Clone, Copy)]
pub(super) struct AccountId {
    pub(super) kind: MemoryKind,
    /// The number of the agent type; 0 is the host.
    pub(super) number: u32,
}

/// The bytes of all kinds of the account with this number.
pub(super) fn total_of(accounts: &[Account], number: u32) -> u64 {
    accounts.get(number as usize).map(Account::total).unwrap_or_default()
}

impl AccountId {
    /// Returns `true` for a body of no agent type.
    pub(super) fn is_body_of_host(self) -> bool {
        self.number == 0 && self.kind == MemoryKind::Bodies
    }
}

/// The bytes of the host or of an agent type, by kind.
#[derive(Debug, Default)]
pub(super) struct Account([AtomicU64; MemoryKind::ALL.len()]);

impl Account {
    /// The bytes of all kinds.
    fn total(&self) -> u64 {
        self.0.iter().map(|bytes| bytes.load(Ordering::Relaxed)).fold(0, u64::saturating_add)
    }

    pub(super) fn of(&self, kind: MemoryKind) -> u64 {
        self.bytes(kind).load(Ordering::Relaxed)
    }

    pub(super) fn bytes(&self, kind: MemoryKind) -> &AtomicU64 {
        // The kinds are numbered from 0 on, and there are as many.
        &self.0[kind as usize]
    }
}
