//! Who is told how a run ended, through the built program: pings, webhooks, mail, hooks, a file for Prometheus.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::sync::{Arc, Mutex};

use serde_json::Value;

use crate::runs::Machine;

/// A server that takes what it gets, and keeps the target, the headers and the body of each request.
struct Sink {
    address: String,
    seen: Arc<Mutex<Vec<(String, String, String)>>>,
}

impl Sink {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let seen: Arc<Mutex<Vec<_>>> = Arc::default();
        let kept = Arc::clone(&seen);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let request = answer(stream.unwrap());
                kept.lock().unwrap().push(request);
            }
        });
        Self { address, seen }
    }

    /// What came since this was asked last: targets and bodies.
    fn take(&self) -> Vec<(String, String)> {
        let taken = std::mem::take(&mut *self.seen.lock().unwrap());
        taken.into_iter().map(|(target, _, body)| (target, body)).collect()
    }

    fn targets(&self) -> Vec<String> {
        self.take().into_iter().map(|(target, _)| target).collect()
    }
}

fn answer(mut stream: TcpStream) -> (String, String, String) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    let target = line.split(' ').nth(1).unwrap_or_default().to_owned();
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        if line.trim().is_empty() {
            break;
        }
        if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        head += &line.to_lowercase();
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    let status = if target.contains("/refused") { "404 Not Found" } else { "200 OK" };
    stream.write_all(format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").as_bytes()).unwrap();
    (target, head, String::from_utf8(body).unwrap())
}

/// The profile of [`Machine`] with one vault, one source and this beside it.
fn with(machine: &Machine, more: &str) {
    machine.profile(&format!("repo = '~/disk'\n{more}\n[[source]]\nkind = 'folder'\nname = 'letters'\npath = '~/a'\n"));
}

#[test]
fn a_ping_says_success_failure_or_only_that_it_was_here() {
    let (machine, sink) = (Machine::new(), Sink::start());
    with(&machine, &format!("[alerts]\nping = '{}/uuid?create=1'", sink.address));
    machine.done("-q run");
    let seen = sink.take();
    assert_eq!(seen.len(), 1, "{seen:?}: no start is sent by default");
    assert_eq!(seen[0].0, "/uuid?create=1");
    assert!(seen[0].1.contains("letters -> ") && seen[0].1.contains("done (exit code 0)"), "{}", seen[0].1);
    fs::rename(machine.home("a"), machine.home("away")).unwrap();
    machine.ends("-q run", 1);
    assert_eq!(sink.targets(), ["/uuid/fail?create=1"]);
    // A run that only looks tells nobody.
    machine.ends("-q run --dry-run", 1);
    assert_eq!(sink.targets(), [""; 0]);
    // Where the start is wanted, it comes first; the address may lie in a file.
    fs::rename(machine.home("away"), machine.home("a")).unwrap();
    fs::write(machine.home("ping"), format!("{}/key/slug\n", sink.address)).unwrap();
    with(&machine, "[alerts]\nping-file = '~/ping'\nping-start = true");
    machine.done("-q run");
    assert_eq!(sink.targets(), ["/key/slug/start", "/key/slug"]);
}

#[test]
fn webhooks_and_mail_come_when_somebody_has_to_look() {
    let (machine, sink) = (Machine::new(), Sink::start());
    let mailed = machine.home("mailed");
    fs::write(machine.home("sendmail"), format!("#!/bin/sh\necho \"$@\" > {0}.words; cat > {0}\n", mailed.display())).unwrap();
    fs::set_permissions(machine.home("sendmail"), PermissionsExt::from_mode(0o755)).unwrap();
    fs::write(machine.home("token"), "secret-token\n").unwrap();
    let alerts = |kind: &str, more: &str| {
        format!(
            "[alerts]\nwebhook = '{}'\nwebhook-kind = '{kind}'\nwebhook-topic = 'mine'\nwebhook-token-file = '~/token'\n\
             mail-to = 'me@example.org'\nsendmail = '~/sendmail'\n{more}",
            sink.address
        )
    };
    with(&machine, &alerts("ntfy", ""));
    machine.done("-q run");
    assert_eq!((sink.take().len(), mailed.exists()), (0, false));
    fs::rename(machine.home("a"), machine.home("away")).unwrap();
    machine.ends("-q run", 1);
    let seen = std::mem::take(&mut *sink.seen.lock().unwrap());
    let body: Value = serde_json::from_str(&seen[0].2).unwrap();
    assert_eq!((seen[0].0.as_str(), &body["topic"]), ("/", &"mine".into()));
    assert!(seen[0].1.contains("authorization: bearer secret-token"), "{}", seen[0].1);
    assert!(body["title"].as_str().unwrap().ends_with("backup failed"), "{body}");
    let mail = fs::read_to_string(&mailed).unwrap();
    assert!(mail.starts_with("To: me@example.org\n") && mail.contains("Subject: tgvault on ") && mail.contains("letters -> "), "{mail}");
    assert_eq!(fs::read_to_string(machine.home("mailed.words")).unwrap(), "-t -i\n");
    fs::rename(machine.home("away"), machine.home("a")).unwrap();
    for (kind, target, field) in [("gotify", "/message", "message"), ("apprise", "/", "body"), ("json", "/", "steps")] {
        with(&machine, &alerts(kind, "on = 'always'"));
        machine.done("-q run");
        let seen = sink.take();
        let body: Value = serde_json::from_str(&seen[0].1).unwrap();
        assert!(seen[0].0 == target && !body[field].is_null(), "{kind}: {seen:?}");
    }
    // What cannot be told is said, and changes nothing about the backup; the address is not repeated.
    with(&machine, &format!("[alerts]\non = 'always'\nwebhook = '{}/refused/hunter2'", sink.address));
    let run = machine.ends("-q run", 0);
    assert!(run.stderr.contains("webhook: ") && run.stderr.contains("404") && !run.stderr.contains("hunter2"), "{}", run.stderr);
}

#[test]
fn hooks_get_a_document_without_any_content() {
    let machine = Machine::new();
    let keep = |name: &str| {
        let file = machine.home(&format!("{name}.json")).display().to_string();
        format!("{name} = 'cat >> {file}; echo >> {file}'")
    };
    let hooks = ["before", "after", "failed", "session-lost", "source-empty", "many-deleted"].map(keep).join("\n");
    fs::write(machine.home("a/The title of a chat"), "The text of a message").unwrap();
    with(&machine, &format!("[hooks]\n{hooks}"));
    let events = |name: &str| -> Vec<Value> {
        let text = fs::read_to_string(machine.home(&format!("{name}.json"))).unwrap_or_default();
        text.lines().filter(|line| !line.is_empty()).map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    machine.done("-q run");
    let (before, after) = (events("before"), events("after"));
    assert_eq!((before.len(), after.len(), events("failed").len()), (1, 1, 0));
    assert_eq!(
        (&before[0]["event"], &after[0]["outcome"], &after[0]["steps"][0]["entries"]),
        (&"before".into(), &"success".into(), &2.into())
    );
    // A disk that is not mounted.
    fs::rename(machine.home("a"), machine.home("away")).unwrap();
    fs::create_dir(machine.home("a")).unwrap();
    machine.ends("-q run", 17);
    let empty = events("source-empty");
    assert_eq!((&empty[0]["event"], &empty[0]["exit_code"]), (&"source-empty".into(), &17.into()));
    assert_eq!((events("failed").len(), events("session-lost").len(), events("many-deleted").len()), (1, 0, 0));
    let all: String = ["before", "after", "failed", "source-empty"]
        .iter()
        .map(|name| fs::read_to_string(machine.home(&format!("{name}.json"))).unwrap())
        .collect();
    assert!(!all.contains("The title") && !all.contains("The text"), "{all}");
    // What prepares a run must succeed.
    with(&machine, "[hooks]\nbefore = 'exit 3'");
    let run = machine.ends("run", 1);
    assert!(run.stderr.contains("the hook 'before' failed") && run.stdout.is_empty(), "{run:?}");
}

#[test]
fn alerts_can_be_tried_and_a_failed_unit_is_told_once() {
    let (machine, sink) = (Machine::new(), Sink::start());
    with(&machine, "");
    assert!(machine.ends("alert test", 2).stderr.contains("there is no one to alert"));
    let hooks = format!("[hooks]\nfailed = 'cat > {}'", machine.home("failed.json").display());
    with(&machine, &format!("[alerts]\nping = '{}/uuid'\n{hooks}", sink.address));
    assert_eq!(machine.done("alert test"), "ping: sent\nfailed: sent\n");
    assert_eq!(sink.targets(), ["/uuid/log"]);
    // systemd starts the alert of a unit that was killed.
    let alert = |started: &str| {
        let mut command = machine.sandbox.command(["alert", "failed", "--unit", "tgvault-default-run.service"]);
        command.env("MONITOR_INVOCATION_ID", started).env("MONITOR_SERVICE_RESULT", "oom-kill").env("MONITOR_EXIT_STATUS", "9");
        command.output().unwrap()
    };
    assert!(alert("1").status.success());
    assert_eq!(sink.targets(), ["/uuid/fail"]);
    let document: Value = serde_json::from_str(&fs::read_to_string(machine.home("failed.json")).unwrap()).unwrap();
    assert_eq!((&document["unit"], &document["notes"][0]), (&"tgvault-default-run.service".into(), &"systemd says: oom-kill".into()));
    // One that has told of its failure itself is not told of twice.
    fs::rename(machine.home("a"), machine.home("away")).unwrap();
    let run = machine.sandbox.command(["-q", "run"]).env("INVOCATION_ID", "2").output().unwrap();
    assert_eq!(run.status.code(), Some(1));
    assert_eq!(sink.targets(), ["/uuid/fail"]);
    assert!(alert("2").status.success());
    assert_eq!(sink.targets(), [""; 0]);
    assert!(alert("3").status.success());
    assert_eq!(sink.targets(), ["/uuid/fail"]);
}

#[test]
fn a_backup_that_stays_away_is_told_by_something_that_does_not_depend_on_it() {
    let (machine, sink) = (Machine::new(), Sink::start());
    with(&machine, &format!("[alerts]\nping = '{0}/uuid'\nwebhook = '{0}/hook'", sink.address));
    machine.done("-q run");
    assert_eq!(sink.targets(), ["/uuid"]);
    // Nothing runs any more.
    machine.done("-q status --alert --max-age 26h");
    assert_eq!(sink.targets(), [""; 0]);
    machine.ends("-q status --alert --max-age 0", 16);
    let seen = sink.take();
    assert_eq!(seen.iter().map(|(target, _)| target.as_str()).collect::<Vec<_>>(), ["/uuid/fail", "/hook"]);
    let document: Value = serde_json::from_str(&seen[1].1).unwrap();
    assert_eq!(document["event"], "too-old");
    assert!(document["notes"][0].as_str().unwrap().contains("no run has been started since then"), "{document}");
}

#[test]
fn figures_for_prometheus_are_what_its_own_checker_takes() {
    let machine = Machine::new();
    fs::create_dir(machine.home("metrics")).unwrap();
    with(&machine, "[alerts]\nmetrics-file = '~/metrics/tgvault.prom'");
    machine.done("-q run");
    machine.done("-q verify");
    machine.done("-q run");
    let file = machine.home("metrics/tgvault.prom");
    let text = fs::read_to_string(&file).unwrap();
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o644);
    assert_eq!(fs::read_dir(machine.home("metrics")).unwrap().count(), 1);
    assert!(text.ends_with('\n') && !text.contains('\r'));
    let vault = machine.home("disk").display().to_string();
    for line in [
        format!("tgvault_last_run_exit_code{{source=\"letters\",vault=\"{vault}\"}} 0"),
        format!("tgvault_last_backup_entries{{source=\"letters\",vault=\"{vault}\"}} 1"),
        format!("tgvault_last_verify_sound{{vault=\"{vault}\"}} 1"),
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is not in {text}");
    }
    tgvault_test_support::needs_programs!("promtool");
    let input = fs::File::open(&file).unwrap();
    let checked = std::process::Command::new("promtool").args(["check", "metrics"]).stdin(input).output().unwrap();
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
}
