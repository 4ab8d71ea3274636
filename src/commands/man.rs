//! `tgvault man`: manual pages, made from the same definition as `--help`.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap_mangen::Man;

use super::error::CommandError;
use super::exit::{Exit, MEANINGS};
use super::output::Output;

const EXAMPLES: &str = "\
Examples:
  tgvault man | man -l -
  tgvault man ~/.local/share/man/man1       # then: man tgvault-backup";

/// Options of `man`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Write the pages of all commands to this folder instead of printing the main page
    pub dir: Option<PathBuf>,
}

/// The pages' further sections, which the definition of the command line does not tell.
const FILES: &[(&str, &str)] = &[
    ("~/.config/tgvault/default.toml", "The profile that is read unless another one is chosen."),
    ("~/.config/tgvault/NAME.toml, /etc/tgvault/NAME.toml", "The profile NAME of the option -P."),
    ("~/.local/state/tgvault", "The encrypted state of this machine: keys, journals, logins."),
];

/// Prints or writes the pages of what `parser` reads.
///
/// # Errors
/// When they cannot be written.
pub fn run(args: &Args, mut parser: clap::Command, output: &Output) -> Result<Exit, CommandError> {
    parser.build();
    match &args.dir {
        None => {
            let page = page(&parser, None).map_err(CommandError::Output)?;
            output.text(&String::from_utf8_lossy(&page))?;
        }
        Some(dir) => {
            std::fs::create_dir_all(dir).map_err(|source| CommandError::file("write", dir, source))?;
            write_all(&parser, None, dir)?;
            output.say(&format!("wrote the manual pages to {}", dir.display()));
        }
    }
    Ok(Exit::Done)
}

/// Writes the page of a command and those of the commands below it.
fn write_all(command: &clap::Command, above: Option<&str>, dir: &Path) -> Result<(), CommandError> {
    let name = above.map_or_else(|| command.get_name().to_owned(), |above| format!("{above}-{}", command.get_name()));
    let path = dir.join(format!("{name}.1"));
    let text = page(command, above).map_err(CommandError::Output)?;
    std::fs::write(&path, text).map_err(|source| CommandError::file("write", &path, source))?;
    let below = command.get_subcommands().filter(|below| !below.is_hide_set() && below.get_name() != "help");
    below.into_iter().try_for_each(|below| write_all(below, Some(&name), dir))
}

/// One page: what the definition tells, then examples, variables, files, exit codes and related pages.
fn page(command: &clap::Command, above: Option<&str>) -> io::Result<Vec<u8>> {
    let name = above.map_or_else(|| command.get_name().to_owned(), |above| format!("{above}-{}", command.get_name()));
    let help = command.get_after_long_help().map(ToString::to_string).unwrap_or_default();
    let examples = help.split("\n\nExit codes:").next().unwrap_or_default().trim_start_matches("Examples:\n");
    // What the short help leaves out belongs here all the same.
    let command = command.clone().display_name(name.clone()).mut_args(|arg| arg.hide_short_help(false));
    let has_commands = command.has_subcommands();
    let names: Vec<String> = command.get_subcommands().map(|below| format!("{name}-{}", below.get_name())).collect();
    let variables: Vec<(String, String)> = command
        .get_arguments()
        .filter(|arg| !arg.is_hide_set())
        .filter_map(|arg| Some((arg.get_env()?.to_str()?.to_owned(), format!("The same as --{}.", arg.get_long()?))))
        .collect();
    let man = Man::new(command);
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    if has_commands {
        man.render_subcommands_section(&mut page)?;
    }
    if !examples.is_empty() {
        writeln!(page, ".SH EXAMPLES\n.nf")?;
        examples.lines().try_for_each(|line| writeln!(page, "{}", escaped(line)))?;
        writeln!(page, ".fi")?;
    }
    list(&mut page, "ENVIRONMENT", variables.iter().map(|(name, what)| (name.clone(), what.clone())))?;
    list(&mut page, "FILES", FILES.iter().map(|(path, what)| ((*path).to_owned(), (*what).to_owned())))?;
    list(&mut page, "EXIT STATUS", MEANINGS.iter().map(|(exit, meaning)| (exit.code().to_string(), (*meaning).to_owned())))?;
    let related = above.map(str::to_owned).into_iter().chain(names.into_iter().filter(|name| !name.ends_with("-help")));
    let related: Vec<String> = related.chain(["age".to_owned()]).map(|name| format!(".BR {} (1)", escaped(&name))).collect();
    writeln!(page, ".SH \"SEE ALSO\"\n{}", related.join(" ,\n"))?;
    Ok(page)
}

/// A section of terms with what each means.
fn list(page: &mut Vec<u8>, heading: &str, items: impl Iterator<Item = (String, String)>) -> io::Result<()> {
    let mut items = items.peekable();
    if items.peek().is_some() {
        writeln!(page, ".SH \"{heading}\"")?;
    }
    items.try_for_each(|(term, what)| writeln!(page, ".TP\n\\fB{}\\fR\n{}", escaped(&term), escaped(&what)))
}

/// Text as roff takes it: backslashes and hyphens as they are, and no line that begins a request.
fn escaped(text: &str) -> String {
    let text = text.replace('\\', "\\e").replace('-', "\\-");
    if text.starts_with(['.', '\'']) { format!("\\&{text}") } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::cli;

    #[test]
    fn pages_have_the_sections_that_people_look_for() {
        let mut parser = cli::parser();
        parser.build();
        let main = String::from_utf8(page(&parser, None).unwrap()).unwrap();
        for section in ["NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "EXAMPLES", "ENVIRONMENT", "FILES", "EXIT STATUS", "SEE ALSO"] {
            assert!(main.lines().any(|line| line == format!(".SH {section}") || line == format!(".SH \"{section}\"")), "{section}: {main}");
        }
        assert!(main.contains("Accept only a vault signed by this root key"), "{main}");
        assert!(main.contains("tgvault\\-backup") && main.contains("TGVAULT_REPO"), "{main}");
        let folder = tempfile::tempdir().unwrap();
        write_all(&parser, None, folder.path()).unwrap();
        let backup = std::fs::read_to_string(folder.path().join("tgvault-backup-telegram.1")).unwrap();
        assert!(!backup.contains("lanes"), "a hidden option: {backup}");
        // Options stand in the order of the help.
        let at = |option: &str| backup.find(option).unwrap_or_else(|| panic!("{option}: {backup}"));
        assert!(at("\\-\\-chats") < at("\\-\\-media") && at("\\-\\-media") < at("\\-\\-takeout"), "{backup}");
    }
}
