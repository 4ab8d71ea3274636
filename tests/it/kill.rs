//! The real program, killed at any moment: the next run goes on, and what is restored is what an uninterrupted run gives.

use std::fs;
use std::path::Path;
use std::process::{Child, Command};
use std::thread::sleep;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tgvault_test_support::sandbox::Sandbox;

use crate::support::{World, count, noise, tree, wrong};

fn sandbox() -> Sandbox {
    Sandbox::new(env!("CARGO_BIN_EXE_tgvault")).unwrap()
}

/// A backup of `source` into the world's vault, with the world's state.
fn backup(sandbox: &Sandbox, world: &World, source: &Path, more: &[&str]) -> Command {
    let mut command = sandbox.command(["--quiet", "--repo"]);
    command.arg(world.root.path().join("vault")).arg("--state-dir").arg(world.root.path().join("state"));
    command.args(more).arg("backup").arg(source);
    command
}

fn signal(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).unwrap();
}

fn finish(child: Child) -> (Option<i32>, String) {
    let output = child.wait_with_output().unwrap();
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn kill_9_at_any_moment_loses_nothing() {
    let (world, sandbox) = (World::new().await, sandbox());
    let source = world.source();
    let state = world.root.path().join("state");
    let notes = || count(&state, |name| name.starts_with("layer-") && name.ends_with(".age"));
    let mut kills = 0;
    for round in 0..3_u64 {
        for n in 0..12 {
            world.write(&format!("{round}/{n}"), &noise(100 * round + n, 300_000));
        }
        if round > 0 {
            fs::remove_file(source.join(format!("{}/3", round - 1))).unwrap();
            fs::rename(source.join(format!("{}/4", round - 1)), source.join(format!("moved {round}"))).unwrap();
        }
        // A file, a folder, a file.
        let kind = source.join("kind");
        if round == 1 {
            fs::remove_file(&kind).unwrap();
            world.write("kind/of/folder", b"deep");
        } else {
            let _ = fs::remove_dir_all(&kind);
            fs::write(&kind, b"a file").unwrap();
        }
        for kill in 0..8_u64 {
            // Each run has something new to store, over a line that makes it last for half a second after it has
            // noted its archive.
            for n in 0..5 {
                world.write(&format!("{round}/{kill}-{n}"), &noise(10_000 * (round + 1) + 10 * kill + n, 300_000));
            }
            let before = notes();
            let mut child = backup(&sandbox, &world, &source, &["--limit-upload", "3M"]).spawn().unwrap();
            while notes() == before && child.try_wait().unwrap().is_none() {
                sleep(Duration::from_millis(1));
            }
            let jitter = u64::from(jiff::Timestamp::now().subsec_nanosecond().unsigned_abs()) % 60;
            sleep(Duration::from_millis(kill * 60 + jitter));
            if child.try_wait().unwrap().is_none() {
                child.kill().unwrap();
                kills += 1;
            }
            finish(child);
            let report = world.verify(true).await;
            let missing_copy = |finding: &String| finding.ends_with(": it is missing") && !finding.contains("archives/");
            let worse: Vec<String> = wrong(&report).into_iter().filter(|finding| !missing_copy(finding)).collect();
            assert_eq!((worse, report.lost), (vec![], vec![]), "round {round}, kill {kill}");
        }
        let (code, stderr) = finish(backup(&sandbox, &world, &source, &[]).spawn().unwrap());
        assert_eq!(code, Some(0), "{stderr}");
        assert_eq!(world.restored().await, tree(&source), "round {round}");
        let report = world.verify(true).await;
        assert_eq!((wrong(&report), report.lost), (vec![], vec![]), "round {round}");
    }
    assert!(kills > 0, "no run was killed");
    // The temporaries of killed runs are no objects, and hold no space: a file without a name ends with its process.
    let names: Vec<String> = world.objects().await.into_keys().filter(|name| name.contains('#') || name.contains("tmp")).collect();
    assert_eq!(names, Vec::<String>::new());
}

/// Whatever object of a run was the last to appear in the store: the next run takes in what is there, and stores nothing of it
/// again.
#[tokio::test(flavor = "multi_thread")]
async fn killed_as_the_nth_object_appears_the_next_run_stores_no_finished_archive_again() {
    let sandbox = sandbox();
    let filled = async || {
        let world = World::new().await;
        for n in 0..6 {
            world.write(&format!("{n}"), &noise(n, 400_000));
        }
        world
    };
    let world = filled().await;
    let before = world.appeared();
    assert_eq!(finish(backup(&sandbox, &world, &world.source(), &[]).spawn().unwrap()).0, Some(0));
    let (whole, made) = (world.archive_bytes().await, world.appeared() - before);
    assert!(made > 6, "{made} objects");
    let mut kills = 0;
    for n in 1..=made {
        let world = filled().await;
        // The archives take half a second each, so that each of them is met alone.
        let mut child = backup(&sandbox, &world, &world.source(), &["--limit-upload", "3M"]).spawn().unwrap();
        while world.appeared() < before + n && child.try_wait().unwrap().is_none() {
            sleep(Duration::from_micros(200));
        }
        if child.try_wait().unwrap().is_none() {
            child.kill().unwrap();
            kills += 1;
        }
        finish(child);
        let there = world.archive_bytes().await;
        let (code, stderr) = finish(backup(&sandbox, &world, &world.source(), &[]).spawn().unwrap());
        assert_eq!(code, Some(0), "{stderr}");
        assert_eq!(world.restored().await, tree(&world.source()), "object {n}");
        let report = world.verify(true).await;
        assert_eq!((wrong(&report), report.lost, report.unnamed_archives), (vec![], vec![], 0), "object {n}");
        // An archive more or less has another frame around the same content.
        let bytes = world.archive_bytes().await;
        assert!(bytes < whole + 20_000, "object {n}: {bytes} bytes are stored, {there} were there, {whole} would do");
    }
    assert!(kills > 2, "{kills} kills");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_processes_at_once_both_succeed_and_one_source_has_one_run() {
    let (world, sandbox) = (World::new().await, sandbox());
    let other = world.root.path().join("other");
    fs::create_dir(&other).unwrap();
    for n in 0..6 {
        world.write(&format!("{n}"), &noise(n, 400_000));
        fs::write(other.join(format!("{n}")), noise(50 + n, 400_000)).unwrap();
    }
    let slow = ["--limit-upload", "2M"];
    let state = world.root.path().join("state");
    // A run, held in its middle: however busy the machine is, it does not end before it is let go on.
    let held = |source: &Path| {
        // It has the lock of its source when it begins its journal.
        let journals = || count(&state, |name| name == "head.age");
        let before = journals();
        let mut child = backup(&sandbox, &world, source, &slow).spawn().unwrap();
        while journals() == before {
            assert!(child.try_wait().unwrap().is_none(), "the run ended without a journal");
            sleep(Duration::from_millis(1));
        }
        signal(&child, Signal::STOP);
        child
    };
    let (first, second) = (held(&world.source()), held(&other));
    // Both are at it now; a third for one of the sources is kept out.
    let (code, stderr) = finish(backup(&sandbox, &world, &world.source(), &[]).spawn().unwrap());
    signal(&first, Signal::CONT);
    signal(&second, Signal::CONT);
    assert_eq!(code, Some(11), "{stderr}");
    for child in [first, second] {
        let (code, stderr) = finish(child);
        assert_eq!(code, Some(0), "{stderr}");
    }
    let report = world.verify(true).await;
    assert_eq!((wrong(&report), report.lost, report.unnamed_archives), (vec![], vec![], 0));
    // The latest is one of the two; each comes back by its source.
    for folder in [world.source(), other] {
        let to = crate::support::tempdir();
        let mut choice = tgvault::operations::snapshot::choice::SnapshotChoice::latest();
        choice.among.source = Some(format!("folder:{}", folder.display()));
        world.vault(&world.storage).restore(choice, to.path()).await.unwrap();
        assert_eq!(tree(to.path()), tree(&folder));
    }
}

/// A disk that is full, as a limit on the length of files shows it: the run ends with a clear word, and what is there is sound.
#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_said_and_the_next_run_goes_on() {
    let (world, sandbox) = (World::new().await, sandbox());
    for n in 0..8 {
        world.write(&format!("{n}"), &noise(n, 400_000));
    }
    let whole = backup(&sandbox, &world, &world.source(), &[]);
    let plain = sandbox.command::<&str>([]);
    // Without the signal, which would kill, writing fails with an error like that of a full disk. The unit is 512 bytes.
    let mut full = Command::new("sh");
    full.args(["-c", "trap '' XFSZ; ulimit -f 1000; exec \"$0\" \"$@\""]).arg(whole.get_program()).args(whole.get_args());
    full.env_clear().envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?)))).current_dir(sandbox.work());
    full.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    let (code, stderr) = finish(full.spawn().unwrap());
    assert_eq!(code, Some(20), "{stderr}");
    assert!(stderr.contains("no room left"), "{stderr}");
    let report = world.verify(true).await;
    assert_eq!((wrong(&report), report.lost, report.unnamed_archives), (vec![], vec![], 0));
    let (code, stderr) = finish(backup(&sandbox, &world, &world.source(), &[]).spawn().unwrap());
    assert_eq!(code, Some(0), "{stderr}");
    assert_eq!(world.restored().await, tree(&world.source()));
}
