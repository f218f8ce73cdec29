//! From a module to the body of a function.

use std::path::Path;

use oxc::allocator::Allocator;
use oxc::ast::ast::{ArrowFunctionExpression, AwaitExpression, ForOfStatement, Function, Program};
use oxc::ast_visit::{Visit, walk};
use oxc::codegen::{Codegen, CodegenOptions, CodegenReturn};
use oxc::diagnostics::OxcDiagnostic;
use oxc::parser::{ParseOptions, Parser};
use oxc::semantic::{ScopeFlags, SemanticBuilder};
use oxc::span::{SourceType, Span};
use oxc::transformer::{
    ES2017Options, ES2018Options, EnvOptions, HelperLoaderMode, HelperLoaderOptions, TransformOptions,
    Transformer,
};

use crate::problem::Problem;
use crate::{MAX_SCRIPT, forbidden, modules};

/// The name of the file for the transformer, which does not appear in what it makes.
const NAME: &str = "script.ts";

/// A script that the engine can evaluate.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Prepared {
    /// The body of a function of `__daca_sdk`, `__daca_exported` and `babelHelpers`.
    pub body: String,
    /// The author's line of each line of the body, counted from 1; 0 for a line that the author did not write.
    pub lines: Vec<u32>,
    /// The names that the script imports from the SDK; `*` for all of them.
    pub imported: Vec<String>,
}

/// Prepares a script. JavaScript is read as TypeScript without types.
///
/// Recursive: its stack grows with the depth of the script.
pub fn prepare(source: &str) -> Result<Prepared, Problem> {
    if source.len() as u64 > MAX_SCRIPT {
        return Err(Problem::at(
            source,
            0,
            format!("it has {} bytes; the maximum is {MAX_SCRIPT}", source.len()),
        ));
    }
    let source_type = SourceType::ts();
    let allocator = Allocator::default();
    let parsed = Parser::new(&allocator, source, source_type).parse();
    first_of(source, &parsed.diagnostics)?;
    if let Some(span) = TopLevelAwait::find(&parsed.program) {
        let message = "`await` stands outside of every function; a script is evaluated without waiting";
        return Err(Problem::at(source, span.start, message));
    }
    forbidden::check(source, &parsed.program)?;
    let body = modules::rewrite(source, &parsed.program)?;
    transform(source_type, &body.text).map(|(text, lines)| Prepared {
        body: text,
        lines,
        imported: body.imported,
    })
}

fn first_of<'a>(source: &str, found: impl IntoIterator<Item = &'a OxcDiagnostic>) -> Result<(), Problem> {
    found.into_iter().next().map_or(Ok(()), |diagnostic| Err(Problem::of(source, diagnostic)))
}

/// Strips the types, and makes generators of async functions.
fn transform(source_type: SourceType, text: &str) -> Result<(String, Vec<u32>), Problem> {
    let allocator = Allocator::default();
    let options = ParseOptions { allow_return_outside_function: true, ..ParseOptions::default() };
    let parsed = Parser::new(&allocator, text, source_type).with_options(options).parse();
    first_of(text, &parsed.diagnostics)?;
    let mut program = parsed.program;
    // It is none within a function.
    program.hashbang = None;
    let analysed = SemanticBuilder::new().with_check_syntax_error(true).with_enum_eval(true).build(&program);
    first_of(text, &analysed.diagnostics)?;
    let scoping = analysed.semantic.into_scoping();
    let options = TransformOptions {
        env: EnvOptions {
            es2017: ES2017Options { async_to_generator: true },
            es2018: ES2018Options { async_generator_functions: true, ..ES2018Options::default() },
            ..EnvOptions::default()
        },
        helper_loader: HelperLoaderOptions {
            mode: HelperLoaderMode::External,
            ..HelperLoaderOptions::default()
        },
        ..TransformOptions::default()
    };
    let done =
        Transformer::new(&allocator, Path::new(NAME), &options).build_with_scoping(scoping, &mut program);
    first_of(text, &done.diagnostics)?;
    Ok(print(&program))
}

fn print(program: &Program<'_>) -> (String, Vec<u32>) {
    let options =
        CodegenOptions { source_map_path: Some(Path::new(NAME).to_owned()), ..CodegenOptions::default() };
    let CodegenReturn { code, map, .. } = Codegen::new().with_options(options).build(program);
    let mut lines = vec![0; code.matches('\n').count() + 1];
    for token in map.iter().flat_map(|map| map.get_tokens()) {
        if let Some(line @ 0) = lines.get_mut(token.get_dst_line() as usize) {
            *line = token.get_src_line() + 1;
        }
    }
    (code, lines)
}

/// Finds an `await` outside of all functions.
#[derive(Default)]
struct TopLevelAwait {
    found: Option<Span>,
}

impl TopLevelAwait {
    fn find(program: &Program<'_>) -> Option<Span> {
        let mut visitor = TopLevelAwait::default();
        visitor.visit_program(program);
        visitor.found
    }
}

impl<'a> Visit<'a> for TopLevelAwait {
    fn visit_function(&mut self, _: &Function<'a>, _: ScopeFlags) {}

    fn visit_arrow_function_expression(&mut self, _: &ArrowFunctionExpression<'a>) {}

    fn visit_await_expression(&mut self, it: &AwaitExpression<'a>) {
        self.found = self.found.or(Some(it.span));
    }

    fn visit_for_of_statement(&mut self, it: &ForOfStatement<'a>) {
        match it.r#await {
            true => self.found = self.found.or(Some(it.span)),
            false => walk::walk_for_of_statement(self, it),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IMPORT: &str = "import { agent, state, type AgentOptions } from \"@daca/sdk\";\n";

    fn problem(source: &str) -> (u32, u32, String) {
        let Problem { line, column, message } = prepare(source).expect_err("a problem");
        (line, column, message)
    }

    #[test]
    fn a_module_becomes_a_body_with_the_authors_lines() {
        let source = format!(
            "{IMPORT}import type {{ X }} from \"./x\";\nenum Kind {{ A }}\nclass C {{\n  async M(x: X): Promise<Kind> {{\n    return await x as Kind;\n  }}\n}}\nexport default agent(C);\n"
        );
        let Prepared { body, lines, imported } = prepare(&source).expect("it is valid");
        assert_eq!(imported, ["agent", "state"]);
        assert!(body.starts_with("const { agent, state } = __daca_sdk;"), "{body}");
        assert!(
            !body.contains("async ")
                && !body.contains("Promise<")
                && body.contains("__daca_exported.agent = agent(C)")
        );
        let line_of = |text: &str| {
            let found = body.lines().position(|line| line.contains(text)).expect("it is in the body");
            lines[found]
        };
        assert_eq!((line_of("class C"), line_of("yield x"), line_of("__daca_exported.agent")), (4, 6, 9));
    }

    #[test]
    fn problems_have_the_authors_line_and_column() {
        assert_eq!(problem(&format!("{IMPORT}class C {{ m( {{ }}")).0, 2);
        for (source, line, column) in [
            ("import { z } from \"zod\";", 2, 19),
            ("import { Invalid,\n  Schedule, stat } from \"@daca/sdk\";", 3, 13),
            ("import { default as sdk } from \"@daca/sdk\";", 2, 10),
            ("export { x } from \"./x.js\";", 2, 1),
            ("\nawait 1;\nexport default agent(class {});", 3, 1),
            ("export default class {}", 2, 1),
            ("const m = async () => await import(\"zod\");\nexport default agent(class {});", 2, 29),
            ("class babelHelpers {}\nexport default agent(class {});", 2, 7),
            ("function f({ x: [__daca_sdk] }) {}\nexport default agent(class {});", 2, 18),
            ("const é = 1; const é = 2; export default agent(class {});", 2, 7),
        ] {
            let (at, character, message) = problem(&format!("{IMPORT}{source}"));
            assert_eq!((at, character), (line, column), "{source}: {message}");
        }
        assert_eq!(problem(IMPORT).0, 1, "there is no agent");
        assert!(problem(&" ".repeat(MAX_SCRIPT as usize + 1)).2.contains("maximum"));
    }

    #[test]
    fn a_script_may_begin_as_a_command_does() {
        let source = format!("#!/usr/bin/env node\n{IMPORT}export default agent(class {{}});");
        let Prepared { body, lines, .. } = prepare(&source).expect("it is valid");
        assert!(body.starts_with("const { agent"), "{body}");
        assert_eq!(lines.first(), Some(&2));
    }

    #[test]
    fn the_sdk_is_not_exported_again() {
        let (line, _, message) = problem(&format!("{IMPORT}export * from \"@daca/sdk\";"));
        assert!(line == 2 && message.contains("nothing of the SDK"), "{message}");
    }

    #[test]
    fn every_form_of_a_default_export_is_the_agent() {
        for end in ["export default agent(C);", "export { d as default };", "export { d as default, C };"] {
            let body =
                prepare(&format!("{IMPORT}class C {{}}\nconst d = agent(C);\n{end}")).expect("valid").body;
            assert!(body.contains("__daca_exported.agent = "), "{body}");
            assert!(!body.contains("export "), "{body}");
        }
    }
}
