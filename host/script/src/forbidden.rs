//! What a module must not have, although it is valid: the engine cannot do it, or would do something else.

use oxc::ast::ast::{
    AccessorProperty, BindingIdentifier, Decorator, ExportSpecifier, IdentifierReference, ImportExpression,
    ImportMeta, ModuleExportName, Program, VariableDeclaration,
};
use oxc::ast_visit::{Visit, walk};
use oxc::semantic::Scoping;
use oxc::span::Span;

use crate::problem::{Problem, quoted};

/// The parameters of the function whose body a script becomes. A script that had one of the names would hide it.
const RESERVED: [&str; 3] = ["__daca_exported", "__daca_sdk", "babelHelpers"];

/// Checks a module for it, in all of its functions. `scoping` is that of the program.
pub(crate) fn check(source: &str, program: &Program<'_>, scoping: &Scoping) -> Result<(), Problem> {
    let mut visitor = Forbidden { scoping, found: None };
    visitor.visit_program(program);
    visitor.found.map_or(Ok(()), |(span, message)| Err(Problem::at(source, span.start, message)))
}

struct Forbidden<'s> {
    scoping: &'s Scoping,
    /// The first one, and what to say of it.
    found: Option<(Span, String)>,
}

impl Forbidden<'_> {
    fn find(&mut self, span: Span, message: impl Into<String>) {
        if self.found.is_none() {
            self.found = Some((span, message.into()));
        }
    }

    /// Returns `true` if a constant is set by it: a fault of which the engine would name another line, once it happens.
    fn sets_constant(&self, it: &IdentifierReference<'_>) -> bool {
        let Some(id) = it.reference_id.get() else { return false };
        let reference = self.scoping.get_reference(id);
        let symbol = reference.symbol_id();
        reference.is_write()
            && symbol.is_some_and(|symbol| self.scoping.symbol_flags(symbol).is_const_variable())
    }

    fn exists(&self, it: &IdentifierReference<'_>) -> bool {
        let id = it.reference_id.get();
        id.is_none_or(|id| self.scoping.get_reference(id).symbol_id().is_some())
    }
}

impl<'a> Visit<'a> for Forbidden<'_> {
    fn visit_binding_identifier(&mut self, it: &BindingIdentifier<'a>) {
        if RESERVED.contains(&it.name.as_str()) {
            self.find(it.span, format!("the name `{}` is reserved for the host; choose another", it.name));
        }
    }

    fn visit_identifier_reference(&mut self, it: &IdentifierReference<'a>) {
        if self.sets_constant(it) {
            let name = quoted(it.name.as_str());
            self.find(it.span, format!("`{name}` is a constant, and cannot be set"));
        }
    }

    fn visit_export_specifier(&mut self, it: &ExportSpecifier<'a>) {
        if let ModuleExportName::IdentifierReference(local) = &it.local
            && !self.exists(local)
        {
            let name = quoted(local.name.as_str());
            self.find(local.span, format!("`{name}` is exported, and does not exist"));
        }
    }

    fn visit_import_expression(&mut self, it: &ImportExpression<'a>) {
        let message = "`import()` loads nothing here: a script is one file; make one of it and its packages with \
                       `daca-js bundle`";
        self.find(it.span, message);
    }

    fn visit_import_meta(&mut self, it: &ImportMeta) {
        self.find(it.span, "a script has no `import.meta`: to the engine it is a text, and no file");
    }

    fn visit_decorator(&mut self, it: &Decorator<'a>) {
        self.find(it.span, "the engine has no decorators; call the function that the decorator is instead");
    }

    fn visit_accessor_property(&mut self, it: &AccessorProperty<'a>) {
        self.find(it.span, "the engine has no `accessor`; write a field, or a getter and a setter");
    }

    fn visit_variable_declaration(&mut self, it: &VariableDeclaration<'a>) {
        if it.kind.is_using() {
            self.find(it.span, "the engine has no `using`; write `const` with `try` and `finally`");
        }
        walk::walk_variable_declaration(self, it);
    }
}
