//! Running a command of the user's with a document on its standard input.

use std::ffi::OsStr;
use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;

use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use super::AlertError;

/// The signals by which somebody stops a program.
const HANGUP: i32 = 1;
const INTERRUPT: i32 = 2;
const TERMINATE: i32 = 15;

/// Runs `program` with `arguments`, gives it `input`, and waits for its end; what it prints goes to standard error.
///
/// # Errors
/// When it cannot be run or fails.
pub async fn run<A: AsRef<OsStr>>(name: &str, program: &OsStr, arguments: &[A], input: &str) -> Result<(), AlertError> {
    let failed = |why: String| AlertError::Program { program: name.to_owned(), why };
    let mut command = Command::new(program);
    // Standard output belongs to what was asked for.
    command.args(arguments).stdin(Stdio::piped()).stdout(std::io::stderr()).kill_on_drop(true);
    let mut child = command.spawn().map_err(|error| failed(error.to_string()))?;
    if let Some(mut stdin) = child.stdin.take() {
        // One that does not read what it gets is no failure.
        let _ = stdin.write_all(input.as_bytes()).await;
    }
    let status = child.wait().await.map_err(|error| failed(error.to_string()))?;
    match status.signal() {
        _ if status.success() => Ok(()),
        // Who stops a service stops all that it has started.
        Some(HANGUP | INTERRUPT | TERMINATE) => Err(AlertError::Stopped { program: name.to_owned() }),
        _ => Err(failed(format!("it ended with {status}"))),
    }
}
