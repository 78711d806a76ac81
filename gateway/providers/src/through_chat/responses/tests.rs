//! Requests and answers as OpenAI's documentation writes them, both ways.

#[expect(clippy::needless_pass_by_value, reason = "`json!` stands where it is given")]
mod answers;
#[expect(clippy::needless_pass_by_value, reason = "`json!` stands where it is given")]
mod requests;

use crate::{CallKind, Echo};

const KIND: CallKind = CallKind::Responses;

fn echo() -> Echo {
    Echo { id: "u1".into(), created: 1, model: "asked".into() }
}
