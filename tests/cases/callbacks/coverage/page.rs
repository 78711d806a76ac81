//! Writes `docs/hook-coverage.md` from the observations. A run compares the page with the committed
//! one; with `CALLGATE_UPDATE_DOCS=1` it replaces it.

use super::{
    Findings,
    paths::{CHATS, OTHERS},
    table::{Cell, Position, Row, Tokens, rows},
};
use callgate_tests::build;
use std::{fmt::Write as _, fs};

const UPDATE: &str = "CALLGATE_UPDATE_DOCS";

const HEAD: &str = "\
# Which hooks run

A callback that let a call pass gets exactly one of `on_llm_end` and `on_llm_error` for it, however the call ends. These tables show the
hooks case by case. They are the result of a test, not a promise. The test makes every call against the real gateway, with callbacks that
record their hooks, and fails if this page differs from the record.

";

const NOTES: &str = "
How to read a row: `1` means that the hook runs once, `–` that it does not run. `each` means that `on_llm_new_token` runs once for each chunk the client gets,
and `each + 1` once more for the chunk that was refused. If `on_llm_start` of a callback refuses, answers or fails, later callbacks never see the call.
`on_llm_during` is not shown: it runs at most once, for a call that goes to an upstream, and a callback that has it runs the same other hooks.
A callback runs fewer hooks if it lacks some, or if its `only` excludes the call. An empty cell marks a case that cannot happen.

";

/// Compares the page with the observations, or replaces it.
pub(super) fn check(findings: &Findings) {
    let (page, path) = (page(findings), build::repository().join("docs/hook-coverage.md"));
    if std::env::var_os(UPDATE).is_some_and(|value| value == "1") {
        fs::write(&path, page).unwrap();
        return;
    }
    let written = fs::read_to_string(&path).unwrap_or_default();
    let remedy = format!("with {UPDATE}=1 this test rewrites it");
    assert!(written == page, "{} is not what was seen; {remedy}:\n{page}", path.display());
}

fn page(findings: &Findings) -> String {
    let paths = CHATS.map(|path| format!("`POST {path}`")).join(", ");
    let others = OTHERS.map(|(path, ..)| format!("`POST {path}`")).join(", ");
    let mut page = String::from(HEAD);
    let _ = writeln!(
        page,
        "Every row was the same in all combinations of these:\n\n\
         - paths: {paths};\n\
         - providers: OpenAI's dialect, Groq's, Ollama's own;\n\
         - other kinds of calls, in the forms that they have, each at a provider that serves it: {others}; `/v1/messages` and `/v1/completions` also at a model that gets chats in their place; without the rows\
         \n  that are about chats, completions, messages and responses alone (`mock_response`, and callbacks that answer with a text or a stream);\n\
         - callbacks: sync, async, and sync with `mode: blocking`; the callback that waits is async."
    );
    page.push_str(NOTES);
    let (decided, others): (Vec<_>, Vec<_>) =
        rows().into_iter().partition(|row| row.acts.is_some());
    page.push_str(
        "## Calls that no callback decides\n\nEvery callback in the list runs the same hooks.\n\n",
    );
    table(&mut page, &others, &[(Position::Before, "")], findings);
    page.push_str("\n## Calls that a callback decides\n\nThe rows give the position of a callback in the list relative to the one that decides.\n\n");
    let places = [
        (Position::Before, "before it"),
        (Position::Acting, "itself"),
        (Position::Behind, "after it"),
    ];
    table(&mut page, &decided, &places, findings);
    page
}

fn table(page: &mut String, rows: &[Row], places: &[(Position, &str)], findings: &Findings) {
    let several = places.len() > 1;
    let place_title = if several { " callback |" } else { "" };
    let hooks = "start | new_token | end | error |";
    let _ =
        writeln!(page, "| situation |{place_title} JSON: start | end | error | stream: {hooks}");
    let columns = if several { 9 } else { 8 };
    let _ = writeln!(page, "|{}", "---|".repeat(columns));
    for row in rows {
        for (index, (position, place)) in places.iter().enumerate() {
            let what = if index == 0 { row.what } else { "" };
            let place = if several { format!(" {place} |") } else { String::new() };
            let cells = [json(findings, row, *position), stream(findings, row, *position)].concat();
            let _ = writeln!(page, "| {what} |{place} {} |", cells.join(" | "));
        }
    }
}

fn json(findings: &Findings, row: &Row, position: Position) -> Vec<String> {
    // A JSON reply has no chunks; an observed one fails the comparison before.
    columns(findings, row, position, false, &[start, end, error])
}

fn stream(findings: &Findings, row: &Row, position: Position) -> Vec<String> {
    columns(findings, row, position, true, &[start, tokens, end, error])
}

fn columns(
    findings: &Findings,
    row: &Row,
    position: Position,
    stream: bool,
    columns: &[fn(&Cell) -> String],
) -> Vec<String> {
    let Some(cells) = findings.get(&(row.what, position, stream)) else {
        return vec![String::new(); columns.len()];
    };
    let text =
        |column: &fn(&Cell) -> String| cells.iter().map(column).collect::<Vec<_>>().join(" or ");
    columns.iter().map(text).collect()
}

fn start(cell: &Cell) -> String {
    times(cell.start)
}

fn end(cell: &Cell) -> String {
    times(cell.end)
}

fn error(cell: &Cell) -> String {
    times(cell.error)
}

fn times(count: usize) -> String {
    if count == 0 { "–".to_owned() } else { count.to_string() }
}

fn tokens(cell: &Cell) -> String {
    match cell.tokens {
        Tokens::None => "–".to_owned(),
        Tokens::Each => "each".to_owned(),
        Tokens::EachAndOne => "each + 1".to_owned(),
        Tokens::Other { hooks, chunks } => format!("{hooks} for {chunks} chunks"),
    }
}
