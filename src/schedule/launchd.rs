//! Property lists for launchd, which starts programs on macOS.

use super::plan::{Job, Plan};
use super::when::When;
use super::{File, ScheduleError};

/// A list for each job; `logs` is the folder for what the jobs print.
///
/// # Errors
/// When the plan has a calendar expression, which launchd does not understand.
pub fn files(plan: &Plan, logs: &str) -> Result<Vec<File>, ScheduleError> {
    Job::ALL
        .iter()
        .map(|job| Ok(File { name: format!("{}.plist", label(plan, *job)), content: list(plan, *job, logs)?.into_bytes() }))
        .collect()
}

fn label(plan: &Plan, job: Job) -> String {
    format!("org.tgvault.{}.{}", plan.name, job.word())
}

fn list(plan: &Plan, job: Job, logs: &str) -> Result<String, ScheduleError> {
    let arguments: String = plan.words(job).iter().map(|word| format!("        <string>{}</string>\n", escaped(word))).collect();
    let log = escaped(&format!("{}/{}.log", logs.trim_end_matches('/'), plan.stem(job)));
    Ok(format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <!DOCTYPE plist PUBLIC \"-//Apple//DTD PLIST 1.0//EN\" \"http://www.apple.com/DTDs/PropertyList-1.0.dtd\">\n\
         <plist version=\"1.0\">\n<dict>\n    <key>Label</key>\n    <string>{}</string>\n    <key>ProgramArguments</key>\n    <array>\n\
         {arguments}    </array>\n    <key>StartCalendarInterval</key>\n{}    <key>ProcessType</key>\n    <string>Background</string>\n    \
         <key>LowPriorityIO</key>\n    <true/>\n    <key>Nice</key>\n    <integer>10</integer>\n    <key>StandardOutPath</key>\n    \
         <string>{log}</string>\n    <key>StandardErrorPath</key>\n    <string>{log}</string>\n</dict>\n</plist>\n",
        escaped(&label(plan, job)),
        intervals(plan, job)?,
    ))
}

fn intervals(plan: &Plan, job: Job) -> Result<String, ScheduleError> {
    let (hour, minute) = (plan.at.hour, plan.at.minute);
    let each: Vec<Vec<(&str, u8)>> = match (job, &plan.when) {
        (Job::Run, When::Daily) => vec![vec![]],
        (Job::Run, When::Weekly) => vec![vec![("Weekday", 1)]],
        (Job::Run, When::Monthly) => vec![vec![("Day", 1)]],
        (Job::Run, When::Quarterly) => [1, 4, 7, 10].map(|month| vec![("Month", month), ("Day", 1)]).into(),
        (Job::Run, When::Calendar(_)) => return Err(ScheduleError::Calendar { what: "launchd" }),
        (Job::Verify, _) => vec![vec![("Day", 8)]],
        (Job::Watch, _) => vec![vec![]],
    };
    let hour = match job {
        Job::Run => hour,
        Job::Verify => 12,
        Job::Watch => 9,
    };
    let dicts: String = each
        .into_iter()
        .map(|mut keys| {
            keys.extend([("Hour", hour), ("Minute", minute)]);
            let keys: String =
                keys.iter().map(|(key, value)| format!("            <key>{key}</key>\n            <integer>{value}</integer>\n")).collect();
            format!("        <dict>\n{keys}        </dict>\n")
        })
        .collect();
    Ok(format!("    <array>\n{dicts}    </array>\n"))
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
