use std::collections::BTreeSet;

use serde::de::DeserializeOwned;

use super::*;
use crate::file;

/// The keys that a table takes: serde names them all when it meets another one.
fn taken<T: DeserializeOwned>() -> BTreeSet<String> {
    let error = toml::from_str::<T>("no-key-at-all = 1").err().map(|error| error.message().to_owned());
    let error = error.unwrap_or_default();
    let expected = error.split_once("expected").map(|(_, expected)| expected).unwrap_or_default();
    expected.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

fn listed(name: &str) -> BTreeSet<String> {
    let keys = Table::of(name).map(|table| table.keys).unwrap_or_default();
    keys.iter().map(|key| key.name.to_owned()).collect()
}

#[test]
fn every_key_is_listed_and_no_other() {
    assert_eq!(listed("agents"), taken::<file::Agent>());
    assert_eq!(listed("agents.permissions"), taken::<file::Permissions>());
    assert_eq!(listed("agents.limits"), taken::<crate::AgentLimits>());
    assert_eq!(listed("agents.effects"), taken::<crate::EffectRules>());
    assert_eq!(listed("agents.reentrancy"), taken::<file::Reentrancy>());
    assert_eq!(listed("agents.dev"), taken::<file::Dev>());
    assert_eq!(listed("routes"), taken::<file::Route>());
    assert_eq!(listed("subscriptions"), taken::<file::Subscription>());
    assert_eq!(listed("input-bindings"), taken::<file::InputBinding>());
    assert_eq!(listed("dapr"), taken::<file::Dapr>());
    assert_eq!(listed("host"), taken::<crate::HostLimits>());
    assert_eq!(listed("deploy"), taken::<file::Deploy>());
    assert_eq!(listed("embedded"), taken::<file::Embedded>());
    let tables = taken::<file::Manifest>();
    let listed = TABLES.iter().filter_map(|table| table.name.split('.').next());
    assert_eq!(tables, listed.map(str::to_owned).collect());
}

/// The table's defaults, written out as a manifest would.
fn defaults(name: &str) -> String {
    let mut text = String::new();
    for key in Table::of(name).map(|table| table.keys).unwrap_or_default() {
        if let Value(value) = key.default {
            let is_bare = value.parse::<u64>().is_ok() || value.parse::<bool>().is_ok();
            let value = if is_bare { value.to_owned() } else { format!("{value:?}") };
            let _ = writeln!(text, "{} = {value}", key.name);
        }
    }
    text
}

#[test]
fn the_defaults_are_those_that_hold() {
    fn same<T: DeserializeOwned + std::fmt::Debug>(name: &str) {
        let [written, left_out] = [defaults(name), String::new()].map(|text| toml::from_str::<T>(&text));
        assert_eq!(format!("{written:?}"), format!("{left_out:?}"), "{name}");
        assert!(written.is_ok(), "{name}: {written:?}");
    }
    same::<crate::HostLimits>("host");
    same::<crate::AgentLimits>("agents.limits");
    same::<crate::EffectRules>("agents.effects");
    same::<file::Deploy>("deploy");
    same::<file::Dapr>("dapr");
    same::<file::Reentrancy>("agents.reentrancy");
}
