//! What a chat made of another call is for.

use crate::ParamRules;

/// The parts of a call's target that decide what its chat may ask for.
#[derive(Debug, Clone, Copy)]
pub struct ChatTarget<'a> {
    pub rules: &'a ParamRules,
    pub stream: bool,
}
