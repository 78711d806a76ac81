//! Files that operators write: the config and its environment file.

use super::bounds::in_proportion;
use callgate_config::fuzzing as config;

pub(super) const CONFIG_TOKENS: &[&[u8]] = &[
    b"model_list:\n",
    b"  - model_name: gpt\n",
    b"    litellm_params:\n      model: openai/gpt-4o\n",
    b"      api_key: os.environ/OPENAI_API_KEY\n",
    b"litellm_settings:\n",
    b"  callbacks: [rate_limit]\n",
    b"callback_settings:\n",
    b"general_settings:\n  master_key: sk-1\n",
    b"router_settings:\n",
    b"callgate:\n",
    b"environment_variables:\n  A: b\n",
    b"${OPENAI_API_KEY}",
    b"os.environ/UNSET",
    b"&a ",
    b"*a",
    b"<<: *a\n",
    b"!!str ",
    b"|\n",
    b">-\n",
    b"{",
    b"}",
    b"[",
    b"]",
    b": ",
    b"- ",
    b"? ",
    b"\"",
    b"'",
    b"#",
    b"\t",
    b"---\n",
    b"...\n",
    b"%YAML 1.2\n",
    b"\xef\xbb\xbf",
    b"\r\n",
    b"null",
    b"~",
    b"1e999",
    b"0x10",
    b"yes",
    b"&a [*a]",
    b"\xe2\x80\xa8",
    b"  limits: {max_body_bytes: 1MB}\n",
    b"  trusted_proxies: [10.0.0.0/8]\n",
    b"  cors: {allow_origins: ['*']}\n",
];

pub(super) fn config(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let lines = lines_of(text);
    // All aliases of a file together may copy a fixed amount.
    let aliases = if text.contains(['*', '<']) { 24 * 1024 } else { 0 };
    for strict in [false, true] {
        let (refused, told) =
            in_proportion(aliases + input.len(), 2048, || config::config(text, strict));
        assert!(!refused || !told.is_empty(), "refused without a reason");
        for (line, column, words) in told {
            placed(&lines, line, column, &words);
        }
    }
}

pub(super) const DOTENV_TOKENS: &[&[u8]] = &[
    b"A=b\n",
    b"export ",
    b"=",
    b"'",
    b"\"",
    b"\\",
    b"\\n",
    b"$",
    b"${A}",
    b"${",
    b"}",
    b"#",
    b"\r\n",
    b"\n",
    b" ",
    b"\xef\xbb\xbf",
    b"\x00",
    b"\\$",
    b"$A",
    b"A='x\ny'\n",
    b"KEY: v\n",
    b"\xc2\xa0",
    b"\t",
];

pub(super) fn dotenv(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    match in_proportion(input.len(), 512, || config::dotenv(text)) {
        Ok(variables) => {
            for (name, _) in variables {
                assert!(!name.is_empty() && text.contains(&name), "a name from nowhere: {name}");
            }
        }
        Err((line, column, words)) => placed(&lines_of(text), line, column, &words),
    }
}

/// Splits at a line feed, a carriage return, or both.
fn lines_of(text: &str) -> Vec<&str> {
    text.split(['\n', '\r']).collect()
}

/// Checks that a location is in the file, or stands for the whole file.
#[track_caller]
fn placed(lines: &[&str], line: usize, column: usize, words: &str) {
    assert!(words.lines().count() <= 1, "more than a line: {words:?}");
    if line == 0 {
        assert_eq!(column, 0, "{words}");
        return;
    }
    assert!(line <= lines.len(), "line {line} of {}: {words}", lines.len());
    let longest = lines.iter().map(|line| line.chars().count()).max().unwrap_or_default();
    assert!((1..=longest + 1).contains(&column), "column {column} of {longest}: {words}");
}
