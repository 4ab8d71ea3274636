//! Disks that fill up in the middle of a file.

use super::*;

/// Runs the test `name` in a process of its own, started by `script` with the program as its argument; it finds `root` in the
/// variable below.
fn run_apart(name: &str, script: &str, root: &Path) {
    let done = std::process::Command::new("sh")
        .args(["-c", script, "sh"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", &format!("target::tests::full::{name}"), "--include-ignored", "--nocapture"])
        .env(APART, root)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&done.stdout).into_owned() + &String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success() && said.contains("1 passed"), "{said}");
}

const APART: &str = "TGVAULT_TEST_APART";

/// Fails in the middle of files of both kinds, the buffered and the direct one, and looks at what is left.
fn write_until_it_fails(root: &Path) -> Vec<TargetError> {
    let target = open(root, Overwrite::Always);
    write(&target, "small", b"fits").unwrap();
    let errors = vec![
        write(&target, "buffered", &vec![1; 60 * 1024]).unwrap_err(),
        write(&target, "direct", &vec![1; 9 * 1024 * 1024 + 1]).unwrap_err(),
    ];
    finish(target);
    assert_eq!(names(root), set(&["small"]));
    errors
}

#[test]
fn a_write_that_fails_half_way_leaves_nothing() {
    if let Some(root) = std::env::var_os(APART) {
        for error in write_until_it_fails(root.as_ref()) {
            assert!(matches!(error, TargetError::System { doing: "write", .. }), "{error:?}");
        }
        return;
    }
    let place = tempfile::tempdir().unwrap();
    run_apart("a_write_that_fails_half_way_leaves_nothing", "trap '' XFSZ; ulimit -f 100; exec \"$@\"", place.path());
}

#[test]
#[ignore = "mounts a small tmpfs, for which it needs user namespaces"]
fn a_full_disk_is_said_plainly_and_leaves_nothing() {
    if let Some(root) = std::env::var_os(APART) {
        for error in write_until_it_fails(root.as_ref()) {
            assert!(matches!(error, TargetError::Full { .. }) && error.ends_the_run(), "{error:?}");
            assert!(error.to_string().starts_with("the disk is full: '"));
        }
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let script = format!("mount -t tmpfs -o size=40k tmpfs \"${APART}\" && exec \"$@\"");
    let script = format!("exec unshare --user --map-root-user --mount sh -c '{script}' sh \"$@\"");
    run_apart("a_full_disk_is_said_plainly_and_leaves_nothing", &script, place.path());
}
