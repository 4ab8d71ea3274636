//! What `schedule` writes, through the built program: checked by the systems' own tools where they are installed, and otherwise by what
//! those are known to read.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;

use crate::runs::Machine;

impl Machine {
    /// The files that a line with `--write` writes.
    fn written(&self, line: &str) -> PathBuf {
        let folder = self.home("written");
        let _ = fs::remove_dir_all(&folder);
        self.done(&format!("-q schedule install {line} --write {}", folder.display()));
        folder
    }

    fn unit(&self, line: &str, name: &str) -> String {
        fs::read_to_string(self.written(line).join(name)).unwrap()
    }

    /// A program on the search path that notes its words and does what `script` says.
    fn stand_in(&self, name: &str, script: &str) {
        let folder = self.home("bin");
        fs::create_dir_all(&folder).unwrap();
        let log = self.home(&format!("{name}.log"));
        fs::write(folder.join(name), format!("#!/bin/sh\necho \"$@\" >> {}\n{script}\n", log.display())).unwrap();
        fs::set_permissions(folder.join(name), PermissionsExt::from_mode(0o755)).unwrap();
    }

    /// Runs a line with such programs before all others.
    fn with_stand_ins(&self, line: &str) -> (Option<i32>, String) {
        let path = format!("{}:{}", self.home("bin").display(), std::env::var("PATH").unwrap());
        let output = self.sandbox.command(line.split(' ')).env("PATH", path).output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr))
    }
}

#[test]
fn units_pass_systemds_own_verifier() {
    tgvault_test_support::needs_programs!("systemd-analyze");
    let machine = Machine::new();
    // A path that needs quoting, and a sign that means something to systemd.
    fs::rename(machine.home(".config/tgvault/default.toml"), machine.home("a b%h.toml")).unwrap();
    let profile = machine.home("a b%h.toml").display().to_string();
    for more in
        [&["daily"][..], &["weekly", "--at", "22:30", "--system"], &["Mon,Thu 03:30", "--max-age", "5d"], &["quarterly", "--no-sandbox"]]
    {
        let folder = machine.home("written");
        let _ = fs::remove_dir_all(&folder);
        let write = folder.display().to_string();
        let words = [&["-q", "-P", &profile, "schedule", "install", "--method", "systemd", "--write", &write], more].concat();
        assert_eq!(machine.sandbox.run(&words).unwrap().code, Some(0), "{more:?}");
        let mut checked = 0;
        for entry in fs::read_dir(&folder).unwrap() {
            // A template wants the name of an instance.
            let path = entry.unwrap().path().display().to_string().replace("@.service", "@tgvault.service");
            let output = Command::new("systemd-analyze")
                .args(["verify", if more.contains(&"--system") { "--system" } else { "--user" }, "--man=no", &path])
                .env("XDG_RUNTIME_DIR", machine.home(""))
                .output()
                .unwrap();
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            let ours: Vec<&str> = said.lines().filter(|line| line.contains("tgvault")).collect();
            assert!(ours.is_empty(), "{path}: {ours:?}");
            checked += 1;
        }
        assert_eq!(checked, 7);
        for timer in ["run", "verify", "watch"] {
            let text = fs::read_to_string(folder.join(format!("tgvault-a_b_h-{timer}.timer"))).unwrap();
            let calendar = text.lines().find_map(|line| line.strip_prefix("OnCalendar=")).unwrap();
            let output = Command::new("systemd-analyze").args(["calendar", calendar]).output().unwrap();
            assert!(output.status.success(), "{calendar}: {}", String::from_utf8_lossy(&output.stderr));
        }
    }
}

#[test]
fn what_a_service_may_do_is_little() {
    tgvault_test_support::needs_programs!("systemd-analyze");
    let machine = Machine::new();
    // systemd's own score: 9.6 is a bare service, 0 one that may do nothing.
    for (more, most) in [("--system --run-as nobody", 15), ("--system", 20)] {
        let unit = machine.written(&format!("--method systemd {more}")).join("tgvault-default-run.service");
        let limit = format!("--threshold={most}");
        let unit = unit.to_str().unwrap();
        let output = Command::new("systemd-analyze").args(["security", "--offline=true", "--no-pager", &limit, unit]).output().unwrap();
        assert!(output.status.success(), "{more}: {}", String::from_utf8_lossy(&output.stdout));
    }
    assert!(machine.ends("schedule install --run-as nobody --method systemd --write x", 2).stderr.contains("--system"));
}

#[test]
fn exit_codes_are_what_systemd_is_told_they_are() {
    let machine = Machine::new();
    let run = machine.unit("--method systemd", "tgvault-default-run.service");
    for line in [
        "SuccessExitStatus=3 11 130",
        "Restart=on-failure",
        "StartLimitIntervalSec=1d",
        "StartLimitBurst=8",
        "OnFailure=tgvault-default-alert@%n.service",
        "PrivateUsers=yes",
    ] {
        assert!(run.lines().any(|found| found == line), "{line}: {run}");
    }
    // What is tried again, and what is not: by the table of all codes.
    let prevented = run.lines().find_map(|line| line.strip_prefix("RestartPreventExitStatus=")).unwrap();
    let prevented: BTreeSet<u8> = prevented.split(' ').map(|code| code.parse().unwrap()).collect();
    let help = machine.done("--help");
    let known = help.lines().skip_while(|line| !line.starts_with("Exit codes:")).skip(1);
    let known: BTreeSet<u8> = known.filter_map(|line| line.trim().split(' ').next()?.parse().ok()).collect();
    let left: BTreeSet<u8> = known.difference(&prevented).copied().collect();
    assert_eq!(left, BTreeSet::from([0, 3, 11, 14, 24, 130]));
    // The machine's own folders can be written to, and nothing else.
    let writes = [machine.home(".local/state/tgvault"), machine.home("disk"), machine.home("other")];
    for folder in writes {
        assert!(run.contains(&format!("ReadWritePaths=-{}\n", folder.display())), "{run}");
    }
    // With an expression of the user's own, the next start is what tries again.
    let folder = machine.home("own");
    let words = ["-q", "schedule", "install", "*:0/15", "--max-age", "2h", "--method", "systemd", "--write", folder.to_str().unwrap()];
    assert_eq!(machine.sandbox.run(words).unwrap().code, Some(0));
    let own = fs::read_to_string(folder.join("tgvault-default-run.service")).unwrap();
    assert!(own.contains("SuccessExitStatus=3 11 130 14\n") && !own.contains("Restart="), "{own}");
    // A service of the system has no home.
    let system = machine.unit("--method systemd --system", "tgvault-default-run.service");
    assert!(system.contains("StateDirectory=tgvault\n") && system.contains("Environment=TGVAULT_STATE_DIR=%S/tgvault\n"), "{system}");
    assert!(system.contains("After=network-online.target\n") && !run.contains("network-online"), "{system}");
}

#[test]
fn a_schedule_is_installed_shown_started_and_removed() {
    let machine = Machine::new();
    machine.stand_in("systemctl", "case \"$*\" in *show*) echo 'Tue 2026-12-01 03:00:00 UTC';; esac");
    let log = || fs::read_to_string(machine.home("systemctl.log")).unwrap_or_default();
    let (code, said) = machine.with_stand_ins("schedule install weekly --method systemd");
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("loginctl enable-linger") && said.contains("neither [alerts] nor [hooks]"), "{said}");
    let units = machine.home(".config/systemd/user");
    assert_eq!(fs::read_dir(&units).unwrap().count(), 7);
    assert!(
        log().contains("--user daemon-reload\n--user enable --now tgvault-default-run.timer tgvault-default-verify.timer"),
        "{}",
        log()
    );
    let (_, shown) = machine.with_stand_ins("schedule show --method systemd");
    assert!(shown.contains("tgvault-default-run.timer") && shown.contains("next backup: Tue 2026-12-01 03:00:00 UTC"), "{shown}");
    machine.with_stand_ins("schedule run-now --method systemd");
    assert!(log().ends_with("--user start --no-block tgvault-default-run.service\n"), "{}", log());
    assert_eq!(machine.with_stand_ins("schedule remove --method systemd").0, Some(0));
    assert_eq!(fs::read_dir(&units).unwrap().count(), 0);
    let (code, shown) = machine.with_stand_ins("schedule show --method systemd");
    assert!(code == Some(0) && shown.contains("nothing is installed"), "{shown}");
    assert_eq!(machine.with_stand_ins("schedule run-now --method systemd").0, Some(2));
    // What the system does not take is an error.
    machine.stand_in("systemctl", "exit 1");
    assert_eq!(machine.with_stand_ins("schedule install --method systemd").0, Some(2));
}

#[test]
fn lines_of_cron_stand_beside_those_that_were_there() {
    let machine = Machine::new();
    let table = machine.home("table");
    let crontab = "T=\"$HOME/table\"\nif [ \"$1\" = -l ]; then if [ -e \"$T\" ]; then cat \"$T\"; else echo \"no crontab for u\" >&2; exit 1; fi; else cat > \"$T\"; fi";
    machine.stand_in("crontab", crontab);
    assert_eq!(machine.with_stand_ins("schedule install --method cron").0, Some(0));
    fs::write(&table, format!("MAILTO=me\n{}0 0 * * * other\n", fs::read_to_string(&table).unwrap())).unwrap();
    assert_eq!(machine.with_stand_ins("schedule install monthly --at 4:05 --verify 10 --method cron").0, Some(0));
    let text = fs::read_to_string(&table).unwrap();
    let runs: Vec<&str> = text.lines().filter(|line| line.ends_with(" run")).collect();
    assert!(runs.len() == 1 && runs[0].starts_with("5 4 1 * * /"), "{text}");
    assert!(text.contains(" verify --sample 10\\% || /") && text.contains("status --alert --max-age 33d"), "{text}");
    assert!(text.starts_with("MAILTO=me\n0 0 * * * other\n"), "{text}");
    let (_, shown) = machine.with_stand_ins("schedule show --method cron");
    assert!(shown.contains("crontab"), "{shown}");
    assert_eq!(machine.with_stand_ins("schedule remove --method cron").0, Some(0));
    assert_eq!(fs::read_to_string(&table).unwrap(), "MAILTO=me\n0 0 * * * other\n");
    // A table that cannot be read is never replaced.
    machine.stand_in("crontab", "[ \"$1\" = -l ] || echo replaced > \"$HOME/table\"; exit 1");
    assert_eq!(machine.with_stand_ins("schedule install --method cron").0, Some(1));
    assert_eq!(fs::read_to_string(&table).unwrap(), "MAILTO=me\n0 0 * * * other\n");
}

#[test]
fn crons_own_shell_sees_the_words_that_were_meant() {
    let machine = Machine::new();
    let profile = machine.home("it's 5% of.toml");
    fs::rename(machine.home(".config/tgvault/default.toml"), &profile).unwrap();
    let folder = machine.home("written");
    let words = ["-q", "-P", profile.to_str().unwrap(), "schedule", "install", "--method", "cron", "--write", folder.to_str().unwrap()];
    assert_eq!(machine.sandbox.run(words).unwrap().code, Some(0));
    let file = fs::read_dir(&folder).unwrap().next().unwrap().unwrap().path();
    for line in fs::read_to_string(file).unwrap().lines().filter(|line| !line.starts_with('#')) {
        let command = line.splitn(6, ' ').nth(5).unwrap();
        // cron cuts at a `%` and takes the backslash before one away.
        let bare = command.replace("\\%", "");
        assert!(!bare.contains('%'), "{line}");
        let words = format!("set -- {}; printf '%s\\n' \"$@\"", command.replace("\\%", "%"));
        let output = Command::new("sh").args(["-c", &words]).output().unwrap();
        assert_eq!(String::from_utf8(output.stdout).unwrap().lines().nth(2), profile.to_str(), "{line}");
    }
}

/// The names of all elements of an XML text, after a check that they close in order.
fn elements(xml: &str) -> BTreeSet<String> {
    let (mut open, mut found) = (Vec::new(), BTreeSet::new());
    for tag in xml.split('<').skip(1).map(|tag| tag.split('>').next().unwrap()) {
        let name = tag.trim_end_matches('/').split_whitespace().next().unwrap().to_owned();
        if tag.starts_with('?') || tag.starts_with('!') {
            continue;
        } else if let Some(closed) = tag.strip_prefix('/') {
            assert_eq!(open.pop().as_deref(), Some(closed), "{xml}");
        } else {
            if !tag.ends_with('/') {
                open.push(name.clone());
            }
            found.insert(name);
        }
    }
    assert!(open.is_empty(), "{xml}");
    found
}

#[test]
fn lists_of_launchd_hold_keys_that_it_has() {
    const KEYS: [&str; 12] = [
        "Label",
        "LowPriorityIO",
        "Nice",
        "ProcessType",
        "ProgramArguments",
        "StandardErrorPath",
        "StandardOutPath",
        "StartCalendarInterval",
        "Day",
        "Hour",
        "Minute",
        "Month",
    ];
    let machine = Machine::new();
    for when in ["daily", "weekly", "quarterly"] {
        let folder = machine.written(&format!("{when} --method launchd"));
        let mut lists = 0;
        for entry in fs::read_dir(&folder).unwrap() {
            let text = fs::read_to_string(entry.unwrap().path()).unwrap();
            let known = ["array", "dict", "integer", "key", "plist", "string", "true"].map(str::to_owned);
            assert_eq!(elements(&text), BTreeSet::from(known), "{text}");
            let keys = text.split("<key>").skip(1).map(|rest| rest.split('<').next().unwrap());
            for key in keys {
                assert!(KEYS.contains(&key) || key == "Weekday", "{key}");
            }
            lists += 1;
        }
        assert_eq!(lists, 3);
    }
    let quarterly = fs::read_to_string(machine.home("written/org.tgvault.default.run.plist")).unwrap();
    assert_eq!(quarterly.matches("<key>Month</key>").count(), 4);
    let refused =
        machine.sandbox.run(["schedule", "install", "*-*-01 03:00", "--max-age", "5w", "--method", "launchd", "--write", "x"]).unwrap();
    assert!(refused.code == Some(2) && refused.stderr.contains("does not understand calendar expressions"), "{refused:?}");
}

#[test]
fn tasks_of_windows_are_utf_16_and_hold_elements_that_it_has() {
    // Of the element pages of the Task Scheduler's schema; months and days of the week are elements of their own.
    const ELEMENTS: [&str; 36] = [
        "Actions",
        "Arguments",
        "CalendarTrigger",
        "Command",
        "Day",
        "DaysInterval",
        "DaysOfMonth",
        "DaysOfWeek",
        "Description",
        "Exec",
        "Hidden",
        "Months",
        "Monday",
        "MultipleInstancesPolicy",
        "RandomDelay",
        "RegistrationInfo",
        "RunOnlyIfNetworkAvailable",
        "ScheduleByDay",
        "ScheduleByMonth",
        "ScheduleByWeek",
        "Settings",
        "StartBoundary",
        "StartWhenAvailable",
        "Task",
        "Triggers",
        "WeeksInterval",
        "January",
        "February",
        "March",
        "April",
        "May",
        "June",
        "July",
        "August",
        "October",
        "December",
    ];
    let machine = Machine::new();
    for when in ["daily", "weekly", "monthly", "quarterly"] {
        for entry in fs::read_dir(machine.written(&format!("{when} --method windows"))).unwrap() {
            let bytes = fs::read(entry.unwrap().path()).unwrap();
            let units: Vec<u16> = bytes.chunks(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect();
            assert_eq!(units[0], 0xfeff);
            let text = String::from_utf16(&units[1..]).unwrap();
            assert!(text.starts_with("<?xml version=\"1.0\" encoding=\"UTF-16\"?>"), "{text}");
            for element in elements(&text) {
                assert!(ELEMENTS.contains(&element.as_str()) || ["September", "November"].contains(&element.as_str()), "{element}");
            }
        }
    }
}

#[test]
fn what_cannot_be_scheduled_is_refused_with_a_reason() {
    let machine = Machine::new();
    for (line, says) in [
        ("schedule install dayly", "use daily, weekly"),
        ("schedule install --at 25:00", "use HH:MM"),
        ("schedule install *:0/15", "how old a backup may be"),
        ("schedule install --method launchd", "only writes files"),
    ] {
        let run = machine.ends(line, 2);
        assert!(run.stderr.contains(says), "{line}: {}", run.stderr);
    }
    machine.profile("repo = '~/disk'");
    assert!(machine.ends("schedule install --method systemd --write x", 2).stderr.contains("no [[source]] table"));
}
