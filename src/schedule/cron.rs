//! Lines for cron, as Debian's Vixie cron reads them.

use super::ScheduleError;
use super::plan::{Job, Plan};
use super::when::When;

/// The lines of a plan, between two marks by which they are found again.
///
/// # Errors
/// When the plan has a calendar expression, which cron does not understand.
pub fn lines(plan: &Plan) -> Result<String, ScheduleError> {
    let mut text = format!("{}\n", begins(&plan.name));
    for job in Job::ALL {
        text += &format!("{} {}\n", fields(plan, job)?, line(plan, job));
    }
    Ok(text + &ends(&plan.name) + "\n")
}

/// The mark before a plan's lines.
pub fn begins(name: &str) -> String {
    format!("# tgvault {name}: begin (written by `tgvault schedule install`)")
}

/// The mark behind a plan's lines.
pub fn ends(name: &str) -> String {
    format!("# tgvault {name}: end")
}

/// A table without a plan's lines.
pub fn without(table: &str, name: &str) -> String {
    let (begins, ends) = (begins(name), ends(name));
    let mut is_ours = false;
    let mut kept = String::new();
    for line in table.lines() {
        is_ours |= line == begins;
        if !is_ours {
            kept += line;
            kept.push('\n');
        }
        is_ours &= line != ends;
    }
    kept
}

fn fields(plan: &Plan, job: Job) -> Result<String, ScheduleError> {
    let (hour, minute) = (plan.at.hour, plan.at.minute);
    Ok(match (job, &plan.when) {
        (Job::Run, When::Daily) => format!("{minute} {hour} * * *"),
        (Job::Run, When::Weekly) => format!("{minute} {hour} * * 1"),
        (Job::Run, When::Monthly) => format!("{minute} {hour} 1 * *"),
        (Job::Run, When::Quarterly) => format!("{minute} {hour} 1 1,4,7,10 *"),
        (Job::Run, When::Calendar(_)) => return Err(ScheduleError::Calendar { what: "cron" }),
        (Job::Verify, _) => format!("{minute} 12 8 * *"),
        (Job::Watch, _) => format!("{minute} 9 * * *"),
    })
}

/// A job's command. cron mails what is printed, so nothing is when all is well; and it knows no `OnFailure=`, so a check that fails tells of
/// itself. A run and the watch do so anyway.
fn line(plan: &Plan, job: Job) -> String {
    let mut words = plan.words(job);
    match job {
        Job::Run => {
            words.insert(words.len().saturating_sub(1), "--quiet".to_owned());
            command(&words)
        }
        Job::Verify => format!("{} || {}", command(&words), command(&plan.alert_words(&plan.stem(job)))),
        Job::Watch => command(&words),
    }
}

/// A command for the shell that cron starts; an unescaped `%` would end it.
fn command(words: &[String]) -> String {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"_@%+=:,./-".contains(byte);
    let word = |word: &String| {
        if !word.is_empty() && word.bytes().all(|byte| plain(&byte)) { word.clone() } else { format!("'{}'", word.replace('\'', r"'\''")) }
    };
    words.iter().map(word).collect::<Vec<_>>().join(" ").replace('%', r"\%")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_lines_between_the_marks_go() {
        let ours = format!("{}\n1 2 * * * x\n{}\n", begins("a"), ends("a"));
        let other = format!("{}\n1 2 * * * y\n{}\n", begins("ab"), ends("ab"));
        assert_eq!(without(&format!("MAILTO=me\n{ours}{other}0 0 * * * z"), "a"), format!("MAILTO=me\n{other}0 0 * * * z\n"));
        assert_eq!(without("", "a"), "");
    }

    #[test]
    fn percent_signs_and_quotes_reach_the_shell() {
        assert_eq!(command(&["/it's".into(), "5%".into(), "a b%".into()]), r"'/it'\''s' 5\% 'a b\%'");
    }
}
