//! Settings: from the command line, the environment, a profile, and defaults, in this order.
//!
//! [`profile`] reads the TOML file, [`settings`] lays it under what was typed, [`show`] is `config show`.

pub mod error;
pub mod origin;
pub mod profile;
pub mod settings;
pub mod show;

pub use settings::Settings;
pub use show::Action;
