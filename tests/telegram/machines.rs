//! Two machines back up one account by turns, and an export of it is taken in between: the latest state has what any of them knows.

use std::process::Stdio;

use serde_json::Value;
use tgvault_test_support::sandbox::Run;
use tgvault_test_support::telegram::{Kind, Mutation, Options, Peer};

use crate::export::readable;
use crate::harness::peer;
use crate::program::Program;

/// Runs on the second machine, which has its own state and login.
fn on_second(program: &Program, arguments: &[&str], input: &str) -> Run {
    use std::io::Write;
    let mut command = program.command(arguments);
    command.env("TGVAULT_STATE_DIR", program.file("state-of-second")).env("TGVAULT_HOST", "second").stdin(Stdio::piped());
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    Run::from(child.wait_with_output().unwrap())
}

fn send(program: &Program, to: Peer, text: &str) -> i32 {
    let send = Mutation::Send { peer: to, text: text.into(), out: false, reply_to: None, file: None };
    program.server.mutate(&send).unwrap().ids[0]
}

/// What is restored has the server's messages, and of those that are gone it says so.
fn assert_all_shown(program: &Program) {
    let to = tempfile::tempdir_in(program.sandbox.folder()).unwrap();
    let folder = to.path().join("restored");
    program.unlocked(&["restore", "latest", "--as", "telegram-desktop", "--format", "json", "--to", &folder.to_string_lossy()]);
    let json: Value = serde_json::from_slice(&std::fs::read(folder.join("result.json")).unwrap()).unwrap();
    let chats = json["chats"]["list"].as_array().unwrap();
    for chat in readable(&program.server).into_iter().filter(|chat| chat.kind != Kind::Saved) {
        let shown = chats.iter().find(|shown| shown["id"].as_i64() == Some(peer(chat.peer).id)).unwrap();
        let there = shown["messages"].as_array().unwrap().iter().filter(|message| message.get("deleted_unixtime").is_none());
        let ids: Vec<i64> = there.map(|message| message["id"].as_i64().unwrap()).filter(|id| *id > 0).collect();
        assert_eq!(ids, program.server.message_ids(chat.peer).into_iter().map(i64::from).collect::<Vec<_>>(), "{chat:?}");
    }
}

#[test]
fn the_latest_state_of_an_account_has_what_any_machine_knows() {
    let program = Program::logged_in(Options { messages: 300, chats: 10, files: 0, media_bytes: 0, gallery: false, ..Options::default() });
    let passphrase = program.file("passphrase").to_string_lossy().into_owned();
    let chats = readable(&program.server);
    let group = chats.iter().find(|chat| chat.kind == Kind::Supergroup { forum: false }).unwrap().peer;
    let person = chats.iter().find(|chat| chat.kind == Kind::Private && chat.messages > 5).unwrap().peer;
    let backup = ["backup", "telegram", "--no-account-data", "--takeout", "never", "--recheck-budget", "0"];
    program.backup(&["--takeout", "never"], 0);

    let edited = send(&program, group, "first words");
    program.backup(&["--takeout", "never"], 0);
    program.server.mutate(&Mutation::Edit { peer: group, id: edited, text: "last words".into() }).unwrap();
    let phone = program.server.options().phone.clone();
    let code = format!("{}\n", program.server.options().code);
    let login = on_second(&program, &["login", "--phone", &phone], &code);
    assert_eq!(login.code, Some(0), "{}", login.stderr);
    send(&program, person, "for the second machine");
    let second = on_second(&program, &[&["--passphrase-file", passphrase.as_str()], &backup[..]].concat(), "");
    assert_eq!(second.code, Some(0), "{}", second.stderr);

    // An export of what there was by then joins the account on the first machine.
    let export = program.file("export");
    program.unlocked(&["restore", "latest", "--as", "telegram-desktop", "--to", &export.to_string_lossy()]);
    let gone = program.server.message_ids(person)[0];
    program.server.mutate(&Mutation::Delete { peer: person, ids: vec![gone] }).unwrap();
    send(&program, group, "for the first machine");
    program.backup(&["--takeout", "never"], 0);
    program.unlocked(&["backup", "desktop-export", &export.to_string_lossy()]);

    assert_all_shown(&program);
    let texts = program.restored().messages(peer(group));
    assert!(texts[&i64::from(edited)].message.get().contains("last words"), "{}", texts[&i64::from(edited)].message);
    // The second machine goes on from where it was, and hides nothing of the first.
    send(&program, group, "for the second machine again");
    let second = on_second(&program, &backup, "");
    assert_eq!(second.code, Some(0), "{}", second.stderr);
    assert_all_shown(&program);
    let shown = program.unlocked(&["cat", "latest", "--chat", &peer(group).to_string()]).stdout;
    for words in ["last words", "for the first machine", "for the second machine again"] {
        assert_eq!(shown.matches(words).count(), 1, "{words}: {shown}");
    }
}
