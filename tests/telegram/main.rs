//! The Telegram source against a Telegram server on loopback: real key exchange, real MTProto.

mod account;
mod comparison;
mod details;
mod export;
mod faults;
mod habits;
mod harness;
mod incremental;
mod lies;
mod login;
mod machines;
mod moving;
mod pace;
mod people;
mod program;
mod program_choices;
mod program_keys;
mod program_options;
mod program_parts;
mod program_profile;
mod program_runs;
mod program_whole;
mod refusals;
mod round_trip;
mod truth;
mod watch;
