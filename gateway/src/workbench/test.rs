//! stub
use super::Finished;
pub(super) fn run(_: &crate::cli::Test) -> Finished {
    Finished::ok("")
}
