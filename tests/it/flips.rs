//! Every byte of a small vault changed in turn, every object cut: reported or healed by the second copy, and never restored.

use std::collections::BTreeMap;
use std::sync::Arc;

use tgvault::operations::OperationError;
use tgvault::repository::RepositoryError;
use tgvault::source::folder::FolderSource;

use crate::support::{Log, World, noise, tempdir, tree, wrong};

/// A small vault: two snapshots, several archives, both kinds of small objects.
async fn small_vault() -> World {
    let world = World::in_memory().await;
    let run = async || {
        let source = FolderSource::open(&world.source(), Default::default()).unwrap();
        world.locked(&world.storage).backup(Arc::new(source)).with(|options| options.lanes = 1).await.unwrap();
    };
    world.write("a", b"some words");
    world.write("b", b"others");
    run().await;
    world.write("a", b"some other words");
    std::fs::remove_file(world.source().join("b")).unwrap();
    run().await;
    world
}

/// Names of what is checked, with the copies that belong together. Leases are notes for those who delete, and hold no data.
async fn groups(world: &World) -> Vec<Vec<String>> {
    let mut groups: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for name in world.objects().await.into_keys().filter(|name| !name.starts_with("running/") && !name.starts_with("recovery/")) {
        groups.entry(name.trim_start_matches("mirror/").to_owned()).or_default().push(name);
    }
    groups.into_values().collect()
}

/// Whether an error says that what is stored is wrong (or, as for a descriptor of another format, not readable at all).
fn is_clear(error: &OperationError) -> bool {
    match error {
        OperationError::Repository(error) => {
            error.is_integrity()
                || matches!(error, RepositoryError::Newer { .. } | RepositoryError::Absent { .. } | RepositoryError::WrongKey { .. })
        }
        _ => false,
    }
}

/// Checks one damage to `names`: verify tells, and what is restored is right or told to be wrong. Gives what was not told.
async fn check(world: &World, names: &[String], what: &str, has_sound_copy: bool, unreported: &mut Vec<String>) {
    check_report(world, names, what, has_sound_copy, unreported).await;
    check_restore(world, names, what, has_sound_copy).await;
}

async fn check_report(world: &World, names: &[String], what: &str, has_sound_copy: bool, unreported: &mut Vec<String>) {
    // A machine that knows nothing but the identity asks everything of the store.
    let session = world.newcomer(&world.storage, Some(world.unlock()));
    match world.verify_in(&session, true).await {
        Ok(report) if report.wrong.is_empty() => unreported.push(format!("{names:?} {what}")),
        Ok(report) => {
            let base = names[0].trim_start_matches("mirror/");
            let stem = base.split(['.', '/']).nth(1).unwrap_or(base);
            let is_near = |finding: &String| finding.contains(base) || finding.contains(stem) || finding.contains("are gone");
            let findings = wrong(&report);
            assert!(findings.iter().any(is_near), "{names:?} {what}: {findings:?}");
        }
        Err(error) => assert!(!has_sound_copy && is_clear(&error), "{names:?} {what}: {error:?}"),
    }
}

async fn check_restore(world: &World, names: &[String], what: &str, has_sound_copy: bool) {
    let session = world.newcomer(&world.storage, Some(world.unlock()));
    let wanted = tree(&world.source());
    let to = tempdir();
    let log = Arc::new(Log::default());
    match world.restore_in(&session, to.path(), &[], Arc::clone(&log)).await {
        Ok(summary) if summary.problems + summary.damaged == 0 => assert_eq!(tree(to.path()), wanted, "{names:?} {what}"),
        Ok(_) => assert!(!has_sound_copy, "{names:?} {what}: {:?}", log.0.lock().unwrap()),
        Err(error) => assert!(!has_sound_copy && is_clear(&error), "{names:?} {what}: {error:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_changed_byte_of_an_archive_is_reported_and_never_restored() {
    change_every_byte(|name| name.starts_with("archives/")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_changed_byte_of_one_copy_or_of_both_is_reported_and_never_restored() {
    change_every_byte(|name| !name.starts_with("archives/")).await;
}

async fn change_every_byte(of: impl Fn(&str) -> bool) {
    let world = small_vault().await;
    assert_eq!(wrong(&world.verify(true).await), Vec::<String>::new());
    for group in groups(&world).await.into_iter().filter(|group| of(&group[0])) {
        let mut unreported = Vec::new();
        let bytes = world.object(&group[0]).await;
        // Each copy alone, then both.
        let mut choices: Vec<Vec<String>> = group.iter().map(|name| vec![name.clone()]).collect();
        if group.len() > 1 {
            choices.push(group.clone());
        }
        for names in choices {
            let has_sound_copy = names.len() < group.len();
            // Second copies are read by the same code as the first: a sample of their bytes will do.
            let step = if names[0].starts_with("mirror/") { 7 } else { 1 };
            for position in (0..bytes.len()).step_by(step) {
                let mut changed = bytes.clone();
                changed[position] ^= if position % 2 == 0 { 1 } else { 0x20 };
                for name in &names {
                    world.replace(name, &changed).await;
                }
                let what = format!("byte {position}");
                check_report(&world, &names, &what, has_sound_copy, &mut unreported).await;
                if !has_sound_copy || position % 5 == 0 {
                    check_restore(&world, &names, &what, has_sound_copy).await;
                }
            }
            for name in &names {
                world.replace(name, &bytes).await;
            }
        }
        // The same change in both copies of what no signature covers: its untrusted comment and its last line break.
        let untrusted = |said: &String| {
            let position: usize = said.rsplit(' ').next().unwrap().parse().unwrap();
            let is_comment = bytes[..position].iter().all(|&byte| byte != b'\n');
            said.contains(".minisig") && said.contains(", ") && (is_comment || position + 1 == bytes.len())
        };
        let silent: Vec<&String> = unreported.iter().filter(|said| !untrusted(said)).collect();
        assert_eq!(silent, Vec::<&String>::new());
    }
    assert_eq!(wrong(&world.verify(true).await), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn every_cut_and_every_missing_object_is_reported_and_never_restored() {
    let world = small_vault().await;
    // Deleting the newest snapshot altogether looks like a run that never was: that is a rollback, which only a machine that was
    // here before can see.
    let newest = world.objects().await.into_keys().rfind(|name| name.starts_with("snapshots/") && name.ends_with(".age")).unwrap();
    let is_rollback = |names: &[String]| names.len() == 2 && names.contains(&newest);
    for group in groups(&world).await {
        let mut unreported = Vec::new();
        let bytes = world.object(&group[0]).await;
        let mut choices: Vec<Vec<String>> = group.iter().map(|name| vec![name.clone()]).collect();
        if group.len() > 1 {
            choices.push(group.clone());
        }
        for names in choices {
            let has_sound_copy = names.len() < group.len();
            for length in (0..bytes.len()).step_by(41).chain([bytes.len() - 1]) {
                for name in &names {
                    world.replace(name, &bytes[..length]).await;
                }
                check(&world, &names, &format!("cut at {length}"), has_sound_copy, &mut unreported).await;
            }
            for name in &names {
                world.storage.delete(name).await.unwrap();
            }
            check_report(&world, &names, "deleted", has_sound_copy, &mut unreported).await;
            if !is_rollback(&names) {
                check_restore(&world, &names, "deleted", has_sound_copy).await;
            }
            for name in &names {
                world.storage.put_new(name, bytes.clone().into()).await.unwrap();
            }
        }
        // The last line break of a signature is not missed.
        unreported.retain(|said| !(said.contains(".minisig") && said.ends_with(&format!("cut at {}", bytes.len() - 1))));
        unreported.retain(|said| !(said.contains(&newest) && said.contains("mirror/") && said.contains(", ") && said.ends_with("deleted")));
        // Without the first copy of its last object, a run looks as if it had been cut short right there, which is no damage.
        unreported.retain(|said| *said != format!("[{newest:?}] deleted"));
        assert_eq!(unreported, Vec::<String>::new());
    }
}

/// Around the borders of age's chunks a cut leaves a file that looks whole.
#[tokio::test(flavor = "multi_thread")]
async fn a_cut_at_the_border_of_a_chunk_is_reported() {
    let world = World::in_memory().await;
    world.write("a", &noise(5, 300_000));
    world.backup().await;
    let name = world.objects().await.into_keys().find(|name| name.starts_with("archives/")).unwrap();
    let bytes = world.object(&name).await;
    let header = bytes.windows(5).position(|window| window == b"\n--- ").unwrap() + 1;
    let header = header + bytes[header..].iter().position(|&byte| byte == b'\n').unwrap() + 1 + 16;
    let mut unreported = Vec::new();
    for chunk in 0..=(bytes.len() - header) / (65536 + 16) {
        let border = header + chunk * (65536 + 16);
        for length in border.saturating_sub(17)..=(border + 17).min(bytes.len() - 1) {
            if length % 3 == 0 || length.abs_diff(border) < 2 || length.abs_diff(border) == 16 {
                world.replace(&name, &bytes[..length]).await;
                check(&world, std::slice::from_ref(&name), &format!("cut at {length}"), false, &mut unreported).await;
            }
        }
    }
    // And longer than it was.
    world.replace(&name, &[bytes.as_slice(), b"x"].concat()).await;
    check(&world, std::slice::from_ref(&name), "longer", false, &mut unreported).await;
    assert_eq!(unreported, Vec::<String>::new());
}
