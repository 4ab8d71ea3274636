//! tgvault
