//! Which actors have pending effects or dead letters. Their state has them under keys that begin with the same word, so
//! one look at each actor is enough.

use redb::ReadableDatabase;

use super::store::Store;
use super::transaction::STATE;
use daca_model::ActorAddress;
use daca_model::backend::{EFFECTS, EffectScan, EffectScanPage, Error};

/// The actors that are looked at for one page: a request takes part of a second at most, whatever the file has.
const MAX_SCANNED: usize = 20_000;

impl Store {
    /// A page of the actors with effects.
    pub(super) async fn actors_with_effects(&self, scan: EffectScan) -> Result<EffectScanPage, Error> {
        let EffectScan { agent_type, after, limit } = scan;
        self.with_database(move |database| {
            let table = database.begin_read()?.open_table(STATE)?;
            let mut page = EffectScanPage::default();
            // Where the next actor begins, by type and id. No id has the character 0.
            let mut from = match (&after, &agent_type) {
                (Some(after), _) => (after.agent_type.to_string(), format!("{}\0", after.id)),
                (None, Some(agent_type)) => (agent_type.to_string(), String::new()),
                (None, None) => (String::new(), String::new()),
            };
            let mut last = after;
            for scanned in 0.. {
                let Some(row) = table.range((from.0.as_str(), from.1.as_str(), "")..)?.next() else { break };
                let (key, _) = row?;
                let (found_type, id, _) = key.value();
                if agent_type.as_ref().is_some_and(|wanted| **wanted != *found_type) {
                    break;
                }
                if scanned >= MAX_SCANNED || page.actors.len() >= limit {
                    page.next = last;
                    break;
                }
                let actor = ActorAddress::unchecked(found_type, id);
                if let Some(row) = table.range((found_type, id, EFFECTS)..)?.next() {
                    let (key, _) = row?;
                    let (owner_type, owner, key) = key.value();
                    if (owner_type, owner) == (found_type, id) && key.starts_with(EFFECTS) {
                        page.actors.push(actor.clone());
                    }
                }
                from = (found_type.to_owned(), format!("{id}\0"));
                last = Some(actor);
            }
            Ok(page)
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use bytes::Bytes;
    use daca_base::clock::Clock;
    use daca_model::backend::{StateWrite, TurnCommit};
    use tempfile::TempDir;

    use super::*;

    fn actor(agent_type: &str, id: &str) -> ActorAddress {
        ActorAddress::new(agent_type, id).expect("an address")
    }

    async fn pages(store: &Store, agent_type: Option<&str>, limit: usize) -> Vec<String> {
        let (mut found, mut after) = (Vec::new(), None);
        loop {
            let agent_type = agent_type.map(Into::into);
            let page = store.actors_with_effects(EffectScan { agent_type, after, limit }).await;
            let page = page.expect("the file is read");
            assert!(page.actors.len() <= limit);
            found.extend(page.actors.iter().map(ToString::to_string));
            match page.next {
                Some(next) => after = Some(next),
                None => return found,
            }
        }
    }

    #[tokio::test]
    async fn every_actor_with_effects_is_listed_once_and_no_other() {
        let folder = TempDir::new().expect("a folder");
        let clock = Clock::of_process().clone();
        let (store, _) = Store::open(folder.path(), HashMap::new(), None, clock).expect("a state file");
        for (agent_type, id, key) in [
            ("A", "a", "daca:effects"),
            ("A", "a", "daca:effects:dead"),
            ("A", "a b", "daca:effects:3"),
            ("A", "b", "daca:consumed"),
            ("A", "b", "z"),
            ("A", "c", "daca:effects:dead"),
            ("AB", "a", "daca:effects"),
            ("B", "a", "a"),
        ] {
            let write = StateWrite::Set { value: Bytes::from_static(b"1"), ttl: None };
            let commit = TurnCommit { writes: [(key.to_owned(), write)].into(), ..TurnCommit::default() };
            store.commit(&actor(agent_type, id), &commit.into()).await.expect("it is kept");
        }
        let all = ["A/a", "A/a b", "A/c", "AB/a"];
        for limit in 1..=5 {
            assert_eq!(pages(&store, None, limit).await, all, "{limit}");
            assert_eq!(pages(&store, Some("A"), limit).await, all[..3], "{limit}");
        }
        assert_eq!(pages(&store, Some("B"), 1).await, [""; 0]);
        store.close().await;
    }
}
