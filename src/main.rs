//! The `tgvault` program: all of it is in the library, as [`tgvault::run`].

fn main() -> std::process::ExitCode {
    tgvault::run()
}
