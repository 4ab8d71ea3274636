//! What a restore fetches: no more than it needs.

use std::path::Path;
use std::sync::Arc;

use jiff::tz::TimeZone;
use tgvault::model::kinds::KindChoice;
use tgvault::operations::chats::conversation::Span;
use tgvault::operations::render::{Form, RenderOptions};
use tgvault::operations::snapshot::choice::SnapshotChoice;
use tgvault::target::Overwrite;

use crate::support::{Log, World, noise, tempdir};

#[tokio::test(flavor = "multi_thread")]
async fn one_small_file_costs_its_frames_and_not_its_archive() {
    let world = World::in_memory().await;
    for n in 0..40 {
        world.write(&format!("videos/{n}.mp4"), &noise(n, 1_000_000));
    }
    world.write("videos/20.txt", b"one small file");
    world.backup().await;
    let stored = world.archive_bytes().await;
    let archives = world.objects().await.keys().filter(|name| name.starts_with("archives/")).count() as u64;
    assert!(stored > 40_000_000);
    let before = world.storage.traffic();
    let to = tempdir();
    let vault = world.vault(&world.storage);
    let summary = world.restore_in(vault.session(), to.path(), &["videos/20.txt"], Arc::new(Log::default())).await.unwrap();
    assert_eq!((summary.bytes, summary.problems), (14, 0));
    assert_eq!(std::fs::read(to.path().join("videos/20.txt")).unwrap(), b"one small file");
    let after = world.storage.traffic();
    let fetched = after.downloaded_bytes - before.downloaded_bytes;
    // Each archive's header (4 KiB) and tail with its index (129 KiB or less), once for the listing and once for the content,
    // one frame of 2 MiB with the chunks that it shares with its neighbours, and the small objects.
    let bound = archives * 140_000 + 140_000 + 2_400_000 + 60_000;
    assert!(fetched < bound, "{fetched} bytes were fetched, {bound} would do");
    assert!(after.requests - before.requests < 30 + 5 * archives, "{} requests", after.requests - before.requests);
}

const ALL: Form = Form::TelegramDesktop { json: true, html: true };

pub fn options(to: &Path, form: Form, media: Vec<KindChoice>, chats: &[&str]) -> RenderOptions {
    RenderOptions {
        to: to.to_owned(),
        form,
        chats: chats.iter().map(|chat| (*chat).to_owned()).collect(),
        span: Span::default(),
        media,
        zone: TimeZone::UTC,
        files: Default::default(),
        overwrite: Overwrite::Always,
        dry_run: false,
        lanes: 2,
    }
}

/// A chat whose log has two batches and whose messages have a photo and a video each.
fn write_chat(world: &World, id: u64) {
    let chat = format!(r#"{{"v":1,"peer":"user{id}","name":"Chat {id}","type":"personal_chat","observed":1,"run":"r1"}}"#);
    world.write(&format!("chats/user{id}/chat.json"), chat.as_bytes());
    for batch in 0..2 {
        let mut lines = String::new();
        for message in 0..20 {
            let number = batch * 20 + message;
            let (role, key, more) =
                if number % 2 == 0 { ("photo", "photo", "") } else { ("file", "file", r#""media_type":"video_file","#) };
            let stored = format!("media/{role}/{id}-{number}.bin");
            // Text that does not compress, so that a log costs what it weighs.
            let text: String = noise(id * 1000 + number, 30_000).iter().map(|byte| char::from(b'!' + byte % 90)).collect();
            let text = text.replace(['"', '\\'], "x");
            lines += &format!(
                r#"{{"v":1,"record":"message","peer":"user{id}","id":{number},"observed":1,"run":"r1","date":{number},"message":{{"id":{number},{more}"{key}":"{stored}","text":"{text}"}},"media":[{{"role":"{role}","path":"{stored}","status":"stored"}}]}}"#
            );
            lines.push('\n');
            world.write(&stored, &noise(1_000_000 + id * 1000 + number, 100_000));
        }
        world.write(&format!("chats/user{id}/r1-{:06}.jsonl", batch + 1), lines.as_bytes());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_chat_costs_its_log_and_the_media_that_are_wanted() {
    let world = World::in_memory().await;
    for id in 1..=12 {
        write_chat(&world, id);
    }
    world.backup().await;
    let objects = world.objects().await;
    let stored: u64 = objects.iter().filter(|(name, _)| name.starts_with("archives/")).map(|(_, bytes)| bytes).sum();
    assert!(stored > 55_000_000, "{stored}");
    let vault = world.vault(&world.storage);
    let fetched = async |media: Vec<KindChoice>, chats: &[&str]| {
        let to = tempdir();
        let options = options(to.path(), ALL, media, chats);
        let before = world.storage.traffic().downloaded_bytes;
        let summary = vault.render(SnapshotChoice::latest(), options).await.unwrap();
        assert_eq!((summary.restored.problems, summary.messages), (0, if chats.is_empty() { 480 } else { 40 }));
        world.storage.traffic().downloaded_bytes - before
    };
    // A log of 1.2 MB costs the frames that it shares with others, and the indexes. By its name, the descriptions of all chats
    // are looked through, which costs a frame each.
    let log_alone = fetched(vec![KindChoice::None], &["user7"]).await;
    let by_name = fetched(vec![KindChoice::None], &["Chat 7"]).await;
    assert!(by_name < stored / 2, "{by_name} bytes for one log by the name of its chat, of {stored}");
    assert!(log_alone < 8_000_000, "{log_alone} bytes for one log, of {stored}");
    let photos = fetched(vec![KindChoice::Photos], &["user7"]).await;
    // Which files share a frame depends on how the lanes took turns.
    assert!(
        photos > log_alone + 2_000_000 && photos < log_alone + stored / 4,
        "{photos} bytes with photos, {log_alone} without, of {stored}"
    );
    let all = fetched(vec![], &[]).await;
    assert!(all > stored, "{all} of {stored}");
}

#[tokio::test(flavor = "multi_thread")]
async fn many_small_chats_share_what_is_fetched() {
    let world = World::in_memory().await;
    for id in 1..=300 {
        let text: String = noise(id, 8_000).iter().map(|byte| char::from(b'a' + byte % 26)).collect();
        let line = format!(
            r#"{{"v":1,"record":"message","peer":"user{id}","id":1,"observed":1,"run":"r1","date":1,"message":{{"id":1,"text":"{text}"}}}}"#
        );
        let chat = format!(r#"{{"v":1,"peer":"user{id}","name":"Chat {id}","type":"personal_chat","observed":1,"run":"r1"}}"#);
        world.write(&format!("chats/user{id}/chat.json"), chat.as_bytes());
        world.write(&format!("chats/user{id}/r1-000001.jsonl"), line.as_bytes());
    }
    world.backup().await;
    let stored = world.archive_bytes().await;
    let vault = world.vault(&world.storage);
    let (before, to) = (world.storage.traffic(), tempdir());
    let summary = vault.render(SnapshotChoice::latest(), options(to.path(), ALL, vec![], &[])).await.unwrap();
    assert_eq!((summary.chats, summary.messages, summary.restored.problems), (300, 300, 0));
    let after = world.storage.traffic();
    let (fetched, requests) = (after.downloaded_bytes - before.downloaded_bytes, after.requests - before.requests);
    // Once for the descriptions, once for the logs.
    assert!(fetched < stored * 3 && requests < 60, "{requests} requests, {fetched} bytes of {stored}");
}
