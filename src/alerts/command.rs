//! Running a command of the user's with a document on its standard input.

use std::ffi::OsStr;
use std::process::Stdio;

use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use super::AlertError;

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
    if status.success() { Ok(()) } else { Err(failed(format!("it ended with {status}"))) }
}
