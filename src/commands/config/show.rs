//! `tgvault config show`: the settings that hold, each with where it comes from.

use std::path::PathBuf;

use serde::Serialize;

use super::origin::{Origin, Setting};
use super::profile::TelegramProfile;
use super::settings::Settings;
use crate::commands::error::CommandError;
use crate::commands::exit::Exit;
use crate::commands::output::Output;
use crate::commands::secrets::SecretSource;
use crate::commands::units;

/// What to do with the settings.
#[derive(Clone, Copy, Debug, clap::Subcommand)]
pub enum Action {
    /// Print each setting that has a value, and where it comes from; no secret is shown
    Show,
    /// Check the profile: its vaults, its sources and the files they name; no store and no Telegram server is asked
    Check,
}

#[derive(Serialize)]
struct Line {
    message_type: &'static str,
    name: &'static str,
    value: String,
    origin: String,
}

/// Prints the settings.
///
/// # Errors
/// When standard output cannot be written.
pub fn run(settings: &Settings, output: &Output) -> Result<Exit, CommandError> {
    let lines = lines(settings);
    let wide = |part: fn(&Line) -> &str| lines.iter().map(|line| part(line).chars().count()).max().unwrap_or(0);
    let (names, values) = (wide(|line| line.name), wide(|line| &line.value));
    for line in &lines {
        if output.is_json() {
            output.json(line)?;
        } else {
            output.line(&format!("{:names$}  {:values$}  {}", line.name, line.value, line.origin))?;
        }
    }
    Ok(Exit::Done)
}

fn lines(settings: &Settings) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut add = |name: &'static str, value: String, origin: &Origin| {
        lines.push(Line { message_type: "setting", name, value: units::printable(&value), origin: units::printable(&origin.to_string()) });
    };
    if let Some(Setting { value, origin }) = &settings.repo {
        add("repo", value.clone(), origin);
    }
    if let Some(Setting { value, origin }) = &settings.secret {
        let shown = match value {
            SecretSource::IdentityFile(path) | SecretSource::PassphraseFile(path) => path.display().to_string(),
            // A command line may hold a secret, against all advice.
            SecretSource::PassphraseCommand(_) => "(set)".to_owned(),
            SecretSource::PassphraseFd(number) => number.to_string(),
        };
        add(value.name(), shown, origin);
    }
    add("keyring", settings.keyring.value.to_string(), &settings.keyring.origin);
    if let Some(Setting { value, origin }) = &settings.root_key {
        add("root-key", value.as_str().to_owned(), origin);
    }
    if let Some(Setting { value, origin }) = &settings.state_dir {
        add("state-dir", value.display().to_string(), origin);
    }
    add("machine-key", settings.machine_key.value.to_string(), &settings.machine_key.origin);
    for (name, limit) in [("limit-upload", &settings.limit_upload), ("limit-download", &settings.limit_download)] {
        if let Some(Setting { value, origin }) = limit {
            add(name, format!("{}/s", units::bytes(*value)), origin);
        }
    }
    if let Some(Setting { value, origin }) = &settings.ca_file {
        add("ca-file", value.display().to_string(), origin);
    }
    if settings.bucket_owner_full_control.value {
        add("bucket-owner-full-control", "true".to_owned(), &settings.bucket_owner_full_control.origin);
    }
    let Some(path) = &settings.profile else { return lines };
    add_store(settings, &mut |name, value| add(name, value, &Origin::Profile(path.clone())));
    let origin = Origin::Profile(path.clone());
    let backup = &settings.backup;
    let list = |items: &[String]| items.join(", ");
    if let Some(host) = &backup.host {
        add("backup.host", host.clone(), &origin);
    }
    if let Some(tags) = &backup.tags {
        add("backup.tags", list(tags), &origin);
    }
    if let Some(patterns) = &backup.exclude {
        add("backup.exclude", list(patterns), &origin);
    }
    if let Some(files) = &backup.exclude_file {
        add("backup.exclude-file", list(&files.iter().map(|file| file.display().to_string()).collect::<Vec<_>>()), &origin);
    }
    for (name, value) in [("backup.exclude-caches", backup.exclude_caches), ("backup.one-file-system", backup.one_file_system)] {
        if let Some(value) = value {
            add(name, value.to_string(), &origin);
        }
    }
    if let Some(size) = backup.exclude_larger_than {
        add("backup.exclude-larger-than", units::bytes(size.0), &origin);
    }
    add_telegram(&settings.telegram, &mut |name, value| add(name, value, &origin));
    lines
}

/// Vaults, sources, and how the store is reached: where credentials are, never what they are.
fn add_store(settings: &Settings, add: &mut dyn FnMut(&'static str, String)) {
    let store = &settings.store;
    let all = [
        ("endpoint", store.endpoint.clone()),
        ("region", store.region.clone()),
        ("env-file", store.env_file.as_ref().map(|file| file.display().to_string())),
        ("credential", store.credential.clone()),
        ("aws-profile", store.aws_profile.clone()),
        ("vault", (!settings.vaults.is_empty()).then(|| settings.vaults.join(", "))),
    ];
    for (name, value) in all {
        if let Some(value) = value {
            add(name, value);
        }
    }
    if let Some(retention) = &settings.retention {
        add("retention", retention.to_string());
    }
    if let Some(prices) = &settings.prices {
        add("prices", prices.to_string());
    }
    if let Some(quota) = settings.quota {
        add("quota", units::bytes(quota));
    }
    let (alerts, hooks) = (&settings.alerts, &settings.hooks);
    let set = |is_set: bool| is_set.then(|| "(set)".to_owned());
    let path = |path: &Option<PathBuf>| path.as_ref().map(|path| path.display().to_string());
    let told = [
        ("alerts.ping", set(alerts.ping.is_some())),
        ("alerts.ping-file", path(&alerts.ping_file)),
        ("alerts.webhook", set(alerts.webhook.is_some())),
        ("alerts.webhook-token-file", path(&alerts.webhook_token_file)),
        ("alerts.mail-to", alerts.mail_to.clone()),
        ("alerts.metrics-file", path(&alerts.metrics_file)),
        ("hooks.before", set(hooks.before.is_some())),
        ("hooks.after", set(hooks.after.is_some())),
        ("hooks.failed", set(hooks.failed.is_some())),
        ("hooks.session-lost", set(hooks.session_lost.is_some())),
        ("hooks.source-empty", set(hooks.source_empty.is_some())),
        ("hooks.many-deleted", set(hooks.many_deleted.is_some())),
    ];
    for (name, value) in told {
        if let Some(value) = value {
            add(name, value);
        }
    }
    for source in &settings.sources {
        add("source", source.label());
    }
}

fn add_telegram(telegram: &TelegramProfile, add: &mut dyn FnMut(&'static str, String)) {
    let words = |value: Option<serde_json::Value>| match value? {
        serde_json::Value::Array(words) => Some(words.iter().filter_map(|word| word.as_str()).collect::<Vec<_>>().join(", ")),
        word => word.as_str().map(str::to_owned),
    };
    let path = |path: &Option<PathBuf>| path.as_ref().map(|path| path.display().to_string());
    let set = || "(set)".to_owned();
    let all = [
        ("telegram.account", telegram.account.clone()),
        ("telegram.api-id", telegram.api_id.map(|id| id.to_string())),
        ("telegram.api-hash", telegram.api_hash.as_ref().map(|_| set())),
        ("telegram.api-hash-file", path(&telegram.api_hash_file)),
        ("telegram.server", telegram.server.clone()),
        ("telegram.server-key", path(&telegram.server_key)),
        ("telegram.server-dc", telegram.server_dc.map(|dc| dc.to_string())),
        ("telegram.proxy", telegram.proxy.as_ref().map(|_| set())),
        ("telegram.proxy-password-file", path(&telegram.proxy_password_file)),
        ("telegram.proxy-password-command", telegram.proxy_password_command.as_ref().map(|_| set())),
        ("telegram.pace", words(serde_json::to_value(telegram.pace).ok())),
        ("telegram.session-passphrase-file", path(&telegram.session_passphrase_file)),
        ("telegram.session-passphrase-command", telegram.session_passphrase_command.as_ref().map(|_| set())),
        ("telegram.chats", words(serde_json::to_value(&telegram.chats).ok())),
        ("telegram.exclude-chat", telegram.exclude_chat.as_ref().map(|chats| chats.join(", "))),
        ("telegram.folder", telegram.folder.as_ref().map(|folders| folders.join(", "))),
        ("telegram.only-my-messages", telegram.only_my_messages.map(|only| only.to_string())),
        ("telegram.media", words(serde_json::to_value(&telegram.media).ok())),
        ("telegram.max-file-size", telegram.max_file_size.map(|size| units::bytes(size.0))),
        ("telegram.details", words(serde_json::to_value(&telegram.details).ok())),
        ("telegram.takeout", words(serde_json::to_value(telegram.takeout).ok())),
        ("telegram.recheck", telegram.recheck.clone()),
        ("telegram.recheck-budget", telegram.recheck_budget.map(|budget| budget.to_string())),
    ];
    for (name, value) in all {
        if let Some(value) = value {
            add(name, value);
        }
    }
}
