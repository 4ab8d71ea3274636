//! Logs: on standard error, past the bars. They name objects and numbers, never titles or texts.

use std::io;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::util::SubscriberInitExt;

use super::error::CommandError;
use super::output::Output;

/// The variable with a filter as in `debug` or `tgvault::storage=trace,warn`; it goes before `-v`.
pub const VARIABLE: &str = "TGVAULT_LOG";

struct Stderr(Output);

impl io::Write for Stderr {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.bars().suspend(|| io::stderr().write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

impl<'a> MakeWriter<'a> for Stderr {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        Self(self.0.clone())
    }
}

/// Keeps what the protocol library says of packets that it cannot read off the terminal: the connection ends, and is made anew.
fn quieten_the_protocol_library() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if panic.location().is_some_and(|place| place.file().contains("grammers-mtproto")) {
            tracing::debug!(place = panic.location().map(tracing::field::display), "a packet could not be read");
        } else {
            usual(panic);
        }
    }));
}

/// Starts logging as `-v` (0 to 3) or the variable says.
///
/// # Errors
/// When the variable cannot be understood.
pub fn start(verbose: u8, output: &Output) -> Result<(), CommandError> {
    let level = match verbose {
        0 => "error,tgvault=warn",
        1 => "warn,tgvault=info",
        2 => "info,tgvault=debug",
        _ => "trace",
    };
    let filter = match std::env::var(VARIABLE) {
        Ok(text) if !text.is_empty() => EnvFilter::try_new(&text).map_err(|error| {
            CommandError::usage(format!("{VARIABLE} cannot be understood: {error}"), "a level, as in TGVAULT_LOG=debug")
        })?,
        _ => EnvFilter::new(level),
    };
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_writer(Stderr(output.clone())).with_ansi(false);
    // A second call in one process (tests) keeps the first.
    if subscriber.finish().try_init().is_ok() {
        quieten_the_protocol_library();
    }
    Ok(())
}
