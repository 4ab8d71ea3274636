//! A vault that lost something never gives back another state than it had in silence: every object is flipped, cut and removed, and
//! what restore says is held against what is true.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use tgvault_test_support::sandbox::Sandbox;

use crate::spelling::{done, run, with_vault};
use crate::support::noise;

/// All files below a folder, with their content.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    fn walk(top: &Path, folder: &Path, found: &mut BTreeMap<String, Vec<u8>>) {
        for entry in fs::read_dir(folder).into_iter().flatten().map(Result::unwrap) {
            let path = entry.path();
            if path.is_dir() {
                walk(top, &path, found);
            } else if path.is_file() {
                found.insert(path.strip_prefix(top).unwrap().display().to_string(), fs::read(&path).unwrap());
            }
        }
    }
    let mut found = BTreeMap::new();
    walk(folder, folder, &mut found);
    found
}

/// A vault of four snapshots with versions, deletions, renames, links, and names that become folders; what it should give back is in
/// `s`.
fn history() -> Sandbox {
    let sandbox = with_vault();
    let work = sandbox.work();
    let write = |path: &str, content: &[u8]| {
        fs::create_dir_all(work.join("s").join(path).parent().unwrap()).unwrap();
        fs::write(work.join("s").join(path), content).unwrap();
    };
    write("report.txt", b"version-1");
    write("deleted.txt", b"gone");
    write("photos/1.jpg", &noise(1, 20_000));
    write("photos/2.jpg", &noise(2, 20_000));
    write("old/name", &noise(3, 20_000));
    write("turns", b"a file");
    fs::hard_link(work.join("s/photos/1.jpg"), work.join("s/linked.jpg")).unwrap();
    done(&sandbox, "-q backup s");
    write("report.txt", b"version-2");
    fs::remove_file(work.join("s/deleted.txt")).unwrap();
    done(&sandbox, "-q backup s");
    fs::rename(work.join("s/old"), work.join("s/new")).unwrap();
    fs::remove_file(work.join("s/turns")).unwrap();
    write("turns/into", b"a folder");
    done(&sandbox, "-q backup s");
    write("report.txt", b"version-3");
    write("last.txt", b"the last");
    done(&sandbox, "-q backup s");
    sandbox
}

/// Each object of the vault, and what it holds.
fn objects(sandbox: &Sandbox) -> Vec<(PathBuf, Vec<u8>)> {
    let vault = sandbox.work().join("v");
    files(&vault).into_iter().map(|(name, bytes)| (vault.join(name), bytes)).collect()
}

fn replace(path: &Path, bytes: Option<&[u8]>) {
    fs::remove_file(path).unwrap();
    if let Some(bytes) = bytes {
        fs::write(path, bytes).unwrap();
    }
}

/// The ways in which an object can be damaged.
fn damages(bytes: &[u8]) -> Vec<(&'static str, Option<Vec<u8>>)> {
    let flipped = |at: usize| {
        let mut bytes = bytes.to_vec();
        bytes[at] ^= 0xff;
        Some(bytes)
    };
    let length = bytes.len();
    vec![
        ("removed", None),
        ("cut", Some(bytes[..length / 2].to_vec())),
        ("flipped at the beginning", flipped(length / 8)),
        ("flipped in the middle", flipped(length / 2)),
        ("flipped at the end", flipped(length - 2)),
    ]
}

#[test]
fn whatever_is_damaged_restore_says_what_is_true() {
    let sandbox = history();
    let work = sandbox.work();
    let truth = files(&work.join("s"));
    for (object, bytes) in objects(&sandbox) {
        let is_archive = object.starts_with(work.join("v/archives"));
        for (damage, changed) in damages(&bytes) {
            let way = format!("{} {damage}", object.display());
            replace(&object, changed.as_deref());
            let ended = run(&sandbox, "-i key.txt restore latest --to r");
            let said = format!("{way}: {:?} {}{}", ended.code, ended.stdout, ended.stderr);
            let restored = files(&work.join("r"));
            // Whatever stands under a name is what belongs there, and what is not there is named.
            for (path, content) in &restored {
                assert_eq!(Some(content), truth.get(path), "{path} in {said}");
            }
            for path in truth.keys().filter(|path| !restored.contains_key(*path)) {
                assert!(ended.code != Some(0) && ended.stderr.contains(path.as_str()), "{path} in {said}");
            }
            if !is_archive {
                // Everything else has a second copy.
                assert!(ended.code == Some(0) && restored == truth, "{said}");
            }
            let _ = fs::remove_dir_all(work.join("r"));
            fs::write(&object, &bytes).unwrap();
        }
    }
}

#[test]
fn an_archive_that_is_gone_brings_no_older_version_back() {
    let sandbox = with_vault();
    let work = sandbox.work();
    fs::create_dir(work.join("s")).unwrap();
    fs::write(work.join("s/report.txt"), "version-1").unwrap();
    fs::write(work.join("s/deleted.txt"), "gone").unwrap();
    fs::write(work.join("s/other.txt"), "other").unwrap();
    done(&sandbox, "-q backup s");
    let first = files(&work.join("v/archives"));
    fs::write(work.join("s/report.txt"), "version-2").unwrap();
    fs::remove_file(work.join("s/deleted.txt")).unwrap();
    done(&sandbox, "-q backup s");
    for (name, bytes) in files(&work.join("v/archives")).into_iter().filter(|(name, _)| !first.contains_key(name)) {
        let path = work.join("v/archives").join(&name);
        fs::remove_file(&path).unwrap();
        let ended = run(&sandbox, "-i key.txt restore latest --to r");
        // The copy of its index is there: only contents can be missing, and nothing comes back.
        let restored = files(&work.join("r"));
        assert!(!restored.contains_key("deleted.txt"), "{}", ended.stderr);
        assert_ne!(restored.get("report.txt").map(Vec::as_slice), Some(&b"version-1"[..]), "{}", ended.stderr);
        assert_eq!(restored.get("other.txt").map(Vec::as_slice), Some(&b"other"[..]), "{}", ended.stderr);
        assert!(ended.stderr.contains("second copy"), "{}", ended.stderr);
        fs::remove_dir_all(work.join("r")).unwrap();
        fs::write(&path, bytes).unwrap();
    }
}

/// A vault of an earlier version, which has no second copies of indexes.
#[test]
fn what_a_lost_index_may_have_changed_is_written_only_on_demand_and_with_a_mark() {
    let sandbox = Sandbox::new(env!("CARGO_BIN_EXE_tgvault")).unwrap();
    let work = sandbox.work();
    let good = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/format/v1-draft/good");
    for (name, bytes) in files(&good) {
        fs::create_dir_all(work.join(&name).parent().unwrap()).unwrap();
        fs::write(work.join(name), bytes).unwrap();
    }
    let restore = "--repo vault -i identity.txt restore latest --as files --to r";
    done(&sandbox, restore);
    let truth = files(&work.join("r"));
    fs::remove_dir_all(work.join("r")).unwrap();
    let (mut unproven, mut missing) = (0, 0);
    for (name, bytes) in files(&work.join("vault/archives")) {
        let path = work.join("vault/archives").join(&name);
        fs::remove_file(&path).unwrap();
        let ended = run(&sandbox, restore);
        assert_eq!(ended.code, Some(15), "{name}: {}", ended.stderr);
        let restored = files(&work.join("r"));
        for (path, content) in &restored {
            assert_eq!(Some(content), truth.get(path), "{path} without {name}: {}", ended.stderr);
        }
        missing += truth.len() - restored.len();
        fs::remove_dir_all(work.join("r")).unwrap();
        run(&sandbox, &format!("{restore} --unproven"));
        let marked = files(&work.join("r"));
        unproven += marked.keys().filter(|path| path.ends_with(".unproven")).count();
        for (path, content) in marked.iter().filter(|(path, _)| !path.ends_with(".unproven")) {
            assert_eq!(Some(content), truth.get(path), "{path} without {name}");
        }
        fs::remove_dir_all(work.join("r")).unwrap();
        fs::write(&path, bytes).unwrap();
    }
    assert!(unproven > 0 && missing > 0, "{unproven} {missing}");
}

#[test]
fn a_group_of_hard_links_is_right_as_a_whole_after_any_restore() {
    use std::os::unix::fs::MetadataExt;
    let sandbox = with_vault();
    let work = sandbox.work();
    fs::create_dir(work.join("s")).unwrap();
    fs::write(work.join("s/a"), "original").unwrap();
    for name in ["b", "c", "d"] {
        fs::hard_link(work.join("s/a"), work.join("s").join(name)).unwrap();
    }
    done(&sandbox, "-q backup s");
    let read = |name: &str| fs::read_to_string(work.join("r").join(name)).unwrap();
    let inode = |name: &str| fs::metadata(work.join("r").join(name)).unwrap().ino();
    for overwrite in ["if-changed", "always"] {
        for names in ["", " a", " b", " d c", " a d"] {
            done(&sandbox, "-q -i key.txt restore latest --to r");
            fs::write(work.join("r/a"), "tampered with").unwrap();
            done(&sandbox, &format!("-q -i key.txt restore latest --to r --overwrite {overwrite}{names}"));
            for name in ["a", "b", "c", "d"] {
                assert_eq!((read(name).as_str(), inode(name)), ("original", inode("a")), "{overwrite}{names}: {name}");
            }
            // One name went its own way.
            fs::remove_file(work.join("r/c")).unwrap();
            fs::write(work.join("r/c"), "another file").unwrap();
            done(&sandbox, &format!("-q -i key.txt restore latest --to r --overwrite {overwrite} c"));
            assert_eq!((read("c"), read("a")), ("original".into(), "original".into()), "{overwrite}{names}");
            fs::remove_dir_all(work.join("r")).unwrap();
        }
    }
    // What exists is kept, what is missing is made.
    fs::create_dir(work.join("r")).unwrap();
    fs::write(work.join("r/a"), "mine").unwrap();
    done(&sandbox, "-q -i key.txt restore latest --to r --overwrite never");
    assert_eq!([read("a"), read("b"), read("d")], ["mine", "original", "original"]);
    assert_eq!(inode("b"), inode("d"));
}

#[test]
fn what_is_kept_gets_its_mode_and_attributes_back_and_so_does_the_folder_itself() {
    use std::os::unix::fs::PermissionsExt;
    let sandbox = with_vault();
    let work = sandbox.work();
    fs::create_dir_all(work.join("s/d")).unwrap();
    fs::write(work.join("s/d/f"), "content").unwrap();
    let mode = |path: &str| fs::metadata(work.join(path)).unwrap().permissions().mode() & 0o7777;
    let set = |path: &str, mode: u32| fs::set_permissions(work.join(path), fs::Permissions::from_mode(mode)).unwrap();
    set("s/d/f", 0o640);
    set("s", 0o751);
    let has_attributes = rustix::fs::setxattr(work.join("s/d/f"), "user.kept", b"yes", rustix::fs::XattrFlags::empty()).is_ok();
    let time = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000);
    fs::File::open(work.join("s")).unwrap().set_modified(time).unwrap();
    done(&sandbox, "-q backup s");
    done(&sandbox, "-q -i key.txt restore latest --to r");
    assert_eq!((mode("r"), fs::metadata(work.join("r")).unwrap().modified().unwrap()), (0o751, time));
    set("r", 0o700);
    set("r/d/f", 0o600);
    if has_attributes {
        rustix::fs::removexattr(work.join("r/d/f"), "user.kept").unwrap();
        rustix::fs::setxattr(work.join("r/d/f"), "user.other", b"no", rustix::fs::XattrFlags::empty()).unwrap();
    }
    let said = done(&sandbox, "-i key.txt restore latest --to r");
    assert!(said.contains("skipped because they exist"), "{said}");
    assert_eq!((mode("r"), mode("r/d/f")), (0o751, 0o640));
    if has_attributes {
        let mut value = [0; 8];
        assert_eq!(rustix::fs::getxattr(work.join("r/d/f"), "user.kept", &mut value).unwrap(), 3);
        rustix::fs::getxattr(work.join("r/d/f"), "user.other", &mut value).unwrap_err();
    }
    // A place that holds other things keeps its own.
    fs::create_dir(work.join("shared")).unwrap();
    fs::write(work.join("shared/mine"), "").unwrap();
    set("shared", 0o700);
    done(&sandbox, "-q -i key.txt restore latest --to shared");
    assert_eq!(mode("shared"), 0o700);
}
