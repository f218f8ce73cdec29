//! From a component's bytes to its code: cached from an earlier run, compiled ahead of time, or compiled now.
//!
//! A small file can make a compiler work for minutes and take gigabytes. So the host compiles in a separate process
//! ([`parent`] is the host's side, [`child`] the other), which has limits of time and memory and can be killed. The
//! same component is never compiled twice at the same time: later requests wait for the first. A component that
//! exceeded its limits is not compiled again either ([`refused`]). When nobody waits any more, or the host shuts down,
//! compiling ends.

pub mod child;
mod options;
mod parent;
mod refused;
mod script_input;

use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use futures::FutureExt as _;
use futures::future::{BoxFuture, Shared, WeakShared};
use parking_lot::Mutex;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use wasmtime::component::Component;

use super::cache::{CodeCache, deserialize};
use super::initial_memory::{InitialMemory, PerInitialMemory};
use super::precompiled;
use super::refusal::{Refusal, interrupted, not_taken, rejected, root_cause, shutting_down, unavailable};
use super::settings::CodeSettings;
use daca_script::{Prepared, Problem};
pub use options::{CompileIn, Compiling};
use parent::CompilerFailure;
use refused::RefusedComponents;

/// The number of components that are compiled at the same time; each may take as much memory as its limit allows.
const AT_ONCE: usize = 2;
/// The number of scripts that are made ready at the same time. They take moments, and do not wait behind compilations.
const SCRIPTS_AT_ONCE: usize = 2;

/// Finds or creates the code of components.
pub(super) struct Compiler {
    inner: Arc<Inner>,
    /// The running compilations, by digest.
    flights: Mutex<HashMap<String, WeakShared<Flight>>>,
}

type Flight = BoxFuture<'static, Result<Component, Refusal>>;

/// What components are compiled for, with its settings and the code that is kept of earlier runs.
pub(super) struct Target {
    pub(super) engine: wasmtime::Engine,
    pub(super) settings: CodeSettings,
    pub(super) cache: Option<CodeCache>,
}

struct Inner {
    targets: PerInitialMemory<Target>,
    compile_in: CompileIn,
    precompiled: Option<PathBuf>,
    at_once: Semaphore,
    scripts_at_once: Semaphore,
    refused: RefusedComponents,
    stop: CancellationToken,
}

impl Compiler {
    pub(super) fn new(
        targets: PerInitialMemory<Target>,
        compile_in: CompileIn,
        precompiled: Option<PathBuf>,
    ) -> Compiler {
        let (at_once, stop) = (Semaphore::new(AT_ONCE), CancellationToken::new());
        let (scripts_at_once, refused) = (Semaphore::new(SCRIPTS_AT_ONCE), RefusedComponents::default());
        let inner = Inner { targets, compile_in, precompiled, at_once, scripts_at_once, refused, stop };
        Compiler { inner: Arc::new(inner), flights: Mutex::default() }
    }

    /// The component whose file has this SHA-256 and these bytes, from which follows how its instances begin.
    pub(super) async fn component(
        &self,
        digest: &str,
        initial_memory: InitialMemory,
        wasm: Bytes,
        compiling: Compiling,
    ) -> Result<Component, Refusal> {
        self.flight(digest, initial_memory, wasm, compiling).await
    }

    /// The running compilation, or a new one. It lives as long as somebody waits for it.
    fn flight(
        &self,
        digest: &str,
        initial_memory: InitialMemory,
        wasm: Bytes,
        compiling: Compiling,
    ) -> Shared<Flight> {
        let mut flights = self.flights.lock();
        if let Some(flight) = flights.get(digest).and_then(WeakShared::upgrade) {
            return flight;
        }
        flights.retain(|_, flight| flight.upgrade().is_some());
        let inner = self.inner.clone();
        let flight = inner.find_or_make(digest.to_owned(), initial_memory, wasm, compiling).boxed().shared();
        flights.extend(flight.downgrade().map(|flight| (digest.to_owned(), flight)));
        flight
    }

    /// Makes a script ready for the engine, or says what is wrong with it.
    pub(super) async fn prepare_script(&self, text: Bytes) -> Result<Result<Prepared, Problem>, Refusal> {
        let Inner { targets, compile_in, scripts_at_once, stop, .. } = &*self.inner;
        // It compiles nothing.
        let settings = targets.of(InitialMemory::Copied).settings;
        let work = async {
            let _place = scripts_at_once.acquire().await.map_err(|_closed| interrupted())?;
            match compile_in {
                CompileIn::OwnProcess(limits) => {
                    parent::prepare_script(settings, *limits, text).await.map_err(|it| it.refusal)
                }
                CompileIn::ThisProcess => {
                    let prepared = blocking(move || script_input::prepare(text.to_vec())).await?;
                    prepared.map_err(|error| unavailable(&error.to_string()))
                }
            }
        };
        let answer = stop.run_until_cancelled(work).await.unwrap_or_else(|| Err(shutting_down()))?;
        script_input::read(&answer).map_err(|error| unavailable(&error.to_string()))
    }

    /// Stops all compilations, and starts no new ones.
    pub(super) fn stop(&self) {
        self.inner.stop.cancel();
    }

    /// Removes the compiled code of all components but those with these SHA-256.
    pub(super) fn keep_only(&self, digests: &BTreeSet<String>) {
        let [one, other] = self.inner.targets.both();
        if let (Some(one), Some(other)) = (&one.cache, &other.cache) {
            one.keep_only(digests, other);
        }
    }
}

impl Inner {
    async fn find_or_make(
        self: Arc<Self>,
        digest: String,
        initial_memory: InitialMemory,
        wasm: Bytes,
        compiling: Compiling,
    ) -> Result<Component, Refusal> {
        let stop = self.stop.clone();
        let work = async {
            let (finder, name) = (self.clone(), digest.clone());
            if let Some(component) = blocking(move || finder.find(&name, initial_memory)).await? {
                return Ok(component);
            }
            if let Some(refusal) = self.refused.get(&digest) {
                return Err(refusal);
            }
            let _place = self.at_once.acquire().await.map_err(|_closed| interrupted())?;
            let settings = self.targets.of(initial_memory).settings;
            let code = self.compile(&digest, settings, wasm, compiling).await?;
            let keeper = self.clone();
            blocking(move || keeper.keep(&digest, initial_memory, &code)).await?
        };
        stop.run_until_cancelled(work).await.unwrap_or_else(|| Err(shutting_down()))
    }

    fn find(&self, digest: &str, initial_memory: InitialMemory) -> Option<Component> {
        let Target { engine, cache, .. } = self.targets.of(initial_memory);
        let kept = cache.as_ref().and_then(|cache| cache.read(engine, digest));
        kept.or_else(|| precompiled::read(self.precompiled.as_deref()?, engine, digest))
    }

    async fn compile(
        &self,
        digest: &str,
        settings: CodeSettings,
        wasm: Bytes,
        compiling: Compiling,
    ) -> Result<Vec<u8>, Refusal> {
        match self.compile_in {
            CompileIn::OwnProcess(limits) => {
                let compiled = parent::compile(settings, limits, wasm, compiling).await;
                compiled.map_err(|CompilerFailure { refusal, is_final }| {
                    if is_final {
                        self.refused.insert(digest, refusal.clone());
                    }
                    refusal
                })
            }
            CompileIn::ThisProcess => {
                let compiled = blocking(move || settings.compile(&wasm)).await?;
                compiled.map_err(|error| rejected(&root_cause(&error)))
            }
        }
    }

    fn keep(&self, digest: &str, initial_memory: InitialMemory, code: &[u8]) -> Result<Component, Refusal> {
        let Target { engine, cache, .. } = self.targets.of(initial_memory);
        let component = deserialize(engine, code).map_err(|error| not_taken(&root_cause(&error)))?;
        if let Some(cache) = cache {
            cache.write(digest, code);
        }
        Ok(component)
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Refusal> {
    tokio::task::spawn_blocking(work).await.map_err(|_ended| interrupted())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use daca_base::ErrorCode;

    use super::*;

    fn compiler() -> Compiler {
        let targets = PerInitialMemory::new(|initial_memory| Target {
            engine: wasmtime::Engine::default(),
            settings: CodeSettings { reservation: 0, any_processor: false, initial_memory },
            cache: None,
        });
        Compiler::new(targets, CompileIn::ThisProcess, None)
    }

    #[tokio::test]
    async fn who_wants_the_same_component_waits_for_the_same_work() {
        let compiler = compiler();
        let flight = |digest| {
            let wasm = Bytes::from_static(b"none");
            compiler.flight(digest, InitialMemory::Copied, wasm, Compiling::Serving)
        };
        let (first, second, other) = (flight("a"), flight("a"), flight("b"));
        assert!(first.ptr_eq(&second));
        assert!(!first.ptr_eq(&other));
        let codes = [first, second, other].map(|flight| async { flight.await.err().map(|error| error.0) });
        assert_eq!(futures::future::join_all(codes).await, [Some(ErrorCode::ComponentInvalid); 3]);
        // What has ended is not waited for, and not held on to.
        let _again = flight("c");
        let flights = compiler.flights.lock();
        assert_eq!(flights.keys().collect::<Vec<_>>(), ["c"]);
    }

    #[tokio::test]
    async fn scripts_wait_for_each_other_and_for_no_compilation() {
        let compiler = compiler();
        let _compiling = compiler.inner.at_once.acquire_many(2).await.expect("it is open");
        let places = compiler.inner.scripts_at_once.acquire_many(2).await.expect("it is open");
        let mut prepared = std::pin::pin!(compiler.prepare_script(Bytes::from_static(b"export {};")));
        let waits = tokio::time::timeout(Duration::from_millis(300), prepared.as_mut()).await;
        assert!(waits.is_err(), "there is no place");
        drop(places);
        assert!(prepared.await.is_ok());
    }

    #[tokio::test]
    async fn nothing_is_compiled_once_the_host_shuts_down() {
        let compiler = compiler();
        compiler.stop();
        let refused = compiler.component("a", InitialMemory::Mapped, Bytes::new(), Compiling::Serving).await;
        assert_eq!(refused.err().map(|error| error.0), Some(ErrorCode::HostShuttingDown));
    }
}
