//! Tasks for the Windows Task Scheduler, as XML that `schtasks /create /xml` takes. The program itself runs on Linux: on Windows, it is
//! started inside WSL.

use super::plan::{Job, Plan};
use super::when::When;
use super::{File, ScheduleError};

const MONTHS: [&str; 12] =
    ["January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"];

/// A task for each job, in UTF-16 with a byte order mark, which is the form that is taken everywhere.
///
/// # Errors
/// When the plan has a calendar expression, which the Task Scheduler does not understand.
pub fn files(plan: &Plan) -> Result<Vec<File>, ScheduleError> {
    let file = |job: &Job| {
        let text = task(plan, *job)?;
        let content = std::iter::once(0xfeff).chain(text.encode_utf16()).flat_map(u16::to_le_bytes).collect();
        Ok(File { name: format!("{}.xml", plan.stem(*job)), content })
    };
    Job::ALL.iter().map(file).collect()
}

fn task(plan: &Plan, job: Job) -> Result<String, ScheduleError> {
    let (hour, minute) = match job {
        Job::Run => (plan.at.hour, plan.at.minute),
        Job::Verify => (12, 0),
        Job::Watch => (9, 0),
    };
    // Inside WSL, by wsl.exe, which hands the words on as they are between quotes.
    let words: Vec<String> = plan.words(job).iter().map(|word| format!("\"{}\"", word.replace('"', "\\\""))).collect();
    Ok(format!(
        "<?xml version=\"1.0\" encoding=\"UTF-16\"?>\r\n\
         <Task version=\"1.2\" xmlns=\"http://schemas.microsoft.com/windows/2004/02/mit/task\">\r\n\
         <RegistrationInfo><Description>{} ({})</Description></RegistrationInfo>\r\n\
         <Triggers><CalendarTrigger><StartBoundary>2024-01-01T{hour:02}:{minute:02}:00</StartBoundary><RandomDelay>PT{}S</RandomDelay>\
         {}</CalendarTrigger></Triggers>\r\n\
         <Settings><MultipleInstancesPolicy>IgnoreNew</MultipleInstancesPolicy><StartWhenAvailable>true</StartWhenAvailable>\
         <RunOnlyIfNetworkAvailable>{}</RunOnlyIfNetworkAvailable><Hidden>false</Hidden></Settings>\r\n\
         <Actions><Exec><Command>wsl.exe</Command><Arguments>--exec {}</Arguments></Exec></Actions>\r\n</Task>\r\n",
        escaped(job.description()),
        escaped(&plan.name),
        if job == Job::Watch { 0 } else { plan.jitter_seconds },
        schedule(plan, job)?,
        job != Job::Watch,
        escaped(&words.join(" ")),
    ))
}

fn schedule(plan: &Plan, job: Job) -> Result<String, ScheduleError> {
    let by_month = |day: u8, months: &[&str]| {
        let months: String = months.iter().map(|month| format!("<{month} />")).collect();
        format!("<ScheduleByMonth><DaysOfMonth><Day>{day}</Day></DaysOfMonth><Months>{months}</Months></ScheduleByMonth>")
    };
    let daily = "<ScheduleByDay><DaysInterval>1</DaysInterval></ScheduleByDay>".to_owned();
    Ok(match (job, &plan.when) {
        (Job::Watch, _) | (Job::Run, When::Daily) => daily,
        (Job::Run, When::Weekly) => {
            "<ScheduleByWeek><WeeksInterval>1</WeeksInterval><DaysOfWeek><Monday /></DaysOfWeek></ScheduleByWeek>".to_owned()
        }
        (Job::Run, When::Monthly) => by_month(1, &MONTHS),
        (Job::Run, When::Quarterly) => by_month(1, &["January", "April", "July", "October"]),
        (Job::Run, When::Calendar(_)) => return Err(ScheduleError::Calendar { what: "the Windows Task Scheduler" }),
        (Job::Verify, _) => by_month(8, &MONTHS),
    })
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
