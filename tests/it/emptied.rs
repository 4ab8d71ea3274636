//! A folder whose disk is not mounted looks like one whose files are all deleted.

use std::fs;

use crate::spelling::{done, run, with_vault};

#[test]
fn a_folder_that_lost_most_of_what_it_had_stops_the_backup() {
    let sandbox = with_vault();
    let work = sandbox.work();
    let fill = |count: usize| {
        let _ = fs::remove_dir_all(work.join("s"));
        fs::create_dir(work.join("s")).unwrap();
        (0..count).for_each(|number| fs::write(work.join(format!("s/{number:02}")), number.to_string()).unwrap());
    };
    let listed = || done(&sandbox, "-q -i key.txt ls latest").lines().count();
    fill(20);
    done(&sandbox, "-q backup s");
    for (left, more) in [(0, ""), (9, ""), (14, " --max-removed 20")] {
        fill(left);
        let stopped = run(&sandbox, &format!("backup s{more}"));
        assert_eq!(stopped.code, Some(17), "{left}: {}", stopped.stderr);
        assert!(stopped.stderr.contains("--allow-empty"), "{}", stopped.stderr);
        assert_eq!(listed(), 20, "the last snapshot still has everything");
    }
    // Half of it may go, and everything on demand.
    fill(10);
    done(&sandbox, "-q backup s");
    assert_eq!(listed(), 10);
    fill(0);
    fs::write(work.join("s/new"), "new").unwrap();
    assert_eq!(run(&sandbox, "backup s").code, Some(17));
    done(&sandbox, "-q backup s --allow-empty");
    assert_eq!(listed(), 1);
    // A single file that goes leaves nothing.
    fill(0);
    assert_eq!(run(&sandbox, "backup s").code, Some(17));
    done(&sandbox, "-q backup s --max-removed 100");
}

#[test]
fn patterns_that_leave_nothing_stop_the_first_backup() {
    let sandbox = with_vault();
    let work = sandbox.work();
    fs::create_dir_all(work.join("s/sub")).unwrap();
    fs::write(work.join("s/a.txt"), "a").unwrap();
    fs::write(work.join("s/sub/b.txt"), "b").unwrap();
    fs::write(work.join("all"), "sub\n*.txt\n").unwrap();
    let snapshots = || fs::read_dir(work.join("v/snapshots")).map_or(0, Iterator::count);
    for patterns in ["--exclude *", "--exclude **", "--exclude-file all", "--exclude sub --exclude-larger-than 0"] {
        let stopped = run(&sandbox, &format!("backup s {patterns}"));
        assert_eq!(stopped.code, Some(17), "{patterns}: {}{}", stopped.stdout, stopped.stderr);
        assert!(stopped.stderr.contains("exclude everything in"), "{patterns}: {}", stopped.stderr);
        assert!(stopped.stderr.contains("--allow-empty"), "{patterns}: {}", stopped.stderr);
        assert_eq!(snapshots(), 0, "{patterns}");
    }
    let tried = run(&sandbox, "backup s --exclude * -n");
    assert!(tried.code == Some(0) && tried.stderr.contains("exclude everything"), "{}", tried.stderr);
    // What is only folders is stored, and said.
    let folders = run(&sandbox, "backup s --exclude *.txt");
    assert!(folders.code == Some(0) && folders.stderr.contains("no files, only folders"), "{}", folders.stderr);
    // Of a source that had something, the reason is the same.
    let later = run(&sandbox, "backup s --exclude *");
    assert!(later.code == Some(17) && later.stderr.contains("exclude everything in"), "{}", later.stderr);
    done(&sandbox, "-q backup s --exclude * --allow-empty");
    // Once it is meant, it is no longer asked for; and an empty folder is no mistake.
    done(&sandbox, "-q backup s --exclude *");
    fs::create_dir(work.join("empty")).unwrap();
    done(&sandbox, "-q backup empty --exclude *");
}
