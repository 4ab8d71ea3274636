//! The command line as it is typed: all commands, and how it is parsed. Each command's own options stand in its file.

use std::ffi::OsString;

use clap::builder::styling::{AnsiColor, Styles};
use clap::{ArgMatches, CommandFactory, FromArgMatches, Parser, Subcommand, ValueHint};

use super::arguments::{Global, HEADING_OF_ALL};
use super::exit::MEANINGS;
use super::{
    accounts, alert, backup, browse, cache, cat, chats, compact, completions, config, copy, coverage, demo, diff, doctor, drill, find,
    forget, init, key, login, logout, ls, man, mount, prune, recovery_sheet, repair, restore, rewrite, run, save, schedule, search, setup,
    snapshots, stats, status, unknown, unlock, verify, watch,
};

const STYLES: Styles = Styles::styled()
    .header(AnsiColor::Green.on_default().bold())
    .usage(AnsiColor::Green.on_default().bold())
    .literal(AnsiColor::Cyan.on_default().bold())
    .placeholder(AnsiColor::Cyan.on_default());

const EXAMPLES: &str = "\
Examples:
  export TGVAULT_REPO=/mnt/disk/vault       # or s3://…, gs://…, az://…
  tgvault init                              # create the vault
  tgvault login                             # log in to Telegram, then:
  tgvault backup telegram                   # back up the account
  tgvault restore latest --to ~/restored";

/// Automatic, encrypted, verifiable Telegram backups that only you can read
#[derive(Debug, Parser)]
#[command(name = "tgvault", version, styles = STYLES, after_help = EXAMPLES, after_long_help = EXAMPLES)]
#[command(subcommand_required = true, max_term_width = 100)]
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
    /// Set up automatic backups: profile, vault, first backup, schedule
    Setup(setup::Args),
    /// Create a vault and print its recovery sheet
    Init(init::Args),
    /// Log in to a Telegram account
    Login(login::Args),
    /// Log out of a Telegram account and end its session
    Logout(logout::Args),
    /// List the Telegram accounts this machine is logged in to
    Accounts(accounts::Args),
    /// List the chats of a Telegram account
    Chats(chats::Args),
    /// Forward messages of a chat to Saved Messages
    Save(save::Args),
    /// Back up a Telegram account, a Telegram Desktop export, or a folder
    Backup(backup::Args),
    /// Follow a Telegram account live: store messages, edits and deletions as they happen
    Watch(Box<watch::Args>),
    /// Back up every source of the profile into every vault of it
    Run(run::Args),
    /// Have the system start backups by itself
    Schedule(schedule::Args),
    /// Show how old the backups are, and why
    Status(status::Args),
    /// Restore a snapshot, or part of one, into a folder
    Restore(restore::Args),
    /// Look around in a snapshot with a web browser
    Browse(browse::Args),
    /// Show snapshots as folders that every program can read
    Mount(mount::Args),
    /// Print a file from a snapshot, or the messages of a chat
    Cat(cat::Args),
    /// Check that everything in the vault is present and intact
    Verify(verify::Args),
    /// Make a second copy of the vault, or bring one up to date
    Copy(copy::Args),
    /// Show and change who can read the vault, and which machines may write to it
    Key(key::Args),
    /// Print the recovery sheet of a vault again, without the passphrase
    RecoverySheet(recovery_sheet::Args),
    /// Heal a vault, from a good copy of it where one is given; deletes nothing
    Repair(repair::Args),
    /// Say which snapshots are no longer wanted
    Forget(forget::Args),
    /// Free the space of what no snapshot needs any more
    Prune(prune::Args),
    /// Put few archives in the place of many, without what no snapshot shows
    Compact(compact::Args),
    /// Take files or chats out of every snapshot, for good
    Rewrite(rewrite::Args),
    /// Remove locks that a killed run left
    // The error about the lock names it to whoever needs it.
    #[command(hide = true)]
    Unlock(unlock::Args),
    /// List snapshots
    Snapshots(snapshots::Args),
    /// List the contents of a snapshot
    Ls(ls::Args),
    /// Find files in snapshots by name
    Find(find::Args),
    /// Search messages
    Search(search::Args),
    /// Compare two snapshots
    Diff(diff::Args),
    /// Report how complete each chat in a snapshot is
    Coverage(coverage::Args),
    /// Show message counts and sizes
    Stats(stats::Args),
    /// Show the settings in effect and where each one comes from, or check the profile
    #[command(subcommand)]
    Config(config::Action),
    /// Try whether alerts arrive
    #[command(hide = true)]
    Alert(alert::Args),
    /// Check this machine, the stores, the vaults and the logins before you rely on them
    Doctor(doctor::Args),
    /// Read a random sample of every backup as a new machine would
    Drill(drill::Args),
    /// Try tgvault on sample data in a new folder
    Demo(demo::Args),
    /// Show or delete this machine's cache of vaults in buckets
    // The guide names it to whoever needs it; the list of commands is one screen.
    #[command(hide = true)]
    Cache(cache::Args),
    /// Generate shell completions
    // Packages have these two made, and the guide names them: the short help is one screen.
    #[command(hide = true)]
    Completions(completions::Args),
    /// Generate manual pages
    #[command(hide = true)]
    Man(man::Args),
}

/// The table of exit codes, for the long help.
pub fn exit_codes() -> String {
    let lines = MEANINGS.iter().map(|(exit, meaning)| format!("  {:>3}  {meaning}", exit.code()));
    format!("Exit codes:\n{}", lines.collect::<Vec<_>>().join("\n"))
}

/// What `-h` says of the options for all commands, which `--help` lists.
const GLOBAL: &str = "\
Options for all commands (listed by --help): --repo URL, -P NAME, -i FILE, -q, -v, --json,
  --no-progress, --passphrase-…, --keyring, --root-key, --state-dir, --limit-…";

/// The parser, as completions and manual pages need it too.
pub fn parser() -> clap::Command {
    let long = format!("{EXAMPLES}\n\n{}", exit_codes());
    finished(Cli::command()).after_long_help(long)
}

/// Fits a command, and all below it, for people: `-h` is one screen, and shells know which values are files.
fn finished(command: clap::Command) -> clap::Command {
    let examples = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    let command = command.mut_args(|arg| {
        let is_for_all = arg.get_help_heading() == Some(HEADING_OF_ALL);
        let arg = with_hint(arg);
        // Values of variables stay out of the help: some name places that are nobody's business in a screenshot.
        if is_for_all { arg.hide_short_help(true) } else { arg }.hide_env_values(true)
    });
    let short = if examples.is_empty() { GLOBAL.to_owned() } else { format!("{GLOBAL}\n\n{examples}") };
    command.after_long_help(examples).after_help(short).mut_subcommands(finished)
}

/// Says which values are files and folders. What is neither has no file names to offer.
fn with_hint(arg: clap::Arg) -> clap::Arg {
    if !arg.get_action().takes_values() {
        return arg;
    }
    let name = arg.get_value_names().and_then(|names| names.first()).map(ToString::to_string);
    match name.as_deref() {
        None => arg,
        Some("FILE") => arg.value_hint(ValueHint::FilePath),
        Some("DIR") => arg.value_hint(ValueHint::DirPath),
        Some("COMMAND") => arg.value_hint(ValueHint::CommandString),
        Some("PATH") if arg.get_long().is_none() => arg.value_hint(ValueHint::AnyPath),
        Some(_) => arg.value_hint(ValueHint::Other),
    }
}

/// Reads the command line and the environment.
///
/// # Errors
/// Wrong usage, and the requests for help and version, which print themselves.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<(Cli, ArgMatches), clap::Error> {
    let mut parser = parser();
    let matches = parser.try_get_matches_from_mut(arguments).map_err(unknown::with_advice)?;
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

    /// The command and all commands below it, with the words that lead to each.
    fn all(command: clap::Command, path: &str, found: &mut Vec<(String, clap::Command)>) {
        for below in command.get_subcommands().filter(|below| below.get_name() != "help") {
            all(below.clone(), &format!("{path} {}", below.get_name()), found);
        }
        found.push((path.to_owned(), command));
    }

    fn commands() -> Vec<(String, clap::Command)> {
        let (mut found, mut parser) = (Vec::new(), parser());
        parser.build();
        all(parser, "tgvault", &mut found);
        found
    }

    /// Lines of a terminal that `-h` may take.
    const SCREEN: usize = 56;

    #[test]
    fn short_help_is_one_screen_and_breaks_no_example() {
        for (path, mut command) in commands() {
            let help = command.render_help().to_string();
            assert!(help.lines().count() <= SCREEN, "{path} -h has {} lines", help.lines().count());
            assert!(!help.contains("--limit-upload <"), "{path} -h lists an option for all commands");
            for line in help.split("Examples:").skip(1).flat_map(str::lines) {
                assert!(line.chars().count() < 84, "{path} -h: {line}");
            }
        }
    }

    #[test]
    fn examples_can_be_pasted() {
        let mut tried = 0;
        for (path, command) in commands() {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            for line in help.split("Examples:").skip(1).flat_map(str::lines).map(str::trim).filter(|line| line.starts_with("tgvault")) {
                // A pipe or a file behind it is somebody else's business.
                let ours = line.split([' ']).take_while(|word| !["|", ">"].contains(word)).collect::<Vec<_>>().join(" ");
                let script = format!("tgvault() {{ printf '%s\\0' \"$@\"; }}; {ours}");
                let shell = std::process::Command::new("sh").args(["-c", &script]).output().unwrap();
                assert!(shell.status.success(), "{path}: {line}: {}", String::from_utf8_lossy(&shell.stderr));
                let words = String::from_utf8(shell.stdout).unwrap();
                let typed = std::iter::once("tgvault").chain(words.split_terminator('\0')).map(OsString::from);
                assert!(parse(typed).is_ok(), "{path}: {line}");
                tried += 1;
            }
        }
        assert!(tried > 50, "{tried} examples");
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
