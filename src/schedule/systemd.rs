//! Units for systemd 252 and later.
//!
//! What its own words about a run come to:
//! - 3 (something could not be read), 11 (another run is in progress) and 130 (stopped) are no failures.
//! - 14 (try later) and 24 (no name resolution yet) are tried again every half hour, eight times a day at most: while systemd tries again,
//!   `OnFailure=` stays silent, so there is a bound behind which it fires. A schedule of the user's own starts again by itself instead.
//! - Everything else fires `OnFailure=` at once.

use std::fmt::Write as _;

use super::File;
use super::plan::{Job, Plan};
use super::when::When;

/// What is no failure.
const SUCCESS: &str = "3 11 130";

/// What trying again would not help.
const NO_RESTART: &str = "1 2 10 12 13 15 16 17 20 21 22 23 25 26";

/// All files of a plan: a service and a timer for each job, and the service that tells of failures.
pub fn files(plan: &Plan) -> Vec<File> {
    let mut files = vec![File { name: alert_name(plan), content: alert(plan).into_bytes() }];
    for job in Job::ALL {
        files.push(File { name: format!("{}.service", plan.stem(job)), content: service(plan, job).into_bytes() });
        files.push(File { name: format!("{}.timer", plan.stem(job)), content: timer(plan, job).into_bytes() });
    }
    files
}

/// The timers, which are what is switched on.
pub fn timers(plan: &Plan) -> Vec<String> {
    Job::ALL.iter().map(|job| format!("{}.timer", plan.stem(*job))).collect()
}

fn alert_name(plan: &Plan) -> String {
    format!("tgvault-{}-alert@.service", plan.name)
}

/// When a job is started, as `OnCalendar=` has it.
pub fn calendar(plan: &Plan, job: Job) -> String {
    let time = format!("{:02}:{:02}:00", plan.at.hour, plan.at.minute);
    match (job, &plan.when) {
        (Job::Run, When::Daily) => format!("*-*-* {time}"),
        (Job::Run, When::Weekly) => format!("Mon *-*-* {time}"),
        (Job::Run, When::Monthly) => format!("*-*-01 {time}"),
        (Job::Run, When::Quarterly) => format!("*-01,04,07,10-01 {time}"),
        (Job::Run, When::Calendar(expression)) => expression.clone(),
        // Behind the night's backup, on a day that every month has.
        (Job::Verify, _) => "*-*-08 12:00:00".to_owned(),
        (Job::Watch, _) => "*-*-* 09:00:00".to_owned(),
        (Job::Drill, _) => "*-01-15 12:00:00".to_owned(),
    }
}

fn service(plan: &Plan, job: Job) -> String {
    let mut text = format!("[Unit]\nDescription={} ({})\n", job.description(), plan.name);
    if plan.is_system {
        // A user's manager has no such target: there, 14 and 24 are tried again.
        text.push_str("Wants=network-online.target\nAfter=network-online.target\n");
    }
    // The watch tells by itself what it finds; what keeps it from looking is told like any failure.
    let _ = writeln!(text, "OnFailure=tgvault-{}-alert@%n.service", plan.name);
    let tries_again = job == Job::Run && !matches!(plan.when, When::Calendar(_));
    if tries_again {
        text.push_str("StartLimitIntervalSec=1d\nStartLimitBurst=8\n");
    }
    text.push_str("\n[Service]\nType=oneshot\n");
    let _ = writeln!(text, "ExecStart={}", command(&plan.words(job)));
    let success = match (job, tries_again) {
        (Job::Watch, _) => "16".to_owned(),
        (Job::Run, false) => format!("{SUCCESS} 14"),
        _ => SUCCESS.to_owned(),
    };
    let _ = writeln!(text, "SuccessExitStatus={success}");
    if tries_again {
        let _ = writeln!(text, "Restart=on-failure\nRestartSec=30min\nRestartPreventExitStatus={NO_RESTART}");
    }
    text.push_str("Nice=10\nIOSchedulingClass=idle\nCPUSchedulingPolicy=batch\n");
    text.push_str(&surroundings(plan));
    text
}

fn timer(plan: &Plan, job: Job) -> String {
    let mut text = format!("[Unit]\nDescription=When to start: {} ({})\n\n[Timer]\n", job.description(), plan.name);
    let _ = writeln!(text, "OnCalendar={}", calendar(plan, job));
    if job != Job::Watch {
        let _ = writeln!(text, "RandomizedDelaySec={}\nFixedRandomDelay=true", plan.jitter_seconds);
    }
    // What was missed while the machine was off is made up for.
    text.push_str("Persistent=true\nAccuracySec=1min\n\n[Install]\nWantedBy=timers.target\n");
    text
}

fn alert(plan: &Plan) -> String {
    let mut text = format!("[Unit]\nDescription=Tell that %i failed (tgvault, {})\n\n[Service]\nType=oneshot\n", plan.name);
    // The name of the instance is put in by systemd.
    let mut words = plan.alert_words("");
    words.pop();
    let _ = writeln!(text, "ExecStart={} %i", command(&words));
    text.push_str(&environment(plan));
    text
}

/// Folders and, where it is wanted, the sandbox.
fn surroundings(plan: &Plan) -> String {
    let mut text = environment(plan);
    if !plan.is_sandboxed {
        return text;
    }
    // In a user's units, ProtectSystem and ProtectHome do nothing without PrivateUsers. Root could not read the files of others with it.
    if !plan.is_system || plan.run_as.is_some() {
        text.push_str("PrivateUsers=yes\n");
    }
    if plan.is_system {
        // Root reads everything and may do nothing else that is special; another user has no right beyond its own.
        let rights = if plan.run_as.is_some() { "" } else { "CAP_DAC_READ_SEARCH" };
        let _ = writeln!(text, "CapabilityBoundingSet={rights}\nAmbientCapabilities=");
        text.push_str(
            "PrivateDevices=yes\nDevicePolicy=closed\nPrivateMounts=yes\nProtectClock=yes\nProtectHostname=yes\nProtectKernelLogs=yes\n\
             ProtectKernelModules=yes\nProtectProc=invisible\nProcSubset=pid\nRemoveIPC=yes\n",
        );
    }
    text.push_str(
        "NoNewPrivileges=yes\nProtectSystem=strict\nProtectHome=read-only\nPrivateTmp=yes\nProtectKernelTunables=yes\n\
         ProtectControlGroups=yes\nRestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX\nRestrictNamespaces=yes\nRestrictRealtime=yes\n\
         RestrictSUIDSGID=yes\nLockPersonality=yes\nMemoryDenyWriteExecute=yes\nSystemCallArchitectures=native\n\
         SystemCallFilter=@system-service\nSystemCallFilter=~@privileged @resources\nUMask=0077\n",
    );
    for folder in &plan.writes {
        // One that is not there now, such as a disk that is not mounted, is no reason not to start.
        let _ = writeln!(text, "ReadWritePaths=-{}", quoted(&folder.to_string_lossy(), false));
    }
    text
}

fn environment(plan: &Plan) -> String {
    // A service of the system has no home, and so no place for its state.
    if plan.is_system {
        "StateDirectory=tgvault\nStateDirectoryMode=0700\nEnvironment=TGVAULT_STATE_DIR=%S/tgvault\n".to_owned()
    } else {
        String::new()
    }
}

/// A command line as `ExecStart=` takes it.
fn command(words: &[String]) -> String {
    words.iter().map(|word| quoted(word, true)).collect::<Vec<_>>().join(" ")
}

/// One word: `%` begins a specifier, `$` a variable where it is a command.
fn quoted(word: &str, is_command: bool) -> String {
    let mut text = word.replace('%', "%%");
    if is_command {
        text = text.replace('$', "$$");
    }
    let is_plain = |character: char| character.is_alphanumeric() || "/._-=%$:@+,~".contains(character);
    if !text.is_empty() && text.chars().all(is_plain) {
        return text;
    }
    format!("\"{}\"", text.replace('\\', r"\\").replace('"', r#"\""#))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_with_signs_of_systemd_come_through() {
        assert_eq!(command(&["/usr/bin/tgvault".into(), "5%".into()]), "/usr/bin/tgvault 5%%");
        assert_eq!(command(&["/a b/$HOME".into(), "say \"\\".into(), String::new()]), r#""/a b/$$HOME" "say \"\\" """#);
    }
}
