//! Whole operations through the library: one linked binary.

mod folder_to_folder;
mod round_trip;
mod support;
