//! The documents, and the order of the sources.

mod documents;
mod tidy;
