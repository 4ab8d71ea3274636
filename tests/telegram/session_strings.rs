//! Sessions that other programs logged in, taken over as one line of text.

use std::io::Read;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE, URL_SAFE_NO_PAD};
use tgvault::model::keep::Keep;
use tgvault::state::StateFolder;
use tgvault_test_support::telegram::Options;

use crate::program::Program;

/// The key of the login `main`, and its data centre.
fn key(program: &Program) -> (u8, Vec<u8>) {
    let kept = StateFolder::open(program.file("state"), None).unwrap().kept("telegram", None);
    let mut text = String::new();
    kept.load("main.session").unwrap().unwrap().read_to_string(&mut text).unwrap();
    let session: serde_json::Value = serde_json::from_str(&text).unwrap();
    let dc = session["home_dc"].as_u64().unwrap();
    let key = session["dcs"][dc.to_string()]["key"].as_str().unwrap();
    (dc.try_into().unwrap(), STANDARD.decode(key).unwrap())
}

fn telethon(dc: u8, key: &[u8]) -> String {
    format!("1{}", URL_SAFE.encode([&[dc, 127, 0, 0, 1][..], &443_u16.to_be_bytes(), key].concat()))
}

fn pyrogram(dc: u8, key: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode([&[dc][..], &4711_u32.to_be_bytes(), &[1], key, &7_u64.to_be_bytes(), &[0]].concat())
}

fn log_outs(program: &Program) -> usize {
    program.server.methods().get("auth.logOut").copied().unwrap_or_default()
}

#[test]
fn a_session_string_is_a_login_until_telegram_ends_it() {
    let mut program = Program::logged_in(Options { messages: 40, chats: 3, files: 0, gallery: false, ..Options::default() });
    let (dc, key) = key(&program);
    let take_over = |program: &Program, string: &str| program.with_input(&["login", "--from-session-string"], &format!("{string}\n"));
    let before = program.server.methods();
    for string in [telethon(dc, &key), pyrogram(dc, &key)] {
        std::fs::remove_file(program.file("state/telegram/main.session")).unwrap();
        // Twice: the second finds the same session, which it must not end.
        for _ in 0..2 {
            let run = take_over(&program, &string);
            assert_eq!(run.code, Some(0), "{}", run.stderr);
            assert!(run.stdout.contains("account 'main' is user"), "{}", run.stdout);
            assert!(!run.stderr.contains(&string[..40]) && !run.stdout.contains(&string[..40]));
        }
        program.backup(&["--takeout", "never"], 0);
    }
    assert_eq!(log_outs(&program), 0);
    assert_eq!(program.server.methods().get("auth.sendCode"), before.get("auth.sendCode"), "nobody logs in");
    let sealed = std::fs::read(program.file("state/telegram/main.session")).unwrap();
    assert!(sealed.starts_with(b"age-encryption.org/v1"));

    // Cut, of another kind, empty.
    let whole = telethon(dc, &key);
    let token = "123456:AAF-abcdefghijklmnopqrstuvwxyz0123456";
    for (string, words) in [(&whole[..200], "it has 200 characters"), (token, "this is a bot token")] {
        let run = take_over(&program, string);
        assert_eq!(run.code, Some(2), "{}", run.stderr);
        assert!(run.stderr.contains(words) && !run.stderr.contains(string), "{}", run.stderr);
    }

    // Without an api_id only a string that contains one will do.
    program.sandbox.env([("TGVAULT_API_ID", "0".to_owned())]);
    assert_eq!(take_over(&program, &pyrogram(dc, &key)).code, Some(0));
    let run = take_over(&program, &whole);
    assert_eq!(run.code, Some(2), "{}", run.stderr);
    assert!(run.stderr.contains("requires an api_id"), "{}", run.stderr);
    program.sandbox.env([("TGVAULT_API_ID", "12345".to_owned())]);

    // A key that the server never made, and one that was ended.
    let run = take_over(&program, &telethon(dc, &[9; 256]));
    assert_eq!(run.code, Some(1), "{}", run.stderr);
    assert!(run.stderr.contains("Telegram does not know this session"), "{}", run.stderr);
    assert_eq!(program.run(&["chats"]).code, Some(0), "the login that was there is still there");
    // A login that cannot be read is not written over: it may be somebody else's.
    let file = program.file("state/telegram/main.session");
    let login = std::fs::read(&file).unwrap();
    std::fs::write(&file, &login[..login.len() / 2]).unwrap();
    let run = take_over(&program, &whole);
    assert!(run.code != Some(0) && run.stderr.contains("main.session"), "{:?} {}", run.code, run.stderr);
    assert_eq!(std::fs::read(&file).unwrap(), login[..login.len() / 2]);
    std::fs::write(&file, login).unwrap();
    assert_eq!(program.run(&["logout"]).code, Some(0));
    let run = take_over(&program, &whole);
    assert_eq!(run.code, Some(1), "{}", run.stderr);
    assert!(run.stderr.contains("it was ended, or never existed"), "{}", run.stderr);
    assert_eq!(program.run(&["chats"]).code, Some(13), "nothing is kept of it");
}
