//! `tgvault completions`: what a shell needs to complete our command lines.
//!
//! The scripts are made from the definition of the command line. For the ids of snapshots they ask the program, which says those that
//! this machine has seen: no store is asked, and no key.

use clap_complete::Shell;

use super::context::Context;
use super::error::CommandError;
use super::exit::Exit;
use super::output::Output;
use super::units;
use crate::model::digest::Id;
use crate::state::Heads;

const EXAMPLES: &str = "\
Examples:
  tgvault completions bash > ~/.local/share/bash-completion/completions/tgvault
  tgvault completions fish > ~/.config/fish/completions/tgvault.fish
  tgvault completions zsh > ~/.zfunc/_tgvault     # with ~/.zfunc in $fpath";

/// Options of `completions`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The shell
    #[arg(required_unless_present = "snapshots")]
    pub shell: Option<Shell>,

    /// Print the snapshots that this machine knows, for the scripts
    #[arg(long, hide = true, conflicts_with = "shell")]
    pub snapshots: bool,
}

/// For bash: ids where a command wants a snapshot.
const BASH: &str = r#"
_tgvault_and_snapshots() {
    _tgvault "$@"
    local current=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} word wants=
    for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
        case $word in restore | cat | ls | diff | verify) wants=1 ;; esac
    done
    if [[ $before == --snapshot || ($current != -* && $before != -* && -n $wants) ]]; then
        COMPREPLY+=($(compgen -W "latest $("${COMP_WORDS[0]}" completions --snapshots 2>/dev/null)" -- "$current"))
    fi
}
complete -F _tgvault_and_snapshots -o bashdefault -o default tgvault
"#;

/// For fish.
const FISH: &str = r#"
complete -c tgvault -n "__fish_seen_subcommand_from restore cat ls diff verify" -f -a "latest (tgvault completions --snapshots 2>/dev/null)"
complete -c tgvault -n "__fish_seen_subcommand_from find search coverage stats" -l snapshot -x -a "latest (tgvault completions --snapshots 2>/dev/null)"
"#;

/// For zsh, in the place of the values that it knows nothing of.
const ZSH: &str = r#"
_tgvault_snapshots() {
    local -a known
    known=(latest ${(f)"$(tgvault completions --snapshots 2>/dev/null)"})
    compadd -a known
}
"#;

/// Prints the completions for what `parser` reads.
///
/// # Errors
/// When standard output cannot be written.
pub fn run(shell: Shell, mut parser: clap::Command, output: &Output) -> Result<Exit, CommandError> {
    output.text(&script(shell, &mut parser))?;
    Ok(Exit::Done)
}

/// The script for a shell.
fn script(shell: Shell, parser: &mut clap::Command) -> String {
    let mut script = Vec::new();
    clap_complete::generate(shell, parser, "tgvault", &mut script);
    let text = String::from_utf8_lossy(&script);
    let mut hidden = Vec::new();
    add_hidden(parser, &mut hidden);
    with_snapshots(shell, &hidden.iter().fold(text.into_owned(), |text, option| without(shell, &text, option)))
}

/// The script without an option: the generator knows nothing of hidden ones.
fn without(shell: Shell, text: &str, option: &str) -> String {
    let is_of = |line: &str| match shell {
        Shell::Zsh => ["'--", "'*--"].iter().any(|begin| {
            line.strip_prefix(begin).and_then(|rest| rest.strip_prefix(option)).is_some_and(|rest| rest.starts_with(['=', '[']))
        }),
        Shell::Fish => format!("{line} ").contains(&format!(" -l {option} ")),
        _ => false,
    };
    match shell {
        Shell::Bash => text.replace(&format!(" --{option} "), " "),
        _ => text.lines().filter(|line| !is_of(line)).flat_map(|line| [line, "\n"]).collect(),
    }
}

/// The names of the options that no help shows, of a command and those below it.
fn add_hidden(command: &clap::Command, hidden: &mut Vec<String>) {
    hidden.extend(command.get_arguments().filter(|arg| arg.is_hide_set()).filter_map(|arg| arg.get_long()).map(str::to_owned));
    command.get_subcommands().for_each(|below| add_hidden(below, hidden));
}

/// The script with what offers snapshots.
fn with_snapshots(shell: Shell, script: &str) -> String {
    match shell {
        Shell::Bash => format!("{script}{BASH}"),
        Shell::Fish => format!("{script}{FISH}"),
        Shell::Zsh => {
            // A value of which zsh knows nothing ends so; those of snapshots say of their digits.
            let named = |line: &str| line.contains("first digits of") && line.ends_with(":' \\");
            let lines = script.lines().map(|line| {
                let line = if named(line) { line.replace(":' \\", ":_tgvault_snapshots' \\") } else { line.to_owned() };
                // Functions come before what calls them.
                if line.starts_with("_tgvault() {") { format!("{ZSH}\n{line}\n") } else { format!("{line}\n") }
            });
            lines.collect()
        }
        _ => script.to_owned(),
    }
}

/// Prints the first digits of the snapshots that this machine has seen, the last one of each chain.
///
/// # Errors
/// When the state cannot be opened, or standard output cannot be written.
pub fn snapshots(context: &Context) -> Result<Exit, CommandError> {
    let state = context.state()?;
    let folders = std::fs::read_dir(state.path()).map(|entries| entries.flatten().collect::<Vec<_>>()).unwrap_or_default();
    let vaults = folders.iter().filter_map(|folder| folder.file_name().to_str()?.parse::<Id>().ok());
    let mut known: Vec<String> = Vec::new();
    // What cannot be read is no reason to complete nothing.
    for heads in vaults.filter_map(|id| Heads::read(&state.repository(id).ok()?).ok()) {
        known.extend(heads.iter().map(|(_, head)| head.stem.clone()));
    }
    // The newest first: the names begin with the time.
    known.sort_unstable_by(|one, other| other.cmp(one));
    for stem in &known {
        let id = stem.rsplit_once('-').map_or(stem.as_str(), |(_, id)| id);
        context.output.line(units::short_id(id))?;
    }
    Ok(Exit::Done)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::cli;

    #[test]
    fn scripts_ask_for_snapshots_where_one_is_wanted() {
        let script = |shell| script(shell, &mut cli::parser());
        for shell in [Shell::Bash, Shell::Fish, Shell::Zsh] {
            let script = script(shell);
            assert!(script.contains("completions --snapshots"), "{shell}");
            let offers =
                |option: &str| [" --{} ", "'--{}=", "'--{}[", " -l {} "].iter().any(|form| script.contains(&form.replace("{}", option)));
            assert!(!offers("lanes") && !offers("timings") && offers("keyring"), "{shell} offers what is hidden, or not what is shown");
        }
        assert!(script(Shell::Zsh).matches(":_tgvault_snapshots'").count() > 5);
    }
}
