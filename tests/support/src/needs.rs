//! What a test needs beside the build: programs of the system, and servers that are installed for it.
//!
//! Where something is missing, the test is skipped, which is said at once and again at the end, by `tests/what_was_skipped.rs`. Under
//! `tests/run`, which installs all of it, a test that misses something fails.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use crate::stores::program::install;

/// The variable by which `tests/run` says that nothing may be missing.
pub const SKIP_NOTHING: &str = "TESTS_SKIP_NOTHING";

/// Ends the test, as skipped, unless these programs are on the search path.
#[macro_export]
macro_rules! needs_programs {
    ($($program:literal),+ $(,)?) => {
        if !$crate::needs::programs(&[$($program),+]) {
            return;
        }
    };
}

/// Ends the test, as skipped, unless these store servers are installed or can be.
#[macro_export]
macro_rules! needs_servers {
    ($($server:literal),+ $(,)?) => {
        if !$crate::needs::servers(&[$($server),+]) {
            return;
        }
    };
}

/// Whether programs are on the search path; if not, the test that asks is noted as skipped.
///
/// # Panics
/// If one is missing and nothing may be.
#[must_use]
pub fn programs(names: &[&str]) -> bool {
    let missing: Vec<&str> = names.iter().copied().filter(|name| !on_path(name)).collect();
    missing.is_empty() || skipped(&format!("{} not installed", are(&missing)))
}

/// Whether store servers are installed, which is tried once; if not, the test that asks is noted as skipped.
///
/// # Panics
/// If one is missing and nothing may be.
#[must_use]
pub fn servers(names: &[&str]) -> bool {
    // What the kernel does not give, nobody can install: it is said, and no failure.
    if names.contains(&"fuse") && !Path::new("/dev/fuse").exists() {
        return passed_over("the kernel gives no FUSE");
    }
    static TRIED: Mutex<BTreeMap<String, bool>> = Mutex::new(BTreeMap::new());
    let mut tried = TRIED.lock().unwrap_or_else(PoisonError::into_inner);
    // One of them is a script of node's, and one needs the system's help.
    let can_start = |name: &str| match name {
        "azurite" => on_path("node"),
        "fuse" => on_path("fusermount"),
        _ => true,
    };
    let is_here = |name: &str| can_start(name) && install(name).is_ok();
    let missing: Vec<&str> =
        names.iter().copied().filter(|name| !*tried.entry((*name).to_owned()).or_insert_with(|| is_here(name))).collect();
    drop(tried);
    missing.is_empty() || skipped(&format!("{} not installed, and cannot be", are(&missing)))
}

/// Whether the tests run as root, who alone can run a program as somebody who runs nothing else; if not, the test that asks is noted as
/// passed over, whatever may be skipped: an ordinary user cannot help it.
#[must_use]
pub fn root(for_what: &str) -> bool {
    rustix::process::geteuid().is_root() || passed_over(&format!("only root can {for_what}"))
}

/// Writes what the programs of this run of `cargo test` skipped to standard output, if there is any, and forgets it.
///
/// # Errors
/// If it cannot be read or written.
pub fn report() -> io::Result<()> {
    let lines = take(&folder()?, std::os::unix::process::parent_id())?;
    if lines.is_empty() {
        return Ok(());
    }
    let mut out = io::stdout().lock();
    writeln!(out, "\nskipped: {} tests", lines.len())?;
    for line in lines {
        writeln!(out, "  {line}")?;
    }
    writeln!(out, "`tests/run` installs what is missing and skips nothing.\n")
}

fn on_path(name: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| runs(&folder.join(name)))
}

fn runs(program: &Path) -> bool {
    fs::metadata(program).is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

fn are(names: &[&str]) -> String {
    format!("{} {}", names.join(", "), if names.len() == 1 { "is" } else { "are" })
}

/// Notes that the current test is skipped; gives `false`.
fn skipped(why: &str) -> bool {
    assert!(std::env::var_os(SKIP_NOTHING).is_none(), "nothing may be skipped here, but {why}");
    passed_over(why)
}

fn passed_over(why: &str) -> bool {
    let thread = std::thread::current();
    let line = format!("{}: {why}", thread.name().unwrap_or("a test"));
    // Not by a macro: of a test that passes, what macros print is not shown.
    let _ = writeln!(io::stderr(), "skipped {line}");
    folder()
        .and_then(|folder| note(&folder, std::os::unix::process::parent_id(), &line))
        .expect("a note of the skipped test can be written");
    false
}

/// The folder of the build, which all test programs of it share.
fn folder() -> io::Result<PathBuf> {
    let program = std::env::current_exe()?;
    program.ancestors().nth(2).map(Path::to_owned).ok_or_else(|| io::Error::other("a test program below no folder"))
}

/// The name begins with this; the id of the `cargo test` that runs all programs follows.
const PREFIX: &str = "skipped-tests-of-";

fn note(folder: &Path, run: u32, line: &str) -> io::Result<()> {
    let mut file = fs::File::options().append(true).create(true).open(folder.join(format!("{PREFIX}{run}")))?;
    // One write: tests note at the same time.
    file.write_all(format!("{line}\n").as_bytes())
}

/// The notes of a run, sorted; they are removed, and with them those of runs that ended without a report.
fn take(folder: &Path, run: u32) -> io::Result<Vec<String>> {
    let own = folder.join(format!("{PREFIX}{run}"));
    let mut lines: Vec<String> = match fs::read_to_string(&own) {
        Ok(text) => text.lines().map(str::to_owned).collect(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(error),
    };
    lines.sort();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let of = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_prefix(PREFIX));
        if of.is_some_and(|of| path == own || !Path::new("/proc").join(of).exists()) {
            fs::remove_file(path)?;
        }
    }
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_looked_for_on_the_path() {
        assert!(programs(&["sh", "ls"]));
        assert!(!runs(Path::new("/bin/no such program")) && !runs(Path::new("/etc/passwd")) && !runs(Path::new("/bin")));
        assert_eq!(are(&["chromium"]), "chromium is");
        assert_eq!(are(&["age", "jq"]), "age, jq are");
    }

    #[test]
    fn notes_are_of_one_run_and_taken_once() {
        let folder = tempfile::tempdir().unwrap();
        let (own, ended) = (std::process::id(), u32::MAX);
        for (run, line) in [(own, "b: chromium is not installed"), (own, "a: age is not installed"), (ended, "c: lost")] {
            note(folder.path(), run, line).unwrap();
        }
        assert_eq!(take(folder.path(), own).unwrap(), ["a: age is not installed", "b: chromium is not installed"]);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        assert_eq!(take(folder.path(), own).unwrap(), Vec::<String>::new());
    }

    /// Runs itself without any program on the path: it passes and says so, unless nothing may be skipped.
    #[test]
    fn a_test_that_misses_something_is_skipped_or_fails() {
        const INSIDE: &str = "TESTS_WITHOUT_PROGRAMS";
        if std::env::var_os(INSIDE).is_some() {
            needs_programs!("sh");
            panic!("sh was found on an empty path");
        }
        let again = |skip_nothing: bool| {
            let mut command = std::process::Command::new(std::env::current_exe().unwrap());
            command.args(["a_test_that_misses_something", "--test-threads=2"]).env("PATH", "").env(INSIDE, "1").env_remove(SKIP_NOTHING);
            command.envs(skip_nothing.then_some((SKIP_NOTHING, "1"))).output().unwrap()
        };
        let skipped = again(false);
        assert!(skipped.status.success(), "{skipped:?}");
        let said = String::from_utf8(skipped.stderr).unwrap();
        assert!(
            said.contains("skipped ") && said.contains("a_test_that_misses_something") && said.contains(": sh is not installed"),
            "{said}"
        );
        let failed = again(true);
        assert!(!failed.status.success() && String::from_utf8_lossy(&failed.stdout).contains("sh is not installed"), "{failed:?}");
        // What the run inside noted was a run of this program, not of cargo.
        let _ = take(&folder().unwrap(), std::process::id()).unwrap();
    }
}
