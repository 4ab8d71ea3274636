//! What is drawn on a terminal, under one that is narrow: a bar that fits into a line, and is gone when the result is printed.

use std::fs;
use std::process::{Command, Stdio};

use tgvault_test_support::sandbox::Sandbox;

use crate::spelling::{done, with_vault};
use crate::support::noise;

/// Runs the program on a terminal with so many columns, and gives what it wrote there.
fn on_terminal(sandbox: &Sandbox, columns: u16, arguments: &str) -> String {
    let program = sandbox.command([""; 0]);
    let line = format!("stty cols {columns} rows 20; exec '{}' {arguments}", sandbox.program().display());
    let mut script = Command::new("script");
    script.args(["-qec", &line, "/dev/null"]).current_dir(sandbox.work()).env_clear().stdin(Stdio::null()).stderr(Stdio::null());
    script.envs(program.get_envs().filter_map(|(name, value)| Some((name, value?)))).env("TERM", "xterm");
    let run = script.output().unwrap();
    let text = String::from_utf8_lossy(&run.stdout).into_owned();
    assert!(run.status.success(), "{arguments}: {text}");
    text
}

/// The lines that were drawn, one after the other, without what moves the cursor.
fn drawn(text: &str) -> Vec<String> {
    let mut plain = String::new();
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\u{1b}' => drop(letters.by_ref().find(char::is_ascii_alphabetic)),
            letter => plain.push(letter),
        }
    }
    plain.split(['\r', '\n']).map(|line| line.trim_end().to_owned()).filter(|line| !line.is_empty()).collect()
}

#[test]
fn progress_fits_into_the_line_of_a_narrow_terminal() {
    tgvault_test_support::needs_programs!("script", "stty");
    let sandbox = with_vault();
    let work = sandbox.work();
    fs::create_dir(work.join("s")).unwrap();
    for number in 0..6 {
        fs::write(work.join(format!("s/a file with a name that no narrow terminal has room for {number}")), noise(number, 1_000_000))
            .unwrap();
    }
    let is_progress = |line: &&String| line.contains('%') || line.contains("saved ⠁");
    for columns in [100, 40, 20] {
        for arguments in ["--limit-upload 8M backup s", "-i key.txt --limit-download 8M restore latest --to r"] {
            let text = on_terminal(&sandbox, columns, arguments);
            let lines = drawn(&text);
            let bars: Vec<&String> = lines.iter().filter(is_progress).collect();
            assert!(!bars.is_empty(), "{arguments}: {lines:?}");
            let longest = bars.iter().map(|line| line.chars().count()).max().unwrap();
            assert!(longest <= usize::from(columns), "{columns}, {arguments}: {bars:?}");
            // Bytes of the file that is under way count: there is something between nothing and everything.
            assert!(columns < 30 || bars.len() > 2, "{bars:?}");
            // The last thing is the result, not the bar, whose line was wiped before.
            assert!(!is_progress(&lines.last().unwrap()), "{lines:?}");
            let (_, after) = text.rsplit_once('%').unwrap();
            assert!(after.contains("\u{1b}[2K") || after.contains("\u{1b}[J") || after.contains("\u{1b}[K"), "{after:?}");
        }
        fs::remove_dir_all(work.join("r")).unwrap();
        fs::write(work.join(format!("s/new {columns}")), noise(columns.into(), 6_000_000)).unwrap();
    }
    // Content is no place for a bar.
    done(&sandbox, "-q backup s");
    let text = on_terminal(&sandbox, 40, "-i key.txt cat latest 'new 40' | wc -c");
    let lines = drawn(&text);
    assert!(lines.last().unwrap() == "6000000" && !lines.iter().any(|line| is_progress(&line)), "{text}");
}
