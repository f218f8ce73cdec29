//! Functions that take lists: how long one is counts before it is read out of the guest's memory.
//!
//! What wasmtime generates of the contract copies a whole list first. A list of a million short texts, which may all lie
//! at the same place, would hold a thread for a tenth of a second, only to be refused.

use std::borrow::Cow;

use wasmtime::StoreContextMut;
use wasmtime::component::{Linker, WasmList, WasmStr};

use super::Imports;
use crate::contract::daca::agent::types::Error;
use crate::contract::daca::agent::{bindings, state};

/// The interfaces, by the names that `wit/` gives them.
const STATE: &str = "daca:agent/state@0.1.0";
const BINDINGS: &str = "daca:agent/bindings@0.1.0";

/// Pairs of texts in the guest's memory.
type Pairs = WasmList<(WasmStr, WasmStr)>;
/// The arguments of a call of a binding: its name, the operation, the data, and the metadata.
type Request = (String, String, Vec<u8>, Pairs);
/// What a function returns to wasmtime: the outer error ends the turn.
type Returned<T> = wasmtime::Result<(Result<T, Error>,)>;

/// Links them in place of the generated functions, which are linked before ([`super::add_to_linker`]).
pub(crate) fn add_lists_to_linker<T: Send + 'static>(
    linker: &mut Linker<T>,
    imports: fn(&mut T) -> Imports<'_>,
) -> wasmtime::Result<()> {
    linker.allow_shadowing(true);
    linker.instance(STATE)?.func_wrap_async(
        "get-many",
        move |store: StoreContextMut<'_, T>, (keys,): (WasmList<WasmStr>,)| {
            Box::new(get_many(store, imports, keys))
        },
    )?;
    let mut instance = linker.instance(BINDINGS)?;
    instance.func_wrap_async("invoke", move |store: StoreContextMut<'_, T>, request: Request| {
        Box::new(invoke(store, imports, request))
    })?;
    instance.func_wrap("send", move |store: StoreContextMut<'_, T>, request: Request| {
        send(store, imports, request)
    })?;
    linker.allow_shadowing(false);
    Ok(())
}

async fn get_many<T: Send + 'static>(
    mut store: StoreContextMut<'_, T>,
    imports: fn(&mut T) -> Imports<'_>,
    keys: WasmList<WasmStr>,
) -> Returned<Vec<Option<Vec<u8>>>> {
    if let Err(too_many) = imports(store.data_mut()).scope.check_key_count(keys.len()) {
        return Ok((Err(too_many),));
    }
    let keys = texts(&mut store, &keys)?;
    Ok((state::Host::get_many(&mut imports(store.data_mut()), keys).await,))
}

async fn invoke<T: Send + 'static>(
    mut store: StoreContextMut<'_, T>,
    imports: fn(&mut T) -> Imports<'_>,
    (name, operation, data, metadata): Request,
) -> Returned<bindings::Response> {
    match pairs(&mut store, &metadata)? {
        Err(too_many) => Ok((Err(too_many),)),
        Ok(metadata) => {
            let mut imports = imports(store.data_mut());
            Ok((bindings::Host::invoke(&mut imports, name, operation, data, metadata).await,))
        }
    }
}

fn send<T: Send + 'static>(
    mut store: StoreContextMut<'_, T>,
    imports: fn(&mut T) -> Imports<'_>,
    (name, operation, data, metadata): Request,
) -> Returned<u32> {
    match pairs(&mut store, &metadata)? {
        Err(too_many) => Ok((Err(too_many),)),
        Ok(metadata) => {
            let mut imports = imports(store.data_mut());
            Ok((bindings::Host::send(&mut imports, name, operation, data, metadata),))
        }
    }
}

/// Reads texts.
fn texts<T: Send + 'static>(
    store: &mut StoreContextMut<'_, T>,
    list: &WasmList<WasmStr>,
) -> wasmtime::Result<Vec<String>> {
    let texts = list.iter(&mut *store)?.collect::<wasmtime::Result<Vec<WasmStr>>>()?;
    texts.iter().map(|text| text.to_str(&*store).map(Cow::into_owned)).collect()
}

/// Reads metadata, unless it is too much.
fn pairs<T: Send + 'static>(
    store: &mut StoreContextMut<'_, T>,
    list: &Pairs,
) -> wasmtime::Result<Result<Vec<(String, String)>, Error>> {
    if let Err(too_many) = super::bindings::check_metadata_count(list.len()) {
        return Ok(Err(too_many));
    }
    let pairs = list.iter(&mut *store)?.collect::<wasmtime::Result<Vec<(WasmStr, WasmStr)>>>()?;
    let mut read = Vec::with_capacity(pairs.len());
    for (name, value) in &pairs {
        read.push((name.to_str(&*store)?.into_owned(), value.to_str(&*store)?.into_owned()));
    }
    Ok(Ok(read))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Under another name they would be linked beside the generated functions, and nobody would call them.
    #[test]
    fn the_names_are_those_of_the_contract() {
        let wit = include_str!("../../../../wit/agent.wit");
        let package = wit.lines().find_map(|line| line.strip_prefix("package ")?.strip_suffix(';'));
        let (package, version) = package.and_then(|package| package.split_once('@')).expect("a package");
        for (name, interface) in [(STATE, "state"), (BINDINGS, "bindings")] {
            assert_eq!(name, format!("{package}/{interface}@{version}"));
            assert!(wit.contains(&format!("interface {interface} {{")), "{interface}");
        }
        for function in ["get-many: func(", "invoke: func(", "send: func("] {
            assert!(wit.contains(function), "{function}");
        }
    }
}
