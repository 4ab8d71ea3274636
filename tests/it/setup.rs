//! `setup`, through the built program: from nothing to backups that make themselves.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use tgvault_test_support::sandbox::Sandbox;

use crate::spelling::{done, run};

#[test]
fn one_command_leads_from_nothing_to_a_backup() {
    let sandbox = Sandbox::new(env!("CARGO_BIN_EXE_tgvault")).unwrap();
    fs::create_dir(sandbox.work().join("letters")).unwrap();
    fs::write(sandbox.work().join("letters/one"), "one").unwrap();
    let line = "--repo vault setup --folder letters --generate-passphrase --sheet sheet.txt --yes";
    let made = run(&sandbox, line);
    assert_eq!(made.code, Some(0), "{}{}", made.stdout, made.stderr);
    let at = |text: &str| made.stdout.find(text).or_else(|| made.stderr.find(text)).unwrap_or_else(|| panic!("{text}: {made:?}"));
    for said in ["passed  conditional put", "would save", "saved snapshot", "What to do next"] {
        at(said);
    }
    let profile = sandbox.home().join(".config/tgvault/default.toml");
    assert_eq!(fs::metadata(&profile).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(fs::read_to_string(sandbox.work().join("sheet.txt")).unwrap().contains("recovery sheet"));
    // From anywhere, since the profile has whole paths.
    done(&sandbox, "config check");
    done(&sandbox, "-q run");
    done(&sandbox, "-q status --max-age 1h");
    // Once more it asks nothing, and does what is left to do.
    let again = run(&sandbox, "setup --yes");
    assert!(again.code == Some(0) && again.stderr.contains("using the profile"), "{again:?}");
    // A profile is never replaced.
    let other = run(&sandbox, line);
    assert!(other.code == Some(2) && other.stderr.contains("there is a profile already"), "{other:?}");
}

#[test]
fn what_cannot_be_asked_must_be_said() {
    let sandbox = Sandbox::new(env!("CARGO_BIN_EXE_tgvault")).unwrap();
    for (line, says) in [("setup --yes", "nothing to back up was given"), ("setup --folder x --yes", "no vault was given")] {
        let refused = run(&sandbox, line);
        assert!(refused.code == Some(2) && refused.stderr.contains(says), "{line}: {refused:?}");
    }
    assert!(!sandbox.home().join(".config").exists());
    // What a check finds ends it before anything is made.
    fs::create_dir(sandbox.work().join("x")).unwrap();
    fs::write(sandbox.work().join("file"), "no folder").unwrap();
    let failed = run(&sandbox, "--repo file setup --folder x --generate-passphrase --sheet sheet.txt --yes");
    assert!(failed.code == Some(1) && failed.stderr.contains("the profile is kept"), "{failed:?}");
    assert!(!sandbox.work().join("sheet.txt").exists());
}
