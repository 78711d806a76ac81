//! A document's fenced blocks.

use super::text;

/// The comments that the tests know.
const MARKS: [&str; 4] = ["tested", "serves", "file: ", "in "];

/// A fenced block: its position, its language, its text, and the comment above it.
pub(super) struct Block {
    pub(super) line: usize,
    pub(super) language: String,
    pub(super) text: String,
    pub(super) mark: String,
}

impl Block {
    /// The text after `word` in its comment.
    pub(super) fn marked(&self, word: &str) -> Option<&str> {
        self.mark.strip_prefix(word)
    }
}

pub(super) fn blocks(document: &str) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    let (mut open, mut mark) = (false, String::new());
    for (index, line) in text(document).lines().enumerate() {
        let line_number = index + 1;
        if let Some(language) = line.strip_prefix("```") {
            if !open {
                let (language, mark) = (language.to_owned(), std::mem::take(&mut mark));
                blocks.push(Block { line: index + 2, language, text: String::new(), mark });
            }
            open = !open;
        } else if open {
            let block = blocks.last_mut().unwrap();
            block.text.push_str(line);
            block.text.push('\n');
        } else {
            assert!(mark.is_empty(), "{document}:{line_number}: a mark without its block");
            let comment = line.strip_prefix("<!-- ").and_then(|rest| rest.strip_suffix(" -->"));
            mark = comment.unwrap_or_default().to_owned();
            let known = mark.is_empty() || MARKS.iter().any(|known| mark.starts_with(known));
            assert!(known, "{document}:{line_number}: an unknown mark `{mark}`");
        }
    }
    assert!(!open, "a block of {document} is not closed");
    blocks
}
