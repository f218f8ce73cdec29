//! Manifests that cannot be used: each is refused with a code, the line, and what to do about it.

mod files;

use daca_tests::{Ended, chat_agent, run_in};
use tempfile::TempDir;

/// Stands for the path of the ChatAgent's component.
const COMPONENT: &str = "COMPONENT";

/// What is wrong, the manifest, and of each problem the code, the line and a word.
type Case = (&'static str, &'static str, &'static [(&'static str, usize, &'static str)]);

const CASES: &[Case] = &[
    ("nothing", "", &[("manifest-no-agents", 1, "no agent type")]),
    ("only a comment", "# agents\n", &[("manifest-no-agents", 1, "no agent type")]),
    (
        "a table that there is not",
        "[agents.A]\ncomponent = \"COMPONENT\"\n[hots]\nx = 1\n",
        &[("manifest-unknown-key", 3, "`hots`")],
    ),
    (
        "a key of the host",
        "[host]\nmax-bodies = 1\n[agents.A]\ncomponent = \"COMPONENT\"\n",
        &[("manifest-unknown-key", 2, "`max-bodies`")],
    ),
    (
        "a key of the embedded backend",
        "[agents.A]\ncomponent = \"COMPONENT\"\n[embedded]\nsecret-file = \"x\"\n",
        &[("manifest-unknown-key", 4, "`secret-file`")],
    ),
    (
        "a key of an agent type",
        "[agents.A]\ncomponent = \"COMPONENT\"\ncolour = 1\n",
        &[("manifest-unknown-key", 3, "`colour`")],
    ),
    (
        "weights out of range",
        "[agents.A]\ncomponent = \"COMPONENT\"\nweight = 0\n[agents.B]\ncomponent = \"COMPONENT\"\nweight = 1001\n",
        &[
            ("manifest-invalid-limit", 3, "agents.A.weight: 0"),
            ("manifest-invalid-limit", 6, "agents.B.weight: 1001"),
        ],
    ),
    (
        "a key of the limits",
        "[agents.A]\ncomponent = \"COMPONENT\"\n[agents.A.limits]\nqueue = 5\nmemry = \"1MiB\"\n",
        &[("manifest-unknown-key", 5, "`memry`")],
    ),
    (
        "a key of the permissions",
        "[agents.A]\ncomponent = \"COMPONENT\"\n[agents.A.permissions]\npublsh = []\n",
        &[("manifest-unknown-key", 4, "`publsh`")],
    ),
    (
        "a key of a route",
        "[agents.A]\ncomponent = \"COMPONENT\"\n[[routes]]\nmethod = \"POST\"\npath = \"/{id}\"\nagent = \"A\"\ncall = \"M\"\nactor-id = { path = \"id\" }\nreplay = 1\n",
        &[("manifest-unknown-key", 9, "`replay`")],
    ),
    (
        "a key of a route's actor-id",
        "[agents.A]\ncomponent = \"COMPONENT\"\n[[routes]]\nmethod = \"POST\"\npath = \"/{id}\"\nagent = \"A\"\ncall = \"M\"\nactor-id = { path = \"id\", fild = \"x\" }\n",
        &[("manifest-unknown-key", 8, "`fild`")],
    ),
    (
        "a key of a route's payload",
        "[agents.A]\ncomponent = \"COMPONENT\"\n[[routes]]\nmethod = \"POST\"\npath = \"/{id}\"\nagent = \"A\"\ncall = \"M\"\nactor-id = { path = \"id\" }\npayload = { field = \"x\", feld = 1 }\n",
        &[("manifest-syntax", 9, "{ field = \"FIELD\" }")],
    ),
    (
        "a key of a subscription",
        "[agents.A]\ncomponent = \"COMPONENT\"\n[[subscriptions]]\npubsub = \"p\"\ntopic = \"t\"\npath = \"/s\"\ntopics = 1\n",
        &[("manifest-unknown-key", 7, "`topics`")],
    ),
    (
        "a dead letter that is the subscription's own topic",
        "[agents.A]\ncomponent = \"COMPONENT\"\n[[subscriptions]]\npubsub = \"p\"\ntopic = \"t\"\npath = \"/s\"\ndead-letter = \"p/t\"\n",
        &[("manifest-invalid-route", 7, "the subscription itself")],
    ),
    (
        "replies that are no JSON",
        "[agents.A]\ncomponent = \"COMPONENT\"\n[[routes]]\nmethod = \"GET\"\npath = \"/a/{id}\"\nagent = \"A\"\nactor-id = { path = \"id\" }\ncall = \"C\"\nreply = { at = 1979-05-27 }\n[[routes]]\nmethod = \"GET\"\npath = \"/b/{id}\"\nagent = \"A\"\nactor-id = { path = \"id\" }\ncall = \"C\"\nreply = { \"{reply}\" = [inf] }\n",
        &[("manifest-invalid-route", 9, "no dates"), ("manifest-invalid-route", 16, "a key")],
    ),
    (
        "dead letters that come back",
        "[agents.A]\ncomponent = \"COMPONENT\"\n[[subscriptions]]\npubsub = \"p\"\ntopic = \"t\"\npath = \"/t\"\ndead-letter = \"p/u\"\n[[subscriptions]]\npubsub = \"p\"\ntopic = \"u\"\npath = \"/u\"\ndead-letter = \"p/t\"\n",
        &[("manifest-invalid-route", 12, "come back")],
    ),
    (
        "a dead letter that is no topic, and no attempts",
        "[agents.A]\ncomponent = \"COMPONENT\"\n[[subscriptions]]\npubsub = \"p\"\ntopic = \"t\"\npath = \"/s\"\nattempts = 0\ndead-letter = \"letters\"\n",
        &[("manifest-invalid-route", 4, "attempts = 0"), ("manifest-invalid-route", 8, "two parts")],
    ),
    (
        "an agent type without a component",
        "[agents.A]\ncomponent = \"COMPONENT\"\n\n[agents.B]\nidle-timeout = \"1m\"\n",
        &[("manifest-syntax", 4, "`component`")],
    ),
    (
        "a route without an agent",
        "[agents.A]\ncomponent = \"COMPONENT\"\n[[routes]]\nmethod = \"POST\"\npath = \"/{id}\"\ncall = \"M\"\nactor-id = { path = \"id\" }\n",
        &[("manifest-syntax", 3, "`agent`")],
    ),
    (
        "two routes alike",
        "[agents.A]\ncomponent = \"COMPONENT\"\n[[routes]]\nmethod = \"POST\"\npath = \"/{id}\"\nagent = \"A\"\ncall = \"M\"\nactor-id = { path = \"id\" }\n[[routes]]\nmethod = \"POST\"\npath = \"/{id}\"\nagent = \"A\"\ncall = \"N\"\nactor-id = { path = \"id\" }\n",
        &[("manifest-duplicate-route", 11, "first in line 5")],
    ),
    (
        "a route and a subscription alike",
        "[agents.A]\ncomponent = \"COMPONENT\"\n[[routes]]\nmethod = \"POST\"\npath = \"/s\"\nagent = \"A\"\ncall = \"M\"\nactor-id = { field = \"id\" }\n[[subscriptions]]\npubsub = \"p\"\ntopic = \"t\"\npath = \"/s\"\n",
        &[("manifest-duplicate-route", 12, "first in line 5")],
    ),
    (
        "one path with two names for its parameter",
        "[agents.A]\ncomponent = \"COMPONENT\"\n[[routes]]\nmethod = \"POST\"\npath = \"/chat/{id}\"\nagent = \"A\"\ncall = \"M\"\nactor-id = { path = \"id\" }\n[[routes]]\nmethod = \"GET\"\npath = \"/chat/{name}\"\nagent = \"A\"\ncall = \"N\"\nactor-id = { path = \"name\" }\n",
        &[("manifest-duplicate-route", 11, "/chat/{id}")],
    ),
    (
        "an agent type that there is not",
        "[agents.ChatAgent]\ncomponent = \"COMPONENT\"\n[[routes]]\nmethod = \"POST\"\npath = \"/{id}\"\nagent = \"Chatagent\"\ncall = \"M\"\nactor-id = { path = \"id\" }\n",
        &[("manifest-unknown-agent", 6, "name one of: ChatAgent")],
    ),
    (
        "three problems at once",
        "[agents.A]\ncomponent = \"COMPONENT\"\n[agents.A.permissions]\npublish = [\"a/b\",\n  \"everything\"]\nbindings = [\"x/\"]\n[[subscriptions]]\npubsub = \"p\"\ntopic = \"t\"\npath = \"s\"\n",
        &[
            ("manifest-invalid-permission", 5, "PUBSUB/TOPIC"),
            ("manifest-invalid-permission", 6, "BINDING/OPERATION"),
            ("manifest-invalid-route", 10, "is not a path"),
        ],
    ),
    (
        "a limit of zero",
        "[agents.A]\ncomponent = \"COMPONENT\"\n[agents.A.limits]\nmemory = \"1MiB\"\nqueue = 0\n",
        &[("manifest-invalid-limit", 5, "agents.A.limits.queue is 0")],
    ),
    (
        "a limit that bounds nothing",
        "[agents.A]\ncomponent = \"COMPONENT\"\n[agents.A.limits]\nmemory = \"100GiB\"\n",
        &[("manifest-invalid-limit", 4, "agents.A.limits.memory is 100")],
    ),
    (
        "a limit that looks like the maximum",
        "[agents.A]\ncomponent = \"COMPONENT\"\n[agents.A.limits]\nmemory = 2147483649\n",
        &[("manifest-invalid-limit", 4, "is 2147483649 bytes; the maximum is 2147483648 bytes")],
    ),
    (
        "a size below zero",
        "[host]\nmax-body = -1\n[agents.A]\ncomponent = \"COMPONENT\"\n",
        &[("manifest-syntax", 2, "a size of 0 or more")],
    ),
    (
        "a number below zero",
        "[host]\neffect-attempts = -1\n[agents.A]\ncomponent = \"COMPONENT\"\n",
        &[("manifest-syntax", 2, "from 0 to 4294967295")],
    ),
    (
        "times that no clock measures",
        "[host]\nbody-time = \"1ns\"\n[agents.A]\ncomponent = \"COMPONENT\"\n[agents.A.limits]\nturn-time = \"1us\"\n",
        &[
            ("manifest-invalid-limit", 6, "agents.A.limits.turn-time is 1µs"),
            ("manifest-invalid-limit", 2, "host.body-time is 1ns"),
        ],
    ),
    (
        "attempts without end",
        "[agents.A]\ncomponent = \"COMPONENT\"\n[[subscriptions]]\npubsub = \"p\"\ntopic = \"t\"\npath = \"/s\"\nattempts = 4294967295\n",
        &[("manifest-invalid-route", 4, "the maximum is 10000000")],
    ),
    (
        "a path that no request has, and one that the router takes for something else",
        "[agents.A]\ncomponent = \"COMPONENT\"\n[[subscriptions]]\npubsub = \"p\"\ntopic = \"t\"\npath = \"/a?b\"\n[[subscriptions]]\npubsub = \"p\"\ntopic = \"u\"\npath = \"/:id\"\n",
        &[("manifest-invalid-route", 6, "matches no request"), ("manifest-invalid-route", 10, "begins with")],
    ),
    (
        "names that nothing can have",
        "[agents.A]\ncomponent = \"COMPONENT\"\n[[subscriptions]]\npubsub = \"\"\ntopic = \"t\"\npath = \"/a\"\n[[subscriptions]]\npubsub = \"p\"\ntopic = \"\"\npath = \"/b\"\n[[subscriptions]]\npubsub = \"p\"\ntopic = \"t\"\npath = \"/c\"\ndead-letter = \"p/*\"\n[[routes]]\nmethod = \"POST\"\npath = \"/{id}\"\nagent = \"A\"\ncall = \"\"\nactor-id = { path = \"id\" }\n[dapr]\nstate-store = \"a/b\"\n",
        &[
            ("manifest-invalid-name", 23, "dapr.state-store is \"a/b\""),
            ("manifest-invalid-route", 20, "call is empty"),
            ("manifest-invalid-route", 4, "pubsub is empty"),
            ("manifest-invalid-route", 9, "topic is empty"),
            ("manifest-invalid-route", 15, "the wildcard '*'"),
        ],
    ),
    (
        "permissions that permit nothing",
        "[agents.A]\ncomponent = \"COMPONENT\"\n[agents.A.permissions]\npublish = [\"p/user-*\"]\nactors = [\"*\"]\nsecrets = [\"\"]\n",
        &[
            ("manifest-invalid-permission", 4, "the wildcard '*'"),
            ("manifest-invalid-permission", 5, "no wildcard"),
            ("manifest-invalid-permission", 6, "the name is empty"),
        ],
    ),
    (
        "a default that is no id, and a subscription with a parameter",
        "[agents.A]\ncomponent = \"COMPONENT\"\n[[routes]]\nmethod = \"POST\"\npath = \"/a\"\nagent = \"A\"\ncall = \"M\"\nactor-id = { field = \"id\", default = \"\" }\n[[subscriptions]]\npubsub = \"p\"\ntopic = \"t\"\npath = \"/s/{x}\"\n",
        &[
            ("manifest-invalid-route", 8, "the default \"\" is not an actor id"),
            ("manifest-invalid-route", 12, "has a parameter"),
        ],
    ),
    (
        "times that no clock reaches",
        "[host]\nshutdown-grace = \"9223372036854775807s\"\neffect-retry-delay = \"1000years\"\n[agents.A]\ncomponent = \"COMPONENT\"\nidle-timeout = \"367days\"\n[agents.A.limits]\nturn-time = \"9223372036854775807s\"\nrunning-time = \"584000000000years\"\n",
        &[
            ("manifest-invalid-limit", 3, "agents.A.effects.backoff-max is 300s, and backoff is"),
            ("manifest-invalid-limit", 9, "agents.A.limits.running-time is"),
            ("manifest-invalid-limit", 8, "agents.A.limits.turn-time is 106751991167300 days"),
            ("manifest-invalid-limit", 6, "idle-timeout is 367 days; the maximum is 366 days"),
            ("manifest-invalid-limit", 2, "host.shutdown-grace is"),
            ("manifest-invalid-limit", 3, "host.effect-retry-delay is"),
        ],
    ),
    (
        "retries that never pause, or wait for longer than they may",
        "[agents.A]\ncomponent = \"COMPONENT\"\n[agents.A.effects]\nretry-for = \"1000years\"\nbackoff = \"0s\"\nbackoff-max = \"367days\"\n[agents.B]\ncomponent = \"COMPONENT\"\n[agents.B.effects]\nbackoff = \"2s\"\nbackoff-max = \"1s\"\n[agents.C]\ncomponent = \"COMPONENT\"\neffects = { backoff-max = \"0s\" }\n",
        &[
            ("manifest-invalid-limit", 4, "agents.A.effects.retry-for is"),
            ("manifest-invalid-limit", 5, "agents.A.effects.backoff is 0"),
            ("manifest-invalid-limit", 6, "agents.A.effects.backoff-max is 367 days"),
            ("manifest-invalid-limit", 10, "agents.B.effects.backoff is 2s, and backoff-max is 1s"),
            ("manifest-invalid-limit", 14, "agents.C.effects.backoff-max is 0"),
        ],
    ),
    (
        "a longest wait that is shorter than the host's delay",
        "[host]\neffect-retry-delay = \"10m\"\n[agents.A]\ncomponent = \"COMPONENT\"\n[agents.A.effects]\nbackoff-max = \"300ms\"\n",
        &[("manifest-invalid-limit", 6, "agents.A.effects.backoff-max is 300ms, and backoff is 600s")],
    ),
    (
        "arrays in the place of tables",
        "routes = [[\"GET\"]]\ndapr = []\n[agents.A]\ncomponent = \"COMPONENT\"\npermissions = [[\"p/*\"], [\"b/*\"]]\nlimits = []\n[[agents.A.effects]]\n[agents]\nB = [\"COMPONENT\"]\n",
        &[
            ("manifest-syntax", 9, "agents.*: expected a table"),
            ("manifest-syntax", 5, "agents.*.permissions: expected a table"),
            ("manifest-syntax", 6, "agents.*.limits: expected a table"),
            ("manifest-syntax", 7, "agents.*.effects: expected a table"),
            ("manifest-syntax", 1, "routes.*: expected a table"),
            ("manifest-syntax", 2, "dapr: expected a table"),
        ],
    ),
    (
        "an order that there is not",
        "[agents.A]\ncomponent = \"COMPONENT\"\n[agents.A.effects]\norder = \"any\"\n",
        &[("manifest-syntax", 4, "unknown variant `any`, expected `component` or `strict`")],
    ),
    (
        "a host that would take no connection",
        "[host]\nmax-connections = 0\n[agents.A]\ncomponent = \"COMPONENT\"\n",
        &[("manifest-invalid-limit", 2, "host.max-connections is 0")],
    ),
    (
        "a host that could hold no body",
        "[host]\nmax-held-body-bytes = \"1MiB\"\n[agents.A]\ncomponent = \"COMPONENT\"\n",
        &[("manifest-invalid-limit", 2, "host.max-held-body-bytes is 1")],
    ),
    (
        "a budget of memory in which no host fits",
        "[host]\nmemory = \"64MiB\"\n[agents.A]\ncomponent = \"COMPONENT\"\n",
        &[("manifest-invalid-limit", 2, "host.memory is 64.0 MiB; the minimum is 128.0 MiB")],
    ),
    (
        "a host that would take no call",
        "[host]\nmax-turns-in-flight = 0\n[agents.A]\ncomponent = \"COMPONENT\"\n",
        &[("manifest-invalid-limit", 2, "host.max-turns-in-flight is 0")],
    ),
    (
        "a reserved path",
        "[agents.A]\ncomponent = \"COMPONENT\"\n[[routes]]\nmethod = \"POST\"\npath = \"/actors/{id}\"\nagent = \"A\"\ncall = \"M\"\nactor-id = { path = \"id\" }\n",
        &[("manifest-invalid-route", 5, "below /actors")],
    ),
    (
        "the path of the host's own health",
        "[agents.A]\ncomponent = \"COMPONENT\"\n[[subscriptions]]\npubsub = \"p\"\ntopic = \"t\"\npath = \"/healthz\"\n",
        &[("manifest-invalid-route", 6, "/healthz")],
    ),
    (
        "a method that there is not",
        "[agents.A]\ncomponent = \"COMPONENT\"\n[[routes]]\nmethod = \"FETCH\"\npath = \"/{id}\"\nagent = \"A\"\ncall = \"M\"\nactor-id = { path = \"id\" }\n",
        &[("manifest-invalid-route", 4, "GET, POST")],
    ),
    (
        "a parameter that the path has not",
        "[agents.A]\ncomponent = \"COMPONENT\"\n[[routes]]\nmethod = \"POST\"\npath = \"/{id}\"\nagent = \"A\"\ncall = \"M\"\nactor-id = { path = \"actor\" }\n",
        &[("manifest-invalid-route", 8, "add {actor} to the path")],
    ),
    (
        "a log line with a brace too few",
        "[agents.A]\ncomponent = \"COMPONENT\"\n[[subscriptions]]\npubsub = \"p\"\ntopic = \"t\"\npath = \"/s\"\nlog = \"got {a\"\n",
        &[("manifest-invalid-route", 7, "has no '}'")],
    ),
    (
        "a name that no actor type can have",
        "\n[agents.\"Chat Agent\"]\ncomponent = \"COMPONENT\"\n",
        &[("manifest-invalid-name", 2, "' '")],
    ),
    (
        "one agent type twice",
        "[agents.A]\ncomponent = \"COMPONENT\"\n[agents.A]\ncomponent = \"COMPONENT\"\n",
        &[("manifest-syntax", 3, "duplicate key")],
    ),
    (
        "a duration without a unit",
        "[agents.A]\ncomponent = \"COMPONENT\"\nidle-timeout = 5\n",
        &[("manifest-syntax", 3, "a duration")],
    ),
    (
        "a key of the deploying",
        "[agents.A]\ncomponent = \"COMPONENT\"\n[deploy]\nsigner = []\n",
        &[("manifest-unknown-key", 4, "`signer`")],
    ),
    (
        "bounds of the deploying that make no sense",
        "[agents.A]\ncomponent = \"COMPONENT\"\n[deploy]\nwindow = \"2h\"\nmargin = 101\nleast-turns = 0\nkeep = 1\n",
        &[
            ("manifest-invalid-limit", 4, "deploy.window: 2h"),
            ("manifest-invalid-limit", 5, "deploy.margin: 101"),
            ("manifest-invalid-limit", 6, "deploy.least-turns: 0"),
            ("manifest-invalid-limit", 7, "deploy.keep: 1"),
        ],
    ),
    (
        "signers that are none",
        "[agents.A]\ncomponent = \"COMPONENT\"\n[deploy]\nsigners = [\n  \"AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\",\n  \"ed25519:AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\",\n  \"ed25519:AgAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\",\n]\n",
        &[
            ("manifest-invalid-signer", 5, "base64 of 32 bytes"),
            ("manifest-invalid-signer", 6, "a weak key"),
            ("manifest-invalid-signer", 7, "not an Ed25519 key"),
        ],
    ),
    (
        "a build of nothing",
        "[agents.A]\ncomponent = \"COMPONENT\"\n[agents.A.dev]\nbuild = \" \"\nwatch = []\n",
        &[("manifest-invalid-dev", 4, "dev.build"), ("manifest-invalid-dev", 5, "dev.watch")],
    ),
    ("no TOML", "[agents.A]\ncomponent = \"COMPONENT\"\nx = \n", &[("manifest-syntax", 3, "expected")]),
    ("a string without an end", "[agents.A]\ncomponent = \"COMPONENT\n", &[("manifest-syntax", 2, "")]),
    ("JSON", "{\"agents\": {}}\n", &[("manifest-syntax", 1, "")]),
];

fn manifest(text: &str) -> anyhow::Result<TempDir> {
    let folder = TempDir::new()?;
    let text = text.replace(COMPONENT, &chat_agent().display().to_string());
    std::fs::write(folder.path().join("agents.toml"), text)?;
    Ok(folder)
}

/// It ended with code 1, and standard error has the problems, a help line for each, and nothing else.
fn assert_refused(what: &str, ended: &Ended, problems: &[(&str, usize, &str)]) {
    let Ended { code, stderr, stdout } = ended;
    assert_eq!((code, stdout.as_str()), (&Some(1), ""), "{what}: {stderr}");
    let found = stderr.split_terminator("error[").skip(1).collect::<Vec<_>>();
    assert_eq!(found.len(), problems.len(), "{what}: {stderr}");
    for (found, (code, line, word)) in found.into_iter().zip(problems) {
        let place = format!("{code}]: agents.toml:{line}:");
        assert!(found.starts_with(&place), "{what}: {place:?} is not the beginning of {found:?}");
        let help = found.split_once("\n  help: ").map(|(_, help)| help.trim_end()).unwrap_or_default();
        assert!(!help.is_empty() && !help.contains('\n'), "{what}: {found}");
        assert!(found.contains(word), "{what}: {found} does not say {word:?}");
    }
    assert!(!stderr.contains("panicked"), "{stderr}");
}

#[tokio::test]
async fn each_mistake_is_found_with_its_line() -> anyhow::Result<()> {
    let mut failures = Vec::new();
    for (what, text, problems) in CASES {
        let folder = manifest(text)?;
        let ended = run_in(folder.path(), ["check"]).await?;
        // All cases run, so that one failure does not hide the next.
        if std::panic::catch_unwind(|| assert_refused(what, &ended, problems)).is_err() {
            failures.push(what);
        }
    }
    assert!(failures.is_empty(), "{failures:?}");
    Ok(())
}

#[tokio::test]
async fn a_host_does_not_start_with_a_mistake() -> anyhow::Result<()> {
    let wanted = "two routes alike";
    for (what, text, problems) in CASES.iter().filter(|(what, _, _)| *what == wanted) {
        let folder = manifest(text)?;
        let ended =
            run_in(folder.path(), ["run", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]).await?;
        assert_refused(what, &ended, problems);
        // And leaves nothing behind.
        assert!(!folder.path().join(".daca").exists());
    }
    Ok(())
}
