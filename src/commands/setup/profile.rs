//! The answers as a profile.

use std::fmt::Write as _;
use std::path::Path;

use super::answers::Answers;
use crate::commands::error::CommandError;
use crate::commands::sheet;

/// Writes a profile that was not there, for the user only.
///
/// # Errors
/// When there is one, or it cannot be written.
pub fn write(answers: &Answers, path: &Path) -> Result<(), CommandError> {
    if path.exists() {
        return Err(CommandError::usage(
            format!("there is a profile already: {}", path.display()),
            "change it with an editor and run `tgvault doctor`, or make another one with -P NAME",
        ));
    }
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(|source| CommandError::file("write", folder, source))?;
    }
    let mut file = sheet::create(path)?;
    sheet::write_all(&mut file, path, text(answers).as_bytes())
}

/// The text of the profile.
fn text(answers: &Answers) -> String {
    let mut text = String::from("# Written by `tgvault setup`; all keys are in docs/guide/settings.md.\n");
    // Writing to a string does not fail.
    let mut set = |key: &str, value: &str| {
        let _ = writeln!(text, "{key} = {}", quoted(value));
    };
    set("repo", &answers.repo);
    let env_file = answers.env_file.as_ref().map(|path| path.to_string_lossy().into_owned());
    for (key, value) in
        [("endpoint", &answers.endpoint), ("region", &answers.region), ("env-file", &env_file), ("aws-profile", &answers.aws_profile)]
    {
        if let Some(value) = value {
            set(key, value);
        }
    }
    if answers.ping.is_some() || answers.mail_to.is_some() {
        text.push_str("\n[alerts]\n");
        for (key, value) in [("ping", &answers.ping), ("mail-to", &answers.mail_to)] {
            if let Some(value) = value {
                let _ = writeln!(text, "{key} = {}", quoted(value));
            }
        }
    }
    let accounts = answers.telegram.iter().map(|account| ("telegram", "account", account.clone()));
    let folders = answers.folders.iter().map(|path| ("folder", "path", path.to_string_lossy().into_owned()));
    let exports = answers.exports.iter().map(|path| ("desktop-export", "path", path.to_string_lossy().into_owned()));
    for (kind, key, value) in accounts.chain(folders).chain(exports) {
        let _ = write!(text, "\n[[source]]\nkind = \"{kind}\"\n{key} = {}\n", quoted(&value));
    }
    text
}

fn quoted(value: &str) -> String {
    toml::Value::from(value).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::config::profile::Profile;
    use crate::commands::config::sources::SourceProfile;

    #[test]
    fn what_was_answered_is_what_the_profile_says() {
        let answers = Answers {
            repo: "s3://b/v".into(),
            region: Some("r\"\\".into()),
            env_file: Some("/a 'b\"".into()),
            telegram: vec!["main".into()],
            folders: vec!["/x\n".into()],
            exports: vec!["/e".into()],
            ping: Some("https://hc/uuid".into()),
            ..Answers::default()
        };
        let profile: Profile = toml::from_str(&text(&answers)).unwrap();
        assert_eq!((profile.repo, profile.region, profile.env_file), (Some("s3://b/v".into()), answers.region, answers.env_file));
        assert_eq!(profile.alerts.ping.as_ref().map(|ping| ping.0.as_str()), Some("https://hc/uuid"));
        let labels: Vec<String> = profile.sources.iter().map(SourceProfile::label).collect();
        assert_eq!(labels, ["telegram:main", "/x\n", "/e"]);
    }
}
