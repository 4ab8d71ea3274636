//! The recovery sheet: what is printed once, when a vault is made, and belongs on paper.

use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

use super::error::CommandError;
use super::units::{printable, shell_word};
use crate::operations::init::InitReport;
use crate::repository::format::names;
use crate::repository::format::root::SlotKind;

/// What stands on the sheet.
pub struct Sheet<'a> {
    /// The vault's address, without secrets.
    pub address: &'a str,
    /// What `init` made.
    pub report: &'a InitReport,
    /// The passphrase, if it was generated here: nobody else knows it.
    pub generated: Option<&'a SecretString>,
    /// What the store was opened with.
    pub variables: &'a [(String, String)],
}

impl Sheet<'_> {
    /// The text, which may hold the passphrase.
    pub fn text(&self) -> Zeroizing<String> {
        // Room for everything, so that growing leaves no copy of the passphrase behind.
        let mut text = Zeroizing::new(String::with_capacity(8192));
        let address = printable(self.address);
        let repo = shell_word(self.address.as_ref());
        let root_key = self.report.root_key.as_str();
        // Writing to a string does not fail.
        let _ = write!(
            text,
            "\
tgvault recovery sheet                                        keep it on paper, away from the machine

  vault      {address}
  id         {}
  root key   {root_key}
",
            self.report.repository,
        );
        for (name, value) in store_settings(self.address, &|name| value_of(self.variables, name)) {
            let _ = writeln!(text, "  {name:<10} {}", printable(&value));
        }
        if let Some(passphrase) = self.generated {
            add_words(&mut text, passphrase.expose_secret());
        }
        let slots = &self.report.slots;
        let passphrases = slots.iter().filter(|slot| slot.kind == SlotKind::Passphrase).count();
        if passphrases > usize::from(self.generated.is_some()) {
            let _ = writeln!(text, "  passphrase the one you chose (not printed)");
        }
        for slot in slots {
            if let SlotKind::Recipient(recipient) = &slot.kind {
                let _ = writeln!(text, "  identity   the one for {}", printable(recipient));
            }
        }
        let unlock = if passphrases == slots.len() { "" } else { "   # with an identity: add -i FILE" };
        let _ = write!(
            text,
            "
Without the passphrase or an identity, nobody can read the vault, not even you.
Type the words of the passphrase in their order; spaces, hyphens and capitals do not matter.

With tgvault, on any machine:
  tgvault --repo {repo} --root-key {root_key} restore latest --to restored{unlock}

Without tgvault, with age, minisign, zstd, GNU tar and bash, in a copy of the vault's folder:
  cd {recovery}
  minisign -Vm recover.sh -P {root_key}
  cd ../..
  umask 077
",
            recovery = self.report.recovery,
        );
        for slot in slots {
            let name = names::key_slot(slot.id);
            let _ = match &slot.kind {
                SlotKind::Passphrase => writeln!(text, "  age -d {name} > ../identity.txt   # asks for the passphrase"),
                SlotKind::Recipient(_) => writeln!(text, "  age -d -i FILE {name} > ../identity.txt   # FILE holds the identity"),
                _ => Ok(()),
            };
        }
        let _ = write!(
            text,
            "  bash {recovery}recover.sh list . ../identity.txt
  bash {recovery}recover.sh recover . ../identity.txt SNAPSHOT ../restored
  bash {recovery}recover.sh pages ../restored   # chats, to read in a browser (needs jq)
  recovery.md in the same folder explains each step. Newer versions of tgvault add a newer folder: use the newest.
",
            recovery = self.report.recovery,
        );
        text
    }
}

/// The words of a passphrase with their numbers, in two columns of short lines: paper and narrow terminals break none of them.
fn add_words(text: &mut String, passphrase: &str) {
    let words: Vec<&str> = passphrase.split(' ').collect();
    let rows = words.len().div_ceil(2);
    for row in 0..rows {
        let name = if row == 0 { "passphrase" } else { "" };
        let left = words.get(row).copied().unwrap_or_default();
        // Writing to a string does not fail.
        let _ = match words.get(row + rows) {
            Some(right) => writeln!(text, "  {name:<10} {:>2} {left:<12} {:>2} {right}", row + 1, row + rows + 1),
            None => writeln!(text, "  {name:<10} {:>2} {left}", row + 1),
        };
    }
}

fn value_of(variables: &[(String, String)], name: &str) -> Option<String> {
    variables.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone())
}

/// What somebody must know beside the address to reach the store: where its server is, and in which region. No secrets.
fn store_settings(address: &str, variable: &dyn Fn(&str) -> Option<String>) -> Vec<(&'static str, String)> {
    let first = |names: &[&str]| names.iter().find_map(|name| variable(name).filter(|value| !value.is_empty()));
    let scheme = address.split_once("://").map_or("", |(scheme, _)| scheme);
    let known = match scheme {
        "s3" | "s3a" => vec![
            ("endpoint", first(&["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT"])),
            ("region", first(&["AWS_REGION", "AWS_DEFAULT_REGION"])),
        ],
        "az" | "azure" | "abfs" | "abfss" | "adl" => vec![
            ("account", first(&["AZURE_STORAGE_ACCOUNT_NAME", "AZURE_STORAGE_ACCOUNT"])),
            ("endpoint", first(&["AZURE_STORAGE_ENDPOINT", "AZURE_ENDPOINT"])),
        ],
        _ => Vec::new(),
    };
    // What comes before an @ of an address may be a password.
    known.into_iter().filter_map(|(name, value)| Some((name, value?))).filter(|(_, value)| !value.contains('@')).collect()
}

/// Makes a file that was not there, for the user only.
///
/// # Errors
/// When it exists or cannot be made.
pub fn create(path: &Path) -> Result<File, CommandError> {
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    file.map_err(|source| CommandError::file("write", path, source))
}

/// Writes everything into a file of [`create`] and waits for the disk.
///
/// # Errors
/// When it cannot be written.
pub fn write_all(file: &mut File, path: &Path, bytes: &[u8]) -> Result<(), CommandError> {
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(|source| CommandError::file("write", path, source))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_leads_to_the_store_is_on_the_sheet_and_no_secret_is() {
        let variables = |name: &str| match name {
            "AWS_ENDPOINT_URL" => Some("https://minio.example.org:9000".to_owned()),
            "AWS_DEFAULT_REGION" => Some("eu-south-2".to_owned()),
            "AZURE_STORAGE_ACCOUNT" => Some("user:hunter2@x".to_owned()),
            name if name.contains("SECRET") || name.contains("KEY") => panic!("{name} is asked for"),
            _ => None,
        };
        let told = |address: &str| store_settings(address, &variables);
        assert_eq!(told("s3://bucket/x"), [("endpoint", "https://minio.example.org:9000".into()), ("region", "eu-south-2".into())]);
        assert!(told("/mnt/vault").is_empty() && told("az://c/x").is_empty());
    }

    #[test]
    fn words_stand_in_two_columns_of_short_lines() {
        let mut text = String::new();
        add_words(&mut text, "a b c d e f g h i absolute");
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!((lines.len(), lines[0]), (5, "  passphrase  1 a             6 f"));
        assert!(lines[4].ends_with("10 absolute") && lines.iter().all(|line| line.len() < 50), "{text}");
    }
}
