//! Settings: from the command line, the environment, a profile, and defaults, in this order.
//!
//! [`profile`] reads the TOML file, with [`sources`], [`alerts`], [`retention`], [`prices`] and [`values`] in it; [`settings`] lays it under what was typed; [`store`] says how a
//! vault's store is reached; [`show`] and [`check`] are `config show` and `config check`.

pub mod alerts;
pub mod check;
pub mod error;
pub mod origin;
pub mod prices;
pub mod profile;
pub mod retention;
pub mod settings;
pub mod show;
pub mod sources;
pub mod store;
pub mod values;

pub use settings::Settings;
pub use show::Action;
