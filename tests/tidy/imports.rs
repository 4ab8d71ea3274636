//! Which file of a crate uses what of which other: paths of the code, resolved through the modules as the compiler does it.

use std::collections::{BTreeMap, BTreeSet};

/// The modules of a crate: the file of each, what its `use` lines bind, and every path in its code.
pub struct Imports {
    modules: BTreeMap<Vec<String>, Module>,
}

struct Module {
    file: String,
    /// Name to the path that it stands for.
    bound: BTreeMap<String, Vec<String>>,
    globs: Vec<Vec<String>>,
    paths: BTreeSet<Vec<String>>,
}

impl Imports {
    /// Of the files of one crate, with their code.
    pub fn of(sources: &[(String, String)]) -> Self {
        let modules = sources.iter().map(|(file, code)| (module_of(file), Module::read(file, code))).collect();
        Self { modules }
    }

    /// For each file the files that it uses something of.
    pub fn by_file(&self) -> BTreeMap<&str, BTreeSet<&str>> {
        let mut used: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for (at, module) in &self.modules {
            let of = used.entry(&module.file).or_default();
            let named = module.paths.iter().chain(module.bound.values()).chain(&module.globs);
            of.extend(
                named.filter_map(|path| self.resolve(at, path, 0)).map(|file| file.file.as_str()).filter(|file| *file != module.file),
            );
        }
        used
    }

    /// The module that holds what `path` names in module `at`.
    fn resolve(&self, at: &[String], path: &[String], depth: usize) -> Option<&Module> {
        // Names that stand for each other would never end.
        if depth > 16 {
            return None;
        }
        let mut rest = path;
        let mut now: Vec<String> = match path.first()?.as_str() {
            "crate" => {
                rest = &path[1..];
                Vec::new()
            }
            "self" => {
                rest = &path[1..];
                at.to_vec()
            }
            "super" => {
                let ups = path.iter().take_while(|word| *word == "super").count();
                rest = &path[ups..];
                at.get(..at.len().checked_sub(ups)?)?.to_vec()
            }
            first => {
                // A name of the module's own: one of its children, or something that a line of `use` binds.
                let module = self.modules.get(at)?;
                let child = [at, &[first.to_owned()]].concat();
                if !self.modules.contains_key(&child) && !module.bound.contains_key(first) {
                    return None;
                }
                at.to_vec()
            }
        };
        while let Some(word) = rest.first() {
            let child = [now.as_slice(), std::slice::from_ref(word)].concat();
            if self.modules.contains_key(&child) {
                now = child;
                rest = &rest[1..];
                continue;
            }
            let module = self.modules.get(&now)?;
            return match module.bound.get(word) {
                // Another crate of ours, which Cargo keeps from coming back here.
                Some(bound) if bound.first().is_some_and(|name| name.starts_with("tgvault_")) => None,
                Some(bound) if bound != path => {
                    let whole = [bound.as_slice(), &rest[1..]].concat();
                    // What is not of this crate is no file of it, whatever name it goes by here.
                    self.resolve(&now, &whole, depth + 1)
                }
                _ => Some(module),
            };
        }
        self.modules.get(&now)
    }
}

/// The file of the module that a file is a direct part of.
fn parent(file: &str) -> Option<String> {
    let (folder, name) = file.rsplit_once('/')?;
    if name == "mod.rs" { Some(format!("{}/mod.rs", folder.rsplit_once('/')?.0)) } else { Some(format!("{folder}/mod.rs")) }
}

/// Groups of files that use each other in a circle, each sorted. A part of a module may use what the module's own file has for its
/// parts: those two are one thing.
pub fn circles(used: &BTreeMap<&str, BTreeSet<&str>>) -> Vec<Vec<String>> {
    let others = |file: &str| {
        let parent = parent(file);
        used.get(file).into_iter().flatten().copied().filter(move |other| parent.as_deref() != Some(*other))
    };
    let reach = |from: &str| {
        let mut reached: BTreeSet<String> = BTreeSet::new();
        let mut next: Vec<&str> = others(from).collect();
        while let Some(file) = next.pop() {
            if reached.insert(file.to_owned()) {
                next.extend(others(file));
            }
        }
        reached
    };
    let reached: BTreeMap<&str, BTreeSet<String>> = used.keys().map(|file| (*file, reach(file))).collect();
    let mut found: BTreeSet<Vec<String>> = BTreeSet::new();
    for (file, others) in reached.iter().filter(|(file, others)| others.contains(**file)) {
        let together = |other: &&String| reached.get(other.as_str()).is_some_and(|back| back.contains(*file));
        found.insert(others.iter().filter(together).cloned().collect());
    }
    found.into_iter().collect()
}

/// The path of the module in a file.
fn module_of(file: &str) -> Vec<String> {
    let inside = crate::inside(file).trim_end_matches(".rs");
    let mut words: Vec<String> = inside.split('/').map(str::to_owned).collect();
    if words.last().is_some_and(|last| ["mod", "lib"].contains(&last.as_str())) {
        words.pop();
    }
    words
}

impl Module {
    fn read(file: &str, code: &str) -> Self {
        let mut this = Self { file: file.to_owned(), bound: BTreeMap::new(), globs: Vec::new(), paths: BTreeSet::new() };
        let mut rest = code;
        let mut plain = String::new();
        while let Some(at) = next_use(rest) {
            let (before, line) = rest.split_at(at);
            let (tree, after) = line.split_once(';').unwrap_or((line, ""));
            plain.push_str(before);
            this.read_tree(&mut Vec::new(), tree.trim_start().trim_start_matches("use ").trim());
            rest = after;
        }
        plain.push_str(rest);
        for start in ["crate::", "super::", "self::"] {
            for (at, _) in plain.match_indices(start) {
                let before = plain[..at].chars().next_back().unwrap_or(' ');
                // `pub(in crate::a)` says who may use something, and uses nothing.
                if before.is_alphanumeric() || "_:$\"".contains(before) || plain[..at].ends_with("(in ") {
                    continue;
                }
                let end = plain[at..].find(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':')).map_or(plain.len(), |end| at + end);
                let words = plain[at..end].split("::").filter(|word| !word.is_empty()).map(str::to_owned);
                this.paths.insert(words.collect());
            }
        }
        this
    }

    /// Takes a tree of `use` in: `a::b::{c, d as e}`.
    fn read_tree(&mut self, above: &mut Vec<String>, tree: &str) {
        let depth = above.len();
        let (path, group) = match tree.split_once('{') {
            Some((path, group)) => (path, group.rsplit_once('}').map(|(inner, _)| inner)),
            None => (tree, None),
        };
        let (path, name) = path.split_once(" as ").map_or((path, None), |(path, name)| (path, Some(name.trim())));
        above.extend(path.split("::").map(str::trim).filter(|word| !word.is_empty()).map(str::to_owned));
        match group {
            Some(inner) => split_outside(inner).into_iter().for_each(|tree| self.read_tree(above, tree.trim())),
            None if above.last().is_some_and(|last| last == "*") => self.globs.push(above[..above.len() - 1].to_vec()),
            None => {
                // `a::{self}` binds `a`.
                let is_self = above.len() > 1 && above.last().is_some_and(|last| last == "self");
                let path = if is_self { above[..above.len() - 1].to_vec() } else { above.clone() };
                if let Some(last) = path.last() {
                    let name = name.unwrap_or(last).to_owned();
                    self.paths.insert(path.clone());
                    self.bound.insert(name, path);
                }
            }
        }
        above.truncate(depth);
    }
}

/// Where the next line of `use` begins.
fn next_use(code: &str) -> Option<usize> {
    code.match_indices("use ").map(|(at, _)| at).find(|&at| {
        let line = code[..at].rsplit('\n').next().unwrap_or_default().trim();
        line.is_empty() || line == "pub" || (line.starts_with("pub(") && line.ends_with(')'))
    })
}

/// Cuts at the commas that are in no inner braces.
fn split_outside(text: &str) -> Vec<&str> {
    let (mut depth, mut from, mut found) = (0, 0, Vec::new());
    for (at, character) in text.char_indices() {
        match character {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                found.push(&text[from..at]);
                from = at + 1;
            }
            _ => {}
        }
    }
    found.push(&text[from..]);
    found.into_iter().filter(|part| !part.trim().is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sources(files: &[(&str, &str)]) -> Vec<(String, String)> {
        files.iter().map(|(file, code)| (format!("src/{file}"), (*code).to_owned())).collect()
    }

    #[test]
    fn paths_lead_through_names_that_a_module_passes_on() {
        let sources = sources(&[
            ("lib.rs", "pub mod a;\npub mod b;\n"),
            ("a/mod.rs", "mod one;\nmod two;\npub use one::{One, inner::{self, Deep as D}};\nuse two::Two;\n"),
            ("a/one.rs", "use super::Two;\npub struct One;\n"),
            ("a/two.rs", "pub struct Two;\nfn f() { let _ = crate::b::f(); }\n"),
            ("b.rs", "use crate::a::One;\nfn f() -> super::a::Two { std::fs::read(\"x\") }\n"),
        ]);
        let imports = Imports::of(&sources);
        let used = imports.by_file();
        let of = |file: &str| used[file].iter().copied().collect::<Vec<_>>();
        assert_eq!(of("src/a/one.rs"), ["src/a/two.rs"]);
        assert_eq!(of("src/a/two.rs"), ["src/b.rs"]);
        assert_eq!(of("src/b.rs"), ["src/a/one.rs", "src/a/two.rs"]);
        assert_eq!(of("src/lib.rs"), [] as [&str; 0]);
        assert_eq!(circles(&used), [["src/a/one.rs", "src/a/two.rs", "src/b.rs"].map(str::to_owned).to_vec()]);
    }

    #[test]
    fn a_module_and_its_part_are_no_circle() {
        let sources = sources(&[
            ("a/mod.rs", "mod one;\npub struct Whole;\nuse one::Part;\n"),
            ("a/one.rs", "use super::Whole;\npub(in crate::b) struct Part;\n"),
            ("b.rs", "use crate::a::Whole;\n"),
        ]);
        let imports = Imports::of(&sources);
        let used = imports.by_file();
        assert_eq!(used["src/a/one.rs"].iter().copied().collect::<Vec<_>>(), ["src/a/mod.rs"]);
        assert_eq!(circles(&used), [] as [Vec<String>; 0]);
    }

    #[test]
    fn what_comes_from_another_crate_ties_nothing_together() {
        let sources =
            sources(&[("lib.rs", "pub use other::far;\nmod a;\npub use a::A;\n"), ("a.rs", "use crate::far::Far;\npub struct A;\n")]);
        let imports = Imports::of(&sources);
        assert_eq!(imports.by_file()["src/a.rs"].len(), 0);
        assert_eq!(circles(&imports.by_file()), [] as [Vec<String>; 0]);
    }

    #[test]
    fn trees_of_use_are_read_to_their_leaves() {
        let code = "use crate::{a::{b, c::*}, d as e};\nfn f() {}\npub(super) use self::g;\nconst S: &str = \"use x;\";\n";
        let module = Module::read("src/x.rs", code);
        let path = |text: &str| text.split("::").map(str::to_owned).collect::<Vec<_>>();
        let bound: Vec<_> = module.bound.iter().map(|(name, path)| (name.as_str(), path.join("::"))).collect();
        assert_eq!(bound, [("b", "crate::a::b".to_owned()), ("e", "crate::d".to_owned()), ("g", "self::g".to_owned())]);
        assert_eq!(module.globs, [path("crate::a::c")]);
    }
}
