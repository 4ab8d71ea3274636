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
