//! A folder as people spell it, patterns as they write them, and files whose length is not true, through the built program.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use tgvault_test_support::sandbox::{Run, Sandbox};

use crate::support::{count, noise};

/// A sandbox with a vault `v` whose key is `key.txt`.
pub fn with_vault() -> Sandbox {
    let mut sandbox = Sandbox::new(env!("CARGO_BIN_EXE_tgvault")).unwrap();
    let (secret, recipient) = tgvault::crypt::keys::generate();
    fs::write(sandbox.work().join("key.txt"), tgvault::crypt::keys::expose(&secret)).unwrap();
    let vault = sandbox.work().join("v").display().to_string();
    sandbox.env([("TGVAULT_REPO", vault)]);
    assert_eq!(sandbox.run(["-q", "init", "-r", &recipient]).unwrap().code, Some(0));
    sandbox
}

/// Runs a command line whose words are divided by spaces.
pub fn run(sandbox: &Sandbox, line: &str) -> Run {
    sandbox.run(line.split(' ')).unwrap()
}

/// As [`run`], of what must succeed; gives standard output.
pub fn done(sandbox: &Sandbox, line: &str) -> String {
    let run = run(sandbox, line);
    assert_eq!(run.code, Some(0), "{line}: {}{}", run.stdout, run.stderr);
    run.stdout
}

fn bytes_of(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).unwrap().map(Result::unwrap);
    entries.map(|entry| if entry.path().is_dir() { bytes_of(&entry.path()) } else { entry.metadata().unwrap().len() }).sum()
}

#[test]
fn one_folder_is_one_source_however_it_is_spelled() {
    let sandbox = with_vault();
    let work = sandbox.work();
    fs::create_dir_all(work.join("s")).unwrap();
    fs::write(work.join("s/f"), noise(1, 1_000_000)).unwrap();
    symlink("s", work.join("link")).unwrap();
    done(&sandbox, "-q backup s");
    let bytes = bytes_of(&work.join("v/archives"));
    let absolute = work.join("s/../s").display().to_string();
    for spelled in ["s/", "./s", "link", "link/", "s/.", "../work//s", &absolute] {
        let said = done(&sandbox, &format!("backup {spelled}"));
        assert!(said.contains("new or changed: 0"), "{spelled}: {said}");
    }
    assert_eq!(bytes_of(&work.join("v/archives")), bytes);
    // A machine that knows nothing finds it by the key.
    fs::remove_dir_all(sandbox.home()).unwrap();
    fs::create_dir(sandbox.home()).unwrap();
    let said = done(&sandbox, "-i key.txt backup link/");
    assert!(said.contains("new or changed: 0"), "{said}");
    let listed = done(&sandbox, "-i key.txt snapshots --json");
    let sources: std::collections::BTreeSet<String> = listed
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok()?.get("source").map(ToString::to_string))
        .collect();
    assert_eq!(sources.len(), 1, "{sources:?}");
}

#[test]
fn addresses_of_other_programs_are_no_folders() {
    let sandbox = with_vault();
    let work = sandbox.work();
    fs::create_dir(work.join("s")).unwrap();
    fs::write(work.join("s/f"), "f").unwrap();
    done(&sandbox, "-q backup s");
    let names = || {
        let mut names: Vec<_> = fs::read_dir(&work).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    let before = names();
    for address in
        ["sftp://u@h/x", "sftp:u@h:/x", "~/x", "~mara/x", "C:\\x", "user@host:x", "gdrive:x", "$HOME/x", "`pwd`/x", "\\\\s\\h", "-"]
    {
        for line in [format!("-i key.txt restore latest --to {address}"), format!("--repo {address} init -r age1")] {
            let run = run(&sandbox, &line);
            assert!(run.code == Some(2) && run.stderr.contains("hint: "), "{line}: {run:?}");
        }
    }
    let run = run(&sandbox, "-i key.txt restore latest --to s3://bucket/x");
    assert!(run.code == Some(2) && run.stderr.contains("--to takes a folder"), "{run:?}");
    assert_eq!(names(), before);
    // One that is there already, or is named as a path, is a folder.
    fs::create_dir(work.join("a:b")).unwrap();
    for folder in ["a:b", "./c:d"] {
        done(&sandbox, &format!("-q -i key.txt restore latest --to {folder}"));
        assert_eq!(fs::read_to_string(work.join(folder).join("f")).unwrap(), "f");
    }
}

#[test]
fn patterns_are_understood_or_refused_and_never_pass_in_silence() {
    let sandbox = with_vault();
    let work = sandbox.work();
    fs::create_dir_all(work.join("s/deep/cache")).unwrap();
    fs::create_dir_all(work.join("s/cache")).unwrap();
    for file in ["s/cache/x", "s/deep/cache/x", "s/a.tmp", "s/b"] {
        fs::write(work.join(file), "x").unwrap();
    }
    let stored = |options: &str| {
        let run = run(&sandbox, &format!("backup s {options}"));
        let paths = done(&sandbox, "-q -i key.txt ls latest");
        let paths: Vec<String> = paths.lines().map(|line| line.rsplit(' ').next().unwrap().trim_end_matches('/').to_owned()).collect();
        (run.code, run.stdout + &run.stderr, paths)
    };
    let has = |paths: &[String], path: &str| paths.iter().any(|found| found == path);
    fs::write(work.join("patterns"), "\u{feff}cache\r\n*.tmp\r\n").unwrap();
    let (code, said, paths) = stored("--exclude-file patterns");
    assert_eq!((code, paths), (Some(0), vec!["b".to_owned(), "deep".to_owned()]), "{said}");
    for top in
        [work.join("s/cache").display().to_string(), "./cache".into(), "./s/cache".into(), "../work/s/cache/".into(), "/cache".into()]
    {
        let (code, said, paths) = stored(&format!("--exclude {top}"));
        assert!(code == Some(0) && !has(&paths, "cache/x") && has(&paths, "deep/cache/x"), "{top}: {said} {paths:?}");
        assert!(!said.contains("nothing matches"), "{top}: {said}");
    }
    symlink("s", work.join("link")).unwrap();
    symlink("s/cache", work.join("shortcut")).unwrap();
    let at = |path: &str| work.join(path).display().to_string();
    for top in [
        at("link/cache"),
        at("shortcut"),
        format!("file://{}", at("s/cache/")),
        format!("file://localhost{}", at("link/cach%65")),
        "deep/../cache".into(),
        "/deep/../cache".into(),
        at("s/deep/../cache"),
        "link/../s/./cache".into(),
    ] {
        let (code, said, paths) = stored(&format!("--exclude {top}"));
        assert!(code == Some(0) && !has(&paths, "cache/x") && has(&paths, "deep/cache/x"), "{top}: {said} {paths:?}");
        assert!(!said.contains("nothing matches"), "{top}: {said}");
    }
    let outside = format!("file://{}", at("other"));
    for refused in ["s/cache", "../elsewhere", "./../s", "deep/../../cache", &outside, "https://host/cache", r"deep\cache", r"C:\cache"] {
        let (code, said, _) = stored(&format!("--exclude {refused}"));
        assert!(code == Some(2) && said.contains("hint: ") && said.contains(refused), "{said}");
    }
    let (code, said, _) = stored("--exclude *.tpm --exclude *.tmp");
    assert!(code == Some(0) && said.matches("nothing matches").count() == 1 && said.contains("*.tpm"), "{said}");
    let (code, said, _) = stored(r"--exclude deep\*.tmp");
    assert!(code == Some(0) && said.contains("a backslash takes the next character as it is"), "{said}");
}

#[test]
fn patterns_match_in_any_encoding_and_either_form_of_an_accent() {
    let sandbox = with_vault();
    let work = sandbox.work();
    let (composed, decomposed) = ("caf\u{e9}", "cafe\u{301}");
    fs::create_dir_all(work.join("s").join(composed)).unwrap();
    fs::create_dir_all(work.join("s/deep").join(decomposed)).unwrap();
    fs::write(work.join("s/kept"), "x").unwrap();
    fs::write(work.join("utf8"), decomposed).unwrap();
    let utf16 = |unit: fn(u16) -> [u8; 2]| -> Vec<u8> { format!("\u{feff}{composed}\r\n").encode_utf16().flat_map(unit).collect() };
    fs::write(work.join("little"), utf16(u16::to_le_bytes)).unwrap();
    fs::write(work.join("big"), utf16(u16::to_be_bytes)).unwrap();
    for patterns in ["--exclude-file utf8", "--exclude-file little", "--exclude-file big", "--exclude caf\u{e9}", "--exclude cafe\u{301}"] {
        let said = run(&sandbox, &format!("backup s --allow-empty {patterns}"));
        assert!(said.code == Some(0) && !said.stderr.contains("nothing matches"), "{patterns}: {}", said.stderr);
        let paths = done(&sandbox, "-q -i key.txt ls latest");
        assert!(!paths.contains("caf") && paths.contains("kept"), "{patterns}: {paths}");
    }
    let before = count(&work.join("v/snapshots"), |_| true);
    fs::write(work.join("bare"), utf16(u16::to_le_bytes).split_off(2)).unwrap();
    fs::write(work.join("latin1"), b"caf\xe9\n").unwrap();
    for file in ["bare", "latin1"] {
        let refused = run(&sandbox, &format!("backup s --exclude-file {file}"));
        assert!(refused.code == Some(2) && refused.stderr.contains("hint: save it as UTF-8"), "{file}: {}", refused.stderr);
    }
    assert_eq!(count(&work.join("v/snapshots"), |_| true), before);
}

#[cfg(target_os = "linux")]
#[test]
fn a_path_in_a_snapshot_is_found_however_it_is_spelled() {
    let sandbox = with_vault();
    let work = sandbox.work();
    fs::create_dir_all(work.join("s/a/caf\u{e9}")).unwrap();
    for (path, text) in [("a/caf\u{e9}/f", "inside"), ("b", "beside")] {
        fs::write(work.join("s").join(path), text).unwrap();
    }
    done(&sandbox, "-q backup s");
    let top = work.join("s").canonicalize().unwrap().display().to_string();
    // The folder that was backed up is not needed, and not looked at.
    fs::rename(work.join("s"), work.join("gone")).unwrap();
    let spelled = ["a/caf\u{e9}/f", "/a/caf\u{e9}/f", "./b/../a//caf\u{e9}/f", "a/cafe\u{301}/f"].map(str::to_owned);
    for path in spelled.into_iter().chain(["a/caf\u{e9}/f", "a/cafe\u{301}/f"].map(|path| format!("{top}/{path}"))) {
        assert_eq!(done(&sandbox, &format!("-i key.txt cat latest {path}")), "inside", "{path}");
        let listed = done(&sandbox, &format!("-i key.txt -q ls latest {path}"));
        assert_eq!(listed.trim_end(), "a/caf\u{e9}/f", "{path}");
        done(&sandbox, &format!("-q -i key.txt restore latest --to r {path}"));
        assert_eq!(fs::read_to_string(work.join("r/a/caf\u{e9}/f")).unwrap(), "inside", "{path}");
        assert!(!work.join("r/b").exists());
        fs::remove_dir_all(work.join("r")).unwrap();
    }
    for all in [format!("{top}/"), format!("{top}/a/..")] {
        done(&sandbox, &format!("-q -i key.txt restore latest --to r {all}"));
        assert_eq!(fs::read_to_string(work.join("r/b")).unwrap(), "beside", "{all}");
        fs::remove_dir_all(work.join("r")).unwrap();
    }
    for missing in [format!("{top}/c"), format!("{top}x/b"), "c".to_owned()] {
        assert_ne!(run(&sandbox, &format!("-i key.txt restore latest --to r {missing}")).code, Some(0), "{missing}");
    }
    let out = run(&sandbox, "-i key.txt restore latest --to r ../b");
    assert!(out.code == Some(2) && out.stderr.contains(".."), "{}", out.stderr);
}

#[test]
fn files_that_say_they_are_empty_are_read_to_their_end() {
    let sandbox = with_vault();
    let run = run(&sandbox, "backup /proc/sys/kernel/random");
    let cat = |name: &str| done(&sandbox, &format!("cat latest {name} -i key.txt"));
    assert_eq!(cat("boot_id"), fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap(), "{}", run.stderr);
    assert!(cat("poolsize").trim().parse::<u32>().is_ok());
    assert!(count(&sandbox.work().join("v/archives"), |_| true) > 0);
}

#[test]
fn a_backup_that_read_nothing_counts_nothing() {
    use std::os::unix::fs::PermissionsExt;
    let sandbox = with_vault();
    let work = sandbox.work();
    fs::create_dir(work.join("s")).unwrap();
    fs::write(work.join("s/a"), "secret").unwrap();
    fs::set_permissions(work.join("s/a"), fs::Permissions::from_mode(0o0)).unwrap();
    let is_root = rustix::process::geteuid().is_root();
    let mut command = sandbox.command(["--json", "backup", "s"]);
    if is_root {
        use std::os::unix::process::CommandExt;
        let everything = std::process::Command::new("chown").args(["-R", "65534:65534"]).arg(sandbox.folder()).status().unwrap();
        assert!(everything.success());
        command.uid(65534).gid(65534);
    }
    let run = Run::from(command.output().unwrap());
    assert_eq!(run.code, Some(3), "{}", run.stderr);
    let summary: serde_json::Value = serde_json::from_str(run.stdout.lines().last().unwrap()).unwrap();
    for count in ["entries", "bytes", "new_entries", "new_bytes", "unchanged"] {
        assert_eq!(summary[count], 0, "{summary}");
    }
    assert!((run.stdout + &run.stderr).contains("this snapshot is empty"));
}
