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
    ES2017Options, ES2018Options, EnvOptions, HelperLoaderMode, HelperLoaderOptions, TransformOptions, Transformer,
};

use crate::modules;

/// A script that the engine can evaluate.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Prepared {
    /// The body of a function of `sdk`, `exported` and `babelHelpers`.
    pub body: String,
    /// The author's line of each line of the body, counted from 1; 0 for a line that the author did not write.
    pub lines: Vec<u32>,
    /// The names that the script imports from the SDK; `*` for all of them.
    pub imported: Vec<String>,
}

/// What is wrong with a script, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, serde::Serialize, serde::Deserialize)]
#[error("{line}:{column}: {message}")]
pub struct Problem {
    /// Counted from 1.
    pub line: u32,
    /// Counted from 1, in characters.
    pub column: u32,
    /// For people.
    pub message: String,
}

impl Problem {
    /// A problem at a byte of the source.
    pub(crate) fn at(source: &str, offset: u32, message: impl Into<String>) -> Problem {
        let mut end = (offset as usize).min(source.len());
        while !source.is_char_boundary(end) {
            end -= 1;
        }
        let before = source.get(..end).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        let count = |number| u32::try_from(number).unwrap_or(u32::MAX);
        Problem { line: count(line), column: count(column), message: message.into() }
    }

    fn of(source: &str, diagnostic: &OxcDiagnostic) -> Problem {
        let offset = diagnostic.labels.iter().next().map_or(0, |label| label.span().start);
        let help = diagnostic.help.as_ref().map(|help| format!(" ({help})")).unwrap_or_default();
        Problem::at(source, offset, format!("{}{help}", diagnostic.message))
    }
}

/// Prepares a script. `name` is that of its file, such as `chat_agent.ts`: its end says whether it has types.
///
/// Recursive: its stack grows with the depth of the script.
pub fn prepare(name: &str, source: &str) -> Result<Prepared, Problem> {
    let source_type = source_type(name);
    let allocator = Allocator::default();
    let parsed = Parser::new(&allocator, source, source_type).parse();
    first_of(source, &parsed.diagnostics)?;
    if let Some(span) = TopLevelAwait::find(&parsed.program) {
        let message = "`await` stands outside of every function; a script is evaluated without waiting";
        return Err(Problem::at(source, span.start, message));
    }
    let body = modules::rewrite(source, &parsed.program)?;
    transform(name, source_type, &body.text).map(|(text, lines)| Prepared { body: text, lines, imported: body.imported })
}

/// JavaScript, or TypeScript, as a module.
fn source_type(name: &str) -> SourceType {
    if name.ends_with(".ts") || name.ends_with(".mts") { SourceType::ts() } else { SourceType::mjs() }
}

fn first_of<'a>(source: &str, found: impl IntoIterator<Item = &'a OxcDiagnostic>) -> Result<(), Problem> {
    found.into_iter().next().map_or(Ok(()), |diagnostic| Err(Problem::of(source, diagnostic)))
}

/// Strips the types, and makes generators of async functions.
fn transform(name: &str, source_type: SourceType, text: &str) -> Result<(String, Vec<u32>), Problem> {
    let allocator = Allocator::default();
    let options = ParseOptions { allow_return_outside_function: true, ..ParseOptions::default() };
    let parsed = Parser::new(&allocator, text, source_type).with_options(options).parse();
    first_of(text, &parsed.diagnostics)?;
    let mut program = parsed.program;
    let analysed = SemanticBuilder::new().with_check_syntax_error(true).with_enum_eval(true).build(&program);
    first_of(text, &analysed.diagnostics)?;
    let scoping = analysed.semantic.into_scoping();
    let options = TransformOptions {
        env: EnvOptions {
            es2017: ES2017Options { async_to_generator: true },
            es2018: ES2018Options { async_generator_functions: true, ..ES2018Options::default() },
            ..EnvOptions::default()
        },
        helper_loader: HelperLoaderOptions { mode: HelperLoaderMode::External, ..HelperLoaderOptions::default() },
        ..TransformOptions::default()
    };
    let done = Transformer::new(&allocator, Path::new(name), &options).build_with_scoping(scoping, &mut program);
    first_of(text, &done.diagnostics)?;
    Ok(print(name, &program))
}

fn print(name: &str, program: &Program<'_>) -> (String, Vec<u32>) {
    let options = CodegenOptions { source_map_path: Some(Path::new(name).to_owned()), ..CodegenOptions::default() };
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
