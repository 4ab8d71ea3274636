//! Copies between buckets: a mirror without a key, a second vault with another, and healing from the mirror.

use std::fs;

use tgvault_test_support::stores::s3s::S3s;

use crate::program::{Machine, Reader};
use crate::stores::content;

#[test]
fn a_bucket_has_a_mirror_and_a_second_vault_and_is_healed() {
    let server = S3s::start().unwrap();
    let (reader, other) = (Reader::new(), Reader::new());
    let bucket = server.bucket().unwrap();
    let machine = Machine::with_vault(&bucket, "first", &reader);
    let second = Machine::with_vault(&bucket, "second", &other);
    // More than two parts of 8 MiB.
    machine.write("large", &content(21 * 1024 * 1024, 1));
    machine.run(&["backup", "source"]);
    machine.write("small", b"words");
    machine.run(&["backup", "source"]);
    let at = |name: &str| format!("{}/{name}", bucket.url);
    let mirrored = machine.run(&["copy", "--mirror", "--to", &at("mirror")]);
    assert!(mirrored.stdout.contains("2 new"), "{mirrored:?}");
    let again = machine.run(&["copy", "--mirror", "--to", &at("mirror")]);
    assert!(again.stdout.contains("0 new, 0 objects copied"), "{again:?}");
    let [_, other_key] = other.option();
    let copied = machine.run(&[&["copy", "--to", &at("second"), "--to-identity", other_key], &reader.option()[..]].concat());
    assert!(copied.stdout.contains("copied 2 of 2 snapshots"), "{copied:?}");
    for (machine, key) in [(&second, &other), (&Machine::new(&bucket, "mirror"), &reader)] {
        let to = machine.sandbox.work().join("restored");
        machine.run(&[&["restore", "latest", "--to", to.to_str().unwrap()], &key.option()[..]].concat());
        assert_eq!(fs::read(to.join("large")).unwrap(), content(21 * 1024 * 1024, 1));
        assert_eq!(fs::read(to.join("small")).unwrap(), b"words");
        machine.run(&[&["verify", "--deep"], &key.option()[..]].concat());
    }
    let healed = machine.run(&["repair", "--quick", "--from", &at("mirror")]);
    assert!(healed.stdout.contains("0 healed"), "{healed:?}");
}
