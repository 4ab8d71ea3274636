//! Every way in, and out again.

use std::fs;
use std::sync::{Arc, Mutex};

use base64::Engine;
use tgvault::source::telegram::{LoginWay, TelegramError};
use tgvault_test_support::telegram::{Effect, Fault, Options, When};

use crate::harness::{Answers, Setup};

#[test]
fn by_phone_code_with_a_password_and_mistakes() {
    let setup = Setup::new(Options { password: Some("correct horse".into()), ..Options::empty() });
    let mut answers = Answers::new(setup.server.options());
    answers.codes.insert(0, "00000".into());
    answers.passwords.insert(0, "wrong".into());
    let account = setup.log_in_with("main", LoginWay::Phone(None), &mut answers).unwrap();
    assert!(!account.user().bot);
    assert_eq!(answers.said, ["That code is wrong.", "That password is wrong."]);
    assert_eq!(setup.accounts().names().unwrap(), ["main"]);
    let sealed = fs::read(setup.accounts_folder().join("main.session")).unwrap();
    assert!(sealed.starts_with(b"age-encryption.org/v1") && !sealed.windows(7).any(|window| window == b"home_dc"));
    // The session serves again without a login.
    let again = setup.accounts().open("main", &setup.connect_options()).unwrap();
    assert_eq!(again.user(), account.user());
}

#[test]
fn by_qr_code() {
    let setup = Arc::new(Setup::new(Options::empty()));
    let scanned = Arc::new(Mutex::new(0));
    let mut answers = Answers::new(setup.server.options());
    let (phone, count) = (setup.clone(), scanned.clone());
    answers.on_qr = Box::new(move |link| {
        *count.lock().unwrap() += 1;
        let token = link.strip_prefix("tg://login?token=").unwrap();
        let token = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(token).unwrap();
        assert!(phone.server.accept_login_token(&token));
    });
    let account = setup.log_in_with("qr", LoginWay::Qr, &mut answers).unwrap();
    assert!(!account.user().bot);
    assert_eq!(*scanned.lock().unwrap(), 1);
}

#[test]
fn as_a_bot_and_several_accounts_side_by_side() {
    let setup = Setup::new(Options::empty());
    let token = setup.server.options().bot_token.clone();
    let mut answers = Answers::new(setup.server.options());
    let bot = setup.log_in_with("robot", LoginWay::Bot(token.into()), &mut answers).unwrap();
    assert!(bot.user().bot);
    setup.account();
    assert_eq!(setup.accounts().names().unwrap(), ["main", "robot"]);
    let refused = setup.log_in_with("robot", LoginWay::Bot("1:x".to_owned().into()), &mut answers);
    assert!(matches!(refused, Err(TelegramError::Login(_))), "{:?}", refused.err());
    assert!(setup.accounts().open("robot", &setup.connect_options()).is_ok(), "the old login is still there");
}

#[test]
fn logging_out_ends_the_session_at_telegram_too() {
    let setup = Setup::new(Options::empty());
    setup.account();
    setup.accounts().logout("main", &setup.connect_options()).unwrap();
    assert_eq!(setup.server.methods().get("auth.logOut"), Some(&1));
    assert!(setup.accounts().names().unwrap().is_empty());
    let gone = setup.accounts().open("main", &setup.connect_options());
    assert!(matches!(gone, Err(TelegramError::LoginNeeded { .. })));
}

#[test]
fn a_flood_wait_is_told_in_words() {
    let mut setup = Setup::new(Options::empty());
    setup.max_wait = std::time::Duration::from_secs(10);
    setup.server.add_fault(Fault { when: When::method("auth.sendCode"), then: Effect::rpc(420, "FLOOD_WAIT_11520") });
    let refused = setup.log_in_with("main", LoginWay::Phone(None), &mut Answers::new(setup.server.options()));
    let Err(error) = refused else { panic!("logged in") };
    assert_eq!(error.to_string(), "Telegram requires a wait of 3 h 12 min before asking for a code");
    assert!(setup.accounts().names().unwrap().is_empty());
}

#[test]
fn a_server_with_another_key_is_not_trusted() {
    let setup = Setup::new(Options::empty());
    let other = tgvault_test_support::telegram::ServerKey::generate();
    let server = tgvault::source::telegram::CustomServer { key_pem: other.public_pem(), ..setup.custom_server() };
    let application = tgvault::source::telegram::Application { api_id: 1, api_hash: "x".into() };
    let options = tgvault::source::telegram::ConnectOptions { server: Some(server), ..setup.connect_options() };
    let mut answers = Answers::new(setup.server.options());
    let result = setup.accounts().login("main", LoginWay::Phone(None), &application, &options, &mut answers);
    let Err(TelegramError::WrongServer { source, .. }) = result else { panic!("trusted") };
    assert!(format!("{:?}", source).contains("UnknownKey"), "{source:?}");
}

#[test]
fn over_connections_that_do_not_last() {
    // Three packets: an exchange of keys, or salts, an introduction and one answer.
    let options = || Options { password: Some("correct horse".into()), close_after: 3, ..Options::empty() };
    let setup = Setup::new(options());
    setup.account();
    // Each step is lost once on the way there, and once on the way back: it has been taken then.
    for method in ["auth.sendCode", "auth.signIn", "auth.checkPassword"] {
        for effect in [Effect::Cut, Effect::CutAfter(1)] {
            let setup = Setup::new(Options { close_after: 0, ..options() });
            setup.server.add_fault(Fault { when: When { times: Some(1), ..When::method(method) }, then: effect });
            let mut answers = Answers::new(setup.server.options());
            let account = setup.log_in_with("main", LoginWay::Phone(None), &mut answers);
            assert!(account.is_ok(), "{method}: {:?}", account.err());
            assert_eq!((answers.codes.len(), answers.passwords.len()), (0, 0), "each is asked for once");
            assert!(answers.said.is_empty(), "{:?}", answers.said);
        }
    }
}
