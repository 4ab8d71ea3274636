use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use serde_json::Value;

#[test]
fn takes_commands_and_ends_with_its_input() {
    let directory = std::env::temp_dir().join(format!("telegram-server-{}", std::process::id()));
    std::fs::create_dir_all(&directory).expect("a folder");
    let (script, key) = (directory.join("faults.json"), directory.join("key.pem"));
    std::fs::write(
        &script,
        r#"[{"when": {"method": "messages.getHistory", "times": 1}, "then": {"rpc": {"code": 420, "message": "FLOOD_WAIT_1"}}}]"#,
    )
    .expect("a script");
    let mut program = Command::new(env!("CARGO_BIN_EXE_telegram-server"))
        .args(["--seed", "3", "--messages", "50", "--chats", "4", "--no-gallery", "--latency", "1ms", "--bandwidth", "20M"])
        .arg("--script")
        .arg(&script)
        .arg("--write-key")
        .arg(&key)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("starts");
    let mut input = program.stdin.take().expect("its input");
    let mut output = BufReader::new(program.stdout.take().expect("its output")).lines();
    let mut line = || -> Value { serde_json::from_str(&output.next().expect("a line").expect("text")).expect("JSON") };
    let listening = line();
    assert_eq!(listening["home_dc"], 2);
    assert_eq!(listening["key"].as_str(), std::fs::read_to_string(&key).ok().as_deref());
    let mut ask = |command: &str| {
        writeln!(input, "{command}").expect("it listens");
        line()
    };
    let chats = ask("\"chats\"");
    assert_eq!(chats["ok"].as_array().map(Vec::len), Some(5));
    let sent = ask(r#"{"mutate": {"send": {"peer": {"user": 5000000000}, "text": "hello"}}}"#);
    let id = sent["ok"]["ids"][0].as_i64().expect("an id");
    assert!(ask(&format!(r#"{{"message": [{{"user": 5000000000}}, {id}]}}"#))["ok"].is_string());
    assert!(ask(r#"{"mutate": {"leave": {"channel": 1}}}"#)["error"].is_string());
    assert_eq!(ask("\"struck\"")["ok"][0], 0);
    drop(input);
    assert!(program.wait().expect("it ends").success());
    std::fs::remove_dir_all(&directory).expect("removed");
}
