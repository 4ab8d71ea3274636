//! Whole operations through the library: one linked binary.

mod desktop_export;
mod desktop_html;
mod desktop_html_import;
mod desktop_import;
mod round_trip;
mod support;
