//! A whole account, first time: everything that the server has is in the records, byte for byte.

use std::collections::BTreeSet;

use grammers_tl_types::{Deserializable, Serializable, enums, types};
use tgvault::model::coverage::Verdict;
use tgvault::model::media::MediaStatus;
use tgvault::model::record::Raw;
use tgvault::source::telegram::ExportOptions;
use tgvault_test_support::telegram::{ChatInfo, Kind, Options, TelegramServer};

use crate::harness::{Setup, Vault, peer, plain};

/// Chats that an export reads.
pub fn readable(server: &TelegramServer) -> Vec<ChatInfo> {
    server.chats().into_iter().filter(|chat| chat.listed && !chat.left && chat.messages > 0).collect()
}

/// Every message of every chat is there, once.
pub fn assert_all_there(setup: &Setup, vault: &Vault) {
    assert_all_of(&setup.server, vault);
}

/// The same for a vault that the built program made.
pub fn assert_all_of(server: &TelegramServer, vault: &Vault) {
    for chat in readable(server) {
        let own = peer(chat.peer);
        let ids: Vec<i64> = server.message_ids(chat.peer).into_iter().map(i64::from).collect();
        assert_eq!(vault.messages(own).keys().copied().collect::<Vec<_>>(), ids, "{own}");
    }
}

/// The same, with the server's bytes. For servers whose account did not change: posting stretches the dates of a generated one.
pub fn assert_complete(setup: &Setup, vault: &Vault) {
    assert_bytes_of(&setup.server, vault);
}

/// The same for a vault that the built program made.
pub fn assert_bytes_of(server: &TelegramServer, vault: &Vault) {
    assert_all_of(server, vault);
    for chat in readable(server) {
        let own = peer(chat.peer);
        for (id, record) in vault.messages(own) {
            let truth = server.message(chat.peer, id as i32).unwrap();
            let Some(Raw::Tl { layer, bytes }) = record.raw else { panic!("{own} {id} has no bytes") };
            assert_eq!(layer, 230);
            if bytes != truth.to_bytes() {
                let stored = enums::Message::from_bytes(&bytes).unwrap();
                assert_eq!(strip(&stored), strip(&truth), "{own} {id} differs from the server's");
            }
        }
    }
}

/// A message without its file references, which the server changes at will.
pub fn strip(message: &enums::Message) -> String {
    let text = format!("{message:?}");
    text.split("file_reference: [").enumerate().map(|(n, part)| if n == 0 { part } else { part.split_once(']').unwrap().1 }).collect()
}

#[test]
fn a_whole_account_without_a_takeout() {
    let setup = Setup::new(Options::default());
    let mut vault = Vault::default();
    setup.run(&mut vault, plain());
    assert!(vault.broken.is_empty(), "{:?}", vault.broken);
    assert_complete(&setup, &vault);
    for chat in readable(&setup.server) {
        let coverage = vault.coverage(peer(chat.peer));
        assert_eq!(coverage.verdict, Verdict::Complete, "{:?}", coverage);
        assert_eq!(coverage.ranges.iter().map(|range| range.ours).sum::<u64>(), chat.messages as u64);
    }
    assert!(!setup.server.methods().contains_key("account.initTakeoutSession"));
}

#[test]
fn a_whole_account_with_a_takeout_in_several_ranges() {
    let setup = Setup::new(Options { split_ranges: 3, ..Options::default() });
    let mut vault = Vault::default();
    let source = setup.run(&mut vault, ExportOptions { recheck_budget: 0, ..ExportOptions::default() });
    assert!(source.outcome().takeout_delayed.is_none());
    assert_complete(&setup, &vault);
    let methods = setup.server.methods();
    assert_eq!((methods["account.initTakeoutSession"], methods["account.finishTakeoutSession"]), (1, 1));
    let outside: Vec<_> = setup.server.requests().into_iter().filter(|r| r.method == "messages.getHistory" && !r.takeout).collect();
    assert!(outside.is_empty(), "{outside:?}");
}

#[test]
fn files_are_stored_once_and_byte_for_byte() {
    let setup = Setup::new(Options { messages: 500, files: 60, media_bytes: 40_000_000, ..Options::default() });
    let mut vault = Vault::default();
    setup.run(&mut vault, plain());
    let mut seen = BTreeSet::new();
    for chat in readable(&setup.server) {
        for record in vault.messages(peer(chat.peer)).into_values() {
            for media in record.media {
                if media.status != MediaStatus::Stored {
                    assert!(matches!(media.status, MediaStatus::Skipped(_)), "{media:?}");
                    continue;
                }
                let path = media.path.clone().unwrap();
                let content = vault.files.get(&path).unwrap_or_else(|| panic!("{path} is missing"));
                seen.insert(path.clone());
                if let (Some(id), Some((_, variant))) = (media.id, path.to_string().rsplit_once('-')) {
                    let variant = variant.split('.').next().unwrap().to_owned();
                    let letter = if variant == "full" { "" } else { variant.as_str() };
                    assert_eq!(setup.server.file_size(id, letter), Some(content.len() as u64), "{path}");
                    // The largest size of a photo is the file itself.
                    let letter = if matches!(letter, "y" | "c") { "" } else { letter };
                    assert!(*content == tgvault_test_support::telegram::file_bytes(id, letter, 0, content.len()), "{path} differs");
                }
            }
        }
    }
    assert!(seen.len() > 60, "{}", seen.len());
    let pushed: Vec<_> = vault.last_run.iter().filter(|path| path.to_string().starts_with("media/")).collect();
    assert_eq!(pushed.len(), pushed.iter().collect::<BTreeSet<_>>().len(), "a file came twice");
}

#[test]
fn nothing_but_sealed_bytes_touches_the_disk() {
    let setup = Setup::new(Options { messages: 300, ..Options::default() });
    setup.run(&mut Vault::default(), plain());
    let mut names = vec![];
    for entry in std::fs::read_dir(setup.accounts_folder()).unwrap() {
        let entry = entry.unwrap();
        assert!(std::fs::read(entry.path()).unwrap().starts_with(b"age-encryption.org/v1"));
        names.push(entry.file_name().into_string().unwrap());
    }
    names.sort();
    assert_eq!(names, ["main.session", "main.vault.state"]);
}

#[test]
fn a_file_that_two_messages_name_in_two_ways_is_there_under_both_names() {
    let setup = Setup::new(Options { messages: 300, chats: 6, files: 30, media_bytes: 300_000, gallery: false, ..Options::default() });
    let named = |message: &enums::Message, name: &str| -> Option<types::Message> {
        let enums::Message::Message(message) = message else { return None };
        let mut message = message.clone();
        let Some(enums::MessageMedia::Document(media)) = &mut message.media else { return None };
        let Some(enums::Document::Document(document)) = &mut media.document else { return None };
        document.attributes = vec![types::DocumentAttributeFilename { file_name: name.into() }.into()];
        Some(message)
    };
    let chats = readable(&setup.server);
    let all = chats.iter().flat_map(|chat| setup.server.message_ids(chat.peer).into_iter().map(|id| (chat.peer, id)));
    let shown = all.filter_map(|(peer, id)| setup.server.message(peer, id)).find(|message| named(message, "a").is_some()).unwrap();
    let saved = chats.iter().find(|chat| chat.kind == Kind::Saved).unwrap().peer;
    let post = |name: &str| i64::from(setup.server.post(saved, named(&shown, name).unwrap()).unwrap());
    let mut vault = Vault::default();
    let first = post("notes.txt");
    setup.run(&mut vault, ExportOptions { account: false, ..plain() });
    let second = post("notes.md");
    setup.run(&mut vault, ExportOptions { account: false, ..plain() });
    let messages = vault.messages(peer(saved));
    let path = |id: i64| messages[&id].media[0].path.clone().unwrap();
    assert_ne!(path(first), path(second));
    assert!(vault.files[&path(first)] == vault.files[&path(second)], "the file differs under its other name");
}
