//! The README's commands do what it says. Its main job and its tests are run by `.ci/run`.

use std::fs;
use std::path::Path;
use std::process::Command;

/// The block of the README whose fence is followed by `sh name`.
fn block(name: &str) -> String {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap();
    let (_, rest) = page.split_once(&format!("```sh {name}\n")).unwrap_or_else(|| panic!("README.md has no block {name}"));
    rest.split_once("\n```").unwrap().0.to_owned()
}

#[test]
fn the_five_commands_work_as_they_stand() {
    let home = tempfile::tempdir().unwrap();
    let (export, vault) = (home.path().join("export"), home.path().join("vault"));
    fs::create_dir(&export).unwrap();
    fs::write(export.join("result.json"), "{}").unwrap();
    let passphrase = home.path().join("passphrase");
    fs::write(&passphrase, "able baker charlie dog easy fox george how item jig\n").unwrap();
    let lines = block("five");
    assert!(lines.contains("/mnt/disk/vault"), "the README names another vault: {lines}");
    let script = format!("set -euo pipefail\n{}\n", lines.replace("/mnt/disk/vault", vault.to_str().unwrap()));
    let program = Path::new(env!("CARGO_BIN_EXE_tgvault")).parent().unwrap();
    let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap());
    let ran = Command::new("bash")
        .args(["-c", &script])
        .env_clear()
        .envs([("HOME", home.path().as_os_str()), ("PATH", path.as_ref()), ("TGVAULT_PASSPHRASE_FILE", passphrase.as_os_str())])
        .output()
        .unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    assert!(ran.status.success(), "{said}");
    assert!(said.contains("recovery sheet"), "{said}");
    assert_eq!(fs::read_to_string(home.path().join("restored/result.json")).unwrap(), "{}");
}
