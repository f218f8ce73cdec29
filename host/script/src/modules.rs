//! Imports and exports of a module as statements of a function's body.
//!
//! The text is edited before it is transformed. Edits keep the number of lines, and add nothing before a statement that
//! stays, so that positions remain those of the author.

use oxc::ast::ast::{
    ExportDefaultDeclarationKind, ExportFromDeclaration, ExportSpecifier, ImportDeclaration,
    ImportDeclarationSpecifier, ImportOrExportKind, ModuleExportName, Program, Statement,
};
use oxc::span::{GetSpan as _, Span};

use crate::problem::Problem;
use crate::{SDK, sdk};

/// The statements of a function's body, and what they take from the SDK.
pub(crate) struct Body {
    pub(crate) text: String,
    /// The names that are imported from the SDK, such as `state`. `*` for all of them.
    pub(crate) imported: Vec<String>,
}

/// Rewrites the imports and exports of a module.
pub(crate) fn rewrite(source: &str, program: &Program<'_>) -> Result<Body, Problem> {
    let mut edits = Edits { source, made: Vec::new(), imported: Vec::new(), has_default: false };
    for statement in &program.body {
        edits.take(statement)?;
    }
    if !edits.has_default {
        let message = "it has no default export; end it with `export default agent(MyClass)`";
        return Err(Problem::at(source, 0, message));
    }
    let Edits { made, imported, .. } = edits;
    let mut text = String::with_capacity(source.len());
    let mut from = 0;
    for (span, replacement) in made {
        text.push_str(source.get(from..span.start as usize).unwrap_or_default());
        text.push_str(&replacement);
        let gone = source.get(span.start as usize..span.end as usize).unwrap_or_default();
        text.extend(std::iter::repeat_n('\n', gone.matches('\n').count()));
        from = span.end as usize;
    }
    text.push_str(source.get(from..).unwrap_or_default());
    Ok(Body { text, imported })
}

struct Edits<'a> {
    source: &'a str,
    made: Vec<(Span, String)>,
    imported: Vec<String>,
    has_default: bool,
}

impl Edits<'_> {
    fn problem<T>(&self, span: Span, message: &str) -> Result<T, Problem> {
        Err(Problem::at(self.source, span.start, message))
    }

    /// Notes a default export, of which there is one.
    fn note_default(&mut self, span: Span) -> Result<(), Problem> {
        if std::mem::replace(&mut self.has_default, true) {
            return self.problem(span, "there is a default export before this one; a script has one agent");
        }
        Ok(())
    }

    fn take(&mut self, statement: &Statement<'_>) -> Result<(), Problem> {
        match statement {
            Statement::ImportDeclaration(import) => self.import(import),
            Statement::ExportDefaultDeclaration(export) => {
                self.note_default(export.span)?;
                let declaration = &export.declaration;
                match declaration {
                    ExportDefaultDeclarationKind::FunctionDeclaration(_)
                    | ExportDefaultDeclarationKind::ClassDeclaration(_)
                    | ExportDefaultDeclarationKind::TSInterfaceDeclaration(_) => self.problem(
                        export.span,
                        "the default export is no agent; write `export default agent(MyClass)`",
                    ),
                    _ => {
                        let head = Span::new(export.span.start, declaration.span().start);
                        self.made.push((head, "__daca_exported.agent = ".to_owned()));
                        Ok(())
                    }
                }
            }
            Statement::ExportDeclaration(export) => {
                let head = Span::new(export.span.start, export.declaration.span().start);
                self.made.push((head, String::new()));
                Ok(())
            }
            Statement::ExportNamedDeclaration(export) => {
                let default = export.specifiers.iter().find(|specifier| is_default(specifier));
                if let Some(found) = default {
                    self.note_default(found.span)?;
                }
                let agent = default.map(|found| format!("__daca_exported.agent = {};", found.local.name()));
                self.made.push((export.span, agent.unwrap_or_default()));
                Ok(())
            }
            Statement::ExportFromDeclaration(export) => {
                if exports_types_alone(export) {
                    self.made.push((export.span, String::new()));
                    return Ok(());
                }
                self.problem(export.span, not_exported(&export.source.value))
            }
            Statement::ExportAllDeclaration(export) => {
                if export.export_kind == ImportOrExportKind::Type {
                    self.made.push((export.span, String::new()));
                    return Ok(());
                }
                self.problem(export.span, not_exported(&export.source.value))
            }
            _ => Ok(()),
        }
    }

    fn import(&mut self, import: &ImportDeclaration<'_>) -> Result<(), Problem> {
        if imports_types_alone(import) {
            self.made.push((import.span, String::new()));
            return Ok(());
        }
        if import.source.value != SDK {
            return self.problem(import.source.span, BUNDLE);
        }
        let mut named = Vec::new();
        let mut statement = String::new();
        for specifier in import.specifiers.iter().flatten() {
            match specifier {
                ImportDeclarationSpecifier::ImportSpecifier(it)
                    if it.import_kind == ImportOrExportKind::Type => {}
                ImportDeclarationSpecifier::ImportSpecifier(it) => {
                    let ModuleExportName::IdentifierName(imported) = &it.imported else {
                        return self.problem(it.span, "the SDK has no export of this name");
                    };
                    if sdk::is_type(&imported.name) {
                        continue;
                    }
                    if !sdk::is_value(&imported.name) {
                        return self.problem(it.span, &sdk::lacks(&imported.name));
                    }
                    self.imported.push(imported.name.to_string());
                    named.push(format!("{}: {}", imported.name, it.local.name));
                }
                ImportDeclarationSpecifier::ImportNamespaceSpecifier(it) => {
                    self.imported.push("*".to_owned());
                    statement.push_str(&format!("const {} = __daca_sdk;", it.local.name));
                }
                ImportDeclarationSpecifier::ImportDefaultSpecifier(it) => {
                    return self.problem(
                        it.span,
                        "the SDK has no default export; write `import { agent, state } from \"@daca/sdk\"`",
                    );
                }
            }
        }
        if !named.is_empty() {
            statement.push_str(&format!("const {{ {} }} = __daca_sdk;", named.join(", ")));
        }
        self.made.push((import.span, statement));
        Ok(())
    }
}

const BUNDLE: &str = "a script imports \"@daca/sdk\" alone; make one script of it and its packages with \
                      `daca-js bundle`; for types, write `import type`";

/// Why a script cannot export what another module has.
fn not_exported(from: &str) -> &'static str {
    if from == SDK {
        "a script exports its agent alone, and nothing of the SDK; write `export default agent(MyClass)`"
    } else {
        BUNDLE
    }
}

/// Returns `true` if nothing is left of it without types: `import type { X }`, or `import { type X, type Y }`.
fn imports_types_alone(import: &ImportDeclaration<'_>) -> bool {
    let is_type = |specifier: &ImportDeclarationSpecifier<'_>| match specifier {
        ImportDeclarationSpecifier::ImportSpecifier(it) => it.import_kind == ImportOrExportKind::Type,
        _ => false,
    };
    let named = import.specifiers.as_ref();
    import.import_kind == ImportOrExportKind::Type
        || named.is_some_and(|all| !all.is_empty() && all.iter().all(is_type))
}

/// The same for what another module exports.
fn exports_types_alone(export: &ExportFromDeclaration<'_>) -> bool {
    let named = &export.specifiers;
    export.export_kind == ImportOrExportKind::Type
        || (!named.is_empty() && named.iter().all(|it| it.export_kind == ImportOrExportKind::Type))
}

fn is_default(specifier: &ExportSpecifier<'_>) -> bool {
    specifier.exported.name() == "default"
}
