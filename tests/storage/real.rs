//! The whole program on servers that run elsewhere: `tests/real_stores` starts a Ceph and a Swift and tells of them by `AWS_*`.

use std::path::Path;
use std::process::Command;

use tgvault_test_support::stores::{Bucket, fresh_name};

use crate::program::{Machine, Reader, every_job, killed_before_the_answer, no_bucket, sixteen_at_once};

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("run by tests/real_stores, which sets {name}"))
}

/// Has `servers/s3.py` do something at the server; gives what it prints.
fn ask(arguments: &[&str]) -> String {
    let home = Path::new(env!("CARGO_MANIFEST_DIR"));
    let python = Path::new(&variable("CARGO_TARGET_DIR")).join("test-servers/moto/venv/bin/python");
    let asked = Command::new(python).arg(home.join("tests/support/servers/s3.py")).args(arguments).output().unwrap();
    assert!(asked.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&asked.stderr));
    String::from_utf8(asked.stdout).unwrap()
}

/// A new bucket, made by `action`.
fn bucket(action: &str, more: &[&str]) -> Bucket {
    let name = fresh_name();
    ask(&[&[action, &name][..], more].concat());
    let endpoint = variable("AWS_ENDPOINT_URL");
    let names = ["AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION"];
    let env = names.map(|name| (name.to_owned(), variable(name))).into();
    Bucket { url: format!("s3://{name}"), address: endpoint.trim_start_matches("http://").parse().unwrap(), env, name }
}

fn open_uploads(bucket: &Bucket) -> usize {
    ask(&["uploads", &bucket.name]).trim().parse().unwrap()
}

#[test]
#[ignore = "run by tests/real_stores"]
fn the_whole_program() {
    let bucket = bucket("bucket", &[]);
    every_job(&bucket, || open_uploads(&bucket));
    no_bucket(&bucket);
}

/// Where the server keeps versions, it may forget to refuse a name that is taken.
#[test]
#[ignore = "run by tests/real_stores"]
fn the_whole_program_in_a_bucket_with_versions() {
    let bucket = bucket("versioned", &[]);
    every_job(&bucket, || open_uploads(&bucket));
}

#[test]
#[ignore = "run by tests/real_stores"]
fn uploads_whose_beginning_was_not_answered_are_found() {
    let bucket = bucket("bucket", &[]);
    killed_before_the_answer(&bucket, || open_uploads(&bucket));
}

#[test]
#[ignore = "run by tests/real_stores"]
fn sixteen_new_machines_at_once() {
    sixteen_at_once(&bucket("bucket", &[]));
    sixteen_at_once(&bucket("versioned", &[]));
}

/// Two users of one bucket, where the server has policies for it: what the second one stores belongs to it, and is the owner's to read only where every object says so.
#[test]
#[ignore = "run by tests/real_stores"]
fn a_storage_user_for_each_machine() {
    let owned = bucket("shared", &["two"]);
    let other = owned.clone().with_env("AWS_ACCESS_KEY_ID", "tgvaultother").with_env("AWS_SECRET_ACCESS_KEY", "tgvaultothersecret");
    for (prefix, options) in [("open", &["--bucket-owner-full-control"][..]), ("locked", &[])] {
        let reader = Reader::new();
        let (first, second) = (Machine::new(&owned, prefix), Machine::new(&other, prefix));
        first.write("file", b"first");
        second.write("file", b"second");
        let run = |machine: &Machine, bucket: &Bucket, arguments: &[&str]| machine.ended(bucket, &[options, arguments].concat());
        let made = run(&first, &owned, &["init", "-r", reader.recipient()]);
        assert_eq!(made.code, Some(0), "{made:?}");
        let backup = |host| [&["backup", "source", "--host", host][..], &reader.option()].concat();
        assert_eq!(run(&first, &owned, &backup("first")).code, Some(0));
        let stored = run(&second, &other, &backup("second"));
        let verified = run(&first, &owned, &["verify"]);
        if options.is_empty() {
            let told = format!("{stored:?}{verified:?}");
            assert!(told.contains("--bucket-owner-full-control"), "the way out is named: {told}");
        } else {
            assert_eq!((stored.code, verified.code), (Some(0), Some(0)), "{stored:?}{verified:?}");
            for (machine, bucket) in [(&first, &owned), (&second, &other)] {
                for host in ["first", "second"] {
                    let restore = [&["restore", "latest", "--host", host, "--to", host][..], &reader.option()].concat();
                    let restored = run(machine, bucket, &restore);
                    assert_eq!(restored.code, Some(0), "{restored:?}");
                }
            }
        }
    }
}
