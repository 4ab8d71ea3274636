//! Whole operations through the library: one linked binary.

mod faults;
mod fetch;
mod folder_to_folder;
mod forge;
mod hostile;
mod many;
mod round_trip;
mod support;
