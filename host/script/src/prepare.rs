//! From a module to the body of a function.

use std::path::Path;
use std::str::Chars;

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
    /// The author's line in which each line of the body begins, counted from 1; 0 for a line that the author did not
    /// write.
    pub lines: Vec<u32>,
    /// Where a line of the body goes on in another line of the author's: the number of the line, the column in bytes,
    /// both counted from 1, and the author's line. In their order.
    pub further: Vec<[u32; 3]>,
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
    let options = ParseOptions { parse_regular_expression: true, ..ParseOptions::default() };
    let parsed = Parser::new(&allocator, source, source_type).with_options(options).parse();
    first_of(source, &parsed.diagnostics)?;
    if let Some(span) = TopLevelAwait::find(&parsed.program) {
        let message = "`await` stands outside of every function; a script is evaluated without waiting";
        return Err(Problem::at(source, span.start, message));
    }
    let analysed = SemanticBuilder::new().with_check_syntax_error(true).build(&parsed.program);
    first_of(source, &analysed.diagnostics)?;
    forbidden::check(source, &parsed.program, analysed.semantic.scoping())?;
    let body = modules::rewrite(source, &parsed.program)?;
    let Printed { text, lines, further } = transform(source_type, &body.text)?;
    Ok(Prepared { body: text, lines, further, imported: body.imported })
}

fn first_of<'a>(source: &str, found: impl IntoIterator<Item = &'a OxcDiagnostic>) -> Result<(), Problem> {
    found.into_iter().next().map_or(Ok(()), |diagnostic| Err(Problem::of(source, diagnostic)))
}

/// Strips the types, and makes generators of async functions.
fn transform(source_type: SourceType, text: &str) -> Result<Printed, Problem> {
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

/// What is printed, and the author's lines of it, as [`Prepared`] has them.
struct Printed {
    text: String,
    lines: Vec<u32>,
    further: Vec<[u32; 3]>,
}

fn print(program: &Program<'_>) -> Printed {
    let options =
        CodegenOptions { source_map_path: Some(Path::new(NAME).to_owned()), ..CodegenOptions::default() };
    let CodegenReturn { code, map, .. } = Codegen::new().with_options(options).build(program);
    let mut lines = vec![0; code.matches('\n').count() + 1];
    let mut further = Vec::new();
    let mut texts = code.split('\n');
    let mut columns = Columns::of("");
    // Tokens are in the order of what is printed. The first line of it is the number 0.
    let (mut at, mut before) = (None, 0);
    for token in map.iter().flat_map(|map| map.get_tokens()) {
        let (printed, line) = (token.get_dst_line(), token.get_src_line() + 1);
        let Some(first) = lines.get_mut(printed as usize) else { continue };
        if at != Some(printed) {
            let skipped = at.map_or(printed, |at| printed.saturating_sub(at + 1));
            columns = Columns::of(texts.nth(skipped as usize).unwrap_or_default());
            at = Some(printed);
        }
        if *first == 0 {
            *first = line;
        } else if line != before {
            further.push([printed + 1, columns.byte_at(token.get_dst_col()) + 1, line]);
        }
        before = line;
    }
    Printed { text: code, lines, further }
}

/// The bytes before the columns of one line. Columns are those of a source map, in UTF-16, and are asked for in their
/// order.
struct Columns<'a> {
    rest: Chars<'a>,
    column: u32,
    bytes: u32,
}

impl<'a> Columns<'a> {
    fn of(text: &'a str) -> Columns<'a> {
        Columns { rest: text.chars(), column: 0, bytes: 0 }
    }

    fn byte_at(&mut self, column: u32) -> u32 {
        while self.column < column
            && let Some(character) = self.rest.next()
        {
            // At most four each.
            self.column += character.len_utf16() as u32;
            self.bytes += character.len_utf8() as u32;
        }
        self.bytes
    }
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
        let Prepared { body, lines, imported, .. } = prepare(&source).expect("it is valid");
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

    /// What the author writes in several lines is printed in one.
    #[test]
    fn a_line_that_goes_on_in_another_one_of_the_authors_says_where() {
        let source = format!(
            "{IMPORT}class C {{\n  M(p: any) {{\n    return \"é😀\" + p.a +\n      p.b.c;\n  }}\n}}\nexport default agent(C);\n"
        );
        let Prepared { body, lines, further, .. } = prepare(&source).expect("it is valid");
        let at = body.lines().position(|line| line.contains("return")).expect("it is in the body");
        assert_eq!(lines[at], 4);
        let column = body.lines().nth(at).and_then(|line| line.find("p.b.c")).expect("it is in the line");
        let found = further.iter().find(|[line, ..]| *line as usize == at + 1);
        assert_eq!(found, Some(&[at as u32 + 1, column as u32 + 1, 5]), "{body}");
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
            ("@sealed class C {}\nexport default agent(C);", 2, 1),
            ("class C { accessor z = 1; }\nexport default agent(C);", 2, 11),
            ("export default agent(class { M() { return import.meta; } });", 2, 43),
            ("using file = open();\nexport default agent(class {});", 2, 1),
            ("export default agent(class { M() { using file = open(); } });", 2, 36),
            ("const q = 1;\nq = 2;\nexport default agent(class {});", 3, 1),
            ("const { q } = {};\nexport default agent(class { M() { q++; } });", 3, 36),
            ("export default agent(class {});\nexport default agent(class {});", 3, 1),
            ("export { nosuch };\nexport default agent(class {});", 2, 10),
        ] {
            let (at, character, message) = problem(&format!("{IMPORT}{source}"));
            assert_eq!((at, character), (line, column), "{source}: {message}");
        }
        assert_eq!(problem(&format!("{IMPORT}\nconst r = /(/;\nexport default agent(class {{}});")).0, 3);
        assert_eq!(problem(IMPORT).0, 1, "there is no agent");
        assert!(problem(&" ".repeat(MAX_SCRIPT as usize + 1)).2.contains("maximum"));
    }

    /// It is kept in the record of a type.
    #[test]
    fn a_problem_is_short_however_long_the_name_is_that_it_quotes() {
        let long = "é".repeat(400 * 1024 / 2);
        for (source, words) in [
            (format!("export {{ {long} }};\nexport default agent(class {{}});"), "does not exist"),
            (format!("const {long} = 1;\n{long}++;\nexport default agent(class {{}});"), "cannot be set"),
            (format!("import {{ {long} }} from \"@daca/sdk\";"), "the SDK has no export"),
            // The parser's own.
            (format!("const {long} = 1;\nconst {long} = 2;\nexport default agent(class {{}});"), "é"),
        ] {
            let (_, _, message) = problem(&format!("{IMPORT}{source}"));
            let bytes = message.len();
            assert!(
                message.contains(words) && message.contains('…') && bytes < 1_100,
                "{bytes}: {message:.99}"
            );
        }
    }

    #[test]
    fn types_of_other_files_are_left_out() {
        let source = |line: &str| format!("{IMPORT}{line}\nexport default agent(class {{ M(it: M) {{}} }});");
        for line in [
            "import { type M } from \"./types\";",
            "import { type M, type N as O } from \"./types\";",
            "export type { M } from \"./types\";",
            "export { type M, type N as O } from \"./types\";",
            "export type * from \"./types\";",
            "export type * as Types from \"./types\";",
            "export type { Schedule } from \"@daca/sdk\";",
        ] {
            let body = prepare(&source(line)).expect(line).body;
            assert!(!body.contains("ypes") && !body.contains("export "), "{line}: {body}");
        }
        for line in [
            "import { M } from \"./types\";",
            "import { type M, n } from \"./types\";",
            "import {} from \"./types\";",
            "export { type M, n } from \"./types\";",
            "export * from \"./types\";",
        ] {
            let (at, _, message) = problem(&source(line));
            assert!(at == 2 && message.ends_with("; for types, write `import type`"), "{line}: {message}");
        }
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
