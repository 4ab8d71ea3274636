//! The few questions of `setup`: an option answers each, somebody at a terminal the rest.

use std::path::{Path, PathBuf};

use super::Args;
use crate::commands::error::CommandError;
use crate::commands::output::Output;
use crate::commands::secrets;
use crate::schedule::when::When;

/// What the profile is to say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answers {
    /// The vault's address.
    pub repo: String,
    /// The address of its server.
    pub endpoint: Option<String>,
    /// Its region.
    pub region: Option<String>,
    /// The file with its credentials.
    pub env_file: Option<PathBuf>,
    /// The AWS profile with its credentials.
    pub aws_profile: Option<String>,
    /// Accounts.
    pub telegram: Vec<String>,
    /// Folders.
    pub folders: Vec<PathBuf>,
    /// Folders of exports.
    pub exports: Vec<PathBuf>,
    /// Where to ping.
    pub ping: Option<String>,
    /// Who gets mail.
    pub mail_to: Option<String>,
}

/// Whether somebody may be asked.
fn may_ask(args: &Args) -> bool {
    !args.yes && secrets::can_ask()
}

impl Answers {
    /// Takes what the options say, and asks for the rest.
    ///
    /// # Errors
    /// When something has to be known that was not given, and nobody can be asked.
    pub fn collect(args: &Args, repo: Option<&str>, output: &Output) -> Result<Self, CommandError> {
        let asks = may_ask(args);
        let mut answers = Self {
            repo: repo.unwrap_or_default().to_owned(),
            endpoint: args.endpoint.clone(),
            region: args.region.clone(),
            env_file: args.env_file.as_deref().map(absolute),
            aws_profile: args.aws_profile.clone(),
            telegram: args.telegram.clone(),
            folders: args.folder.iter().map(|path| absolute(path)).collect(),
            exports: args.export.iter().map(|path| absolute(path)).collect(),
            ping: args.ping.clone(),
            mail_to: args.mail_to.clone(),
        };
        if answers.telegram.is_empty() && answers.folders.is_empty() && answers.exports.is_empty() {
            if !asks {
                return Err(CommandError::usage("nothing to back up was given", "use --telegram NAME, --folder PATH or --export PATH"));
            }
            let account = ask(output, "Telegram account to back up, by its name on this machine (Enter for none): ")?;
            answers.telegram.extend(account);
            let folder = ask(output, "Folder to back up (Enter for none): ")?;
            answers.folders.extend(folder.map(|path| absolute(Path::new(&path))));
            let export = ask(output, "Folder with Telegram Desktop exports (Enter for none): ")?;
            answers.exports.extend(export.map(|path| absolute(Path::new(&path))));
            if answers.telegram.is_empty() && answers.folders.is_empty() && answers.exports.is_empty() {
                return Err(CommandError::usage("there is nothing to back up", "name an account, a folder or exports"));
            }
        }
        if answers.repo.is_empty() {
            let asked = if asks { ask(output, "Vault: a folder, s3://bucket/prefix, gs://… or az://…: ")? } else { None };
            answers.repo = asked.ok_or_else(|| CommandError::usage("no vault was given", "use --repo URL"))?;
        }
        // The profile lies elsewhere than where this was typed.
        if !answers.repo.contains(':') {
            answers.repo = absolute(Path::new(&answers.repo)).to_string_lossy().into_owned();
        } else if asks && answers.endpoint.is_none() && answers.repo.starts_with("s3") {
            answers.endpoint = ask(output, "Address of the store's server (Enter for Amazon): ")?;
            answers.region = answers.region.or(ask(output, "Region (Enter if there is none): ")?);
        }
        if asks && answers.ping.is_none() {
            answers.ping = ask(output, "Address to ping after each run, such as https://hc-ping.com/… (Enter for none): ")?;
        }
        Ok(answers)
    }
}

/// When backups are to be made; `None` for not by themselves.
///
/// # Errors
/// When it cannot be understood.
pub fn schedule(args: &Args, output: &Output) -> Result<Option<String>, CommandError> {
    let given = match &args.schedule {
        Some(when) => Some(when.clone()),
        None if may_ask(args) => {
            Some(ask(output, "How often: daily, weekly, monthly, quarterly or none [daily]: ")?.unwrap_or_else(|| "daily".to_owned()))
        }
        // A machine's schedule is somebody else's, unless it was asked for.
        None => None,
    };
    match given.as_deref() {
        None | Some("none") => Ok(None),
        Some(when) => match when.parse()? {
            When::Calendar(_) => {
                Err(CommandError::usage("setup takes daily, weekly, monthly, quarterly or none", "see `tgvault schedule install --help`"))
            }
            _ => Ok(Some(when.to_owned())),
        },
    }
}

fn ask(output: &Output, question: &str) -> Result<Option<String>, CommandError> {
    use secrecy::ExposeSecret;
    output.tell(question);
    match secrets::input_line("answer") {
        Ok(line) => Ok(Some(line.expose_secret().trim().to_owned()).filter(|line| !line.is_empty())),
        Err(secrets::SecretError::Line { what: "empty", .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}
