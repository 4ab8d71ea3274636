//! The first minute with a vault: `init` that is cut short, addresses of other programs, passphrases with what nobody sees.

use std::fs;

use tgvault::crypt::keys::generate;
use tgvault::operations::Session;
use tgvault::operations::init::{InitOptions, init};
use tgvault::state::StateFolder;
use tgvault::storage::{FaultKind, Faults, Storage};

use crate::spelling::{run, with_vault};
use crate::support::{options, tempdir};

#[tokio::test(flavor = "multi_thread")]
async fn init_that_was_cut_short_goes_on_when_it_is_run_again() {
    let mut cut = 0;
    for at in 1.. {
        let root = tempdir();
        let plain = Storage::open(root.path().join("vault").to_str().unwrap(), [], options()).unwrap();
        let session =
            |storage: &Storage, state: &str| Session::new(storage.clone(), StateFolder::open(root.path().join(state), None).unwrap());
        let readers = || InitOptions { passphrase: None, recipients: vec![generate().1] };
        let faulty = plain.with_faults(&Faults::for_ever(FaultKind::Refused, at));
        if init(&session(&faulty, "state"), &readers()).await.is_ok() {
            break;
        }
        cut += 1;
        let left = plain.list("").await.unwrap().len();
        // Another machine does not take away what may be somebody's vault.
        let other = init(&session(&plain, "other"), &readers()).await;
        assert!(left == 0 || other.is_err(), "cut at {at}");
        if left == 0 {
            continue;
        }
        init(&session(&plain, "state"), &readers()).await.unwrap();
        session(&plain, "state").open().await.unwrap();
        assert!(init(&session(&plain, "state"), &readers()).await.is_err(), "a whole vault stays, cut at {at}");
    }
    assert!(cut > 5, "{cut}");
}

#[test]
fn addresses_of_other_programs_are_refused_and_make_no_folder() {
    let sandbox = with_vault();
    let before = fs::read_dir(sandbox.work()).unwrap().count();
    for address in ["sftp:user@host:/x", "rclone:remote:x", "b2:bucket", "user@host:x", "~/x", "C:\\x", "remote:"] {
        let said = run(&sandbox, &format!("--repo {address} init --generate-passphrase --sheet sheet"));
        assert_eq!(said.code, Some(2), "{address}: {}", said.stderr);
        assert!(said.stderr.contains("hint: "), "{address}: {}", said.stderr);
        assert_eq!(fs::read_dir(sandbox.work()).unwrap().count(), before, "{address}");
    }
}

#[test]
fn passphrases_with_what_nobody_sees_are_refused() {
    let sandbox = with_vault();
    let work = sandbox.work();
    let good = "gravel tundra oxidize parakeet velvet sardine mosaic quench";
    for (number, bad) in [format!("\u{feff}{good}"), format!(" {good}"), format!("{good} "), format!("{good}\u{a0}")].iter().enumerate() {
        fs::write(work.join("passphrase"), format!("{bad}\n")).unwrap();
        let said = run(&sandbox, &format!("--repo new{number} --passphrase-file passphrase init"));
        assert_eq!(said.code, Some(2), "{bad:?}: {}", said.stderr);
        assert!(!work.join(format!("new{number}/keys")).exists());
    }
    fs::write(work.join("passphrase"), format!("{good}\r\n")).unwrap();
    assert_eq!(run(&sandbox, "--repo new --passphrase-file passphrase init").code, Some(0));
}
