//! Reads a generated account from the test server as fast as it comes, and says how fast that was.
//!
//! ```text
//! cargo run --release --example telegram_throughput -- [messages] [chats] [files] [media MB] [latency ms] [MB/s per connection]
//! ```
//!
//! The server runs in the same process, on the same cores.

use std::io::{self, Read, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

use secrecy::SecretString;
use tgvault::source::telegram::{
    Accounts, Application, ConnectOptions, CustomServer, Device, ExportOptions, LoginPrompts, LoginWay, Pace, TakeoutUse, TelegramSource,
    TimeLimits, Unobserved,
};
use tgvault::source::{Item, Problem, Sink, Source, Stopped};
use tgvault::state::StateFolder;
use tgvault_test_support::telegram::{Options, TelegramServer};

struct Code(String);

impl LoginPrompts for Code {
    fn phone(&mut self) -> io::Result<String> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn code(&mut self, _how: &str) -> io::Result<SecretString> {
        Ok(self.0.clone().into())
    }

    fn password(&mut self, _hint: Option<&str>) -> io::Result<SecretString> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn show_qr(&mut self, _link: &str) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn say(&mut self, _text: &str) {}
}

/// Reads every item to its end and keeps nothing.
#[derive(Default)]
struct Counting {
    items: u64,
    bytes: u64,
    lines: u64,
    problems: u64,
    marks: Vec<u64>,
}

impl Sink for Counting {
    fn item(&mut self, item: Item) -> Result<(), Stopped> {
        let log = item.path.to_string().ends_with(".jsonl");
        if let Some(mut body) = item.content.as_ref().and_then(|content| content.open(0).ok()) {
            let mut buffer = vec![0; 256 << 10];
            while let Ok(count) = body.read(&mut buffer) {
                if count == 0 {
                    break;
                }
                self.bytes += count as u64;
                if log {
                    self.lines += buffer[..count].iter().filter(|&&byte| byte == b'\n').count() as u64;
                }
            }
        }
        self.items += 1;
        self.marks.push(item.mark);
        Ok(())
    }

    fn problem(&mut self, _problem: Problem) {
        self.problems += 1;
    }
}

fn peak_memory_mib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM"))?;
    Some(line.split_whitespace().nth(1)?.parse::<u64>().ok()? / 1024)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let numbers: Vec<u64> = std::env::args().skip(1).map(|text| text.parse()).collect::<Result<_, _>>()?;
    let number = |position: usize, default: u64| numbers.get(position).copied().unwrap_or(default);
    let options = Options {
        messages: number(0, 200_000),
        chats: u32::try_from(number(1, 1_000))?,
        files: u32::try_from(number(2, 0))?,
        media_bytes: number(3, 0) << 20,
        latency: Duration::from_millis(number(4, 0)),
        bandwidth: Some(number(5, 0) * 1_000_000).filter(|&rate| rate > 0),
        gallery: false,
        ..Options::default()
    };
    let messages = options.messages;
    let server = TelegramServer::start(options)?;
    let folder = tempfile::tempdir()?;
    let accounts = Accounts::new(Arc::new(StateFolder::open(folder.path().join("state"), None)?.kept("accounts", None)));
    let at = CustomServer { address: server.address(), dc: server.home_dc(), key_pem: server.key().public_pem() };
    let connect = ConnectOptions {
        api_id: 1,
        server: Some(at),
        proxy: None,
        device: Device::default(),
        pace: Pace::Fast,
        limits: TimeLimits::default(),
        max_wait: Duration::from_secs(60),
        observer: Arc::new(Unobserved),
    };
    let application = Application { api_id: 1, api_hash: "0".into() };
    let way = LoginWay::Phone(Some(server.options().phone.clone()));
    let mut code = Code(server.options().code.clone());
    drop(accounts.login("main", way, &application, &connect, &mut code)?);
    let mut out = io::stdout();
    for run in ["first", "second"] {
        server.forget_requests();
        let export = ExportOptions { recheck_budget: 0, takeout: TakeoutUse::Never, ..ExportOptions::default() };
        let source = TelegramSource::new(accounts.open("main", &connect)?, export, "throughput")?;
        let mut counting = Counting::default();
        let begin = Instant::now();
        source.list(&mut counting)?;
        let seconds = begin.elapsed().as_secs_f64();
        source.committed(&counting.marks);
        let Counting { items, bytes, lines, problems, .. } = counting;
        writeln!(
            out,
            "{run} run: {seconds:.2} s, {items} items, {lines} lines of {messages} messages, {:.0} lines/s, {:.1} MB/s, {} requests, {problems} problems, peak {} MiB with the server",
            lines as f64 / seconds,
            bytes as f64 / 1e6 / seconds,
            server.requests().len(),
            peak_memory_mib().unwrap_or_default(),
        )?;
    }
    Ok(())
}
