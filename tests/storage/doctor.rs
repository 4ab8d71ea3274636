//! `doctor` on a real server: what it sees through a server that is as it should be, and through one that is not.

use serde_json::Value;
use tgvault_test_support::gate::{Action, Gate};
use tgvault_test_support::sandbox::{Run, Sandbox};
use tgvault_test_support::stores::Bucket;
use tgvault_test_support::stores::s3s::S3s;

use crate::stores;

fn doctor(bucket: &Bucket) -> (Run, Vec<Value>) {
    let sandbox = Sandbox::new(env!("CARGO_BIN_EXE_tgvault")).unwrap();
    let mut command = sandbox.command(["--repo", &format!("{}/v", bucket.url), "doctor", "--json"]);
    let run = Run::from(command.envs(bucket.env.iter().map(|(name, value)| (name, value))).output().unwrap());
    let lines = run.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    (run, lines)
}

fn verdict<'a>(lines: &'a [Value], check: &str) -> &'a str {
    let found = lines.iter().find(|line| line["check"] == check).unwrap_or_else(|| panic!("{check} was not checked: {lines:?}"));
    found["verdict"].as_str().unwrap()
}

async fn objects(bucket: &Bucket) -> usize {
    stores::open(bucket, stores::options()).list("").await.unwrap().len()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_server_does_is_what_is_said_of_it() {
    let server = S3s::start().unwrap();
    let bucket = server.bucket().unwrap();
    let asked = bucket.clone();
    let (run, lines) = tokio::task::spawn_blocking(move || doctor(&asked)).await.unwrap();
    assert_eq!(run.code, Some(0), "{}{}", run.stdout, run.stderr);
    for check in
        ["read after write", "list after write", "clock", "conditional put", "ranged reads", "names", "multipart", "checksum", "speed"]
    {
        assert_eq!(verdict(&lines, check), "passed", "{check}");
    }
    // These credentials may do everything, which is more than a backup needs.
    assert_eq!((verdict(&lines, "overwrite"), verdict(&lines, "delete"), verdict(&lines, "vault")), ("warned", "warned", "warned"));
    assert_eq!(objects(&bucket).await, 0, "nothing is left behind");

    // Credentials that cannot delete leave something, which is named.
    let gate = Gate::start(Some(bucket.address), |seen| match seen.method.as_str() {
        "DELETE" => Action::Answer(403, vec![], "<?xml version='1.0'?><Error><Code>AccessDenied</Code><Message>no</Message></Error>"),
        _ => Action::Forward,
    })
    .unwrap();
    let asked = bucket.clone().through(&gate.url());
    let (run, lines) = tokio::task::spawn_blocking(move || doctor(&asked)).await.unwrap();
    assert_eq!((run.code, verdict(&lines, "delete")), (Some(0), "passed"), "{}", run.stdout);
    let left = lines.last().unwrap()["left"].as_array().unwrap().len();
    assert_eq!((left, objects(&bucket).await), (6, 6));
}

/// A server that takes "only if it does not exist yet" for nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_overwrites_is_found_out() {
    let bucket = stores::moto().await.bucket().await.unwrap();
    let gate = Gate::start(Some(bucket.address), |_| Action::ForwardWithout("if-none-match")).unwrap();
    let asked = bucket.clone().through(&gate.url());
    let (run, lines) = tokio::task::spawn_blocking(move || doctor(&asked)).await.unwrap();
    assert_eq!((run.code, verdict(&lines, "conditional put")), (Some(0), "warned"), "{}", run.stdout);
    assert_eq!(objects(&bucket).await, 0);
}
