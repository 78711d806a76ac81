//! `callgate plugin …`, and what `make install` leaves.

mod install;
mod plugin_tools;
