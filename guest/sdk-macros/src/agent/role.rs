//! The attributes of functions: the role that each gives.

use proc_macro2::Span;
use syn::ext::IdentExt;
use syn::spanned::Spanned;
use syn::{Attribute, Error, Expr, Ident, ImplItemFn, LitStr, Meta, Result};

use super::errors::Errors;

/// The maximum length of a schema's label in bytes; the host rejects longer ones.
const MAX_LABEL: usize = 64;

/// The role that one of our attributes gives a function.
pub(super) enum Role {
    Method(LitStr),
    Activate,
    Deactivate,
    Reminder,
    Timer,
    EffectFailed,
    Migrate(Box<MigrateAttributes>),
}

/// The arguments of `#[migrate(…)]`.
pub(crate) struct MigrateAttributes {
    /// The label of the schema after the migration.
    pub(crate) to: LitStr,
    /// The keys that the function reads.
    pub(crate) keys: Expr,
}

/// Removes our attribute from a function, if there is one.
pub(super) fn take_role(function: &mut ImplItemFn) -> Result<Option<Role>> {
    let mut role: Option<(Span, Role)> = None;
    let mut errors = Errors::default();
    // All of ours are removed even when one is wrong. Otherwise rustc would report them as unknown.
    function.attrs.retain(|attribute| match read_role(attribute) {
        Ok(None) => true,
        Ok(Some(new)) => {
            if role.is_some() {
                errors.note(Err(Error::new(attribute.span(), "a function is one of these, not two")));
            }
            role = Some((attribute.span(), new));
            false
        }
        Err(error) => {
            errors.note(Err(error));
            false
        }
    });
    if let Some((span, role)) = &role
        && !matches!(role, Role::Method(_))
        && function.attrs.iter().any(|a| a.path().is_ident("cfg"))
    {
        errors.note(Err(Error::new(*span, "a hook cannot be under `cfg`; code inside it can")));
    }
    errors.into_result()?;
    Ok(role.map(|(_, role)| role))
}

fn read_role(attribute: &Attribute) -> Result<Option<Role>> {
    let path = attribute.path();
    let role = if path.is_ident("method") {
        return read_name(attribute).map(|name| Some(Role::Method(name)));
    } else if path.is_ident("activate") {
        Role::Activate
    } else if path.is_ident("deactivate") {
        Role::Deactivate
    } else if path.is_ident("reminder") {
        Role::Reminder
    } else if path.is_ident("timer") {
        Role::Timer
    } else if path.is_ident("effect_failed") {
        Role::EffectFailed
    } else if path.is_ident("migrate") {
        return read_migrate_attributes(attribute)
            .map(|attributes| Some(Role::Migrate(Box::new(attributes))));
    } else {
        return Ok(None);
    };
    match attribute.meta {
        Meta::Path(_) => Ok(Some(role)),
        _ => Err(Error::new(attribute.span(), "this attribute takes no arguments")),
    }
}

fn read_name(attribute: &Attribute) -> Result<LitStr> {
    let usage = "write `#[method(name = \"…\")]`";
    let Meta::List(_) = attribute.meta else {
        return Err(Error::new(attribute.span(), usage));
    };
    let mut name = None;
    attribute.parse_nested_meta(|meta| {
        if !meta.path.is_ident("name") || name.is_some() {
            return Err(meta.error(usage));
        }
        name = Some(meta.value()?.parse::<LitStr>()?);
        Ok(())
    })?;
    let name = name.ok_or_else(|| Error::new(attribute.span(), usage))?;
    // It is a segment of a URL's path, for Dapr and for people.
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    if name.value().is_empty() || !name.value().chars().all(fits) {
        return Err(Error::new(name.span(), "a method's name is made of letters, digits, `_`, `-` and `.`"));
    }
    Ok(name)
}

fn read_migrate_attributes(attribute: &Attribute) -> Result<MigrateAttributes> {
    let usage = "write `#[migrate(to = \"LABEL\", keys = [\"KEY\"])]`";
    let Meta::List(_) = attribute.meta else {
        return Err(Error::new(attribute.span(), usage));
    };
    let mut to = None;
    let mut keys = None;
    attribute.parse_nested_meta(|meta| {
        if meta.path.is_ident("to") && to.is_none() {
            to = Some(meta.value()?.parse::<LitStr>()?);
        } else if meta.path.is_ident("keys") && keys.is_none() {
            keys = Some(meta.value()?.parse::<Expr>()?);
        } else {
            return Err(meta.error(usage));
        }
        Ok(())
    })?;
    let (Some(to), Some(keys)) = (to, keys) else {
        return Err(Error::new(attribute.span(), usage));
    };
    let label = to.value();
    if label.is_empty() || label.len() > MAX_LABEL || label.chars().any(char::is_control) {
        let text = format!("a label has 1 to {MAX_LABEL} bytes and no control characters");
        return Err(Error::new(to.span(), text));
    }
    Ok(MigrateAttributes { to, keys })
}

pub(super) fn pascal_case(ident: &Ident) -> Result<LitStr> {
    let mut name = String::new();
    for word in ident.unraw().to_string().split('_') {
        let mut letters = word.chars();
        name.extend(letters.next().map(|c| c.to_ascii_uppercase()));
        name.push_str(letters.as_str());
    }
    if !name.is_ascii() {
        return Err(Error::new(ident.span(), "give this method a plain name with `#[method(name = \"…\")]`"));
    }
    Ok(LitStr::new(&name, ident.span()))
}
