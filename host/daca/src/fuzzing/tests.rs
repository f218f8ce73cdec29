//! The targets of `fuzz/`, bounded: a seed for each kind, changed in a way that is the same in each run.

use super::*;

/// Inputs for each seed, unless `DACA_FUZZ_ROUNDS` says otherwise.
const ROUNDS: usize = 400;

/// SplitMix64.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, most: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % most.max(1) as u64).unwrap_or_default()
    }
}

/// What tends to break readers.
const PIECES: [&str; 24] = [
    "{",
    "}",
    "[",
    "]",
    "\"",
    "\\",
    "\\u",
    "\\ud800",
    ",",
    ":",
    "null",
    "-",
    "1e999",
    "99999999999999999999",
    "0",
    "|",
    ".",
    "\u{feff}",
    "漢",
    "\n",
    "\0",
    "{\"$serde_json::private::RawValue\":\"[1]\"}",
    "\"$serde_json::private::Number\"",
    "9223372036854775807s",
];

fn changed(seed: &[u8], numbers: &mut Numbers) -> Vec<u8> {
    let mut text = seed.to_vec();
    for _ in 0..=numbers.below(4) {
        let at = numbers.below(text.len() + 1);
        let end = (at + numbers.below(8)).min(text.len());
        let piece = PIECES[numbers.below(PIECES.len())].as_bytes();
        match numbers.below(4) {
            0 => drop(text.splice(at..end, [])),
            1 => drop(text.splice(at..at, piece.iter().copied())),
            2 => drop(text.splice(at..at, piece.repeat(1 + numbers.below(300)))),
            _ => {
                let again = text[at..end].to_vec();
                text.splice(at..end, again.repeat(2));
            }
        }
    }
    text
}

/// Deep and long inputs that no change of a seed comes to.
fn extremes() -> Vec<Vec<u8>> {
    let deep = ["[", "{\"a\":", "a = [", "- ", "? ", "{a: ", "a.", "[a.", "a = {a="];
    let mut inputs = deep.map(|piece| piece.repeat(20_000).into_bytes()).to_vec();
    inputs.push(["[".repeat(20_000), "]".repeat(20_000)].concat().into_bytes());
    inputs.push(["[", &"a.".repeat(20_000), "a]"].concat().into_bytes());
    inputs.push(["a: &a [x]\n", &"b: [*a, *a, *a, *a, *a, *a, *a, *a]\n".repeat(200)].concat().into_bytes());
    inputs.push(vec![0xff; 1_000]);
    inputs.push(Vec::new());
    inputs
}

fn run(target: fn(&[u8]), seeds: &[&str]) {
    let rounds = std::env::var("DACA_FUZZ_ROUNDS").ok().and_then(|rounds| rounds.parse().ok());
    let mut numbers = Numbers(1);
    for seed in seeds {
        target(seed.as_bytes());
        for _ in 0..rounds.unwrap_or(ROUNDS) {
            target(&changed(seed.as_bytes(), &mut numbers));
        }
    }
    extremes().iter().for_each(|input| target(input));
}

const DOCUMENTS: [&str; 3] = [
    r#" {"a": [1, -2.50e+10, true, null, {"data": "x\u00fc\ud83d\ude00\\"}], "data": {"a": "b"} , "": ""} "#,
    r#"{"$serde_json::private::RawValue":"{\"$serde_json::private::RawValue\":\"[1]\"}"}"#,
    r#""text \u0000 \/""#,
];

#[test]
fn the_json_reader_comes_back() {
    run(json, &DOCUMENTS);
}

#[test]
fn events_are_received_or_refused() {
    run(
        event,
        &[
            r#"{"id": "1", "data": {"a": 1}}"#,
            r#"{"data": "{\"a\": 1}", "data_base64": null}"#,
            r#"{"data": null, "data_base64": "eyJhIjogMX0="}"#,
            DOCUMENTS[1],
        ],
    );
}

#[test]
fn manifests_are_sound_or_refused() {
    const LIMITS: &str = "[agents.A]\ncomponent = \"a\"\nidle-timeout = \"1s\"\n[agents.A.limits]\nturn-time = \"9s\"\nmemory = \"1MiB\"\n\
        [host]\nshutdown-grace = \"1s\"\nmax-body = \"1MiB\"\n[deploy]\nwindow = \"5s\"\n";
    run(manifest, &[include_str!("../../../../agents.toml"), LIMITS]);
}

#[test]
fn components_are_checked_whatever_they_are() {
    run(
        components,
        &[
            include_str!("../../../../components/kafka-binding.yaml"),
            "apiVersion: dapr.io/v1alpha1\nkind: Component\nmetadata: {name: s, namespace: n}\nspec:\n  type: state.redis\n  version: v1\n  \
             metadata:\n  - {name: processingTimeout, value: \"60\"}\n  - {name: a, secretKeyRef: {name: b, key: c}}\nscopes: [chat-agent]\n",
        ],
    );
}

#[test]
fn templates_are_filled_or_refused() {
    run(template, &["User {a.data|nobody} says '{}' {x|\u{0}\u{0}", "{a}{}\0{\"a\": {\"data\": \"b\"}}"]);
}

/// For answers and headers see `wire/properties.rs` in `daca-routing`.
#[test]
fn reminders_of_a_sidecar_are_read_or_refused() {
    run(wire, &[r#"{"dueTime":"1h2m3.5s","period":"@every 99999999h","ttl":"1s","data":"aGk="}"#]);
}

/// For the dedup log of an actor see `actor/dedup_log/properties.rs` in `daca-runtime`.
#[test]
fn what_others_have_stored_is_read_or_refused() {
    let version = "a".repeat(64);
    let known = r#"{"label":"1","bytes":1,"since":"2026-01-01T00:00:00Z","source":"api","by":"x","migrates":true,"used":1}"#;
    let record = format!(
        r#"{{"revision":1,"serving":"{version}","before":["{version}"],"canary":{{"version":"{version}","share":10}},"pins":{{"a":"{version}"}},"versions":{{"{version}":{known}}},"history":[{{"at":"2026-01-01T00:00:00Z","what":"deployed","version":"{version}","source":"api","by":"x"}}]}}"#
    );
    let largest = record.replace("\"revision\":1,", "\"revision\":18446744073709551615,");
    let [here, largest_here] =
        [&record, &largest].map(|record| format!(r#"{{"file-here":null,"record":{record}}}"#));
    let schema = r#"{"label":"2","version":"x"}"#;
    run(
        stored,
        &[
            &record,
            &largest,
            &here,
            &largest_here,
            schema,
            r#"{"chunks":18446744073709551615,"signature":null}"#,
        ],
    );
}
