//! Generates the code that makes an `impl` block an agent: the traits of `daca_sdk::rt` and the matching exports.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Error, ItemImpl, Result};

use crate::agent::{Agent, Hook, Method, Migrate};

/// The block itself stays in the output even when it has errors. Otherwise the author would see, besides our errors, one
/// for each use of a missing function.
pub(crate) fn expand(arguments: TokenStream, item: TokenStream) -> TokenStream {
    let Ok(mut block) = syn::parse2::<ItemImpl>(item.clone()) else {
        let error =
            Error::new(item.span(), "`#[agent]` belongs on the `impl` block that holds the agent's methods");
        let error = error.into_compile_error();
        return quote! { #item #error };
    };
    let rest = agent(&arguments, &mut block).unwrap_or_else(Error::into_compile_error);
    quote! {
        #[allow(unreachable_pub, reason = "`pub` says which functions are methods; the struct may well be private")]
        #block
        #rest
    }
}

fn agent(arguments: &TokenStream, block: &mut ItemImpl) -> Result<TokenStream> {
    let agent = Agent::take(block)?;
    if !arguments.is_empty() {
        return Err(Error::new(arguments.span(), "`#[agent]` takes no arguments"));
    }

    let this = &block.self_ty;
    // Errors about a missing trait of the struct point at its name.
    let default = quote_spanned! { this.span() => <#this as ::core::default::Default>::default() };
    let arms = agent.methods.iter().map(arm);
    let names = agent.methods.iter().map(|Method { name, cfgs, .. }| quote! { #(#cfgs)* #name });
    let lifecycle = lifecycle(&agent);
    let reminder = agent.reminder.as_ref().map(reminder);
    let timer = agent.timer.as_ref().map(timer);
    let effect_failed = agent.effect_failed.as_ref().map(effect_failed);
    let migrate = agent.migrate.as_ref().map(migrate);

    Ok(quote! {
        const _: () = {
            type __Agent = #this;

            impl ::daca_sdk::rt::Agent for __Agent {
                fn with<R>(run: impl ::core::ops::FnOnce(&mut Self) -> R) -> R {
                    ::std::thread_local! {
                        static INSTANCE: ::core::cell::RefCell<__Agent> = ::core::cell::RefCell::new(#default);
                    }
                    INSTANCE.with_borrow_mut(run)
                }

                fn call(
                    &mut self,
                    method: &str,
                    payload: &[u8],
                ) -> ::core::result::Result<::std::vec::Vec<u8>, ::daca_sdk::Failure> {
                    match method {
                        #(#arms)*
                        _ => ::core::result::Result::Err(::daca_sdk::rt::unknown(method, &[#(#names),*])),
                    }
                }
            }
            ::daca_sdk::__export!(actor export_actor __Agent);

            #lifecycle
            #reminder
            #timer
            #effect_failed
            #migrate
        };
    })
}

fn reminder(hook: &Hook) -> TokenStream {
    let body = firing(hook, "reminder");
    quote! {
        impl ::daca_sdk::rt::OnReminder for __Agent {
            fn on_reminder(&mut self, name: &str, data: &[u8]) -> ::core::result::Result<(), ::daca_sdk::Failure> {
                #body
            }
        }
        ::daca_sdk::__export!(on_reminder export_on_reminder __Agent);
    }
}

fn timer(hook: &Hook) -> TokenStream {
    let body = firing(hook, "timer");
    quote! {
        impl ::daca_sdk::rt::OnTimer for __Agent {
            fn on_timer(&mut self, name: &str, data: &[u8]) -> ::core::result::Result<(), ::daca_sdk::Failure> {
                #body
            }
        }
        ::daca_sdk::__export!(on_timer export_on_timer __Agent);
    }
}

fn effect_failed(Hook { function, output, .. }: &Hook) -> TokenStream {
    let call = quote! { __Agent::#function(self, effect, reason) };
    let done = quote_spanned! { *output => ::daca_sdk::rt::done(#call) };
    quote! {
        impl ::daca_sdk::rt::OnEffectFailed for __Agent {
            fn on_effect_failed(
                &mut self,
                effect: ::daca_sdk::FailedEffect,
                reason: ::daca_sdk::Error,
            ) -> ::core::result::Result<(), ::daca_sdk::Failure> {
                #done
            }
        }
        ::daca_sdk::__export!(on_effect_failed export_on_effect_failed __Agent);
    }
}

fn arm(Method { function, name, payload, output, cfgs }: &Method) -> TokenStream {
    let argument = payload.as_ref().map(|payload| {
        // Named where the attribute stands. The type may come from elsewhere, if a macro writes the agent.
        let argument = Ident::new("payload", Span::call_site());
        quote_spanned! { payload.span() => , ::daca_sdk::rt::payload::<#payload>(#name, #argument)? }
    });
    let call = quote! { __Agent::#function(self #argument) };
    let reply = quote_spanned! { *output => ::daca_sdk::rt::reply(#name, #call) };
    quote! { #(#cfgs)* #name => #reply, }
}

fn lifecycle(agent: &Agent) -> Option<TokenStream> {
    let part = |name: TokenStream, hook: &Option<Hook>| {
        let Hook { function, output, .. } = hook.as_ref()?;
        let done = quote_spanned! { *output => ::daca_sdk::rt::done(__Agent::#function(self)) };
        Some(quote! {
            fn #name(&mut self) -> ::core::result::Result<(), ::daca_sdk::Failure> {
                #done
            }
        })
    };
    let activate = part(quote! { activate }, &agent.activate);
    let deactivate = part(quote! { deactivate }, &agent.deactivate);
    if activate.is_none() && deactivate.is_none() {
        return None;
    }
    Some(quote! {
        impl ::daca_sdk::rt::Lifecycle for __Agent {
            #activate
            #deactivate
        }
        ::daca_sdk::__export!(lifecycle export_lifecycle __Agent);
    })
}

fn migrate(Migrate { hook: Hook { function, output, .. }, attributes }: &Migrate) -> TokenStream {
    let (to, keys) = (&attributes.to, &attributes.keys);
    // Errors about invalid keys point at the expression.
    let keys = quote_spanned! { keys.span() => ::daca_sdk::rt::keys(#keys) };
    let call = quote! { __Agent::#function(self, from, state) };
    let done = quote_spanned! { *output => ::daca_sdk::rt::done(#call) };
    quote! {
        impl ::daca_sdk::rt::Migrate for __Agent {
            const LABEL: &'static str = #to;

            fn keys() -> ::std::vec::Vec<::std::string::String> {
                #keys
            }

            fn migrate(
                &mut self,
                from: &str,
                state: &mut ::daca_sdk::Migration,
            ) -> ::core::result::Result<(), ::daca_sdk::Failure> {
                #done
            }
        }
        ::daca_sdk::__export!(migration export_migration __Agent);
    }
}

fn firing(Hook { function, data, output }: &Hook, kind: &str) -> TokenStream {
    let data = quote_spanned! { data.span() => ::daca_sdk::rt::data::<#data>(#kind, name, data)? };
    quote_spanned! { *output => ::daca_sdk::rt::done(__Agent::#function(self, name, #data)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The messages of the compile errors, in order.
    fn errors(block: &str) -> Vec<String> {
        let mut block: ItemImpl = syn::parse_str(block).expect("an impl block");
        match agent(&TokenStream::new(), &mut block) {
            Ok(_) => Vec::new(),
            Err(error) => error.into_iter().map(|e| e.to_string()).collect(),
        }
    }

    #[test]
    fn names_are_pascal_case_or_what_the_attribute_says() {
        let block = r#"impl A {
            pub fn process_message(&mut self) -> R {}
            pub fn r#do(&self) -> R {}
            #[method(name = "get-all")] pub fn other(&self) -> R {}
            fn helper(x: u8, y: u8) {}
        }"#;
        let agent = Agent::take(&mut syn::parse_str(block).expect("an impl block")).expect("an agent");
        let names: Vec<_> = agent.methods.iter().map(|m| m.name.value()).collect();
        assert_eq!(names, ["ProcessMessage", "Do", "get-all"]);
    }

    #[test]
    fn hooks_are_no_methods_and_our_attributes_are_taken_off() {
        let mut block: ItemImpl = syn::parse_str(
            r#"impl A {
                #[activate] pub fn start(&mut self) -> R {}
                #[reminder] fn ring(&mut self, name: &str, data: u8) -> R {}
                #[method(name = "x")] pub fn run(&self) -> R {}
                #[effect_failed] pub fn regret(&mut self, effect: FailedEffect, reason: Error) -> R {}
                #[migrate(to = "2", keys = KEYS)] fn change(&mut self, from: &str, state: &mut Migration) -> R {}
            }"#,
        )
        .expect("an impl block");
        let agent = Agent::take(&mut block).expect("an agent");
        assert_eq!(agent.methods.len(), 1);
        assert!(agent.activate.is_some() && agent.reminder.is_some() && agent.effect_failed.is_some());
        assert!(agent.deactivate.is_none() && agent.timer.is_none());
        assert_eq!(agent.migrate.expect("a migration").attributes.to.value(), "2");
        assert!(!quote!(#block).to_string().contains('#'));
    }

    #[test]
    fn what_cannot_be_is_said_and_all_of_it_at_once() {
        for (block, messages) in [
            ("fn helper(&self) {}", &["at least one method"][..]),
            ("pub fn two(&self, a: u8, b: u8) -> R {}", &["one payload"]),
            ("pub async fn wait(&self) -> R {}", &["async"]),
            ("pub fn new() -> Self {}", &["`&self` or `&mut self`"]),
            ("pub fn eat(self) -> R {}", &["`&self` or `&mut self`"]),
            ("pub fn any<T>(&self) -> R {}", &["generic"]),
            ("pub fn text(&self, text: &str) -> R {}", &["owned"]),
            ("pub fn nothing(&self) {}", &["returns a `Result`"]),
            ("pub fn a_b(&self) -> R {} #[method(name = \"AB\")] pub fn c(&self) -> R {}", &["two methods"]),
            ("pub fn a(&self) -> R {} #[method(name = \"\")] pub fn c(&self) -> R {}", &["name is made of"]),
            ("pub fn a(&self) -> R {} #[method] pub fn c(&self) -> R {}", &["write `#[method"]),
            ("pub fn a(&self) -> R {} #[method(name = \"x\")] fn c(&self) -> R {}", &["a method is `pub`"]),
            (
                "pub fn ok(&self) -> R {} #[activate] fn a(&mut self) -> R {} #[activate] fn b(&mut self) -> R {}",
                &["two functions marked `#[activate]`: the other is `a`"],
            ),
            ("pub fn ok(&self) -> R {} #[activate] #[timer] fn a(&mut self) -> R {}", &["not two"]),
            ("pub fn ok(&self) -> R {} #[reminder] fn a(&mut self) -> R {}", &["name: &str, data: T"]),
            ("pub fn ok(&self) -> R {} #[activate] fn a(&mut self, x: u8) -> R {}", &["nothing else"]),
            (
                "pub fn ok(&self) -> R {} #[effect_failed] fn a(&mut self, effect: FailedEffect) -> R {}",
                &["effect: daca_sdk::FailedEffect, reason: daca_sdk::Error"],
            ),
            (
                "pub fn ok(&self) -> R {} #[effect_failed] fn a(&mut self, e: &FailedEffect, r: Error) -> R {}",
                &["the effect is owned"],
            ),
            (
                "pub fn ok(&self) -> R {} #[migrate] fn a(&mut self, f: &str, s: &mut M) -> R {}",
                &["write `#[migrate(to"],
            ),
            (
                "pub fn ok(&self) -> R {} #[migrate(to = \"2\")] fn a(&mut self, f: &str, s: &mut M) -> R {}",
                &["write `#[migrate(to"],
            ),
            (
                "pub fn ok(&self) -> R {} #[migrate(to = \"\", keys = [\"k\"])] fn a(&mut self, f: &str, s: &mut M) -> R {}",
                &["1 to 64 bytes"],
            ),
            (
                "pub fn ok(&self) -> R {} #[migrate(to = \"2\", keys = [\"k\"])] fn a(&mut self, s: &mut M) -> R {}",
                &["from: &str, state: &mut daca_sdk::Migration"],
            ),
            (
                "pub fn ok(&self) -> R {} #[migrate(to = \"2\", keys = [\"k\"])] fn a(&mut self, f: &str, s: &M) -> R {}",
                &["`&mut daca_sdk::Migration`"],
            ),
            ("pub fn x(&self) {} pub fn y() -> R {}", &["returns a `Result`", "`&self` or `&mut self`"]),
        ] {
            let found = errors(&format!("impl A {{ {block} }}"));
            assert_eq!(found.len(), messages.len(), "{block}: {found:?}");
            for (found, message) in found.iter().zip(messages) {
                assert!(found.contains(message), "{block}: {found}");
            }
        }
    }

    #[test]
    fn only_an_impl_block_of_a_plain_type_is_an_agent() {
        let ok = "pub fn ok(&self) -> R {}";
        assert_eq!(errors(&format!("impl Trait for A {{ {ok} }}")).len(), 1);
        assert_eq!(errors(&format!("impl<T> A<T> {{ {ok} }}")).len(), 1);
        assert!(errors(&format!("impl A {{ {ok} }}")).is_empty());
    }
}
