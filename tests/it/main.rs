//! Tests of the whole library, linked once.

mod desktop_export;
mod desktop_html;
mod desktop_html_import;
