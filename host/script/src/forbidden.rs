//! What a module must not have, although it is valid: the engine cannot do it, or would do something else.

use oxc::ast::ast::{BindingIdentifier, ImportExpression, Program};
use oxc::ast_visit::Visit;
use oxc::span::Span;

use crate::problem::Problem;

/// The parameters of the function whose body a script becomes. A script that had one of the names would hide it.
const RESERVED: [&str; 3] = ["__daca_exported", "__daca_sdk", "babelHelpers"];

/// Checks a module for it, in all of its functions.
pub(crate) fn check(source: &str, program: &Program<'_>) -> Result<(), Problem> {
    let mut visitor = Forbidden::default();
    visitor.visit_program(program);
    visitor.found.map_or(Ok(()), |(span, message)| Err(Problem::at(source, span.start, message)))
}

#[derive(Default)]
struct Forbidden {
    /// The first one, and what to say of it.
    found: Option<(Span, String)>,
}

impl<'a> Visit<'a> for Forbidden {
    fn visit_binding_identifier(&mut self, it: &BindingIdentifier<'a>) {
        if self.found.is_none() && RESERVED.contains(&it.name.as_str()) {
            let message = format!("the name `{}` is reserved for the host; choose another one", it.name);
            self.found = Some((it.span, message));
        }
    }

    fn visit_import_expression(&mut self, it: &ImportExpression<'a>) {
        if self.found.is_none() {
            let message = "`import()` loads nothing here: a script is one file; make one of it and its packages with \
                           `daca-js bundle`";
            self.found = Some((it.span, message.to_owned()));
        }
    }
}
