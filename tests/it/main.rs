//! Whole operations through the library: one linked binary.

mod bad_input;
mod browser;
mod changing;
mod chats;
mod desktop_export;
mod desktop_html;
mod desktop_html_import;
mod desktop_import;
mod faults;
mod fetch;
mod flips;
mod folder_to_folder;
mod forge;
mod golden;
mod hostile;
mod imports;
mod kill;
mod long_files;
mod many;
mod restore_as;
mod restore_records;
mod round_trip;
mod support;
mod trees;
mod trust;
mod verification;
