//! Snapshots mounted as folders, through the built program: what is there is what a restore writes.

#![cfg(target_os = "linux")]

use std::fs;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use tgvault_test_support::sandbox::Sandbox;
use tgvault_test_support::tree::tree;

use crate::spelling::{done, run, with_vault};
use crate::support::noise;

/// `tgvault mount m`, which answers.
struct Mounted {
    child: Child,
    at: PathBuf,
}

impl Mounted {
    fn start(sandbox: &Sandbox, more: &[&str]) -> Self {
        let at = sandbox.work().join("m");
        fs::create_dir_all(&at).unwrap();
        let mut child = sandbox.command([&["-i", "key.txt", "mount", "m"], more].concat()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "m\n");
        Self { child, at }
    }

    /// Ends it by a signal; gives its exit code and what it said.
    fn end(mut self, signal: Signal) -> (Option<i32>, String) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
        let mut said = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        (self.child.wait().unwrap().code(), said)
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = Command::new("fusermount").arg("-uz").arg(&self.at).stderr(Stdio::null()).status();
    }
}

/// A folder with all that one can have: long and empty files, links, odd names and times.
fn source(work: &Path) {
    fs::create_dir_all(work.join("s/deep/er")).unwrap();
    fs::create_dir(work.join("s/empty")).unwrap();
    for (name, length) in [("long", 5_000_003), ("deep/er/short", 70), ("nothing", 0), ("deep/Grüße \u{202e} a'\"\n", 1_048_576)] {
        fs::write(work.join("s").join(name), noise(length as u64, length)).unwrap();
    }
    fs::hard_link(work.join("s/long"), work.join("s/deep/second name")).unwrap();
    symlink("deep/er/short", work.join("s/link")).unwrap();
    symlink("/nowhere", work.join("s/dead link")).unwrap();
    (0..40).for_each(|number| fs::write(work.join(format!("s/deep/{number}")), noise(number, 30_000)).unwrap());
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_mount_shows_what_a_restore_writes_to_many_readers_at_once() {
    tgvault_test_support::needs_servers!("fuse");
    let sandbox = with_vault();
    let work = sandbox.work();
    source(&work);
    done(&sandbox, "-q backup s");
    fs::remove_file(work.join("s/deep/7")).unwrap();
    fs::write(work.join("s/new"), "new").unwrap();
    done(&sandbox, "-q backup s");
    done(&sandbox, "-q -i key.txt restore latest --to r");
    let mounted = Mounted::start(&sandbox, &[]);
    let restored = tree(&work.join("r")).unwrap();
    assert_eq!(tree(&mounted.at.join("latest")).unwrap(), restored);
    let snapshots = names(&mounted.at.join("snapshots"));
    assert_eq!(snapshots.len(), 2, "{snapshots:?}");
    // Both may have been made within a second, and then their names do not say which was the first.
    let (first, second): (Vec<PathBuf>, Vec<PathBuf>) =
        snapshots.iter().map(|name| mounted.at.join("snapshots").join(name)).partition(|folder| folder.join("deep/7").exists());
    let ([first], [second]) = (&first[..], &second[..]) else { panic!("{snapshots:?}") };
    assert_eq!(tree(second).unwrap(), restored);
    assert!(!first.join("new").exists());

    // 32 readers, each at places of its own.
    let long = noise(5_000_003, 5_000_003);
    std::thread::scope(|scope| {
        for reader in 0..32_usize {
            let long = &long;
            scope.spawn(move || {
                let mut file = fs::File::open(first.join("long")).unwrap();
                for step in 0..6 {
                    let from = (reader * 977_777 + step * 1_234_567) % long.len();
                    let mut bytes = vec![0; 5000.min(long.len() - from)];
                    file.seek(SeekFrom::Start(from as u64)).unwrap();
                    file.read_exact(&mut bytes).unwrap();
                    assert!(bytes == long[from..from + bytes.len()], "{reader} {from}");
                }
                let name = format!("deep/{reader}");
                assert_eq!(fs::read(first.join(&name)).unwrap(), noise(reader as u64, 30_000), "{name}");
            });
        }
    });

    // Nothing can be changed, and what is not there is not there.
    let refused = |result: std::io::Result<()>| assert_eq!(result.unwrap_err().raw_os_error(), Some(30));
    refused(fs::write(first.join("long"), "x"));
    refused(fs::write(first.join("another"), "x"));
    refused(fs::remove_file(first.join("long")));
    refused(fs::create_dir(mounted.at.join("folder")));
    for missing in ["latest/deep/7", "latest/../snapshots/x", "snapshots/latest", "latest/long/x", "stored"] {
        assert!(!mounted.at.join(missing).exists(), "{missing}");
    }

    // A mount is not mounted over, and one in use comes off all the same.
    let second = run(&sandbox, "-i key.txt mount m");
    assert!(second.code == Some(2) && second.stderr.contains("not empty"), "{}", second.stderr);
    let held = fs::File::open(first.join("long")).unwrap();
    let at = mounted.at.clone();
    let (code, said) = mounted.end(Signal::INT);
    assert!(code == Some(0) && said.ends_with("unmounted\n"), "{code:?} {said}");
    assert_eq!(names(&at), [""; 0]);
    drop(held);
}

#[test]
fn files_of_chats_have_their_names_and_the_time_of_their_message() {
    tgvault_test_support::needs_servers!("fuse");
    let sandbox = with_vault();
    let export = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/sample-export");
    done(&sandbox, &format!("-q backup desktop-export {}", export.display()));
    done(&sandbox, "-q -i key.txt restore latest --as files --to r");
    let mounted = Mounted::start(&sandbox, &[]);
    let latest = mounted.at.join("latest");
    assert_eq!(names(&latest), ["chats", "stored"]);
    let contents = |folder: &Path| -> Vec<String> {
        let said = tree(folder).unwrap().into_iter().filter(|(_, said)| said.starts_with("file"));
        said.map(|(name, said)| format!("{name} {}", said.rsplit(' ').nth(2).unwrap())).collect()
    };
    assert_eq!(contents(&latest.join("stored")), contents(&sandbox.work().join("r")));

    // Every file that a message of the export names is in the folder of its chat and month, with its name, bytes and time.
    let read: serde_json::Value = serde_json::from_slice(&fs::read(export.join("result.json")).unwrap()).unwrap();
    let mut seen = 0;
    for chat in read["chats"]["list"].as_array().unwrap() {
        for message in chat["messages"].as_array().unwrap() {
            for file in ["photo", "file"].into_iter().filter_map(|key| message[key].as_str()).filter(|file| export.join(file).is_file()) {
                let content = fs::read(export.join(file)).unwrap();
                let sent: u64 = message["date_unixtime"].as_str().unwrap().parse().unwrap();
                let folder = latest
                    .join("chats")
                    .join(chat["name"].as_str().unwrap_or("Saved Messages"))
                    .join(&message["date"].as_str().unwrap()[..7]);
                let found = names(&folder).into_iter().any(|name| {
                    let path = folder.join(name);
                    let time = path.metadata().unwrap().modified().unwrap().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
                    fs::read(&path).unwrap() == content && time == sent
                });
                // A file that another message showed before is there, and not twice.
                seen += usize::from(found);
                let stem = Path::new(file).file_name().unwrap().to_str().unwrap();
                assert!(found || tree(&latest.join("chats")).unwrap().keys().any(|path| path.ends_with(stem)), "{file} in {folder:?}");
            }
        }
    }
    assert!(seen >= 5, "{seen}");
    assert_eq!(mounted.end(Signal::TERM).0, Some(0));
}

#[test]
fn a_backup_beside_a_mount_is_shown_and_no_alarm() {
    tgvault_test_support::needs_servers!("fuse");
    let sandbox = with_vault();
    fs::create_dir(sandbox.work().join("s")).unwrap();
    fs::write(sandbox.work().join("s/a"), "a").unwrap();
    done(&sandbox, "-q backup s");
    let mounted = Mounted::start(&sandbox, &[]);
    fs::write(sandbox.work().join("s/b"), "b").unwrap();
    done(&sandbox, "-q backup s");
    assert_eq!(fs::read_to_string(mounted.at.join("latest/b")).unwrap(), "b");
    let (code, said) = mounted.end(Signal::TERM);
    assert!(code == Some(0) && !said.contains("gone"), "{code:?} {said}");
}

#[test]
fn damage_is_told_and_everything_else_is_read() {
    tgvault_test_support::needs_servers!("fuse");
    let sandbox = with_vault();
    let work = sandbox.work();
    fs::create_dir(work.join("s")).unwrap();
    fs::write(work.join("s/a"), noise(1, 3_000_000)).unwrap();
    done(&sandbox, "-q backup s");
    fs::write(work.join("s/b"), "sound").unwrap();
    done(&sandbox, "-q backup s");
    let mut archives: Vec<PathBuf> = Vec::new();
    let mut folders = vec![work.join("v/archives")];
    while let Some(folder) = folders.pop() {
        for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() { folders.push(path) } else { archives.push(path) }
        }
    }
    archives.sort_by_key(|path| path.metadata().unwrap().len());
    let largest = archives.last().unwrap();
    let mut bytes = fs::read(largest).unwrap();
    bytes[1_500_000] ^= 1;
    let mut permissions = largest.metadata().unwrap().permissions();
    std::os::unix::fs::PermissionsExt::set_mode(&mut permissions, 0o600);
    fs::set_permissions(largest, permissions).unwrap();
    fs::write(largest, bytes).unwrap();
    let mounted = Mounted::start(&sandbox, &[]);
    assert_eq!(fs::read(mounted.at.join("latest/a")).unwrap_err().raw_os_error(), Some(5));
    assert_eq!(fs::read_to_string(mounted.at.join("latest/b")).unwrap(), "sound");
    let (code, said) = mounted.end(Signal::TERM);
    assert!(code == Some(15) && said.contains("'a'"), "{code:?} {said}");
}

#[test]
fn a_killed_mount_and_a_machine_without_fuse_are_explained() {
    tgvault_test_support::needs_servers!("fuse");
    let sandbox = with_vault();
    fs::create_dir(sandbox.work().join("s")).unwrap();
    fs::write(sandbox.work().join("s/a"), "a").unwrap();
    done(&sandbox, "-q backup s");
    let mounted = Mounted::start(&sandbox, &[]);
    kill_process(Pid::from_child(&mounted.child), Signal::KILL).unwrap();
    while mounted.at.read_dir().is_ok() {
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    let again = run(&sandbox, "-i key.txt mount m");
    assert!(again.code == Some(2) && again.stderr.contains("killed") && again.stderr.contains("fusermount3 -u m"), "{}", again.stderr);
    drop(mounted);
    done(&sandbox, "-q verify");

    // Where /dev is empty there is no FUSE. Nobody but root can make it so.
    if rustix::process::geteuid().is_root() {
        let program = sandbox.command([""; 0]);
        let line = format!("mount -t tmpfs none /dev && exec '{}' -i key.txt mount m", sandbox.program().display());
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-c", &line]).current_dir(sandbox.work()).env_clear();
        command.envs(program.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(26) && said.contains("/dev/fuse") && said.contains("fuse3"), "{said}");
    }
}
