//! The command line as it is typed: all commands, and how it is parsed. Each command's own options stand in its file.

use std::ffi::OsString;

use clap::builder::styling::{AnsiColor, Styles};
use clap::{ArgMatches, CommandFactory, FromArgMatches, Parser, Subcommand};

use super::arguments::Global;
use super::exit::MEANINGS;
use super::{
    accounts, backup, cat, chats, completions, config, coverage, demo, diff, find, init, login, logout, ls, man, restore, search,
    snapshots, stats, verify,
};

const STYLES: Styles = Styles::styled()
    .header(AnsiColor::Green.on_default().bold())
    .usage(AnsiColor::Green.on_default().bold())
    .literal(AnsiColor::Cyan.on_default().bold())
    .placeholder(AnsiColor::Cyan.on_default());

const EXAMPLES: &str = "\
Examples:
  tgvault demo                                      try it on sample data, in a new folder
  tgvault --repo /mnt/disk/vault init               make a vault
  tgvault login                                     log in to Telegram, then:
  tgvault --repo /mnt/disk/vault backup telegram    save the account
  tgvault --repo /mnt/disk/vault backup ~/export    save a folder, a Telegram export say
  tgvault --repo /mnt/disk/vault restore latest --to ~/restored
  tgvault --repo s3://bucket/vault snapshots        or gs://…, az://… as the store";

/// Automatic, encrypted, verifiable backups of Telegram that belong to you alone.
#[derive(Debug, Parser)]
#[command(name = "tgvault", version, styles = STYLES, after_help = EXAMPLES, after_long_help = EXAMPLES)]
#[command(subcommand_required = true, arg_required_else_help = false, disable_help_subcommand = true, max_term_width = 100)]
pub struct Cli {
    /// What all commands understand.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make a new vault and print its recovery sheet
    Init(init::Args),
    /// Log this machine in to a Telegram account
    Login(login::Args),
    /// End a login, at Telegram too
    Logout(logout::Args),
    /// List the Telegram accounts of this machine
    Accounts(accounts::Args),
    /// List the chats of a Telegram account
    Chats(chats::Args),
    /// Back up a Telegram account or a folder
    Backup(backup::Args),
    /// Restore a snapshot, or a part of it, into a folder
    Restore(restore::Args),
    /// Write one file of a snapshot, or the messages of a chat, to standard output
    Cat(cat::Args),
    /// Check that everything stored is there and unchanged
    Verify(verify::Args),
    /// Make a vault whose statements of trust are damaged usable again; overwrites and deletes nothing
    Repair,
    /// List the snapshots
    Snapshots(snapshots::Args),
    /// List what a snapshot holds
    Ls(ls::Args),
    /// Find files in snapshots by name
    Find(find::Args),
    /// Find messages by words
    Search(search::Args),
    /// Say what differs between two snapshots
    Diff(diff::Args),
    /// Say how complete the chats of a snapshot are
    Coverage(coverage::Args),
    /// Count what is stored
    Stats(stats::Args),
    /// Show the settings that hold, and where each comes from
    #[command(subcommand)]
    Config(config::Action),
    /// Try it: back up sample data into a new vault in a new folder
    Demo(demo::Args),
    /// Print completions for a shell
    Completions(completions::Args),
    /// Print the manual page, or write the pages of all commands into a folder
    Man(man::Args),
}

/// The table of exit codes, for the long help.
pub fn exit_codes() -> String {
    let lines = MEANINGS.iter().map(|(exit, meaning)| format!("  {:>3}  {meaning}", exit.code()));
    format!("Exit codes:\n{}", lines.collect::<Vec<_>>().join("\n"))
}

/// The parser, as completions and manual pages need it too.
pub fn parser() -> clap::Command {
    let long = format!("{EXAMPLES}\n\n{}", exit_codes());
    // Values of variables stay out of the help: some name places that are nobody's business in a screenshot.
    fn hide(command: clap::Command) -> clap::Command {
        command.mut_args(|arg| arg.hide_env_values(true)).mut_subcommands(hide)
    }
    hide(Cli::command().after_long_help(long))
}

/// Reads the command line and the environment.
///
/// # Errors
/// Wrong usage, and the requests for help and version, which print themselves.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<(Cli, ArgMatches), clap::Error> {
    let mut parser = parser();
    let matches = parser.try_get_matches_from_mut(arguments)?;
    let cli = Cli::from_arg_matches(&matches).map_err(|error| error.format(&mut parser))?;
    Ok((cli, matches))
}

/// Whether a command line that cannot be read asks for JSON lines, as far as can be told; `variable` is `TGVAULT_JSON`.
pub fn wants_json(arguments: impl IntoIterator<Item = OsString>, variable: Option<OsString>) -> bool {
    const NO: [&str; 7] = ["", "0", "f", "false", "n", "no", "off"];
    let variable = variable.is_some_and(|value| !value.to_str().is_some_and(|value| NO.contains(&value.to_lowercase().as_str())));
    variable || arguments.into_iter().take_while(|word| word != "--").any(|word| word == "--json")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<OsString> {
        line.split(' ').map(OsString::from).collect()
    }

    #[test]
    fn the_definition_is_sound() {
        parser().debug_assert();
    }

    #[test]
    fn options_for_all_commands_may_stand_before_and_after_the_command() {
        for line in ["tgvault --repo /v --json snapshots", "tgvault snapshots --repo /v --json"] {
            let (cli, _) = parse(words(line)).unwrap();
            assert_eq!(cli.global.repo.as_deref(), Some("/v"));
            assert!(cli.global.json);
        }
    }

    #[test]
    fn a_folder_may_be_backed_up_with_and_without_its_kind() {
        for line in ["backup --tag t x --exclude a", "backup folder x --tag t --exclude a", "backup --tag t folder x --exclude a"] {
            let (cli, _) = parse(words(&format!("tgvault {line}"))).unwrap();
            let Command::Backup(args) = cli.command else { panic!("{line}") };
            assert_eq!(args.common.tags, ["t"], "{line}");
            let folder = match args.kind {
                Some(backup::Kind::Folder(folder)) => folder,
                Some(other) => panic!("{line}: {other:?}"),
                None => args.folder,
            };
            assert_eq!((folder.path, folder.exclude), (Some("x".into()), vec!["a".to_owned()]), "{line}");
        }
    }

    #[test]
    fn ids_of_groups_are_taken_as_telegram_writes_them() {
        for option in ["--chat", "--exclude-chat"] {
            assert!(parse(words(&format!("tgvault backup telegram {option} -1001500000001"))).is_ok(), "{option}");
        }
    }

    #[test]
    fn every_option_that_is_a_setting_has_its_variable() {
        for arg in Cli::command().get_arguments().filter(|arg| !["help", "version", "verbose"].contains(&arg.get_id().as_str())) {
            let long = arg.get_long().expect("settings have long names").replace('-', "_").to_uppercase();
            assert_eq!(arg.get_env().and_then(|name| name.to_str()), Some(format!("TGVAULT_{long}").as_str()));
        }
    }
}
