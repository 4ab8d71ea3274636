//! The built program as a user runs it: in an empty home, with a clean environment, away from any network.

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

/// A home folder and an environment for runs of the program.
#[derive(Debug)]
pub struct Sandbox {
    program: PathBuf,
    folder: TempDir,
    env: Vec<(String, String)>,
}

/// What a run left.
#[derive(Debug, Clone)]
pub struct Run {
    /// The exit code; `None` if a signal ended it.
    pub code: Option<i32>,
    /// Standard output; what is not UTF-8 is replaced.
    pub stdout: String,
    /// Standard error; what is not UTF-8 is replaced.
    pub stderr: String,
}

impl Sandbox {
    /// A sandbox for `program`, in a test `env!("CARGO_BIN_EXE_tgvault")`.
    pub fn new(program: impl Into<PathBuf>) -> io::Result<Self> {
        let folder = tempfile::tempdir()?;
        for part in ["home", "work", "tmp"] {
            std::fs::create_dir(folder.path().join(part))?;
        }
        Ok(Self { program: program.into(), folder, env: Vec::new() })
    }

    /// Adds variables for all later runs.
    pub fn env<K: Into<String>, V: Into<String>>(&mut self, variables: impl IntoIterator<Item = (K, V)>) -> &mut Self {
        self.env.extend(variables.into_iter().map(|(key, value)| (key.into(), value.into())));
        self
    }

    /// The program itself, for what starts it by other means than [`Self::command`].
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// The home folder.
    pub fn home(&self) -> PathBuf {
        self.folder.path().join("home")
    }

    /// The folder that runs start in.
    pub fn work(&self) -> PathBuf {
        self.folder.path().join("work")
    }

    /// The folder that holds the other two, for files of the test's own.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A run that is not started yet: no input, all output piped.
    pub fn command<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Command {
        let mut command = self.start();
        command.args(arguments).current_dir(self.work()).env_clear();
        command.env("HOME", self.home()).env("TMPDIR", self.folder.path().join("tmp"));
        command.env("LANG", "C.UTF-8").env("TZ", "UTC").env("NO_COLOR", "1");
        if let Some(path) = std::env::var_os("PATH") {
            command.env("PATH", path);
        }
        command.envs(loopback_only());
        command.envs(self.env.iter().map(|(key, value)| (key, value)));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// The program heeds it when its caller ignores a signal, and the tests that send one would wait for ever where theirs does: under
    /// `nohup`, or in the background of a script. There the program starts with the signals as a terminal has them.
    fn start(&self) -> Command {
        if !ignores_wishes_to_end() {
            return Command::new(&self.program);
        }
        let mut command = Command::new("env");
        command.arg(DEFAULT_SIGNALS).arg(&self.program);
        command
    }

    /// Runs the program to its end.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn run<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> io::Result<Run> {
        self.command(arguments).output().map(Run::from)
    }
}

/// What `env` takes to start a program with the signals as a terminal has them.
pub const DEFAULT_SIGNALS: &str = "--default-signal=HUP,INT,TERM";

/// Whether this process ignores SIGHUP, SIGINT or SIGTERM (1, 2 and 15, a bit each).
fn ignores_wishes_to_end() -> bool {
    const BITS: u64 = 1 | 1 << 1 | 1 << 14;
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).and_then(|bits| u64::from_str_radix(bits.trim(), 16).ok());
    ignored.is_some_and(|ignored| ignored & BITS != 0)
}

impl From<Output> for Run {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

/// Variables by which whatever would leave loopback fails at once: a proxy that does not exist for everything else, and the
/// clouds' credential services, which have fixed addresses, moved to a port where nobody listens.
pub fn loopback_only() -> Vec<(String, String)> {
    let nowhere = "http://127.0.0.1:9";
    let variables = [
        ("HTTP_PROXY", nowhere),
        ("HTTPS_PROXY", nowhere),
        ("ALL_PROXY", nowhere),
        ("NO_PROXY", "127.0.0.1,localhost,::1"),
        ("AWS_EC2_METADATA_DISABLED", "true"),
        ("AWS_METADATA_ENDPOINT", nowhere),
        ("AZURE_MSI_ENDPOINT", nowhere),
        ("GCE_METADATA_HOST", "127.0.0.1:9"),
        ("GCE_METADATA_IP", "127.0.0.1:9"),
    ];
    let lower = |name: &str| if name.ends_with("_PROXY") { Some(name.to_ascii_lowercase()) } else { None };
    variables
        .iter()
        .flat_map(|(name, value)| lower(name).into_iter().chain([(*name).to_owned()]).map(|name| (name, (*value).to_owned())))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_see_nothing_of_the_machine() {
        let mut sandbox = Sandbox::new("/usr/bin/env").unwrap();
        sandbox.env([("TGVAULT_REPO", "memory://")]);
        let run = sandbox.run(["sh", "-c", "env; pwd; echo to stderr >&2; exit 3"]).unwrap();
        assert_eq!((run.code, run.stderr.as_str()), (Some(3), "to stderr\n"));
        let home = format!("HOME={}\n", sandbox.home().display());
        for line in [home.as_str(), "TGVAULT_REPO=memory://\n", "HTTPS_PROXY=http://127.0.0.1:9\n", "TZ=UTC\n"] {
            assert!(run.stdout.contains(line), "{line} is missing in {}", run.stdout);
        }
        // This test itself runs with it.
        assert!(std::env::var_os("CARGO_MANIFEST_DIR").is_some());
        assert!(!run.stdout.contains("CARGO_MANIFEST_DIR"));
        assert!(run.stdout.ends_with(&format!("{}\n", sandbox.work().display())));
    }
}
