//! How to recover a vault without this program, kept in the vault itself: the page, and its scripts as one.

use bytes::Bytes;

use super::{Repository, RepositoryError};
use crate::crypt::digest::sha256;
use crate::crypt::signature::SigningKey;
use crate::model::digest::Id;
use crate::storage::StorageError;

/// The page.
pub const PAGE: &str = include_str!("../../docs/recovery.md");

/// Where it is kept.
pub(super) const FOLDER: &str = "recovery/";

/// What stands there of each version, beside the signatures.
pub(super) const NAMES: [&str; 2] = ["recovery.md", "recover.sh"];

const BEFORE: &str = "\
#!/bin/bash
# Reads a tgvault vault without tgvault: with age, minisign, zstd, GNU tar, bash and the GNU core utilities.
# recovery.md beside this file explains each command. Made from that page; each part is the script of its name.

";

const AFTER: &str = r#"case ${1:-} in
open | list | recover | messages | pages | one | verify) "tgvault_$1" "${@:2}" ;;
*)
    grep -E '^# (open|list|recover|messages|pages|one|verify) ' -- "$0"
    exit 2
    ;;
esac
"#;

/// The trusted comment of an object's signature.
pub(super) fn comment(repository: Id, object: &str) -> String {
    format!("tgvault repository={repository} {}", object.strip_prefix(FOLDER).unwrap_or(object))
}

/// The folder of what this program writes: its version, and a part of the page's SHA-256.
pub fn folder() -> String {
    let digest = sha256(PAGE.as_bytes()).to_string();
    format!("{FOLDER}{}-{}/", env!("CARGO_PKG_VERSION"), digest.get(..16).unwrap_or(&digest))
}

/// The scripts of the page as one, each a command of it.
pub fn script() -> String {
    let mut text = BEFORE.to_owned();
    for block in PAGE.split("\n```bash ").skip(1) {
        if let Some((name, rest)) = block.split_once('\n')
            && let Some((body, _)) = rest.split_once("\n```")
        {
            text.push_str(&format!("tgvault_{name}() (\n{}\n)\n\n", body.trim_start_matches("#!/bin/bash\n")));
        }
    }
    text + AFTER
}

impl Repository {
    /// Stores page and script with `key`'s signatures, unless they are there; gives their folder.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn put_recovery(&self, key: &SigningKey) -> Result<String, RepositoryError> {
        let folder = folder();
        let there = self.storage.list(&folder).await?;
        for (name, text) in NAMES.into_iter().zip([PAGE.to_owned(), script()]) {
            let object = format!("{folder}{name}");
            let signature_name = format!("{object}.minisig");
            if there.iter().any(|found| found.name == object) && there.iter().any(|found| found.name == signature_name) {
                continue;
            }
            let signature = key.sign(text.as_bytes(), &comment(self.id, &object))?;
            for (name, bytes) in [(object, Bytes::from(text)), (signature_name, Bytes::from(signature))] {
                match self.storage.put_new(&name, bytes).await {
                    // Another machine was at it, with a key of its own.
                    Ok(()) | Err(StorageError::Exists { .. }) => {}
                    Err(error) => return Err(error.into()),
                }
            }
        }
        Ok(folder)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_script_has_all_commands_of_the_page() {
        let script = script();
        for name in ["open", "list", "recover", "messages", "pages", "one", "verify"] {
            assert!(script.contains(&format!("\ntgvault_{name}() (\n")), "{name}");
            assert!(script.lines().any(|line| line.starts_with(&format!("# {name} "))), "{name}");
        }
        assert!(!script.contains("```"));
    }
}
