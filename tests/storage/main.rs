//! The storage layer against real servers: one suite for all stores, what only some of them can show, and the whole program
//! from backup to restore.

mod clouds;
mod conformance;
mod copies;
mod doctor;
mod faults;
mod line;
mod profile;
mod program;
mod real;
mod refusals;
mod stores;
mod trips;
