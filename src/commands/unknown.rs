//! What to type instead of a command that does not exist: people bring their words from other tools.

use clap::builder::StyledStr;
use clap::error::{ContextKind, ContextValue, ErrorKind};

/// Commands that people look for, and what does it here.
const ELSEWHERE: [(&str, &str); 20] = [
    ("check", "`tgvault verify` checks the vault"),
    ("create", "`tgvault init` creates a vault; `tgvault backup` makes a backup"),
    ("delete", "`tgvault forget` forgets snapshots, and `tgvault prune` frees their space"),
    ("dump", "`tgvault cat SNAPSHOT PATH` prints a file"),
    ("export", "`tgvault restore latest --to DIR` writes chats the way Telegram Desktop exports them"),
    ("extract", "`tgvault restore SNAPSHOT --to DIR` restores files"),
    ("forward", "`tgvault save CHAT IDS` forwards messages to Saved Messages"),
    ("get", "`tgvault restore SNAPSHOT --to DIR` restores files"),
    ("grep", "`tgvault search WORDS` searches messages"),
    ("import", "`tgvault backup desktop-export PATH` imports a Telegram Desktop export"),
    ("info", "`tgvault stats` shows counts and sizes"),
    ("keys", "`tgvault key` lists, adds, changes and removes keys"),
    ("list", "`tgvault snapshots` lists snapshots; `tgvault ls latest` lists the contents of one"),
    ("messages", "`tgvault cat latest --chat CHAT` prints the messages of a chat"),
    ("recover", "`tgvault restore latest --to DIR` restores files"),
    ("show", "`tgvault browse` and `tgvault cat latest --chat CHAT` show chats; `tgvault snapshots` lists snapshots"),
    ("sync", "`tgvault backup telegram` fetches what is new"),
    ("telegram", "`tgvault backup telegram` backs up a Telegram account"),
    ("version", "`tgvault --version` prints the version"),
    ("web", "`tgvault browse` shows chats in a web browser"),
];

/// Adds to the error about an unknown command what does the same here.
pub fn with_advice(mut error: clap::Error) -> clap::Error {
    if error.kind() != ErrorKind::InvalidSubcommand {
        return error;
    }
    let Some(ContextValue::String(typed)) = error.get(ContextKind::InvalidSubcommand) else { return error };
    let typed = typed.to_lowercase();
    if let Some((_, advice)) = ELSEWHERE.iter().find(|(known, _)| *known == typed) {
        error.remove(ContextKind::SuggestedSubcommand);
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![StyledStr::from(*advice)]));
    }
    error
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::cli;

    #[test]
    fn advice_is_for_commands_that_do_not_exist() {
        let parser = cli::parser();
        for (unknown, advice) in ELSEWHERE {
            assert!(parser.find_subcommand(unknown).is_none(), "{unknown} exists");
            let error = cli::parse(["tgvault".into(), unknown.into()]).unwrap_err().to_string();
            assert!(error.contains(advice), "{error}");
        }
    }
}
