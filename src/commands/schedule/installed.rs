//! Putting files and lines where the system reads them, and taking them away again.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use super::{Method, Place};
use crate::commands::config::error::ConfigError;
use crate::commands::context::Context;
use crate::commands::error::CommandError;
use crate::schedule::plan::{Job, Plan};
use crate::schedule::{File, cron, launchd, systemd, windows};

/// The schedule of a profile on this machine.
pub struct Installed {
    name: String,
    is_system: bool,
    by: By,
}

enum By {
    /// Files in a folder of units.
    Systemd(PathBuf),
    /// Lines in the user's table.
    Cron,
}

/// Writes the files for a system into a folder, for somebody to install there.
///
/// # Errors
/// When the plan cannot be written for it, or the folder cannot be written to.
pub fn write(plan: &Plan, method: Method, folder: &Path) -> Result<Vec<PathBuf>, CommandError> {
    let files = match method {
        Method::Systemd => systemd::files(plan),
        Method::Cron => vec![File { name: format!("tgvault-{}.cron", plan.name), content: cron::lines(plan)?.into_bytes() }],
        Method::Launchd => launchd::files(plan, "/tmp")?,
        Method::Windows => windows::files(plan)?,
    };
    put(&files, folder)
}

fn put(files: &[File], folder: &Path) -> Result<Vec<PathBuf>, CommandError> {
    fs::create_dir_all(folder).map_err(|source| CommandError::file("write", folder, source))?;
    let put = |file: &File| {
        let path = folder.join(&file.name);
        fs::write(&path, &file.content).map_err(|source| CommandError::file("write", &path, source))?;
        Ok(path)
    };
    files.iter().map(put).collect()
}

impl Installed {
    /// The schedule of the profile called `name`.
    ///
    /// # Errors
    /// When it is for a system that only takes files, or there is no home folder for units.
    pub fn of(name: &str, method: Method, place: &Place, context: &Context) -> Result<Self, CommandError> {
        let by = match method {
            Method::Systemd if place.system => By::Systemd(PathBuf::from("/etc/systemd/system")),
            Method::Systemd => {
                let places = &context.settings.places;
                let config = places.config_home.clone().or_else(|| places.home.as_ref().map(|home| home.join(".config")));
                By::Systemd(config.ok_or(ConfigError::NoHome)?.join("systemd/user"))
            }
            Method::Cron => By::Cron,
            Method::Launchd | Method::Windows => {
                return Err(CommandError::usage(
                    "tgvault only writes files for launchd and Windows",
                    "use `schedule install --method … --write DIR`, and load the files there",
                ));
            }
        };
        Ok(Self { name: name.to_owned(), is_system: place.system, by })
    }

    /// Installs a plan in place of what was there, and switches it on.
    ///
    /// # Errors
    /// When files cannot be written, or the system does not take them.
    pub async fn install(&self, plan: &Plan) -> Result<Vec<PathBuf>, CommandError> {
        match &self.by {
            By::Systemd(folder) => {
                let files = put(&systemd::files(plan), folder)?;
                self.systemctl(&["daemon-reload"]).await?;
                let timers = systemd::timers(plan);
                let words: Vec<&str> = ["enable", "--now"].into_iter().chain(timers.iter().map(String::as_str)).collect();
                self.systemctl(&words).await?;
                Ok(files)
            }
            By::Cron => {
                let lines = cron::lines(plan)?;
                let table = cron::without(&table().await?, &self.name);
                set_table(&(table + &lines)).await?;
                Ok(vec![PathBuf::from("crontab")])
            }
        }
    }

    /// Takes everything away; gives what was there.
    ///
    /// # Errors
    /// When files cannot be removed, or the system does not let go of them.
    pub async fn remove(&self) -> Result<Vec<PathBuf>, CommandError> {
        let found = self.found().await?;
        match &self.by {
            _ if found.is_empty() => {}
            By::Systemd(_) => {
                let timers: Vec<String> = Job::ALL.iter().map(|job| self.unit(*job, "timer")).collect();
                let words: Vec<&str> = ["disable", "--now"].into_iter().chain(timers.iter().map(String::as_str)).collect();
                self.systemctl(&words).await?;
                for file in &found {
                    fs::remove_file(file).map_err(|source| CommandError::file("remove", file, source))?;
                }
                self.systemctl(&["daemon-reload"]).await?;
            }
            By::Cron => set_table(&cron::without(&table().await?, &self.name)).await?,
        }
        Ok(found)
    }

    /// What is installed.
    ///
    /// # Errors
    /// When it cannot be looked for.
    pub async fn found(&self) -> Result<Vec<PathBuf>, CommandError> {
        match &self.by {
            By::Systemd(folder) => {
                let alert = format!("tgvault-{}-alert@.service", self.name);
                let units = Job::ALL.iter().flat_map(|job| ["service", "timer"].map(|kind| self.unit(*job, kind)));
                let all = std::iter::once(alert).chain(units);
                Ok(all.map(|name| folder.join(name)).filter(|path| path.exists()).collect())
            }
            By::Cron => {
                let is_there = table().await?.lines().any(|line| line == cron::begins(&self.name));
                Ok(is_there.then(|| PathBuf::from("crontab")).into_iter().collect())
            }
        }
    }

    /// When the next backup is started, in systemd's words; `None` where nobody knows.
    pub async fn next(&self) -> Option<String> {
        let By::Systemd(folder) = &self.by else { return None };
        let timer = self.unit(Job::Run, "timer");
        if !folder.join(&timer).exists() {
            return None;
        }
        let mut command = self.command();
        let output = command.args(["show", &timer, "--property=NextElapseUSecRealtime", "--value"]).output().await.ok()?;
        let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        (output.status.success() && !text.is_empty()).then_some(text)
    }

    /// Starts the backup now.
    ///
    /// # Errors
    /// When nothing is installed that could be started.
    pub async fn start(&self) -> Result<(), CommandError> {
        match &self.by {
            By::Systemd(folder) if folder.join(self.unit(Job::Run, "service")).exists() => {
                // One that waits to try again would hold this up.
                self.systemctl(&["start", "--no-block", &self.unit(Job::Run, "service")]).await
            }
            _ => Err(CommandError::usage("no systemd unit is installed that could be started", "use `tgvault run`")),
        }
    }

    fn unit(&self, job: Job, kind: &str) -> String {
        format!("tgvault-{}-{}.{kind}", self.name, job.word())
    }

    fn command(&self) -> Command {
        let mut command = Command::new("systemctl");
        if !self.is_system {
            command.arg("--user");
        }
        command
    }

    async fn systemctl(&self, words: &[&str]) -> Result<(), CommandError> {
        let failed = |source| CommandError::System { what: "systemctl cannot be run", source };
        // What it says in passing is no result of ours.
        let status = self.command().args(words).stdout(std::io::stderr()).status().await.map_err(failed)?;
        if status.success() {
            return Ok(());
        }
        let hint = if self.is_system { "are you root?" } else { "is this user's systemd running? see `systemctl --user status`" };
        Err(CommandError::usage(format!("`systemctl {}` failed", words.join(" ")), hint))
    }
}

/// The user's table of cron. A table that cannot be read is an error: what is written next would replace it.
async fn table() -> Result<String, CommandError> {
    let failed = |source| CommandError::System { what: "cannot read the table of cron (crontab -l)", source };
    let output = Command::new("crontab").arg("-l").env("LC_ALL", "C").output().await.map_err(failed)?;
    let said = String::from_utf8_lossy(&output.stderr);
    match output.status.success() {
        true => String::from_utf8(output.stdout).map_err(|error| failed(std::io::Error::other(error))),
        // A user without a table is told so by a failure.
        false if said.to_lowercase().contains("no crontab for") => Ok(String::new()),
        false => Err(failed(std::io::Error::other(said.trim().to_owned()))),
    }
}

async fn set_table(text: &str) -> Result<(), CommandError> {
    let failed = |source| CommandError::System { what: "crontab cannot be run", source };
    let mut child = Command::new("crontab").arg("-").stdin(Stdio::piped()).spawn().map_err(failed)?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(text.as_bytes()).await.map_err(failed)?;
    }
    if child.wait().await.map_err(failed)?.success() {
        return Ok(());
    }
    Err(CommandError::System { what: "crontab does not take the lines", source: std::io::ErrorKind::InvalidInput.into() })
}
