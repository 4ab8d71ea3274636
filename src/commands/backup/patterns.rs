//! What people write as a pattern and mean as a path: from the top of the machine, or from where they stand.
//!
//! A pattern begins inside the folder that is backed up. One that can only be meant as a way to something in it is understood; one
//! that could be meant either way is refused, because what it leaves out by mistake is missed too late.

use std::io;
use std::path::{Path, PathBuf};

use crate::commands::error::CommandError;
use crate::commands::units::printable;

/// A folder that is backed up, as paths lead to it.
pub(super) struct Place {
    /// Its path as it was typed and as it is without links, both absolute and without a slash at the end.
    roots: Vec<String>,
    /// Where the user stands.
    here: String,
    home: Option<String>,
}

impl Place {
    /// The folder at `path`.
    ///
    /// # Errors
    /// When this process has no working folder.
    pub fn of(path: &Path) -> Result<Self, CommandError> {
        let system = |source: io::Error| CommandError::System { what: "the working folder cannot be found", source };
        let here = std::env::current_dir().map_err(system)?;
        let text = |path: &Path| path.to_string_lossy().trim_end_matches('/').to_owned();
        let roots = [Some(here.join(path)), std::fs::canonicalize(path).ok()];
        let roots = roots.iter().flatten().map(|path| text(&plain(path))).collect();
        let home = std::env::var_os("HOME").map(|home| text(Path::new(&home))).filter(|home| !home.is_empty());
        Ok(Self { roots, here: text(&here), home })
    }

    /// The pattern that is meant.
    ///
    /// # Errors
    /// When it means the folder itself, or nothing in it, or could be meant in two ways.
    pub fn pattern(&self, written: &str) -> Result<String, CommandError> {
        let pattern = written.trim_start_matches('\u{feff}');
        let (not, rest) = pattern.strip_prefix('!').map_or(("", pattern), |rest| ("!", rest));
        let shown = printable(written);
        let from_home = rest.strip_prefix("~/").zip(self.home.as_ref()).map(|(rest, home)| format!("{home}/{rest}"));
        let absolute = from_home.as_deref().unwrap_or(rest);
        if absolute.starts_with('/') {
            return match self.below(absolute) {
                Some("") => Err(itself(&shown)),
                Some(below) => Ok(format!("{not}/{below}")),
                None if from_home.is_some() => Err(elsewhere(&shown)),
                // It begins at the top of the folder, as documented.
                None => Ok(pattern.to_owned()),
            };
        }
        let from_here = plain(Path::new(&format!("{}/{rest}", self.here)));
        let from_here = from_here.to_string_lossy();
        let below = self.below(&from_here);
        let leads_out = rest.split('/').any(|part| part == "..");
        if leads_out || rest.starts_with("./") {
            return match below {
                Some(below) if !below.is_empty() => Ok(format!("{not}/{below}")),
                Some(_) if leads_out => Err(itself(&shown)),
                None if leads_out => Err(elsewhere(&shown)),
                _ => Ok(pattern.to_owned()),
            };
        }
        // With a slash in the middle, and beginning with the folder's own name.
        let Some((first, inside)) = rest.trim_end_matches('/').split_once('/') else { return Ok(pattern.to_owned()) };
        let is_own_name = self.roots.iter().any(|root| root.rsplit('/').next() == Some(first));
        let leads_inside = below.is_some() && self.below(&self.here).is_none();
        if is_own_name || leads_inside {
            let inside = below.unwrap_or(inside);
            return Err(CommandError::usage(
                format!("the pattern '{shown}' begins with the name of the folder that is backed up, and patterns begin inside of it"),
                format!("write '{not}/{inside}' for what lies at its top, or '{not}**/{rest}' for what lies deeper"),
            ));
        }
        Ok(pattern.to_owned())
    }

    /// What of an absolute path lies below the folder; empty for the folder itself.
    fn below<'p>(&self, path: &'p str) -> Option<&'p str> {
        self.roots.iter().find_map(|root| match path.strip_prefix(root.as_str())? {
            "" => Some(""),
            rest if root.is_empty() => Some(rest.trim_matches('/')),
            rest => rest.strip_prefix('/').map(|rest| rest.trim_matches('/')),
        })
    }
}

fn itself(shown: &str) -> CommandError {
    CommandError::usage(
        format!("the pattern '{shown}' is the folder that is backed up"),
        "name what in it is to be left out, as in '/cache'",
    )
}

fn elsewhere(shown: &str) -> CommandError {
    CommandError::usage(
        format!("the pattern '{shown}' leads to nothing in the folder that is backed up"),
        "patterns begin inside of that folder: '/cache' at its top, 'cache' anywhere in it",
    )
}

/// A path without `.` and `..`, as it is typed.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for component in path.components() {
        match component {
            std::path::Component::ParentDir => {
                plain.pop();
            }
            std::path::Component::CurDir => {}
            other => plain.push(other),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(root: &str, here: &str) -> Place {
        Place { roots: vec![root.to_owned(), format!("/real{root}")], here: here.to_owned(), home: Some("/home/mara".to_owned()) }
    }

    #[test]
    fn ways_into_the_folder_are_understood() {
        let at = place("/home/mara/docs", "/home/mara");
        for (written, meant) in [
            ("/home/mara/docs/cache", "/cache"),
            ("/real/home/mara/docs/a/*.tmp", "/a/*.tmp"),
            ("!/home/mara/docs/keep/", "!/keep"),
            ("~/docs/cache", "/cache"),
            ("./docs/cache", "/cache"),
            ("../mara/docs/cache", "/cache"),
            ("\u{feff}*.tmp", "*.tmp"),
            ("./cache", "./cache"),
            ("/cache", "/cache"),
            ("cache", "cache"),
            ("docs", "docs"),
            ("a/b", "a/b"),
            ("**/docs/cache", "**/docs/cache"),
        ] {
            assert_eq!(at.pattern(written).unwrap(), meant, "{written}");
        }
        // Whoever stands in the folder writes from there.
        let inside = place("/home/mara/docs", "/home/mara/docs");
        assert_eq!(inside.pattern("a/cache").unwrap(), "a/cache");
        assert_eq!(inside.pattern("./a/cache").unwrap(), "/a/cache");
        assert_eq!(place("", "/srv").pattern("/var/cache").unwrap(), "/var/cache");
    }

    #[test]
    fn what_could_be_meant_otherwise_is_refused_with_both_ways_to_write_it() {
        let at = place("/home/mara/docs", "/home/mara");
        for bad in ["docs/cache", "!docs/cache", "/home/mara/docs", "~/docs/", "~/music", "../x", "docs/../.."] {
            let error = at.pattern(bad).unwrap_err();
            assert!(error.to_string().contains(&format!("'{bad}'")), "{error}");
        }
        assert!(place("/home/mara/docs", "/").pattern("home/mara/docs/cache").is_err());
    }
}
