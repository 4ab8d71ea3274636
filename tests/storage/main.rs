//! The storage layer against real servers: one suite for all stores, and what only some of them can show.

mod clouds;
mod conformance;
mod faults;
mod line;
mod stores;
