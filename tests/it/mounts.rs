//! File systems that are unlike a disk, mounted by FUSE: what people back up from, and restore to.

#![cfg(target_os = "linux")]

use std::fs;

use tgvault_test_support::mounts::{Kind, Mount};

use crate::spelling::{done, run, with_vault};
use crate::support::noise;

#[test]
fn a_mount_whose_inodes_change_is_backed_up_and_not_twice() {
    tgvault_test_support::needs_servers!("fuse");
    let sandbox = with_vault();
    let work = sandbox.work();
    fs::create_dir_all(work.join("s/deep")).unwrap();
    for name in ["1", "2", "deep/3"] {
        fs::write(work.join("s").join(name), noise(name.len() as u64, 200_000)).unwrap();
    }
    let mount = Mount::start(Kind::Inodes, &work.join("s"), &work.join("m")).unwrap();
    let first = run(&sandbox, "backup m");
    assert_eq!(first.code, Some(0), "{}{}", first.stdout, first.stderr);
    assert!(first.stderr.matches("inode").count() <= 1, "it is said once: {}", first.stderr);
    let second = run(&sandbox, "backup m");
    assert!(second.code == Some(0) && second.stdout.contains("new or changed: 0"), "{}{}", second.stdout, second.stderr);
    fs::write(work.join("s/2"), noise(9, 100_000)).unwrap();
    let third = run(&sandbox, "--json backup m");
    assert!(third.code == Some(0) && third.stdout.contains("\"new_entries\":1"), "{}", third.stdout);
    drop(mount);
    done(&sandbox, "-q -i key.txt restore latest --to r");
    for name in ["1", "2", "deep/3"] {
        assert_eq!(fs::read(work.join("r").join(name)).unwrap(), fs::read(work.join("s").join(name)).unwrap(), "{name}");
    }
}

#[test]
fn a_mount_whose_files_say_to_be_empty_is_read_to_the_end() {
    tgvault_test_support::needs_servers!("fuse");
    let sandbox = with_vault();
    let work = sandbox.work();
    fs::create_dir(work.join("s")).unwrap();
    let contents = [("small", b"some words".to_vec()), ("large", noise(1, 3_000_000)), ("empty", Vec::new())];
    for (name, content) in &contents {
        fs::write(work.join("s").join(name), content).unwrap();
    }
    let mount = Mount::start(Kind::Sizes, &work.join("s"), &work.join("m")).unwrap();
    done(&sandbox, "-q backup m");
    let again = run(&sandbox, "--json backup m");
    assert!(again.stdout.contains("\"new_bytes\":0,"), "{}", again.stdout);
    drop(mount);
    done(&sandbox, "-q -i key.txt restore latest --to r");
    for (name, content) in &contents {
        assert_eq!(&fs::read(work.join("r").join(name)).unwrap(), content, "{name}");
    }
}

#[test]
fn names_that_fall_together_are_named_and_neither_is_lost() {
    tgvault_test_support::needs_servers!("fuse");
    let sandbox = with_vault();
    let work = sandbox.work();
    let write = |path: &str, content: &str| {
        let path = work.join("s").join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    };
    write("File", "upper");
    write("file", "lower");
    write("Dir/a", "1");
    write("dir/b", "2");
    write("y", "one");
    fs::hard_link(work.join("s/y"), work.join("s/z")).unwrap();
    // Composed, and decomposed.
    write("caf\u{e9}", "composed");
    write("cafe\u{301}", "decomposed");
    done(&sandbox, "-q backup s");
    for (kind, together) in [(Kind::Folded, [("File", "file")]), (Kind::Unfolded, [("caf\u{e9}", "cafe\u{301}")])] {
        let (folder, at) = (work.join(format!("{kind:?}-folder")), work.join(format!("{kind:?}-mount")));
        fs::create_dir(&folder).unwrap();
        let mount = Mount::start(kind, &folder, &at).unwrap();
        for round in 0..2 {
            let restored = run(&sandbox, &format!("-i key.txt restore latest --to {}/r", at.display()));
            let said = format!("{kind:?}, round {round}: {:?} {}{}", restored.code, restored.stdout, restored.stderr);
            assert_eq!(restored.code, Some(3), "{said}");
            for (one, other) in together {
                let is_named = restored.stderr.lines().any(|line| line.contains(one)) || restored.stderr.contains(other);
                assert!(is_named, "{said}");
                // One of the two is there, whole.
                let content = fs::read_to_string(at.join("r").join(one)).unwrap();
                let both = [work.join("s").join(one), work.join("s").join(other)].map(|path| fs::read_to_string(path).unwrap());
                assert!(both.contains(&content), "{content} {said}");
            }
            assert_eq!(fs::read_to_string(at.join("r/y")).unwrap(), "one", "{said}");
            assert_eq!(fs::read_to_string(at.join("r/z")).unwrap(), "one", "where there are no hard links, it is a copy: {said}");
        }
        drop(mount);
    }
}
