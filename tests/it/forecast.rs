//! How a vault grows, what that costs and how long there is room, through the built program and without a key.

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use serde_json::Value;

use crate::spelling::{done, run, with_vault};
use crate::support::noise;

const DAY: Duration = Duration::from_hours(24);

/// Says that everything in the vault was written so many days ago.
fn age(folder: &Path, days: u32) {
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        if entry.path().is_dir() {
            age(&entry.path(), days);
        } else {
            let file = fs::File::options().write(true).open(entry.path()).unwrap();
            file.set_modified(SystemTime::now() - DAY * days).unwrap();
        }
    }
}

#[test]
fn growth_costs_and_room_are_told_without_a_key() {
    let mut sandbox = with_vault();
    let work = sandbox.work();
    fs::create_dir(work.join("s")).unwrap();
    fs::write(work.join("s/first"), noise(1, 3_000_000)).unwrap();
    done(&sandbox, "-q backup s");
    let young = done(&sandbox, "stats --forecast");
    assert!(young.contains("too young to tell before 20") && young.contains("left (disk)"), "{young}");
    age(&work.join("v"), 200);
    fs::write(work.join("s/second"), noise(2, 900_000)).unwrap();
    done(&sandbox, "-q backup s");

    let json: Value = serde_json::from_str(&done(&sandbox, "--json stats --forecast")).unwrap();
    let number = |key: &str| json[key].as_u64().unwrap_or_else(|| panic!("{key}: {json}"));
    assert_eq!(number("measured_days"), 90);
    // 0.9 MB and a few small objects in 90 days.
    assert!((300_000..330_000).contains(&number("bytes_a_month")), "{json}");
    let (bytes, year) = (number("bytes"), number("bytes_in_a_year"));
    assert!((3_600_000..4_000_000).contains(&(year - bytes)), "{json}");
    assert!(number("full_in_days") > 0 && number("free_bytes") > 0 && json.get("costs").is_none(), "{json}");

    // A quota, and prices of a profile: 1 a month for each MB, 2 for each that is read, nothing for requests.
    let profile = "quota = '5M'\n[prices]\ncurrency = 'EUR'\nstorage = 1000\ndownload = 2000\n";
    let folder = work.join("profiles");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("p.toml"), profile).unwrap();
    sandbox.env([("TGVAULT_PROFILE", folder.join("p.toml").display().to_string())]);
    let said = done(&sandbox, "stats --forecast");
    for part in ["left (quota)", "about 4 months", "last 90 days", "a month costs", "EUR", "verify --deep", "restore of all"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let json: Value = serde_json::from_str(&done(&sandbox, "--json stats --forecast")).unwrap();
    let (bytes, costs) = (json["bytes"].as_u64().unwrap() as f64, &json["costs"]);
    let is_near = |key: &str, expected: f64| (costs[key].as_f64().unwrap() - expected).abs() < 0.001;
    assert!(is_near("month", bytes / 1e6) && is_near("verify", bytes / 1e6 * 2.0), "{json}");
    assert!(done(&sandbox, "config show").contains("quota"));

    let refused = run(&sandbox, "stats latest --forecast");
    assert_eq!(refused.code, Some(2), "{}", refused.stderr);
    fs::write(folder.join("p.toml"), "[prices]\nstorage = -1\n").unwrap();
    let refused = run(&sandbox, "stats --forecast");
    assert!(refused.code == Some(2) && refused.stderr.contains("is not a price"), "{}", refused.stderr);
}

#[test]
fn status_warns_before_there_is_no_room_left() {
    let mut sandbox = with_vault();
    let work = sandbox.work();
    fs::create_dir(work.join("s")).unwrap();
    fs::write(work.join("s/first"), noise(1, 3_000_000)).unwrap();
    done(&sandbox, "-q backup s");
    age(&work.join("v"), 200);
    fs::write(work.join("s/second"), noise(2, 900_000)).unwrap();
    // Of 4,300,000 bytes some 370,000 are left, and 10,000 come a day.
    let profile = "quota = 4300000\n[[source]]\nkind = 'folder'\npath = 's'\n";
    fs::write(work.join("p.toml"), profile).unwrap();
    sandbox.env([("TGVAULT_PROFILE", work.join("p.toml").display().to_string())]);
    done(&sandbox, "-q run");
    let status = run(&sandbox, "status");
    assert!(
        status.code == Some(0) && status.stderr.contains("the quota of") && status.stderr.contains("will be full in about 3"),
        "{}",
        status.stderr
    );
    let lines = done(&sandbox, "--json status");
    let room: Value =
        lines.lines().map(|line| serde_json::from_str(line).unwrap()).find(|line: &Value| line["message_type"] == "status_room").unwrap();
    assert!((30..40).contains(&room["full_in_days"].as_u64().unwrap()) && room["what"] == "quota", "{room}");
}
