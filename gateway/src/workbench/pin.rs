//! stub
use super::Finished;
pub(super) fn run(_: &crate::cli::Pin) -> Finished {
    Finished::ok("")
}
