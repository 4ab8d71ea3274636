//! The built program and a profile with accounts: `run`, `status` and `doctor`.

use serde_json::Value;
use tgvault_test_support::sandbox::Run;
use tgvault_test_support::telegram::Options;

use crate::program::Program;

fn lines(run: &Run, wanted: &str) -> Vec<Value> {
    let lines = run.stdout.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.filter(|line| line["message_type"] == wanted).collect()
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
