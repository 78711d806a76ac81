//! Parses YAML text into a tree with positions. Positions, anchors, aliases and merge keys come
//! from `saphyr-parser`'s events; `serde_yaml` decides the type of a plain scalar, with YAML 1.1's
//! `yes`/`no`/`on`/`off` in addition, as LiteLLM configs expect. Limits on size, depth and alias
//! expansion stop hostile files. `config::load` calls it; the meaning of keys is not known here.

mod build;
mod flow_indent;
mod node;
#[cfg(test)]
mod tests;

pub(super) use build::parse;
pub(super) use node::{Entry, Kind, Mark, Node, Scalar, Typed};
