//! Servers and helpers for tgvault's tests. Uses nothing of tgvault's own.

pub mod telegram;
