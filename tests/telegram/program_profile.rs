//! The built program and a profile with accounts: `run`, `status` and `doctor`.

use serde_json::Value;
use tgvault_test_support::sandbox::Run;
use tgvault_test_support::telegram::{Kind, Mutation, Options};

use crate::export::readable;
use crate::harness::peer;
use crate::program::Program;
use crate::watch::Watching;

fn lines(run: &Run, wanted: &str) -> Vec<Value> {
    let lines = run.stdout.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.filter(|line| line["message_type"] == wanted).collect()
}

/// Somebody clears up: whoever set this up hears of it from `run` and from `watch`, in numbers only.
#[test]
fn many_deletions_are_an_alarm() {
    let program = Program::logged_in(Options { messages: 1_400, chats: 5, files: 0, gallery: false, ..Options::default() });
    let work = program.sandbox.work();
    let hooks = "[hooks]\nafter = 'cat > after.json'\nmany-deleted = 'cat > many.json'\n";
    let source = "[[source]]\nkind = 'telegram'\naccount = 'main'\nmedia = ['none']\ntakeout = 'never'\n";
    std::fs::write(work.join("p.toml"), format!("{hooks}{source}")).unwrap();
    let (kept, many) = (work.join("after.json"), work.join("many.json"));
    let document = |path: &std::path::Path| serde_json::from_str::<Value>(&std::fs::read_to_string(path).unwrap()).unwrap();
    let chat = readable(&program.server).into_iter().find(|chat| chat.kind == Kind::Broadcast).unwrap().peer;
    let ids = program.server.message_ids(chat);
    let delete = |ids: &[i32]| drop(program.server.mutate(&Mutation::Delete { peer: chat, ids: ids.to_vec() }).unwrap());
    let run = || {
        let run = program.run(&["-P", "./p.toml", "run"]);
        assert!(matches!(run.code, Some(0 | 3)), "{}{}", run.stdout, run.stderr);
        run
    };
    run();
    delete(&ids[..49]);
    run();
    assert!(!many.exists() && document(&kept)["steps"][0]["messages_deleted"].is_null());
    delete(&ids[49..100]);
    let said = run().stderr;
    assert!(said.contains(&format!("{}: 51 messages were deleted since the last run", peer(chat))), "{said}");
    let told = document(&many);
    assert_eq!((&told["event"], &told["outcome"]), (&"many-deleted".into(), &"success".into()));
    assert_eq!((&told["steps"][0]["chats_affected"], &told["steps"][0]["messages_deleted"]), (&1.into(), &51.into()));
    assert_eq!(document(&kept)["steps"][0]["messages_deleted"], 51);
    std::fs::remove_file(&many).unwrap();
    let watching = Watching::start_with(&program, &["-P", "./p.toml"], "0");
    delete(&ids[100..160]);
    watching.waits_until("saved snapshot ");
    assert_eq!(watching.stop(), 0);
    let told = document(&many);
    assert_eq!((&told["event"], &told["steps"][0]["messages_deleted"]), (&"many-deleted".into(), &60.into()));
    assert_eq!((&told["steps"][0]["source"], &told["steps"][0]["chats_affected"]), (&"telegram:main".into(), &1.into()));
}

#[test]
fn an_account_without_a_login_is_told_and_the_others_are_backed_up() {
    let program = Program::logged_in(Options { messages: 200, chats: 5, files: 0, gallery: false, ..Options::default() });
    let work = program.sandbox.work();
    let source = |account: &str| format!("[[source]]\nkind = 'telegram'\naccount = '{account}'\nmedia = ['none']\n");
    let profile = format!("[hooks]\nsession-lost = 'cat > lost.json'\n{}{}", source("gone"), source("main"));
    std::fs::write(work.join("p.toml"), profile).unwrap();
    let run = program.run(&["-P", "./p.toml", "run", "--json"]);
    assert_eq!(run.code, Some(13), "{}{}", run.stdout, run.stderr);
    let steps = lines(&run, "run_step");
    let codes: Vec<&Value> = steps.iter().map(|step| &step["exit_code"]).collect();
    assert!(codes[0] == 13 && (codes[1] == 0 || codes[1] == 3), "{codes:?}");
    let lost: Value = serde_json::from_str(&std::fs::read_to_string(work.join("lost.json")).unwrap()).unwrap();
    assert_eq!((&lost["event"], &lost["steps"][0]["source"]), (&"session-lost".into(), &"telegram:gone".into()));

    let status = program.run(&["-P", "./p.toml", "status", "--json", "--max-age", "1h"]);
    assert_eq!(status.code, Some(16), "{}", status.stderr);
    let rows = lines(&status, "status_source");
    assert_eq!((&rows[0]["verdict"], &rows[0]["last_exit_code"]), (&"never".into(), &13.into()));
    assert!(rows[0]["last_error"].as_str().unwrap().contains("'gone' is not logged in"), "{rows:?}");
    assert!(rows[1]["coverage"]["complete"].as_u64().unwrap() > 0 && rows[1]["too_old"] == false, "{rows:?}");
    assert!(status.stderr.is_empty() || !status.stderr.contains("telegram:main"), "{}", status.stderr);

    let doctor = program.run(&["-P", "./p.toml", "doctor", "--no-speed", "--json"]);
    assert_eq!(doctor.code, Some(1), "{}{}", doctor.stdout, doctor.stderr);
    let logins: Vec<(Value, Value)> = lines(&doctor, "check")
        .into_iter()
        .filter(|line| line["check"] == "login")
        .map(|line| (line["subject"].clone(), line["verdict"].clone()))
        .collect();
    assert_eq!(logins, [("telegram:gone".into(), "failed".into()), ("telegram:main".into(), "passed".into())]);
}
