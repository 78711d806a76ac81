//! Requests and answers as Anthropic's documentation writes them, both ways.

#[expect(clippy::needless_pass_by_value, reason = "`json!` stands where it is given")]
mod answers;
#[expect(clippy::needless_pass_by_value, reason = "`json!` stands where it is given")]
mod requests;

use crate::{CallKind, Echo};

const KIND: CallKind = CallKind::Messages;

fn echo() -> Echo {
    Echo { id: "chatcmpl-1".into(), created: 1, model: "asked".into() }
}
