//! The sums are read by every `sha256sum -c`, the small ones of NAS boxes and telephones too.

use std::fs;
use std::process::{Command, Output, Stdio};

use crate::support::noise;
use crate::vault::{Vault, look, words};

/// The programs that check sums, each with the words before the name of the file.
const CHECKERS: [(&str, &[&str]); 6] = [
    ("sha256sum", &["-c"]),
    ("sha256sum", &["--strict", "-c"]),
    ("busybox", &["sha256sum", "-c"]),
    ("toybox", &["sha256sum", "-c"]),
    ("shasum", &["-a", "256", "-c"]),
    ("rhash", &["--sha256", "-c"]),
];

#[tokio::test(flavor = "multi_thread")]
async fn every_checker_reads_sums_and_lists() {
    needs_tools!();
    tgvault_test_support::needs_programs!("busybox", "toybox", "shasum", "rhash");
    let mut vault = Vault::new().await;
    vault.world.lanes = 1;
    // More than a list takes.
    for number in 0..103 {
        vault.world.write("file", &noise(number, 5_000));
        vault.world.backup().await;
    }
    let check = |(program, words): (&str, &[&str]), file: &str| -> Output {
        Command::new(program).args(words).arg(file).current_dir(&vault.vault).stdin(Stdio::null()).output().unwrap()
    };
    let newest = vault.stored("snapshots").into_iter().rfind(|path| path.extension() == Some("sums".as_ref())).unwrap();
    let list = vault.stored("lists").into_iter().find(|path| path.extension() == Some("sums".as_ref())).unwrap();
    let names = [newest, list].map(|path| path.strip_prefix(&vault.vault).unwrap().to_str().unwrap().to_owned());
    for name in &names {
        for checker in CHECKERS {
            let checked = check(checker, name);
            assert!(checked.status.success(), "{checker:?} {name}: {}", words(&checked));
        }
    }
    let verified = vault.verify();
    assert!(verified.status.success(), "{}", words(&verified));
    // The lengths have another place: what is cut is found without reading it.
    let archive = vault.vault.join(&vault.world.archives()[50]);
    let bytes = fs::read(&archive).unwrap();
    fs::write(&archive, &bytes[..bytes.len() - 1]).unwrap();
    for checker in CHECKERS {
        assert!(!check(checker, &names[1]).status.success(), "{checker:?} must notice");
    }
    let quick = vault.world.locked(&vault.world.storage).verify().with(|options| options.quick = true).await.unwrap();
    assert!(quick.wrong.iter().any(|found| found.what.contains("bytes instead of")), "{:?}", quick.wrong);
}

#[tokio::test(flavor = "multi_thread")]
async fn content_in_another_folders_archives_comes_back() {
    needs_tools!();
    let vault = Vault::new().await;
    let source = vault.world.source();
    vault.world.write("same/name", &noise(1, 300_000));
    vault.world.write("other", &noise(2, 60_000));
    vault.world.write("its own", b"of the first");
    vault.world.backup().await;
    // The same machine backs up another folder that has some of it, under names that the first has too.
    let first = vault.world.root.path().join("first");
    fs::rename(&source, &first).unwrap();
    fs::create_dir_all(source.join("same")).unwrap();
    vault.world.write("other", &noise(1, 300_000));
    vault.world.write("same/name", b"something else");
    let second = vault.world.root.path().join("second");
    fs::rename(&source, &second).unwrap();
    let mut program = Command::new(env!("CARGO_BIN_EXE_tgvault"));
    program.env_clear().env("HOME", vault.world.root.path()).env("TZ", "UTC");
    program.arg("--repo").arg(&vault.vault).arg("--state-dir").arg(vault.world.root.path().join("state"));
    let output = program.args(["--json", "backup"]).arg(&second).output().unwrap();
    assert!(output.status.success() && words(&output).contains("\"new_bytes\":14,"), "{}", words(&output));
    assert_eq!(vault.both().await, look(&second));
    let verified = vault.verify();
    assert!(verified.status.success(), "{}", words(&verified));
}
