//! Imports through the built program that meet trouble: `kill -9` at any object, and files that are damaged in every way.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

use tgvault_test_support::sandbox::Sandbox;

use crate::chats::data;
use crate::imports::{chat, comes_back, export, import, message, read, run, write};
use crate::restore_as::{files, restored, tgvault};
use crate::support::{World, noise, wrong};

/// An export with media and messages enough for several archives.
fn export_for_kills(world: &World) -> std::path::PathBuf {
    let text = |id: i64| message(id, &format!("unlike any other: {:?}", noise(id as u64, 40)), "");
    let photo = |n: i64| message(10_000 + n, "", &format!("\"photo\":\"photos/{n}.jpg\","));
    let all: Vec<String> = (1..=1500).map(text).chain((1..=8).map(photo)).collect();
    let folder = export(world, "export", &chat(&all));
    for n in 1..=8u64 {
        write(&folder, &format!("photos/{n}.jpg"), &noise(n, 250_000));
    }
    folder
}

/// What a restore gives, whichever run stored it.
fn rendered(world: &World, to: &str) -> BTreeMap<String, Vec<u8>> {
    files(&restored(world, to, &[]))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_that_was_killed_goes_on_and_gives_what_an_uninterrupted_one_gives() {
    let sandbox = Sandbox::new(env!("CARGO_BIN_EXE_tgvault")).unwrap();
    let start = |world: &World, folder: &Path| {
        let mut command: Command = sandbox.command(["--quiet", "--limit-upload", "2M", "--repo"]);
        command.arg(world.root.path().join("vault")).arg("--state-dir").arg(world.root.path().join("state"));
        command.args(["backup", "desktop-export"]).arg(folder).spawn().unwrap()
    };
    let world = World::new().await;
    let before = world.appeared();
    let folder = export_for_kills(&world);
    import(&world, &folder, &[]);
    let made = world.appeared() - before;
    let (wanted, whole) = (rendered(&world, "out"), world.archive_bytes().await);
    assert!(made > 3 && whole > 2_000_000, "{made} objects, {whole} bytes");
    let mut kills = 0;
    for n in 0..=made {
        let world = World::new().await;
        let folder = export_for_kills(&world);
        // Twice: after the nth object, then while the next run goes on.
        for more in [n, 1] {
            let there = world.appeared();
            let wait_for = there + more;
            let mut child = start(&world, &folder);
            while world.appeared() < wait_for && child.try_wait().unwrap().is_none() {
                sleep(Duration::from_micros(300));
            }
            if child.try_wait().unwrap().is_none() {
                child.kill().unwrap();
                kills += 1;
            }
            child.wait().unwrap();
        }
        import(&world, &folder, &[]);
        assert!(rendered(&world, "out") == wanted, "after object {n}");
        comes_back(&world, &folder, "original");
        assert_eq!(read(&world, "summary", &["stats"])[0]["messages"], 1508, "after object {n}");
        let report = world.verify(true).await;
        assert_eq!((wrong(&report), report.lost), (vec![], vec![]), "after object {n}");
        // What is stored is not stored again: an archive that the kill met half-way may be.
        let bytes = world.archive_bytes().await;
        assert!(bytes < whole + whole / 4, "after object {n}: {bytes} bytes are stored, {whole} would do");
    }
    assert!(kills > 4, "{kills} kills");
}

/// Damaged, cut and odd copies of an export, each with a name.
fn damaged(json: &[u8]) -> Vec<(String, Vec<u8>)> {
    let text = String::from_utf8_lossy(json).into_owned();
    let mut all: Vec<(String, Vec<u8>)> = vec![
        ("bom".into(), [b"\xEF\xBB\xBF".as_slice(), json].concat()),
        ("crlf".into(), text.replace('\n', "\r\n").into_bytes()),
        ("no-breaks".into(), text.replace('\n', "").into_bytes()),
        ("half-pair".into(), text.replacen("\"text\": \"", "\"text\": \"\\ud83d \\udc00\\ud83d ", 3).into_bytes()),
        ("not-utf8".into(), text.split("\"text\": \"").map(str::as_bytes).collect::<Vec<_>>().join(&b"\"text\": \"\xFF"[..])),
        ("number".into(), text.replace("\"date_unixtime\": \"", "\"date_unixtime\": \"99999999999999999999").into_bytes()),
        ("large-time".into(), text.replace("\"date_unixtime\": \"", "\"date_unixtime\": \"9999999").into_bytes()),
        ("float-ids".into(), text.replace("\"id\": ", "\"id\": 1e9, \"id\": ").into_bytes()),
        ("twice".into(), text.replace("\"type\": ", "\"type\": \"x\", \"type\": ").into_bytes()),
        ("twice-chats".into(), text.replace("\"chats\": {", "\"chats\": {}, \"chats\": {").into_bytes()),
        ("two-files".into(), [json, b"\n", json].concat()),
        ("nul-end".into(), [json, &[0; 4096]].concat()),
        ("utf16".into(), text.encode_utf16().flat_map(u16::to_le_bytes).collect()),
        ("quotes".into(), text.replace("\\n", "\\").into_bytes()),
        ("huge-numbers".into(), text.replace("\"id\": ", &format!("\"x\": {}, \"id\": ", "9".repeat(4000))).into_bytes()),
        (
            "deep".into(),
            text.replacen("\"text\": ", &format!("\"a\": {}{}, \"text\": ", "[".repeat(200_000), "]".repeat(200_000)), 1).into(),
        ),
        ("deep-objects".into(), text.replacen("\"text\": ", &format!("\"a\": {}", "{\"a\":".repeat(100_000)), 1).into_bytes()),
    ];
    let mut state = 7u64;
    let mut random = |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    };
    for n in 0..12 {
        let mut bytes = json.to_vec();
        for _ in 0..=n {
            let at = random(bytes.len());
            bytes[at] ^= 1 << random(8);
        }
        all.push((format!("flips-{n}"), bytes));
        all.push((format!("cut-{n}"), json[..1 + random(json.len() - 1)].to_vec()));
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn damaged_exports_are_kept_whole_and_end_with_a_word() {
    let world = World::new().await;
    for (of, source) in [
        ("a", data("desktop-export/account-7.json")),
        ("b", data("desktop-export/age-4.15.json")),
        ("c", data("sample-export/result.json")),
    ] {
        for (name, json) in damaged(&fs::read(&source).unwrap()) {
            let name = format!("{of}-{name}");
            let folder = world.root.path().join(&name);
            write(&folder, "result.json", &json);
            let ran = run(&world, &["backup", "desktop-export", folder.to_str().unwrap(), "--account", &name]);
            let said = format!("{name}: {}{}", ran.out, ran.err);
            assert!(matches!(ran.code, 0 | 2 | 3) && !said.contains("panicked"), "{} {said}", ran.code);
            if ran.code == 2 {
                assert!(said.contains("is not a Telegram Desktop export"), "{said}");
                continue;
            }
            assert!(ran.code == 0 || ran.err.contains("result.json"), "{said}");
            let source = format!("telegram:{name}");
            let restore = |form: &str| {
                let to = format!("{form}-{name}");
                let output = tgvault(&world, &["restore", "latest", "--source", &source, "--as", form, "--to", &to]);
                (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned(), world.root.path().join(to))
            };
            let (code, err, original) = restore("original");
            assert_eq!(code, Some(0), "{name}: {err}");
            assert!(fs::read(original.join("result.json")).unwrap() == json, "{name} is kept as it is");
            // Where anything was understood, it is rendered as valid JSON without a word of trouble.
            let (code, err, shown) = restore("telegram-desktop");
            assert!(matches!(code, Some(0 | 1)) && !err.contains("panicked"), "{name}: {code:?} {err}");
            if code == Some(0) {
                let text = String::from_utf8(fs::read(shown.join("result.json")).unwrap()).unwrap();
                assert!(!name.contains("deep") || text.len() > 100_000 || name.ends_with("deep-objects"), "{name}");
                serde_json::from_str::<serde::de::IgnoredAny>(&text).map(drop).or_else(|error| valid(&text, &error)).unwrap();
            }
            fs::remove_dir_all(folder).unwrap();
        }
    }
}

/// What is nested deeper than serde looks into is checked by its brackets.
fn valid(text: &str, error: &serde_json::Error) -> Result<(), String> {
    if !error.to_string().contains("recursion limit") {
        return Err(error.to_string());
    }
    let count = |wanted: char| text.matches(wanted).count();
    if count('[') == count(']') { Ok(()) } else { Err("brackets do not match".into()) }
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_that_are_far_too_long_are_kept() {
    for (megabytes, shown) in [(20, 2), (100, 1)] {
        let world = World::new().await;
        // Quotes and control characters take several times their room in a record.
        let long = "\"\u{1}01234567".repeat(megabytes * 100_000);
        let folder = export(&world, "export", &chat(&[message(1, "before", ""), message(2, &long, ""), message(3, "behind", "")]));
        let ran = run(&world, &["backup", "desktop-export", folder.to_str().unwrap()]);
        assert_eq!(ran.code, 3, "{}", ran.err);
        assert!(ran.err.contains("longer than"), "{}", ran.err);
        comes_back(&world, &folder, "out");
        assert_eq!(read(&world, "found", &["search", "be"]).len(), shown, "{}", ran.err);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_of_some_megabytes_is_shown() {
    let world = World::new().await;
    let folder = export(&world, "export", &chat(&[message(1, &"\"\u{1}0123456".repeat(1_000_000), ""), message(2, "behind", "")]));
    import(&world, &folder, &[]);
    comes_back(&world, &folder, "out");
    assert_eq!(read(&world, "found", &["search", "behind"]).len(), 1);
    let shown = restored(&world, "shown", &["--format", "json"]);
    assert!(fs::metadata(shown.join("result.json")).unwrap().len() > 9_000_000);
}
