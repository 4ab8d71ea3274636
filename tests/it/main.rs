//! Whole operations through the library: one linked binary.

mod round_trip;
mod support;
