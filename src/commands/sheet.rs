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
    /// Whether a passphrase that the user chose opens the vault.
    pub chosen: bool,
    /// The recipients whose identities open it.
    pub recipients: &'a [String],
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
        if let Some(passphrase) = self.generated {
            let _ = writeln!(text, "  passphrase {}", passphrase.expose_secret());
        }
        if self.chosen {
            let _ = writeln!(text, "  passphrase the one that you chose; it is not printed");
        }
        for recipient in self.recipients {
            let _ = writeln!(text, "  identity   the one of {}", printable(recipient));
        }
        let unlock = if self.recipients.is_empty() { "" } else { "   # with an identity: add -i FILE" };
        let _ = write!(
            text,
            "
Without the passphrase or an identity, nobody can read the vault, you included.

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
        for slot in &self.report.slots {
            let name = names::key_slot(slot.id);
            let _ = match &slot.kind {
                SlotKind::Passphrase => writeln!(text, "  age -d {name} > ../identity.txt   # asks for the passphrase"),
                SlotKind::Recipient(_) => writeln!(text, "  age -d -i FILE {name} > ../identity.txt   # FILE holds the identity"),
            };
        }
        let _ = write!(
            text,
            "  bash {recovery}recover.sh list . ../identity.txt
  bash {recovery}recover.sh recover . ../identity.txt SNAPSHOT ../restored
  recovery.md beside it explains each step. Later versions of tgvault put theirs beside it: take the newest.
",
            recovery = self.report.recovery,
        );
        text
    }
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
