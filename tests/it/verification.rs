//! What `verify` says of a vault that has lost something, and of its own progress.

use std::sync::{Arc, Mutex};

use tgvault::operations::events::{Event, Events, Progress};
use tgvault_test_support::sandbox::Sandbox;

use crate::support::{World, noise, verify_options, wrong};

/// Keeps what was said of the progress.
#[derive(Default)]
struct Ticks(Mutex<Vec<Progress>>);

impl Events for Ticks {
    fn event(&self, event: &Event<'_>) {
        if let Event::Progress(progress) = event {
            self.0.lock().unwrap().push(*progress);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn progress_never_passes_its_totals_and_ends_at_them() {
    let world = World::in_memory().await;
    for n in 0..5 {
        world.write(&format!("{n}"), &noise(n, 500_000));
        world.backup().await;
    }
    for deep in [false, true] {
        let ticks = Arc::new(Ticks::default());
        let report = world.vault(&world.storage).verify().options(verify_options(deep)).events(ticks.clone()).await.unwrap();
        let ticks = ticks.0.lock().unwrap();
        for tick in ticks.iter() {
            let totals = (tick.entries_total.unwrap(), tick.bytes_total.unwrap());
            assert!(tick.entries_done <= totals.0 && tick.bytes_done <= totals.1, "{tick:?}");
        }
        let last = ticks.last().unwrap();
        assert_eq!((Some(last.entries_done), Some(last.bytes_done)), (last.entries_total, last.bytes_total), "deep: {deep}");
        assert_eq!((report.objects, report.bytes), (last.entries_done, last.bytes_done));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_lost_archive_held_is_named_by_the_second_copy_of_its_index() {
    let world = World::new().await;
    world.write("first", &noise(1, 100_000));
    world.backup().await;
    let before = world.archives();
    world.write("second", &noise(2, 100_000));
    world.backup().await;
    let gone = world.archives().into_iter().find(|name| !before.contains(name)).unwrap();
    world.storage.delete(&gone).await.unwrap();

    let report = world.verify(false).await;
    assert_eq!(wrong(&report), [format!("{gone}: it is missing")]);
    let [(snapshot, path)] = report.lost.as_slice() else { panic!("{:?}", report.lost) };
    assert_eq!((path.to_string().as_str(), report.lost_unknown.len()), ("second", 0));

    // The same in words and in JSON.
    let sandbox = Sandbox::new(env!("CARGO_BIN_EXE_tgvault")).unwrap();
    let identity = sandbox.work().join("identity");
    std::fs::write(&identity, tgvault::crypt::keys::expose(&world.secret)).unwrap();
    let run = |more: &[&str]| {
        let mut command = sandbox.command(["--repo"]);
        command.arg(world.root.path().join("vault")).arg("-i").arg(&identity).arg("verify").args(more);
        let output = command.output().unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    let (code, said) = run(&[]);
    assert_eq!(code, Some(15), "{said}");
    let line = said.lines().find(|line| line.starts_with("lost: ")).unwrap_or_else(|| panic!("{said}"));
    assert!(line.contains("second"), "{line}");
    let (code, said) = run(&["--json"]);
    assert_eq!(code, Some(15), "{said}");
    let lines: Vec<serde_json::Value> = said.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let lost = lines.iter().find(|line| line["message_type"] == "lost").unwrap_or_else(|| panic!("{said}"));
    assert_eq!((&lost["snapshot"], &lost["path"]), (&snapshot.to_string().into(), &"second".into()));
    assert_eq!(lines.last().unwrap()["lost_unknown"], 0);
}

/// Page and script for recovery are no secret and no trust, but nobody may change them unseen.
#[tokio::test(flavor = "multi_thread")]
async fn page_and_script_for_recovery_are_checked() {
    let world = World::in_memory().await;
    let kept: Vec<String> = world.objects().await.into_keys().filter(|name| name.starts_with("recovery/")).collect();
    assert_eq!(kept.len(), 4, "{kept:?}");
    assert_eq!(wrong(&world.verify(false).await), Vec::<String>::new());
    for name in kept {
        let before = world.object(&name).await;
        let mut changed = before.clone();
        changed[before.len() / 2] ^= 1;
        world.replace(&name, &changed).await;
        assert!(wrong(&world.verify(false).await).iter().any(|finding| finding.contains(&name)), "{name} changed");
        world.storage.delete(&name).await.unwrap();
        assert!(wrong(&world.verify(false).await).iter().any(|finding| finding.contains(&name)), "{name} deleted");
        world.storage.put_new(&name, before.into()).await.unwrap();
    }
    assert_eq!(wrong(&world.verify(false).await), Vec::<String>::new());
}
