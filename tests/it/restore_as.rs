//! What comes out of the built program when a snapshot of chats is restored in another form, or read.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;

use serde_json::Value;
use tgvault::crypt::keys::expose;
use tgvault::source::desktop::known::Remembered;

use crate::chats::{data, import};
use crate::desktop_html::check_written;
use crate::support::World;

/// The zone that the golden exports were made in.
const ZONE: &str = "CET-1CEST,M3.5.0,M10.5.0/3";

/// Runs the program on the vault of `world` as a user would.
pub fn tgvault(world: &World, arguments: &[&str]) -> Output {
    let root = world.root.path();
    let identity = root.join("identity.txt");
    fs::write(&identity, expose(&world.secret)).unwrap();
    fs::set_permissions(&identity, fs::Permissions::from_mode(0o600)).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_tgvault"));
    command.env_clear().env("HOME", root).env("TZ", ZONE).env("PATH", "/nowhere").current_dir(root);
    command.arg("--repo").arg(root.join("vault")).arg("--state-dir").arg(root.join("reader")).arg("-i").arg(identity);
    command.args(arguments).output().unwrap()
}

pub fn restored(world: &World, to: &str, arguments: &[&str]) -> PathBuf {
    let (code, said) = restore(world, to, arguments);
    assert_eq!(code, 0, "{said}");
    world.root.path().join(to)
}

fn restore(world: &World, to: &str, arguments: &[&str]) -> (i32, String) {
    let output = tgvault(world, &[&["restore", "latest", "--to", to], arguments].concat());
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    (output.status.code().unwrap(), said)
}

pub fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.insert(path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned(), fs::read(&path).unwrap());
            }
        }
    }
    found
}

/// A folder with the golden file as its `result.json`.
pub fn export_of(world: &World, name: &str) -> PathBuf {
    let folder = world.root.path().join(name);
    fs::create_dir(&folder).unwrap();
    fs::copy(data("desktop-export").join(name), folder.join("result.json")).unwrap();
    folder
}

/// Puts a file wherever the export in `folder` names one.
fn with_files(folder: &Path) {
    fn find(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Array(all) => all.iter().for_each(|value| find(value, found)),
            Value::Object(members) => {
                for (key, value) in members {
                    let is_file = matches!(&**key, "photo" | "file" | "thumbnail" | "contact_vcard" | "document_id" | "media");
                    match value.as_str().filter(|path| is_file && path.contains('/')) {
                        Some(path) => found.push(path.to_owned()),
                        None => find(value, found),
                    }
                }
            }
            _ => {}
        }
    }
    let mut found = Vec::new();
    find(&json(&fs::read(folder.join("result.json")).unwrap()), &mut found);
    for path in found {
        let to = folder.join(&path);
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::write(to, path).unwrap();
    }
}

pub fn known() -> Arc<Remembered> {
    Arc::new(Remembered::new([1; 32]))
}

/// The file but for the sentences in the language of the interface.
fn without_about(json: &[u8]) -> String {
    let text = std::str::from_utf8(json).unwrap();
    let lines = text.lines().map(|line| if line.trim_start().starts_with("\"about\": ") { "about" } else { line });
    lines.collect::<Vec<_>>().join("\n")
}

fn json(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_comes_back_as_it_was_exported() {
    let world = World::new().await;
    let sample = data("sample-export");
    import(&world, &sample, "r1", &known()).await;
    let to = restored(&world, "out", &[]);
    let (made, wanted) = (files(&to), files(&sample));
    // Every media file under the name that it had, and with its bytes.
    for (path, bytes) in wanted.iter().filter(|(path, _)| *path != "result.json") {
        assert!(made.get(path) == Some(bytes), "{path}");
    }
    assert_eq!(without_about(&made["result.json"]), without_about(&wanted["result.json"]));
    check_written(&made);
    assert!(made.contains_key("export_results.html") && made.contains_key("lists/chats.html"));

    // Once more over the same folder: nothing is fetched again, and what is there stays.
    let again = tgvault(&world, &["--json", "restore", "latest", "--to", "out"]);
    let summary = json(again.stdout.split(|&byte| byte == b'\n').rfind(|line| !line.is_empty()).unwrap());
    assert_eq!((&summary["kept"], &summary["problems"]), (&Value::from(wanted.len() - 1), &0.into()), "{summary}");
    assert_eq!((&summary["messages"], &summary["chats"]), (&35.into(), &6.into()));
    assert!(files(&to) == made);
    // What was written now: everything but the media.
    let written: usize =
        made.iter().filter(|(path, _)| !wanted.contains_key(*path) || *path == "result.json").map(|(_, bytes)| bytes.len()).sum();
    assert_eq!(summary["bytes"], written);

    let original = restored(&world, "original", &["--as", "original"]);
    assert!(files(&original) == wanted);
    // Attributes come back, too.
    let mode = |path: &Path| fs::metadata(path).unwrap().modified().unwrap();
    assert_eq!(mode(&original.join("result.json")), mode(&sample.join("result.json")));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_golden_export_comes_back_byte_for_byte() {
    for name in ["account-7.json", "account-values.json", "age-6.1.json"] {
        let world = World::new().await;
        let folder = export_of(&world, name);
        with_files(&folder);
        import(&world, &folder, "r1", &known()).await;
        let mut wanted = files(&folder);
        assert!(files(&restored(&world, "original", &["--as", "original"])) == wanted, "{name}");
        let mut made = files(&restored(&world, "out", &["--format", "json"]));
        // The server's file of other data lies beside `result.json` in either form.
        let other = json(&made["result.json"]).get("other_data").cloned();
        assert_eq!(made.remove("lists/other_data.json").map(|bytes| json(&bytes)), other, "{name}");
        assert_eq!(other.is_some(), name == "account-7.json");
        let of = |files: &mut BTreeMap<String, Vec<u8>>| without_about(&files.remove("result.json").unwrap());
        assert_eq!(of(&mut made), of(&mut wanted), "{name}");
        assert_eq!(made, wanted, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn imports_of_every_age_are_given_back_whole() {
    let world = World::new().await;
    let remembered = known();
    let ages = ["age-1.3.json", "age-2.7.2.json", "age-4.1.json", "age-4.15.json", "broken-cut.json"];
    let folder = world.root.path().join("export");
    fs::create_dir(&folder).unwrap();
    for (number, name) in ages.into_iter().enumerate() {
        fs::copy(data("desktop-export").join(name), folder.join("result.json")).unwrap();
        import(&world, &folder, &format!("r{number}"), &remembered).await;
    }
    for (number, name) in ages.into_iter().enumerate() {
        let to = restored(&world, &format!("out{number}"), &["--as", "original", "--import", &format!("r{number}")]);
        assert!(files(&to)["result.json"] == fs::read(data("desktop-export").join(name)).unwrap(), "{name}");
    }
    let (code, said) = restore(&world, "none", &["--as", "original", "--import", "r9"]);
    assert!(code == 1 && said.contains("it has r0, r1, r2, r3, r4"), "{said}");
    let all = restored(&world, "all", &[]);
    check_written(&files(&all));
    json(&files(&all)["result.json"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_import_is_not_taken_for_one_that_is_lost() {
    let world = World::new().await;
    let (first, second) = (export_of(&world, "account-7.json"), export_of(&world, "age-6.1.json"));
    import(&world, &first, "r1", &known()).await;
    let archives = || files(&world.root.path().join("vault/archives")).into_keys().collect::<HashSet<_>>();
    let before = archives();
    import(&world, &second, "r2", &known()).await;
    for lost in archives().difference(&before) {
        fs::remove_file(world.root.path().join("vault/archives").join(lost)).unwrap();
    }
    let (code, said) = restore(&world, "lost", &["--as", "original"]);
    assert!(code == 15 && said.contains("hint:"), "{code} {said}");
    assert!(!world.root.path().join("lost").exists());
    let (code, said) = restore(&world, "named", &["--as", "original", "--import", "r1"]);
    assert_eq!(code, 15, "what is lost is told: {said}");
    assert_eq!(files(&world.root.path().join("named")), files(&first));
    // What may be in the lost part is not said to have never been there.
    let output = tgvault(&world, &["cat", "latest", "--chat", "nobody"]);
    assert_eq!(output.status.code(), Some(15), "{output:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_is_one_chat_some_days_and_some_media() {
    let world = World::new().await;
    import(&world, &data("sample-export"), "r1", &known()).await;
    let whole = json(&fs::read(data("sample-export/result.json")).unwrap());
    let mara = whole["chats"]["list"].as_array().unwrap().iter().find(|chat| chat["name"] == "Mara").unwrap().clone();

    let to = restored(&world, "mara", &["--chat", "Mara"]);
    let made = files(&to);
    let single = json(&made["result.json"]);
    assert_eq!((&single["name"], &single["id"], &single["type"]), (&mara["name"], &mara["id"], &mara["type"]));
    assert_eq!(single["messages"].as_array().unwrap().len(), mara["messages"].as_array().unwrap().len());
    assert!(single.get("about").is_none() && made.contains_key("messages.html") && !made.contains_key("export_results.html"));
    check_written(&made);
    let media: Vec<&String> =
        made.keys().filter(|path| path.contains('/') && !path.starts_with("css/") && !path.starts_with("js/")).collect();
    assert!(media.iter().any(|path| path.starts_with("photos/")), "{media:?}");

    // Only photos: everything else has Telegram Desktop's words in its place.
    let made = files(&restored(&world, "photos", &["--chat", "Mara", "--media", "photos"]));
    assert!(
        made.keys().all(|path| !path.contains('/') || ["css/", "js/", "photos/"].iter().any(|folder| path.starts_with(folder))),
        "{:?}",
        made.keys()
    );
    check_written(&made);
    let made = files(&restored(&world, "none", &["--chat", "Mara", "--media", "none", "--format", "json"]));
    assert_eq!(made.len(), 1);
    let mut not_included = 0;
    for message in json(&made["result.json"])["messages"].as_array().unwrap() {
        for key in ["photo", "file", "thumbnail"] {
            let value = message.get(key).map_or("", |value| value.as_str().unwrap());
            assert!(value.is_empty() || value.starts_with("(File "), "{message}");
            not_included += usize::from(value == "(File not included. Change data exporting settings to download.)");
        }
    }

    assert!(not_included > 3);

    // Some days: the messages of those days and no others.
    let days: Vec<&str> = mara["messages"].as_array().unwrap().iter().map(|message| &message["date"].as_str().unwrap()[..10]).collect();
    let day = days[days.len() / 2];
    let made = files(&restored(&world, "day", &["--chat", "Mara", "--from", day, "--till", day, "--format", "json"]));
    let got = json(&made["result.json"])["messages"].as_array().unwrap().len();
    assert_eq!(got, days.iter().filter(|other| **other == day).count());
    assert!(got > 0 && got < days.len());

    // Several chats are an account without its sections.
    let two = restored(&world, "two", &["--chat", "Mara", "--chat", &format!("{}", whole["chats"]["list"][1]["id"]), "--format", "json"]);
    let two = json(&files(&two)["result.json"]);
    assert_eq!(two["chats"]["list"].as_array().unwrap().len(), 2);
    assert!(two.get("personal_information").is_none());

    let (code, said) = restore(&world, "nobody", &["--chat", "Nobody"]);
    assert!(code == 1 && said.contains("has no chat called 'nobody'") || said.contains("has no chat called 'Nobody'"), "{said}");
    assert!(!world.root.path().join("nobody").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn options_that_contradict_each_other_are_refused() {
    let world = World::new().await;
    import(&world, &data("sample-export"), "r1", &known()).await;
    for arguments in [
        &["--as", "files", "--chat", "Mara"][..],
        &["--as", "original", "--from", "2024-01-01"],
        &["--as", "raw", "--format", "json"],
        &["--import", "r1", "--as", "raw"],
        &["--from", "yesterday"],
    ] {
        let (code, said) = restore(&world, "out", arguments);
        assert_eq!(code, 2, "{arguments:?}: {said}");
    }
    assert!(!world.root.path().join("out").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn raw_is_what_is_stored() {
    let world = World::new().await;
    import(&world, &data("sample-export"), "r1", &known()).await;
    let all = files(&restored(&world, "all", &["--as", "raw"]));
    assert!(all.keys().any(|path| path.starts_with("account/")) && all.keys().all(|path| !path.starts_with("imports/")));
    let mara = files(&restored(&world, "mara", &["--as", "raw", "--chat", "Mara", "--media", "photos"]));
    let folders: HashSet<&str> = mara.keys().map(|path| path.split('/').nth(1).unwrap()).collect();
    assert!(folders.len() == 2 && folders.contains("photo"), "{folders:?}");
    for (path, bytes) in &mara {
        assert!(all.get(path) == Some(bytes), "{path}");
    }
    // A snapshot of files has none, and says so.
    let world = World::new().await;
    world.write("a.txt", b"a file");
    world.backup().await;
    let (code, said) = restore(&world, "out", &["--as", "raw"]);
    assert!(code == 1 && said.contains("has no chats") && said.contains("--as files"), "{said}");
    assert_eq!(files(&restored(&world, "files", &[])).keys().collect::<Vec<_>>(), ["a.txt"]);
}
