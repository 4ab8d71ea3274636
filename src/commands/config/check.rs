//! `tgvault config check`: whether a profile can be used, without asking any store or Telegram.

use std::path::Path;

use serde::Serialize;

use super::sources::SourceProfile;
use crate::commands::context::Context;
use crate::commands::error::CommandError;
use crate::commands::exit::Exit;
use crate::commands::output::Output;
use crate::commands::secrets::{self, SecretSource};
use crate::commands::units;
use crate::model::filter::PathFilter;

#[derive(Serialize)]
struct Line<'a> {
    message_type: &'static str,
    what: &'static str,
    name: &'a str,
    ok: bool,
    problems: &'a [String],
}

/// Checks what the profile names: every vault's settings and files, every source's folder and options.
///
/// # Errors
/// When standard output cannot be written.
pub fn run(contexts: &[std::sync::Arc<Context>], output: &Output) -> Result<Exit, CommandError> {
    let Some(first) = contexts.first() else { return Ok(Exit::Done) };
    let mut is_sound = true;
    let mut tell = |what: &'static str, name: &str, problems: &[String]| -> Result<(), CommandError> {
        is_sound &= problems.is_empty();
        if output.is_json() {
            return output.json(&Line { message_type: "config_check", what, name, ok: problems.is_empty(), problems });
        }
        let name = units::printable(name);
        if problems.is_empty() {
            return output.line(&format!("{what} {name}: ok"));
        }
        problems.iter().try_for_each(|problem| output.line(&format!("{what} {name}: {}", units::printable(problem))))
    };
    match &first.settings.profile {
        Some(path) => tell("profile", &path.to_string_lossy(), &[])?,
        None => tell("profile", "default", &["no profile was found; see docs/guide/settings.md".to_owned()])?,
    }
    for context in contexts {
        if let Some(name) = context.vault_label() {
            tell("vault", &name, &of_vault(context))?;
        }
    }
    if !first.settings.sources.is_empty() && first.settings.repo.is_none() {
        tell("profile", "vault", &["there is none: add `repo` or a [[vault]] table".to_owned()])?;
    }
    for source in &first.settings.sources {
        tell("source", &source.label(), &of_source(source))?;
    }
    Ok(if is_sound { Exit::Done } else { Exit::Usage })
}

/// What is wrong with a vault's settings: its address, its store's credentials, its key's file.
fn of_vault(context: &Context) -> Vec<String> {
    let mut problems = Vec::new();
    if let Err(error) = context.storage() {
        problems.push(error.one_line());
    }
    let mut warned = Vec::new();
    let read = match context.settings.secret.as_ref().map(|secret| &secret.value) {
        Some(SecretSource::IdentityFile(path)) if path != Path::new("-") => {
            secrets::identity_file(path, &mut |text| warned.push(text)).map(drop)
        }
        Some(SecretSource::PassphraseFile(path)) => secrets::passphrase_file(path, &mut |text| warned.push(text)).map(drop),
        // A command may ask somebody.
        _ => Ok(()),
    };
    if let Err(error) = read {
        problems.push(CommandError::from(error).one_line());
    }
    problems.extend(warned);
    let is_key_named = context.settings.secret.is_some() || context.settings.keyring.value;
    if context.settings.retention.is_some() && context.settings.mirror_of.is_none() && !is_key_named {
        problems.push(
            "[retention] needs a key that reads the vault: name one, or run `forget` and `prune` on a machine that has it".to_owned(),
        );
    }
    problems
}

/// What is wrong with a source: its folder, its patterns.
fn of_source(source: &SourceProfile) -> Vec<String> {
    let mut problems = Vec::new();
    let mut needs_folder = |path: &Path| {
        if !path.is_dir() {
            problems.push(format!("'{}' is not a folder", path.display()));
        }
    };
    match source {
        SourceProfile::Telegram(_) => {}
        SourceProfile::DesktopExport(entry) => needs_folder(&entry.path),
        SourceProfile::Folder(entry) => {
            needs_folder(&entry.path);
            for file in entry.exclude_file.iter().filter(|file| !file.is_file()) {
                problems.push(format!("exclude-file '{}' is not a file", file.display()));
            }
            if let Err(error) = PathFilter::new(&[] as &[String], &entry.exclude) {
                problems.push(error.to_string());
            }
        }
    }
    problems
}
