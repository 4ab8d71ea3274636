//! `tgvault watch`: what happens while it watches, and while it does not, is in the vault.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::Child;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use grammers_tl_types::{Deserializable, enums};
use rustix::process::{Pid, Signal, kill_process};
use tgvault::model::record::{Evidence, MessageRecord, Raw, Record};
use tgvault_test_support::telegram::{Effect, Fault, Kind, Mutation, Options, Peer, Push, TelegramServer, When};

use crate::export::{assert_all_of, readable};
use crate::harness::{Vault, peer};
use crate::program::Program;

/// Longer than anything here takes; nothing waits for it to pass.
const PATIENCE: Duration = Duration::from_secs(120);

pub fn small() -> Options {
    Options { messages: 200, chats: 8, files: 4, media_bytes: 200_000, gallery: false, ..Options::default() }
}

/// A `watch` that runs, and the lines that it says.
pub struct Watching {
    child: Child,
    said: Receiver<String>,
}

impl Watching {
    /// Starts one, and waits until it has looked at everything once.
    pub fn start(program: &Program, flush: &str) -> Self {
        Self::start_with(program, &[], flush)
    }

    /// The same with options before the command.
    pub fn start_with(program: &Program, options: &[&str], flush: &str) -> Self {
        let arguments = ["watch", "--flush", flush, "--takeout", "never", "--no-account-data", "--recheck-budget", "0", "--no-progress"];
        let arguments = [options, &arguments].concat();
        let mut child = program.command(&arguments).spawn().unwrap();
        let (lines, said) = channel();
        let stderr = child.stderr.take().unwrap();
        std::thread::spawn(move || BufReader::new(stderr).lines().map_while(Result::ok).all(|line| lines.send(line).is_ok()));
        let watching = Self { child, said };
        watching.waits_until("watching; ");
        watching
    }

    /// Waits for a line that begins like this.
    pub fn waits_until(&self, begins: &str) {
        let mut heard = Vec::new();
        loop {
            let Ok(line) = self.said.recv_timeout(PATIENCE) else { panic!("never said '{begins}…', but {heard:?}") };
            if line.starts_with(begins) {
                return;
            }
            heard.push(line);
        }
    }

    /// Ends it as the system does, and gives its exit code.
    pub fn stop(mut self) -> i32 {
        kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
        self.child.wait().unwrap().code().unwrap()
    }

    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

fn send(server: &TelegramServer, peer: Peer, text: &str) -> i32 {
    let send = Mutation::Send { peer, text: text.into(), out: false, reply_to: None, file: None };
    server.mutate(&send).unwrap().ids[0]
}

fn edit(server: &TelegramServer, peer: Peer, id: i32, text: &str) {
    server.mutate(&Mutation::Edit { peer, id, text: text.into() }).unwrap();
}

fn delete(server: &TelegramServer, peer: Peer, id: i32) {
    server.mutate(&Mutation::Delete { peer, ids: vec![id] }).unwrap();
}

/// A private chat and a channel.
fn chats(server: &TelegramServer) -> [Peer; 2] {
    let of = |wanted: Kind| readable(server).into_iter().find(|chat| chat.kind == wanted).unwrap().peer;
    [of(Kind::Private), of(Kind::Broadcast)]
}

/// What a stored message says, as the server served it.
pub fn said(record: &MessageRecord) -> Option<String> {
    let Some(Raw::Tl { bytes, .. }) = &record.raw else { panic!("{} has no bytes", record.id) };
    match enums::Message::from_bytes(bytes).unwrap() {
        enums::Message::Message(message) => Some(message.message),
        _ => None,
    }
}

/// The texts of all versions of a message in the order of the log, and how often it was deleted.
fn versions(vault: &Vault, chat: Peer, id: i32) -> (Vec<String>, usize) {
    let (mut texts, mut deletions) = (Vec::new(), 0);
    for record in vault.records(peer(chat)) {
        match record {
            Record::Message(message) if message.id == i64::from(id) => {
                texts.push(said(&message).unwrap_or_default());
            }
            Record::Deletion(deletion) if deletion.id == i64::from(id) => {
                assert_eq!(deletion.evidence, Evidence::Update);
                deletions += 1;
            }
            _ => {}
        }
    }
    (texts, deletions)
}

/// The server's messages are the vault's, with the texts of now, and nothing was stored twice.
pub fn assert_same(server: &TelegramServer, vault: &Vault) {
    assert_all_of(server, vault);
    for chat in readable(server) {
        let own = peer(chat.peer);
        for (id, record) in vault.messages(own) {
            if let Some(enums::Message::Message(message)) = server.message(chat.peer, i32::try_from(id).unwrap()) {
                assert_eq!(said(&record), Some(message.message), "{own} {id}");
            }
        }
        let mut seen: BTreeMap<(i64, Option<i64>, Option<String>), usize> = BTreeMap::new();
        for record in vault.records(own) {
            if let Record::Message(message) = record {
                *seen.entry((message.id, message.edited, said(&message))).or_default() += 1;
            }
        }
        seen.retain(|_, count| *count > 1);
        assert!(seen.is_empty(), "{own}: stored more than once: {seen:?}");
    }
}

#[test]
fn what_happens_while_it_watches_is_in_the_vault_soon_after() {
    let program = Program::logged_in(small());
    let server = &program.server;
    let watching = Watching::start(&program, "0");
    let mut expected = Vec::new();
    for chat in chats(server) {
        let (old, gone) = (server.message_ids(chat)[0], server.message_ids(chat)[1]);
        let new = send(server, chat, "just now");
        watching.waits_until("saved snapshot ");
        edit(server, chat, new, "a moment later");
        delete(server, chat, gone);
        watching.waits_until("saved snapshot ");
        expected.push((chat, old, new, gone));
    }
    assert_eq!(watching.stop(), 0);
    let vault = program.restored();
    assert_same(server, &vault);
    for (chat, old, new, gone) in expected {
        assert_eq!(versions(&vault, chat, new), (vec!["just now".to_owned(), "a moment later".to_owned()], 0), "{chat:?}");
        assert_eq!(versions(&vault, chat, gone).1, 1, "{chat:?}");
        assert_eq!(versions(&vault, chat, old).0.len(), 1, "{chat:?}");
    }
}

#[test]
fn what_is_gone_before_it_is_stored_is_stored_with_all_that_it_said() {
    let program = Program::logged_in(small());
    let server = &program.server;
    let watching = Watching::start(&program, "1h");
    let chats = chats(server);
    let passing = chats.map(|chat| {
        let id = send(server, chat, "first words");
        edit(server, chat, id, "second words");
        edit(server, chat, id, "third words");
        delete(server, chat, id);
        (chat, id, send(server, chat, "stays"))
    });
    let file = Mutation::Send { peer: chats[0], text: String::new(), out: false, reply_to: None, file: Some(50_000) };
    let with_file = server.mutate(&file).unwrap().ids[0];
    // At once, an hour before it would be due.
    assert_eq!(watching.stop(), 0);
    let vault = program.restored();
    assert_same(server, &vault);
    for (chat, id, stays) in passing {
        let said = ["first words", "second words", "third words"].map(str::to_owned).to_vec();
        assert_eq!(versions(&vault, chat, id), (said, 1), "{chat:?}");
        assert_eq!(versions(&vault, chat, stays), (vec!["stays".to_owned()], 0), "{chat:?}");
    }
    let shown = &vault.messages(peer(chats[0]))[&i64::from(with_file)].media[0];
    assert_eq!(vault.files[shown.path.as_ref().unwrap()].len(), 50_000);
    // For readers it is a message that was deleted, not one that is there.
    let (chat, ..) = passing[0];
    let history = program.unlocked(&["cat", "latest", "--chat", &peer(chat).to_string(), "--history"]).stdout;
    assert!(history.contains("second words") && history.contains("deleted"), "{history}");
}

#[test]
fn a_kill_loses_nothing_that_can_still_be_had() {
    let program = Program::logged_in(small());
    let server = &program.server;
    let watching = Watching::start(&program, "1h");
    let chats = chats(server);
    let heard = chats.map(|chat| (chat, send(server, chat, "while it watched")));
    watching.kill();
    for (chat, id) in heard {
        edit(server, chat, id, "edited while nobody watched");
        delete(server, chat, server.message_ids(chat)[0]);
        send(server, chat, "sent while nobody watched");
    }
    let watching = Watching::start(&program, "1h");
    assert_eq!(watching.stop(), 0);
    assert_same(server, &program.restored());
}

#[test]
fn pushes_that_are_lost_doubled_late_or_too_many_change_nothing() {
    let program = Program::logged_in(Options { difference_limit: 12, channel_difference_limit: 12, ..small() });
    let server = &program.server;
    let watching = Watching::start(&program, "1h");
    let chats = chats(server);
    for spoiled in [Push::Lost, Push::Twice, Push::AfterNext, Push::TooLong] {
        for chat in chats {
            server.spoil_pushes([spoiled]);
            let id = send(server, chat, &format!("{spoiled:?}"));
            edit(server, chat, id, &format!("{spoiled:?}, edited"));
        }
    }
    // More than the server tells one by one.
    server.spoil_pushes([Push::Lost; 60]);
    for number in 0..30 {
        for chat in chats {
            send(server, chat, &format!("number {number}"));
        }
    }
    for chat in chats {
        let recent = server.message_ids(chat).into_iter().rev().nth(20).unwrap();
        edit(server, chat, recent, "edited when nobody heard");
    }
    assert_eq!(watching.stop(), 0);
    assert_same(server, &program.restored());
}

#[test]
fn a_connection_that_breaks_is_made_again_and_what_was_missed_is_asked_for() {
    let program = Program::logged_in(small());
    let server = &program.server;
    let watching = Watching::start(&program, "0");
    let [chat, channel] = chats(server);
    // The next request breaks the line, and so does the first attempt after that.
    server.add_fault(Fault { when: When { times: Some(1), ..When::method("messages.getDialogs") }, then: Effect::Cut });
    server.add_fault(Fault { when: When { times: Some(1), ..When::method("connect") }, then: Effect::Cut });
    send(server, chat, "breaks the line");
    watching.waits_until("saved snapshot ");
    server.clear_faults();
    send(server, channel, "after it");
    watching.waits_until("saved snapshot ");
    assert_eq!(watching.stop(), 0);
    assert_same(server, &program.restored());
}

#[test]
fn a_login_that_is_ended_ends_it_with_13() {
    let program = Program::logged_in(small());
    let server = &program.server;
    let mut watching = Watching::start(&program, "0");
    server.add_fault(Fault { when: When::method("messages.getDialogs"), then: Effect::LogOut });
    send(server, chats(server)[0], "the last thing");
    assert_eq!(watching.child.wait().unwrap().code(), Some(13));
}
