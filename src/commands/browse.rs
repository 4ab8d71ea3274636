//! `tgvault browse`: look around in a snapshot with a web browser.

use std::process::Stdio;
use std::time::Duration;

use jiff::tz::TimeZone;
use serde::Serialize;

use super::arguments::{Select, parse_snapshot};
use super::context::{Context, Keys};
use super::error::CommandError;
use super::exit::Exit;
use super::span::{Moment, parse_moment};
use super::units;
use crate::operations::browse::Browser;
use crate::viewer::server::{Ended, Server};

const EXAMPLES: &str = "\
Examples:
  tgvault browse                   # the latest snapshot with chats
  tgvault browse --at 2026-03-01   # its chats as they were then
  tgvault browse 3f2c --no-open --port 8090

Nothing is written to disk. Only this machine can open the address, once.
Ctrl-C ends it.";

/// Options of `browse`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// `latest`, or the first digits of a snapshot's id
    #[arg(value_parser = parse_snapshot, default_value = "latest")]
    pub snapshot: String,

    /// Show chats as they were at this time
    #[arg(long, value_name = "TIME", value_parser = parse_moment)]
    pub at: Option<Moment>,

    /// Listen at this port of 127.0.0.1 (default: any free one)
    #[arg(long, value_name = "PORT", default_value_t = 0, hide_default_value = true)]
    pub port: u16,

    /// Only print the address; do not open a browser
    #[arg(long)]
    pub no_open: bool,

    /// End after nobody has looked at anything for this long
    #[arg(long, value_name = "SPAN", value_parser = units::parse_span, default_value = "30m")]
    pub idle: Duration,

    /// Which snapshots are meant.
    #[command(flatten)]
    pub select: Select,
}

#[derive(Serialize)]
struct Listening<'a> {
    message_type: &'static str,
    address: &'a str,
    snapshot: String,
}

/// Serves the snapshot until Ctrl-C, or until nobody looks any more.
///
/// # Errors
/// When no key fits, there is no such snapshot, or the port is taken.
pub async fn run(args: &Args, context: &Context) -> Result<Exit, CommandError> {
    let failed = |source| CommandError::System { what: "cannot serve pages on 127.0.0.1", source };
    let session = context.session(Keys::Needed).await?;
    // A port that is taken is known before the vault is read.
    let server = Server::listen(args.port).await.map_err(failed)?;
    let at = args.at.map(|moment| moment.last);
    let browser = Browser::open(&session, &args.select.choose(&args.snapshot), at).await?;
    let (address, output) = (server.address(), &context.output);
    if output.is_json() {
        let snapshot = browser.snapshot().id.to_string();
        output.json(&Listening { message_type: "listening", address: &address, snapshot })?;
    } else {
        output.line(&address)?;
    }
    for what in browser.trouble() {
        output.warn(&what);
    }
    if !args.no_open && !output.is_json() {
        open(&address);
    }
    output.say("open this address in a browser on this machine; Ctrl-C ends it");
    match server.serve(browser, TimeZone::system(), args.idle, context.heeded.stop_soon()).await.map_err(failed)? {
        Ended::Stopped => Ok(Exit::Done),
        Ended::Idle => {
            output.say(&format!("ended: nobody looked at anything for {}", units::duration(args.idle)));
            Ok(Exit::Done)
        }
    }
}

/// Opens the address on a desktop. The address is good once, so nobody gains by seeing it in the process list afterwards.
fn open(address: &str) {
    if std::env::var_os("DISPLAY").is_none() && std::env::var_os("WAYLAND_DISPLAY").is_none() {
        return;
    }
    let opened =
        std::process::Command::new("xdg-open").arg(address).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    if let Err(error) = opened {
        tracing::debug!(%error, "no browser was opened");
    }
}
