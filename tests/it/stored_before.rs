//! What a vault has is not stored again because one snapshot in between lacked it, or because it comes from another folder.

use std::fs;
use std::path::Path;

use tgvault_test_support::sandbox::Sandbox;

use crate::spelling::{done, run, with_vault};
use crate::support::noise;

fn summary(sandbox: &Sandbox, line: &str) -> serde_json::Value {
    let said = done(sandbox, &format!("--json {line}"));
    serde_json::from_str(said.lines().last().unwrap()).unwrap()
}

fn fill(folder: &Path, from: u64) {
    fs::create_dir_all(folder.join("sub")).unwrap();
    for number in from..from + 12 {
        fs::write(folder.join(format!("sub/{number}")), noise(number, 40_000)).unwrap();
    }
    fs::write(folder.join("small"), format!("small {from}")).unwrap();
    fs::write(folder.join("large"), noise(from + 100, 1_500_000)).unwrap();
}

fn same(one: &Path, other: &Path) {
    let compared = std::process::Command::new("diff").arg("-r").args([one, other]).output().unwrap();
    assert!(compared.status.success(), "{compared:?}");
}

#[test]
fn a_disk_that_was_not_mounted_once_is_not_stored_again() {
    let sandbox = with_vault();
    let work = sandbox.work();
    fill(&work.join("s"), 0);
    done(&sandbox, "-q backup s");
    // Once, some of it is gone, then all of it, and with it whatever a checkpoint in between could remember.
    fs::rename(work.join("s/sub"), work.join("kept")).unwrap();
    done(&sandbox, "-q backup s --allow-empty");
    fs::rename(work.join("s"), work.join("elsewhere")).unwrap();
    fs::create_dir(work.join("s")).unwrap();
    done(&sandbox, "-q backup s --allow-empty");
    fs::remove_dir(work.join("s")).unwrap();
    fs::rename(work.join("elsewhere"), work.join("s")).unwrap();
    fs::rename(work.join("kept"), work.join("s/sub")).unwrap();
    let again = summary(&sandbox, "backup s");
    assert_eq!(again["new_bytes"], 0, "{again}");
    assert!(again["stored_bytes"].as_u64().unwrap() < 50_000, "{again}");
    done(&sandbox, "-q -i key.txt restore latest --to r");
    same(&work.join("s"), &work.join("r"));
    done(&sandbox, "-q -i key.txt verify --deep");
}

#[test]
fn another_folder_with_the_same_content_stores_nothing() {
    let sandbox = with_vault();
    let work = sandbox.work();
    fill(&work.join("s"), 0);
    done(&sandbox, "-q backup s");
    fill(&work.join("t"), 0);
    fs::write(work.join("t/of its own"), noise(77, 30_000)).unwrap();
    // No key is given: this machine has stored it before.
    let other = summary(&sandbox, "backup t");
    assert_eq!(other["new_bytes"], 30_000, "{other}");
    for (folder, to) in [("s", "rs"), ("t", "rt")] {
        let source = work.join(folder).display().to_string();
        done(&sandbox, &format!("-q -i key.txt restore latest --source {source} --to {to}"));
        same(&work.join(folder), &work.join(to));
    }
    // It is so in later snapshots too, with everything that reads a state.
    fs::remove_file(work.join("t/sub/3")).unwrap();
    fs::rename(work.join("t/large"), work.join("t/renamed")).unwrap();
    assert_eq!(summary(&sandbox, "backup t")["new_bytes"], 0);
    done(&sandbox, "-q -i key.txt restore latest --to again");
    same(&work.join("t"), &work.join("again"));
    done(&sandbox, "-q verify");
    done(&sandbox, "-q -i key.txt verify --deep");
    let found = done(&sandbox, "-q -i key.txt find renamed");
    assert!(found.contains("renamed"), "{found}");
    // The other folder's archives are named where they are needed, so that nobody takes them for left over.
    let own = fs::read_dir(work.join("v/snapshots")).unwrap().map(|entry| entry.unwrap().path());
    let mut sums: Vec<_> = own.filter(|path| path.extension().is_some_and(|ending| ending == "sums")).collect();
    sums.sort();
    let last = fs::read_to_string(sums.last().unwrap()).unwrap();
    let behind = last.split_once("snapshots/").unwrap().1;
    assert!(behind.contains("  archives/"), "{last}");
}

#[test]
fn a_machine_with_the_key_knows_what_others_have_stored() {
    let sandbox = with_vault();
    let work = sandbox.work();
    fill(&work.join("s"), 0);
    done(&sandbox, "-q backup s");
    // Gone from the newest snapshot.
    fs::remove_file(work.join("s/large")).unwrap();
    done(&sandbox, "-q backup s");
    fs::remove_dir_all(sandbox.home()).unwrap();
    fs::create_dir(sandbox.home()).unwrap();
    fill(&work.join("t"), 0);
    let other = summary(&sandbox, "-i key.txt backup t --host other");
    assert_eq!(other["new_bytes"], 0, "{other}");
    done(&sandbox, "-q -i key.txt restore latest --host other --to r");
    same(&work.join("t"), &work.join("r"));
    // What others store later is seen when the key is given again.
    let first_home = work.join("first-home");
    fs::rename(sandbox.home(), &first_home).unwrap();
    fs::create_dir(sandbox.home()).unwrap();
    fill(&work.join("u"), 50);
    done(&sandbox, "-q -i key.txt backup u --host third");
    fs::remove_dir_all(sandbox.home()).unwrap();
    fs::rename(&first_home, sandbox.home()).unwrap();
    fs::create_dir(work.join("t/more")).unwrap();
    fs::copy(work.join("u/large"), work.join("t/more/large")).unwrap();
    let seen = summary(&sandbox, "-i key.txt backup t --host other");
    assert_eq!(seen["new_bytes"], 0, "{seen}");
    done(&sandbox, "-q -i key.txt verify --deep");
}

#[test]
fn what_is_borrowed_and_lost_is_stored_again() {
    let sandbox = with_vault();
    let work = sandbox.work();
    fill(&work.join("s"), 0);
    done(&sandbox, "-q backup s");
    fill(&work.join("t"), 0);
    assert_eq!(summary(&sandbox, "backup t")["new_bytes"], 0);
    let archives = std::process::Command::new("find").arg(work.join("v/archives")).args(["-type", "f", "-size", "+100k"]).output().unwrap();
    let archives = String::from_utf8(archives.stdout).unwrap();
    archives.lines().for_each(|archive| fs::remove_file(archive).unwrap());
    assert_eq!(run(&sandbox, "verify").code, Some(15));
    let lost = run(&sandbox, "-i key.txt restore latest --to lost");
    assert!(lost.code == Some(15) && lost.stderr.contains("large"), "{lost:?}");
    let mended = summary(&sandbox, "backup t");
    assert!(mended["new_bytes"].as_u64().unwrap() > 1_900_000, "{mended}");
    done(&sandbox, "-q -i key.txt restore latest --to r");
    same(&work.join("t"), &work.join("r"));
}
