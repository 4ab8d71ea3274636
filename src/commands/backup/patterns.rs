//! What people write as a pattern and mean as a path: from the top of the machine, or from where they stand.
//!
//! A pattern begins inside the folder that is backed up. One that can only be meant as a way to something in it is understood; one
//! that could be meant either way is refused, because what it leaves out by mistake is missed too late.

use std::borrow::Cow;
use std::io;
use std::path::{Path, PathBuf};

use percent_encoding::percent_decode_str;
use unicode_normalization::UnicodeNormalization;

use crate::commands::error::CommandError;
use crate::commands::units::printable;
use crate::model::filter::has_wildcard;

/// A folder that is backed up, as paths lead to it.
pub(super) struct Place {
    /// Its path as it was typed and as it is without links, both absolute, composed (NFC) and without a slash at the end.
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
        let roots = roots.iter().flatten().map(|path| text(&plain(path)).nfc().collect()).collect();
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
        if let Some(path) = of_url(rest) {
            // A URL says which path it is: there is no second way to read it.
            let below = path.ok().filter(|path| path.starts_with('/')).and_then(|path| Some((self.inside(&path)?, path.contains('*'))));
            return match below {
                Some((below, _)) if below.is_empty() => Err(itself(&shown)),
                Some((below, true)) => Ok(format!("{not}/{below}")),
                Some((below, false)) => Ok(format!("{not}/{}", escaped(&below))),
                None => Err(elsewhere(&shown)),
            };
        }
        let from_home = rest.strip_prefix("~/").zip(self.home.as_ref()).map(|(rest, home)| format!("{home}/{rest}"));
        let absolute = from_home.as_deref().unwrap_or(rest);
        if absolute.starts_with('/') {
            let is_at_top = from_home.is_none() && self.below(absolute).is_none() && self.has(absolute);
            return match self.inside(absolute).filter(|_| !is_at_top) {
                Some(below) if below.is_empty() => Err(itself(&shown)),
                Some(below) => Ok(format!("{not}/{below}")),
                None if from_home.is_some() => Err(elsewhere(&shown)),
                // It begins at the top of the folder, as documented.
                None => Ok(pattern.to_owned()),
            };
        }
        let below = self.inside(&format!("{}/{rest}", self.here));
        let leads_out = rest.split('/').any(|part| part == "..");
        if leads_out || rest.starts_with("./") {
            let first = rest.split('/').find(|part| !matches!(*part, "" | ".")).unwrap_or_default();
            let is_from_top = self.has(first) || !Path::new(&self.here).join(first).exists();
            return match below {
                Some(below) if !below.is_empty() => Ok(format!("{not}/{below}")),
                Some(_) if leads_out => Err(itself(&shown)),
                None if leads_out && !(stays_inside(rest) && is_from_top) => Err(elsewhere(&shown)),
                _ => Ok(pattern.to_owned()),
            };
        }
        // With a slash in the middle, and beginning with the folder's own name.
        let Some((first, inside)) = rest.trim_end_matches('/').split_once('/') else { return Ok(pattern.to_owned()) };
        let is_own_name = self.roots.iter().any(|root| root.rsplit('/').next() == Some(first));
        let leads_inside = below.is_some() && self.below(&self.here).is_none();
        if is_own_name || leads_inside {
            let inside = below.as_deref().unwrap_or(inside);
            return Err(CommandError::usage(
                format!("the pattern '{shown}' begins with the name of the folder that is backed up, and patterns begin inside of it"),
                format!("write '{not}/{inside}' for what lies at its top, or '{not}**/{rest}' for what lies deeper"),
            ));
        }
        Ok(pattern.to_owned())
    }

    /// What of an absolute path lies below the folder, links on the way followed; empty for the folder itself.
    fn inside(&self, path: &str) -> Option<String> {
        let path: String = lexical(path).nfc().collect();
        self.below(&path).map(str::to_owned).or_else(|| self.through_links(&path))
    }

    /// What of an absolute path lies below the folder as it is written; empty for the folder itself.
    fn below<'p>(&self, path: &'p str) -> Option<&'p str> {
        self.roots.iter().find_map(|root| match path.strip_prefix(root.as_str())? {
            "" => Some(""),
            rest if root.is_empty() => Some(rest.trim_matches('/')),
            rest => rest.strip_prefix('/').map(|rest| rest.trim_matches('/')),
        })
    }

    /// The same where links lead there. The last name may be a link that is itself meant, so it is followed only where it alone leads
    /// into the folder.
    fn through_links(&self, path: &str) -> Option<String> {
        let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
        let literal = parts.iter().take_while(|part| !has_wildcard(part)).count();
        let resolved = |length: usize| {
            let (known, rest) = parts.split_at_checked(length)?;
            let found: String = std::fs::canonicalize(format!("/{}", known.join("/"))).ok()?.to_str()?.nfc().collect();
            Some(self.below(&found).map(|below| match (below, rest) {
                (below, []) => escaped(below),
                ("", rest) => rest.join("/"),
                (below, rest) => format!("{}/{}", escaped(below), rest.join("/")),
            }))
        };
        let above = literal.min(parts.len().saturating_sub(1));
        let folder = (1..=above).rev().find_map(resolved).flatten();
        folder.or_else(|| resolved(parts.len()).filter(|_| literal == parts.len()).flatten())
    }

    /// Whether the folder has what a path inside it says, as far as that has no wildcards.
    fn has(&self, path: &str) -> bool {
        let names: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).take_while(|part| !has_wildcard(part)).collect();
        let path = names.join("/");
        !path.is_empty() && self.roots.iter().any(|root| Path::new(&format!("{root}/{path}")).symlink_metadata().is_ok())
    }
}

/// The path that a `file:` URL names, if it is one; the error is a URL that cannot be read as a path.
fn of_url(text: &str) -> Option<Result<String, ()>> {
    let (scheme, rest) = text.split_once(':')?;
    if !scheme.eq_ignore_ascii_case("file") || !rest.starts_with('/') {
        return None;
    }
    let path = rest.strip_prefix("//").map_or(rest, |rest| rest.strip_prefix("localhost").unwrap_or(rest));
    // Of a pattern in a URL nobody could say which of its characters are meant to be special.
    if path.contains('*') && path.contains('%') {
        return Some(Err(()));
    }
    Some(percent_decode_str(path).decode_utf8().map(Cow::into_owned).map_err(|_| ()))
}

/// A path as a pattern that means it and nothing else.
fn escaped(path: &str) -> String {
    path.chars().flat_map(|char| has_wildcard(char.encode_utf8(&mut [0; 4])).then_some('\\').into_iter().chain([char])).collect()
}

/// Whether a path with `..` never leads above where it begins.
fn stays_inside(path: &str) -> bool {
    let mut depth = 0_u32;
    path.split('/').all(|part| match part {
        "" | "." => true,
        ".." => depth.checked_sub(1).map(|above| depth = above).is_some(),
        _ => {
            depth += 1;
            true
        }
    })
}

/// An absolute path without `.` and `..`, as it is typed. What a wildcard stands for has no folder above it that could be named.
fn lexical(path: &str) -> Cow<'_, str> {
    let mut is_wild = path.split('/').scan(false, |wild, part| {
        *wild |= has_wildcard(part);
        Some(*wild && part == "..")
    });
    if is_wild.any(|wild| wild) {
        return Cow::Borrowed(path);
    }
    Cow::Owned(plain(Path::new(path)).to_string_lossy().into_owned())
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
            ("a/../b", "a/../b"),
            ("/home/mara/docs/a/../b", "/b"),
            ("/home/mara/music/../docs/b", "/b"),
            ("file:///home/mara/docs/a%20b%5B1%5D", "/a b\\[1]"),
            ("file://localhost/home/mara/docs/*.tmp", "/*.tmp"),
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
        for bad in [
            "docs/cache",
            "!docs/cache",
            "/home/mara/docs",
            "~/docs/",
            "~/music",
            "../x",
            "docs/../..",
            "file:///home/mara/x",
            "file://server/x",
        ] {
            let error = at.pattern(bad).unwrap_err();
            assert!(error.to_string().contains(&format!("'{bad}'")), "{error}");
        }
        assert!(place("/home/mara/docs", "/").pattern("home/mara/docs/cache").is_err());
    }
}
