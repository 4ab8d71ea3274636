//! How many requests the built program makes of an S3 server: every one is counted on the line, pages of listings too.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tgvault_test_support::gate::{Action, Gate};
use tgvault_test_support::stores::Bucket;

use crate::program::{Machine, Reader};
use crate::stores;

/// Snapshots of the vault before anything is counted.
const SNAPSHOTS: usize = 13;

/// Each command with the most requests that it may make: on a machine that has read the vault, where restic 0.14 makes 12, 22, 13, 24
/// and 52 of a repository of this age, and on a new one.
const BOUNDS: [(&[&str], usize, usize); 5] = [
    (&["snapshots"], 11, 40),
    (&["ls"], 12, 56),
    (&["restore", "latest", "new/7", "--overwrite", "always", "--to"], 12, 56),
    (&["find", "7"], 12, 60),
    (&["verify", "--quick"], 20, 60),
];

fn gate(bucket: &Bucket) -> (Gate, Bucket, Arc<AtomicUsize>) {
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    let gate = Gate::start(Some(bucket.address), move |_| {
        counted.fetch_add(1, Ordering::SeqCst);
        Action::Forward
    })
    .unwrap();
    let through = bucket.clone().through(&gate.url());
    (gate, through, count)
}

fn aged(bucket: &Bucket, prefix: &str, reader: &Reader) -> Machine {
    let machine = Machine::with_vault(bucket, prefix, reader);
    for number in 0..300 {
        machine.write(&format!("old/{number}"), format!("content of {number}").as_bytes());
    }
    for number in 0..SNAPSHOTS {
        machine.write(&format!("new/{number}"), format!("new content of {number}").as_bytes());
        machine.run(&["backup", "source"]);
    }
    machine
}

#[tokio::test(flavor = "multi_thread")]
async fn the_program_makes_fewer_requests_than_restic() {
    tgvault_test_support::needs_servers!("moto");
    let bucket = stores::moto().await.bucket().await.unwrap();
    let counting = move || {
        let reader = Reader::new();
        let writer = aged(&bucket, "trips", &reader);
        let (_gate, through, count) = gate(&bucket);
        let (new, mut missed) = (Machine::new(&through, "trips"), Vec::new());
        let run = |machine: &Machine, arguments: &[&str]| {
            count.store(0, Ordering::SeqCst);
            let ended = machine.ended(&through, &[arguments, &reader.option()].concat());
            assert_eq!(ended.code, Some(0), "{arguments:?}: {ended:?}");
            count.load(Ordering::SeqCst)
        };
        for (command, warm, cold) in BOUNDS {
            let to = if command.last() == Some(&"--to") { &["out"][..] } else { &[] };
            let arguments = [command, to].concat();
            let another = Machine::new(&through, "trips");
            let (first, again) = (run(&another, &arguments), run(&another, &arguments));
            if first > cold || again > warm {
                missed.push(format!("{command:?}: {first}, then {again}"));
            }
        }
        writer.write("one/more", b"one more");
        let again = run(&writer, &["backup", "source"]);
        new.write("one/more", b"one more");
        let first = run(&new, &["backup", "source"]);
        // Where a server is none of the three clouds, each machine asks twice whether it keeps conditions, once.
        if first > 64 || again > 12 {
            missed.push(format!("backup: {first}, then {again}"));
        }
        assert!(missed.is_empty(), "{missed:?}");
    };
    tokio::task::spawn_blocking(counting).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_is_too_full_for_a_cache_costs_requests_and_nothing_else() {
    tgvault_test_support::needs_servers!("moto");
    let bucket = stores::moto().await.bucket().await.unwrap();
    let listing = move || {
        let reader = Reader::new();
        aged(&bucket, "full", &reader);
        let another = Machine::new(&bucket, "full");
        let own = another.sandbox.command(["--repo", &format!("{}/full", bucket.url), "ls", "-i", reader.option()[1]]);
        // No file may have more than 8 KiB: what is kept of the vault is longer, and what a machine must keep is not.
        let mut limited = Command::new("bash");
        limited.args(["-c", "trap '' XFSZ; ulimit -f 8; exec \"$@\"", "bash"]).arg(own.get_program()).args(own.get_args());
        limited.env_clear().envs(own.get_envs().filter_map(|(name, value)| Some((name, value?))));
        limited.envs(bucket.env.iter().map(|(name, value)| (name, value))).current_dir(another.sandbox.work());
        let full = limited.output().unwrap();
        assert!(full.status.success(), "{full:?}");
        let whole = another.run(&["ls", "-i", reader.option()[1]]);
        assert_eq!(String::from_utf8(full.stdout).unwrap(), whole.stdout);
        assert!(whole.stdout.lines().count() > 300);
    };
    tokio::task::spawn_blocking(listing).await.unwrap();
}
