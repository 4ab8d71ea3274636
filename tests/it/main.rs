//! Tests of the whole library, linked once.

mod desktop_export;
