//! Parses an `impl` block into methods and hooks, and validates them.

mod errors;
mod role;

use proc_macro2::Span;
use syn::spanned::Spanned;
use syn::{
    Attribute, Error, FnArg, GenericParam, Generics, Ident, ImplItem, ImplItemFn, ItemImpl, LitStr, Result,
    ReturnType, Type, Visibility,
};

use errors::Errors;
use role::{MigrateAttributes, Role, pascal_case, take_role};

/// An agent, as its `impl` block declares it.
#[derive(Default)]
pub(crate) struct Agent {
    pub(crate) methods: Vec<Method>,
    pub(crate) activate: Option<Hook>,
    pub(crate) deactivate: Option<Hook>,
    pub(crate) reminder: Option<Hook>,
    pub(crate) timer: Option<Hook>,
    pub(crate) effect_failed: Option<Hook>,
    pub(crate) migrate: Option<Migrate>,
}

/// A function that can be called from outside.
pub(crate) struct Method {
    pub(crate) function: Ident,
    pub(crate) name: LitStr,
    /// The type of the payload.
    pub(crate) payload: Option<Type>,
    pub(crate) output: Span,
    pub(crate) cfgs: Vec<Attribute>,
}

/// A function that the host calls by itself.
pub(crate) struct Hook {
    pub(crate) function: Ident,
    /// The type of a firing's data.
    pub(crate) data: Option<Type>,
    pub(crate) output: Span,
}

/// The hook that migrates state to another schema.
pub(crate) struct Migrate {
    pub(crate) hook: Hook,
    pub(crate) attributes: MigrateAttributes,
}

impl Agent {
    /// Removes our attributes from the functions. Reports all errors, not just the first.
    pub(crate) fn take(block: &mut ItemImpl) -> Result<Self> {
        let mut errors = Errors::default();
        errors.note(check_block(block));

        let mut agent = Self::default();
        for item in &mut block.items {
            if let ImplItem::Fn(function) = item {
                errors.note(agent.take_function(function));
            }
        }
        if agent.methods.is_empty() && errors.is_empty() {
            errors.note(Err(Error::new(
                block.self_ty.span(),
                "an agent has at least one method: make a function of this block `pub`",
            )));
        }
        errors.into_result()?;
        Ok(agent)
    }

    fn take_function(&mut self, function: &mut ImplItemFn) -> Result<()> {
        let public = matches!(function.vis, Visibility::Public(_));
        match take_role(function)? {
            None if public => {
                let name = pascal_case(&function.sig.ident)?;
                self.add_method(function, name)
            }
            None => Ok(()),
            Some(Role::Method(name)) if public => self.add_method(function, name),
            Some(Role::Method(_)) => {
                Err(Error::new(function.sig.ident.span(), "a method is `pub`; this function is private"))
            }
            Some(Role::Activate) => add_hook(&mut self.activate, "activate", check_lifecycle(function)?),
            Some(Role::Deactivate) => {
                add_hook(&mut self.deactivate, "deactivate", check_lifecycle(function)?)
            }
            Some(Role::Reminder) => add_hook(&mut self.reminder, "reminder", check_firing(function)?),
            Some(Role::Timer) => add_hook(&mut self.timer, "timer", check_firing(function)?),
            Some(Role::EffectFailed) => {
                add_hook(&mut self.effect_failed, "effect_failed", check_effect_failed(function)?)
            }
            Some(Role::Migrate(attributes)) => self.add_migrate(check_migrate(function)?, *attributes),
        }
    }

    fn add_migrate(&mut self, hook: Hook, attributes: MigrateAttributes) -> Result<()> {
        match &self.migrate {
            Some(other) => Err(two_hooks("migrate", &hook, &other.hook)),
            None => {
                self.migrate = Some(Migrate { hook, attributes });
                Ok(())
            }
        }
    }

    fn add_method(&mut self, function: &ImplItemFn, name: LitStr) -> Result<()> {
        let (parameters, output) = check_signature(function, "a method")?;
        let payload = match parameters[..] {
            [] => None,
            [payload] => {
                check_owned(payload, "the payload of a method")?;
                Some(payload.clone())
            }
            [_, second, ..] => {
                return Err(Error::new(
                    second.span(),
                    "a method takes one payload: combine its parts in a struct or a tuple",
                ));
            }
        };
        let cfgs: Vec<_> = function.attrs.iter().filter(|a| a.path().is_ident("cfg")).cloned().collect();
        // Two functions under `cfg` may exclude each other; if they do not, rustc reports it.
        if let Some(other) = self
            .methods
            .iter()
            .find(|other| other.name.value() == name.value() && (other.cfgs.is_empty() || cfgs.is_empty()))
        {
            let text =
                format!("two methods with the name `{}`: the other is `{}`", name.value(), other.function);
            return Err(Error::new(name.span(), text));
        }
        self.methods.push(Method { function: function.sig.ident.clone(), name, payload, output, cfgs });
        Ok(())
    }
}

fn check_block(block: &ItemImpl) -> Result<()> {
    if let Some((_, path, _)) = &block.trait_ {
        return Err(Error::new(
            path.span(),
            "`#[agent]` belongs on the struct's own `impl` block, not on that of a trait",
        ));
    }
    check_generics(&block.generics, "an agent")?;
    match &*block.self_ty {
        Type::Path(_) => Ok(()),
        other => Err(Error::new(other.span(), "an agent is a struct or an enum with a name")),
    }
}

fn check_generics(generics: &Generics, who: &str) -> Result<()> {
    match generics.params.iter().find(|p| !matches!(p, GenericParam::Lifetime(_))) {
        Some(parameter) => Err(Error::new(parameter.span(), format!("{who} cannot be generic"))),
        None => Ok(()),
    }
}

fn add_hook(place: &mut Option<Hook>, what: &str, hook: Hook) -> Result<()> {
    if let Some(other) = place {
        return Err(two_hooks(what, &hook, other));
    }
    *place = Some(hook);
    Ok(())
}

fn two_hooks(what: &str, hook: &Hook, other: &Hook) -> Error {
    let text = format!("two functions marked `#[{what}]`: the other is `{}`", other.function);
    Error::new(hook.function.span(), text)
}

fn check_lifecycle(function: &ImplItemFn) -> Result<Hook> {
    let (parameters, output) = check_signature(function, "this hook")?;
    if let Some(first) = parameters.first() {
        return Err(Error::new(first.span(), "this hook takes `&mut self` and nothing else"));
    }
    Ok(Hook { function: function.sig.ident.clone(), data: None, output })
}

fn check_firing(function: &ImplItemFn) -> Result<Hook> {
    let (parameters, output) = check_signature(function, "this hook")?;
    let [name, data] = parameters[..] else {
        return Err(Error::new(
            function.sig.inputs.span(),
            "this hook takes `(&mut self, name: &str, data: T)`, where `T` is the type of the data; `()` for none",
        ));
    };
    if !matches!(name, Type::Reference(_)) {
        return Err(Error::new(name.span(), "the name is a `&str`"));
    }
    check_owned(data, "the data of a firing")?;
    Ok(Hook { function: function.sig.ident.clone(), data: Some(data.clone()), output })
}

fn check_effect_failed(function: &ImplItemFn) -> Result<Hook> {
    let (parameters, output) = check_signature(function, "this hook")?;
    let [effect, reason] = parameters[..] else {
        return Err(Error::new(
            function.sig.inputs.span(),
            "this hook takes `(&mut self, effect: daca_sdk::FailedEffect, reason: daca_sdk::Error)`",
        ));
    };
    check_owned(effect, "the effect")?;
    check_owned(reason, "the reason")?;
    Ok(Hook { function: function.sig.ident.clone(), data: None, output })
}

fn check_migrate(function: &ImplItemFn) -> Result<Hook> {
    let (parameters, output) = check_signature(function, "this hook")?;
    let [Type::Reference(from), Type::Reference(state)] = parameters[..] else {
        return Err(Error::new(
            function.sig.inputs.span(),
            "this hook takes `(&mut self, from: &str, state: &mut daca_sdk::Migration)`",
        ));
    };
    if from.mutability.is_some() || state.mutability.is_none() {
        return Err(Error::new(
            function.sig.inputs.span(),
            "the label is a `&str`, and the state a `&mut daca_sdk::Migration`",
        ));
    }
    Ok(Hook { function: function.sig.ident.clone(), data: None, output })
}

/// The checks that methods and hooks share. Returns the types of the parameters after `self`, and the span of the
/// return type.
fn check_signature<'a>(function: &'a ImplItemFn, who: &str) -> Result<(Vec<&'a Type>, Span)> {
    let signature = &function.sig;
    if let Some(word) = &signature.asyncness {
        return Err(Error::new(
            word.span(),
            format!("{who} cannot be `async`: calls into the host block, and only this actor waits for them"),
        ));
    }
    if let Some(word) = &signature.unsafety {
        return Err(Error::new(word.span(), format!("{who} cannot be `unsafe`")));
    }
    check_generics(&signature.generics, who)?;

    let mut inputs = signature.inputs.iter();
    match inputs.next() {
        Some(FnArg::Receiver(receiver)) if receiver.reference.is_some() && receiver.colon_token.is_none() => {
        }
        Some(FnArg::Receiver(receiver)) => {
            return Err(Error::new(receiver.span(), format!("{who} takes `&self` or `&mut self`")));
        }
        _ => {
            return Err(Error::new(
                signature.ident.span(),
                format!(
                    "{who} takes `&self` or `&mut self`; a function without is not a method: remove its `pub`"
                ),
            ));
        }
    }
    let parameters = inputs
        .filter_map(|input| match input {
            FnArg::Typed(typed) => Some(&*typed.ty),
            FnArg::Receiver(_) => None,
        })
        .collect();
    match &signature.output {
        ReturnType::Type(_, output) => Ok((parameters, output.span())),
        ReturnType::Default => Err(Error::new(
            signature.ident.span(),
            format!("{who} returns a `Result`; `Ok(())` if there is no reply"),
        )),
    }
}

fn check_owned(parameter: &Type, what: &str) -> Result<()> {
    match parameter {
        Type::Reference(_) => {
            Err(Error::new(parameter.span(), format!("{what} is owned: a `String`, say, not a `&str`")))
        }
        Type::ImplTrait(_) => Err(Error::new(parameter.span(), format!("{what} has a named type"))),
        _ => Ok(()),
    }
}
