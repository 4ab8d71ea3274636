//! Through proxies: everything goes by way of them, and nothing around them.

use tgvault::source::telegram::{CallError, ConnectOptions, ProxyError, ProxyKind, ProxySecret, TelegramError};
use tgvault_test_support::proxies::{Kind, Proxy};
use tgvault_test_support::sandbox::Run;
use tgvault_test_support::telegram::{Options, TelegramServer};

use crate::export::assert_all_of;
use crate::harness::Setup;
use crate::program::Program;

const SECRET: [u8; 16] = *b"sixteen letters!";
const PASSWORD: &str = "hunter2:/@";

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn program() -> Program {
    Program::new(Options { messages: 300, chats: 6, files: 12, media_bytes: 400_000, gallery: false, ..Options::default() })
}

fn anna() -> Option<(String, String)> {
    Some(("anna".into(), PASSWORD.into()))
}

/// Connections that the server has seen, by data centre.
fn seen(server: &TelegramServer) -> Vec<(i32, usize)> {
    server.loads().into_iter().map(|(dc, load)| (dc, load.accepted)).filter(|&(_, count)| count > 0).collect()
}

fn log_in(program: &Program) -> Run {
    let (phone, code) = (program.server.options().phone.clone(), format!("{}\n", program.server.options().code));
    program.with_input(&["login", "--phone", &phone], &code)
}

/// Logs in and backs up; every connection that the server saw was carried.
fn everything_through(program: &mut Program, proxy: &Proxy, address: &str, more: &[(&str, &str)]) {
    program.sandbox.env([("TGVAULT_PROXY", address.to_owned())]);
    program.sandbox.env(more.iter().map(|&(name, value)| (name, value.to_owned())).collect::<Vec<_>>());
    let run = log_in(program);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    let run = program.backup(&["--takeout", "never"], 0);
    for secret in [PASSWORD, "hunter2", &hex(&SECRET)] {
        assert!(!run.stdout.contains(secret) && !run.stderr.contains(secret));
    }
    let addresses = program.server.addresses().clone();
    let carried: Vec<_> = proxy.carried().into_iter().collect();
    let expected: Vec<_> = seen(&program.server).into_iter().map(|(dc, count)| (addresses[&dc], count)).collect();
    let sorted = |mut list: Vec<_>| {
        list.sort();
        list
    };
    assert_eq!(sorted(carried.clone()), sorted(expected), "what the proxy carried is what the server saw");
    assert!(carried.len() > 1, "files come from other data centres: {carried:?}");
    assert_all_of(&program.server, &program.restored());
}

#[test]
fn everything_goes_through_socks5_with_a_password_by_reference() {
    let mut program = program();
    let proxy = Proxy::start(Kind::Socks5(anna()), false).unwrap();
    std::fs::write(program.file("word"), format!("{PASSWORD}\n")).unwrap();
    let file = program.file("word").to_string_lossy().into_owned();
    everything_through(&mut program, &proxy, &format!("socks5://anna@{}", proxy.address()), &[("TGVAULT_PROXY_PASSWORD_FILE", &file)]);
}

#[test]
fn everything_goes_through_http_with_a_password_in_the_environment() {
    let mut program = program();
    let proxy = Proxy::start(Kind::Http(anna()), false).unwrap();
    everything_through(&mut program, &proxy, &format!("http://anna@{}", proxy.address()), &[("TGVAULT_PROXY_PASSWORD", PASSWORD)]);
}

#[test]
fn everything_goes_through_an_mtproxy_padded_or_not() {
    for (prefix, is_padded) in [("", false), ("dd", true)] {
        let mut program = program();
        let proxy = Proxy::start(Kind::MtProxy(SECRET, program.server.addresses().clone()), false).unwrap();
        let (host, port) = (proxy.address().ip(), proxy.address().port());
        let link = format!("tg://proxy?server={host}&port={port}&secret={prefix}{}", hex(&SECRET));
        everything_through(&mut program, &proxy, &link, &[]);
        assert_eq!(proxy.padded(), if is_padded { proxy.accepted() } else { 0 });
    }
}

/// A run of `chats` whose proxy is `address`; the server must see nothing of it.
fn refused(program: &Program, address: &str, code: i32, words: &str) {
    let before = seen(&program.server);
    let run = program.run(&["chats", "--proxy", address]);
    assert_eq!(run.code, Some(code), "{}", run.stderr);
    assert!(run.stderr.contains(words), "{words}: {}", run.stderr);
    assert!(!run.stderr.contains("hunter2"), "{}", run.stderr);
    assert_eq!(seen(&program.server), before, "nothing goes around the proxy");
}

#[test]
fn a_proxy_that_refuses_is_explained_and_nothing_goes_around_it() {
    let mut program = program();
    assert_eq!(log_in(&program).code, Some(0));
    let open = Proxy::start(Kind::Socks5(None), true).unwrap();
    refused(&program, &format!("socks5://{}", open.address()), 1, "does not allow connections to Telegram");
    let locked = Proxy::start(Kind::Socks5(anna()), false).unwrap();
    refused(&program, &format!("socks5://{}", locked.address()), 1, "requires a user name and password");
    let web = Proxy::start(Kind::Http(anna()), false).unwrap();
    refused(&program, &format!("http://{}", web.address()), 1, "requires a user name and password");
    program.sandbox.env([("TGVAULT_PROXY_PASSWORD", "wrong".to_owned())]);
    refused(&program, &format!("socks5://anna@{}", locked.address()), 1, "rejects the user name or password");
    refused(&program, &format!("http://anna@{}", web.address()), 1, "rejects the user name or password");
    let strict = Proxy::start(Kind::Http(None), true).unwrap();
    refused(&program, &format!("http://{}", strict.address()), 1, "does not allow connections to Telegram (HTTP status 403)");
    refused(&program, &format!("socks5://anna:hunter2@{}", locked.address()), 2, "--proxy has a password in it");
    refused(&program, "tg://proxy?server=h&port=1&secret=ee00112233445566778899aabbccddeeff61", 2, "imitates HTTPS");
    refused(&program, &format!("tg://proxy?server=h&port=1&secret={}", hex(&SECRET)), 2, "--proxy has the secret of an MTProxy in it");
    // The environment goes before the profile, and the password of the profile's proxy is for no other one.
    std::fs::write(program.file("word"), format!("{PASSWORD}\n")).unwrap();
    let profile = format!("[telegram]\nproxy = 'socks5://anna@{}'\nproxy-password-file = 'word'\n", locked.address());
    std::fs::write(program.file("p.toml"), profile).unwrap();
    let (profile, other) = (program.file("p.toml").to_string_lossy().into_owned(), Proxy::start(Kind::Socks5(anna()), false).unwrap());
    let run = program.run(&["-P", &profile, "chats"]);
    assert!(run.code == Some(1) && run.stderr.contains("rejects the user name or password"), "{:?} {}", run.code, run.stderr);
    program.sandbox.env([("TGVAULT_PROXY_PASSWORD", String::new())]);
    assert_eq!(program.run(&["-P", &profile, "chats"]).code, Some(0));
    let run = program.run(&["-P", &profile, "chats", "--proxy", &format!("socks5://anna@{}", other.address())]);
    assert!(run.code == Some(2) && run.stderr.contains("no password was given"), "{:?} {}", run.code, run.stderr);
    assert_eq!(other.accepted(), 0);
    // Looking up the server's name would go around the proxy.
    let named = ["--telegram-server", "localhost:1", "--proxy", &format!("socks5://{}", open.address())];
    let run = program.run(&[&["chats"][..], &named].concat());
    assert_eq!(run.code, Some(2), "{}", run.stderr);
    assert!(run.stderr.contains("give its IP address"), "{}", run.stderr);
}

/// What comes of asking through this proxy, after all retries.
fn asked(setup: &Setup, host: std::net::SocketAddr, kind: ProxyKind) -> (CallError, String) {
    let proxy = tgvault::source::telegram::Proxy { host: host.ip().to_string(), port: host.port(), kind };
    let options = ConnectOptions { proxy: Some(proxy), ..setup.connect_options() };
    let account = setup.accounts().open("main", &options).unwrap();
    let Err(TelegramError::Call { source, .. }) = account.check() else { panic!("it is refused") };
    let words = source.to_string();
    (source, words)
}

#[test]
fn a_proxy_that_is_down_or_closes_is_asked_again_and_never_passed_by() {
    let setup = Setup::new(Options::empty());
    drop(setup.account());
    let before = seen(&setup.server);
    let address = {
        let gone = Proxy::start(Kind::Socks5(None), false).unwrap();
        gone.address()
    };
    for kind in [ProxyKind::Socks5(None), ProxyKind::Http(None), ProxyKind::MtProxy(ProxySecret::new(&SECRET).unwrap())] {
        let (error, words) = asked(&setup, address, kind);
        assert!(matches!(error, CallError::Proxy(ProxyError::Unreachable { .. })) && error.is_unreachable(), "{error:?}");
        assert_eq!(words, format!("the proxy {address} cannot be reached"));
    }
    let other = Proxy::start(Kind::MtProxy(SECRET, setup.server.addresses().clone()), false).unwrap();
    let (error, words) = asked(&setup, other.address(), ProxyKind::MtProxy(ProxySecret::new(&[9; 16]).unwrap()));
    assert!(matches!(error, CallError::Proxy(ProxyError::Closed { .. })), "{error:?}");
    assert!(words.contains("its secret is wrong"), "{words}");
    assert!(other.accepted() > 1, "it is asked again");
    assert_eq!(seen(&setup.server), before, "nothing goes around the proxy");
}
