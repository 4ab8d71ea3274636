//! How fast the server serves: reads the whole account with grammers and prints messages a second, for the wall clock and
//! for the processor time of the server's thread alone.
//!
//! `cargo run --release -p tgvault-test-support --example throughput [messages] [requests in flight] [unpacked]`; with `file`
//! instead of a number it reads one file of 1 GiB in parts of 512 KiB.

#[path = "../tests/telegram/client.rs"]
#[allow(dead_code)]
mod client;

use std::time::Instant;

use grammers_tl_types::{enums, functions as f, types};
use tgvault_test_support::telegram::{Mutation, Options, Peer, SELF, TelegramServer};
use tokio::task::JoinSet;

/// Seconds of processor time that threads of this name have used.
fn processor_seconds(thread: &str) -> f64 {
    let Ok(tasks) = std::fs::read_dir("/proc/self/task") else { return 0.0 };
    let ticks: i64 = tasks
        .flatten()
        .filter_map(|task| std::fs::read_to_string(task.path().join("stat")).ok())
        .filter(|stat| stat.contains(&format!("({thread}")))
        .filter_map(|stat| {
            let fields: Vec<i64> = stat.rsplit(')').next()?.split_whitespace().skip(1).filter_map(|n| n.parse().ok()).collect();
            Some(fields.get(10)? + fields.get(11)?)
        })
        .sum();
    ticks as f64 / 100.0
}

#[tokio::main(worker_threads = 1)]
async fn main() {
    let argument = |n: usize, default: u64| std::env::args().nth(n).and_then(|a| a.parse().ok()).unwrap_or(default);
    if std::env::args().nth(1).as_deref() == Some("file") {
        return file().await;
    }
    let (messages, in_flight) = (argument(1, 1_000_000), argument(2, 8) as usize);
    let gzip = std::env::args().nth(3).is_none();
    let begun = Instant::now();
    let options = Options { messages, chats: 5_000, files: 0, gallery: false, gzip, ..Options::default() };
    let server = TelegramServer::start(options).expect("starts");
    println!("generated in {:?}", begun.elapsed());
    let client = client::log_in(&server).await;
    let chats: Vec<_> = server.chats().into_iter().filter(|chat| chat.listed && chat.messages > 0).collect();
    let (begun, before) = (Instant::now(), processor_seconds("telegram-server"));
    let mut tasks = JoinSet::new();
    let mut read = 0;
    for chat in chats {
        if tasks.len() == in_flight {
            read += tasks.join_next().await.and_then(Result::ok).unwrap_or(0);
        }
        let client = client.clone();
        tasks.spawn(async move {
            let peer: enums::InputPeer = match chat.peer {
                Peer::User(user_id) => types::InputPeerUser { user_id, access_hash: chat.access_hash }.into(),
                Peer::Group(chat_id) => types::InputPeerChat { chat_id }.into(),
                Peer::Channel(channel_id) => types::InputPeerChannel { channel_id, access_hash: chat.access_hash }.into(),
            };
            let (mut offset_id, mut read) = (1, 0);
            loop {
                let request = f::messages::GetHistory {
                    peer: peer.clone(),
                    offset_id,
                    offset_date: 0,
                    add_offset: -100,
                    limit: 100,
                    max_id: 0,
                    min_id: 0,
                    hash: 0,
                };
                let page = match client.invoke(&request).await.expect("a page") {
                    enums::messages::Messages::Messages(m) => m.messages,
                    enums::messages::Messages::Slice(m) => m.messages,
                    enums::messages::Messages::ChannelMessages(m) => m.messages,
                    enums::messages::Messages::NotModified(_) => Vec::new(),
                };
                let Some(newest) = page.first() else { return read };
                offset_id = newest.id() + 1;
                read += page.len();
            }
        });
    }
    while let Some(count) = tasks.join_next().await {
        read += count.unwrap_or(0);
    }
    let (wall, server_time) = (begun.elapsed().as_secs_f64(), processor_seconds("telegram-server") - before);
    println!("{read} messages in {wall:.2} s: {:.0}/s; the server's thread alone: {:.0}/s", read as f64 / wall, read as f64 / server_time);
    let memory = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    println!("{}", memory.lines().find(|line| line.starts_with("VmHWM")).unwrap_or("VmHWM unknown"));
}

/// One large file, eight parts in flight.
async fn file() {
    const PART: i32 = 512 << 10;
    const PARTS: i64 = 2048;
    let server = TelegramServer::start(Options { dcs: vec![2], ..Options::empty() }).expect("starts");
    let client = client::log_in(&server).await;
    let peer = Peer::User(SELF);
    let send = Mutation::Send { peer, text: String::new(), out: true, reply_to: None, file: Some(PARTS as u64 * PART as u64) };
    let id = server.mutate(&send).expect("sent").ids[0];
    let Some(enums::Message::Message(types::Message { media: Some(enums::MessageMedia::Document(media)), .. })) = server.message(peer, id)
    else {
        panic!("a document")
    };
    let Some(enums::Document::Document(document)) = media.document else { panic!("a document") };
    let location = types::InputDocumentFileLocation {
        id: document.id,
        access_hash: document.access_hash,
        file_reference: document.file_reference,
        thumb_size: String::new(),
    };
    let (begun, before) = (Instant::now(), processor_seconds("telegram-server"));
    let mut tasks = JoinSet::new();
    for part in 0..PARTS {
        if tasks.len() == 8 {
            tasks.join_next().await;
        }
        let (client, location) = (client.clone(), location.clone().into());
        tasks.spawn(async move {
            let offset = part * i64::from(PART);
            let request = f::upload::GetFile { precise: false, cdn_supported: false, location, offset, limit: PART };
            client.invoke(&request).await.expect("a part");
        });
    }
    while tasks.join_next().await.is_some() {}
    let (wall, server_time) = (begun.elapsed().as_secs_f64(), processor_seconds("telegram-server") - before);
    println!("1024 MiB in {wall:.2} s: {:.0} MiB/s; the server's thread alone: {:.0} MiB/s", 1024.0 / wall, 1024.0 / server_time);
}
