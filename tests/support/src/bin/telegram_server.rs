//! The Telegram server for tests as a program.
//!
//! Prints one JSON line when it listens: addresses, key, how to log in. Then takes commands as JSON lines on standard
//! input and answers each with one line; ends when standard input ends or on a signal. Commands:
//!
//! - `{"mutate": {"send": {"peer": {"user": 5000000000}, "text": "hello"}}}`: what happens, see `Mutation`
//! - `{"fault": {"when": {...}, "then": ...}}`, `"clear_faults"`: what goes wrong, see `Fault`
//! - `"accept_login_tokens"`: the other device scans all QR codes shown
//! - `"expire_references"`, `"forget_requests"`
//! - `"requests"`, `"methods"`, `"loads"`, `"struck"`, `"chats"`
//! - `{"messages": {"channel": 1500000001}}`: ids of a chat
//! - `{"message": [{"user": 5000000000}, 17]}`: the message's TL bytes, base64

use std::io::{BufRead, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use clap::Parser;
use grammers_tl_types::Serializable as _;
use serde::Deserialize;
use serde_json::{Value, json};
use tgvault_test_support::telegram::{Fault, Mutation, Options, Peer, ServerKey, TelegramServer};

/// A Telegram server for tests, on loopback.
#[derive(Parser)]
#[command(version, after_help = "Commands are JSON lines on standard input; the server ends with it.")]
struct Arguments {
    /// What everything generated follows from.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Messages in generated chats.
    #[arg(long, default_value_t = 2_000)]
    messages: u64,
    /// Generated chats.
    #[arg(long, default_value_t = 30)]
    chats: u32,
    /// Generated files.
    #[arg(long, default_value_t = 100)]
    files: u32,
    /// Bytes of all files together (K, M, G: 1024 each).
    #[arg(long, default_value = "10M", value_parser = bytes)]
    media_bytes: u64,
    /// Leaves out the two chats with one message of every kind.
    #[arg(long)]
    no_gallery: bool,
    /// Private chats whose user is `userEmpty`.
    #[arg(long, default_value_t = 0)]
    empty_users: u32,
    /// End of the generated history in Unix time; `now` for the moment of the start.
    #[arg(long, value_parser = moment)]
    until: Option<i32>,
    /// DC numbers; the first is the home.
    #[arg(long, value_delimiter = ',', default_values_t = [2, 4])]
    dcs: Vec<i32>,
    /// Ports of the DCs; 0 or left out: any free one.
    #[arg(long, value_delimiter = ',')]
    ports: Vec<u16>,
    /// Private RSA key to use, PEM.
    #[arg(long)]
    key: Option<PathBuf>,
    /// Where to write the public RSA key, PKCS#1 PEM.
    #[arg(long)]
    write_key: Option<PathBuf>,
    /// Phone number that may log in.
    #[arg(long)]
    phone: Option<String>,
    /// Login code.
    #[arg(long)]
    code: Option<String>,
    /// Password of two-step verification.
    #[arg(long)]
    password: Option<String>,
    /// Accepts QR codes as soon as they are shown.
    #[arg(long)]
    accept_login_tokens: bool,
    /// Time added to every answer, for example 50ms.
    #[arg(long, default_value = "0ms", value_parser = duration)]
    latency: Duration,
    /// Bytes a second of every connection (K, M, G).
    #[arg(long, value_parser = bytes)]
    bandwidth: Option<u64>,
    /// Sends answers as they are, not packed.
    #[arg(long)]
    no_gzip: bool,
    /// Ranges in messages.getSplitRanges.
    #[arg(long, default_value_t = 1)]
    split_ranges: u32,
    /// Faults, a JSON list.
    #[arg(long)]
    script: Option<PathBuf>,
    /// Threads that serve.
    #[arg(long, default_value_t = 1)]
    threads: usize,
}

/// What a line on standard input may ask.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Command {
    Mutate(Mutation),
    Fault(Fault),
    ClearFaults,
    AcceptLoginTokens,
    ExpireReferences,
    ForgetRequests,
    Requests,
    Methods,
    Loads,
    Struck,
    Chats,
    Messages(Peer),
    Message(Peer, i32),
}

fn bytes(text: &str) -> Result<u64, String> {
    let (number, unit) = match text.as_bytes().last() {
        Some(b'K' | b'k') => (&text[..text.len() - 1], 10),
        Some(b'M' | b'm') => (&text[..text.len() - 1], 20),
        Some(b'G' | b'g') => (&text[..text.len() - 1], 30),
        _ => (text, 0),
    };
    number.parse::<u64>().map_err(|error| error.to_string())?.checked_mul(1 << unit).ok_or_else(|| "too large".into())
}

fn duration(text: &str) -> Result<Duration, String> {
    let millis = match (text.strip_suffix("ms"), text.strip_suffix('s')) {
        (Some(number), _) => number.parse::<f64>(),
        (None, Some(number)) => number.parse::<f64>().map(|seconds| seconds * 1000.0),
        (None, None) => text.parse::<f64>(),
    };
    Duration::try_from_secs_f64(millis.map_err(|error| error.to_string())? / 1000.0).map_err(|error| error.to_string())
}

fn moment(text: &str) -> Result<i32, String> {
    if text == "now" {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_err(|error| error.to_string())?;
        return i32::try_from(since.as_secs()).map_err(|error| error.to_string());
    }
    text.parse().map_err(|error: std::num::ParseIntError| error.to_string())
}

fn main() -> ExitCode {
    match run(Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Arguments) -> Result<(), Box<dyn std::error::Error>> {
    let read = |path: &PathBuf| std::fs::read_to_string(path).map_err(|error| format!("could not read {}: {error}", path.display()));
    let defaults = Options::default();
    let options = Options {
        seed: arguments.seed,
        messages: arguments.messages,
        chats: arguments.chats,
        files: arguments.files,
        media_bytes: arguments.media_bytes,
        gallery: !arguments.no_gallery,
        empty_users: arguments.empty_users,
        until: arguments.until.unwrap_or(defaults.until),
        dcs: arguments.dcs,
        ports: arguments.ports,
        key: arguments.key.as_ref().map(|path| read(path).map(|pem| ServerKey::from_pem(&pem))).transpose()?.transpose()?,
        phone: arguments.phone.unwrap_or(defaults.phone),
        code: arguments.code.unwrap_or(defaults.code),
        password: arguments.password,
        accept_login_tokens: arguments.accept_login_tokens,
        latency: arguments.latency,
        bandwidth: arguments.bandwidth,
        gzip: !arguments.no_gzip,
        split_ranges: arguments.split_ranges,
        faults: arguments
            .script
            .as_ref()
            .map(|path| read(path).map(|text| serde_json::from_str(&text)))
            .transpose()?
            .transpose()?
            .unwrap_or_default(),
        threads: arguments.threads,
        ..defaults
    };
    let server = TelegramServer::start(options)?;
    if let Some(path) = &arguments.write_key {
        std::fs::write(path, server.key().public_pem())?;
    }
    let mut out = std::io::stdout().lock();
    let listening = json!({
        "address": server.address(),
        "home_dc": server.home_dc(),
        "dcs": server.addresses(),
        "key": server.key().public_pem(),
        "fingerprint": server.key().fingerprint(),
        "phone": server.options().phone,
        "code": server.options().code,
        "bot_token": server.options().bot_token,
    });
    writeln!(out, "{listening}")?;
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        if line.trim().is_empty() {
            continue;
        }
        let answer = serde_json::from_str(&line).map_err(Into::into).and_then(|command| obey(&server, command));
        writeln!(out, "{}", answer.unwrap_or_else(|error| json!({"error": error.to_string()})))?;
    }
    Ok(())
}

fn obey(server: &TelegramServer, command: Command) -> Result<Value, Box<dyn std::error::Error>> {
    Ok(match command {
        Command::Mutate(mutation) => json!({"ok": server.mutate(&mutation)?}),
        Command::Fault(fault) => {
            server.add_fault(fault);
            json!({"ok": null})
        }
        Command::ClearFaults => {
            server.clear_faults();
            json!({"ok": null})
        }
        Command::AcceptLoginTokens => {
            let accepted = server.login_tokens().iter().filter(|token| server.accept_login_token(token)).count();
            json!({"ok": accepted})
        }
        Command::ExpireReferences => {
            server.expire_references();
            json!({"ok": null})
        }
        Command::ForgetRequests => {
            server.forget_requests();
            json!({"ok": null})
        }
        Command::Requests => json!({"ok": server.requests()}),
        Command::Methods => json!({"ok": server.methods()}),
        Command::Loads => json!({"ok": server.loads()}),
        Command::Struck => json!({"ok": server.struck()}),
        Command::Chats => json!({"ok": server.chats()}),
        Command::Messages(peer) => json!({"ok": server.message_ids(peer)}),
        Command::Message(peer, id) => json!({"ok": server.message(peer, id).map(|message| BASE64.encode(message.to_bytes()))}),
    })
}
