//! Who uses whom: the tables of docs/architecture.md hold, and say no more than is true.

use std::collections::{BTreeMap, BTreeSet};

use crate::imports::{Imports, circles};
use crate::{crates, dependencies, fail_if_any, files, inside, list, ours, read, root, sources, table};

const PAGE: &str = "docs/architecture.md";

/// The module that a file belongs to: `src/archive/mod.rs` of whatever crate to `archive`, `src/main.rs` to `main.rs`.
fn module(path: &str) -> &str {
    inside(path).split('/').next().unwrap()
}

/// The files of one crate, with their code.
fn sources_of(folder: &str) -> Vec<(String, String)> {
    sources().into_iter().filter(|(path, _)| path.starts_with(&format!("{folder}src/"))).collect()
}

/// The words that follow `crate::` and name modules.
fn used_modules(code: &str) -> BTreeSet<String> {
    let mut used = BTreeSet::new();
    for (at, _) in code.match_indices("crate::") {
        if code[..at].ends_with('$') {
            continue;
        }
        let rest = &code[at + "crate::".len()..];
        if let Some(group) = rest.strip_prefix('{') {
            let mut depth = 0;
            let mut first = true;
            for word in group.split_inclusive(['{', '}', ',']) {
                if depth == 0 && first {
                    used.insert(word.trim().trim_end_matches(['{', '}', ',']).split("::").next().unwrap().to_owned());
                }
                depth += i32::from(word.ends_with('{')) - i32::from(word.ends_with('}'));
                first = depth == 0;
                if depth < 0 {
                    break;
                }
            }
        } else {
            used.insert(rest.chars().take_while(|character| character.is_alphanumeric() || *character == '_').collect());
        }
    }
    used
}

/// A table that says what may use what: who, and what each may use.
struct Layers(BTreeMap<String, BTreeSet<String>>);

impl Layers {
    fn read(heading: &str) -> Self {
        let rows = table(PAGE, heading).into_iter();
        Self(rows.map(|row| (row[0].clone(), list(&row[1]).into_iter().map(str::to_owned).collect())).collect())
    }

    /// What is wrong with the table, given who uses what.
    fn compare(&self, used: &BTreeMap<String, BTreeSet<String>>) -> Vec<String> {
        let none = BTreeSet::new();
        let mut wrong = Vec::new();
        for (name, others) in used {
            match self.0.get(name) {
                None => wrong.push(format!("'{name}' has no line")),
                Some(below) => {
                    wrong.extend(others.difference(below).map(|other| format!("{name} uses {other}, which is not below it")));
                }
            }
        }
        for (name, below) in &self.0 {
            if !used.contains_key(name) {
                wrong.push(format!("there is no '{name}'"));
            }
            let unused = below.difference(used.get(name).unwrap_or(&none));
            wrong.extend(unused.map(|other| format!("{name} may use {other}, and does not: take it out")));
        }
        // A table with a circle would say nothing.
        let mut settled: BTreeSet<&String> = BTreeSet::new();
        let next = |settled: &BTreeSet<&String>| {
            let can = |below: &BTreeSet<String>| below.iter().all(|other| settled.contains(other));
            self.0.iter().find(|(name, below)| !settled.contains(name) && can(below)).map(|(name, _)| name)
        };
        while let Some(name) = next(&settled) {
            settled.insert(name);
        }
        wrong.extend(self.0.keys().filter(|name| !settled.contains(name)).map(|name| format!("'{name}' is part of a circle")));
        wrong
    }
}

/// Which crates of the tree a crate may use stands in a table, as for modules; Cargo holds that there is no circle.
#[test]
fn crates_are_the_ones_that_are_described() {
    let rows = table(PAGE, "## Crates");
    let described: BTreeMap<String, (Vec<&str>, Vec<&str>)> =
        rows.iter().map(|row| (row[0].clone(), (list(&row[1]), list(&row[2])))).collect();
    let mut wrong = Vec::new();
    for folder in crates() {
        let name = if folder.is_empty() { "tgvault" } else { folder.trim_start_matches("crates/").trim_end_matches('/') };
        let Some((modules, below)) = described.get(name) else {
            wrong.push(format!("{name} has no line in the table"));
            continue;
        };
        let used = dependencies(&format!("{folder}Cargo.toml"), "dependencies");
        let used: Vec<&str> = used.iter().map(String::as_str).filter(|name| ours(name)).collect();
        if used != *below {
            wrong.push(format!("{name} uses {used:?}, its line says {below:?}"));
        }
        let folders: BTreeSet<String> =
            files(&format!("{folder}src")).iter().map(|path| module(path).to_owned()).filter(|module| !module.ends_with(".rs")).collect();
        if folders != modules.iter().map(|module| (*module).to_owned()).collect() {
            wrong.push(format!("{name} has the modules {folders:?}, its line says {modules:?}"));
        }
    }
    wrong.extend(
        described
            .keys()
            .filter(|name| *name != "tgvault" && !root().join("crates").join(name).is_dir())
            .map(|name| format!("there is no crate {name}")),
    );
    fail_if_any("the crates of docs/architecture.md are others", &wrong);
}

#[test]
fn modules_use_only_what_is_below_them() {
    let layers = Layers::read("## Layers");
    let mut used: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let sources = sources();
    let modules: BTreeSet<&str> = sources.iter().map(|(path, _)| module(path)).filter(|module| !module.ends_with(".rs")).collect();
    for (path, code) in &sources {
        let own = module(path);
        if !own.ends_with(".rs") {
            let others = used_modules(code).into_iter().filter(|other| other != own && modules.contains(other.as_str()));
            used.entry(own.to_owned()).or_default().extend(others);
        }
    }
    fail_if_any("the layers of docs/architecture.md do not hold", &layers.compare(&used));
}

/// The part of a module that a file below `folder` belongs to: `operations/chats/mod.rs` to `chats`, `operations/cat.rs` to `cat`.
/// The module's own file joins its parts, and is none.
fn part<'a>(folder: &str, file: &'a str) -> Option<&'a str> {
    let inside = file.strip_prefix(folder)?.strip_prefix('/')?;
    let part = inside.split('/').next()?.trim_end_matches(".rs");
    (part != "mod").then_some(part)
}

#[test]
fn parts_of_a_module_use_only_what_is_below_them() {
    let page = read(PAGE);
    let imports = Imports::of(&sources_of(""));
    let headings: Vec<&str> = page.lines().filter(|line| line.starts_with("### Inside ")).collect();
    assert!(!headings.is_empty(), "{PAGE} has no heading 'Inside …'");
    let mut wrong = Vec::new();
    for heading in headings {
        let folder = format!("src/{}", heading.trim_start_matches("### Inside ").trim_matches('`'));
        let mut used: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (file, others) in imports.by_file() {
            if let Some(own) = part(&folder, file) {
                let others = others.into_iter().filter_map(|other| part(&folder, other)).filter(|other| *other != own);
                used.entry(own.to_owned()).or_default().extend(others.map(str::to_owned));
            }
        }
        wrong.extend(Layers::read(heading).compare(&used).into_iter().map(|what| format!("{folder}: {what}")));
    }
    fail_if_any("the tables of docs/architecture.md do not hold inside modules", &wrong);
}

#[test]
fn files_that_use_each_other_in_a_circle_become_fewer() {
    let folder = |named: &str| if named.starts_with("crates/") { named.to_owned() } else { format!("src/{named}") };
    let listed: BTreeSet<Vec<String>> = table(PAGE, "### Circles")
        .into_iter()
        .map(|row| list(&row[1]).into_iter().map(|file| format!("{}/{file}", folder(&row[0]))).collect())
        .collect();
    let found: BTreeSet<Vec<String>> =
        crates().iter().flat_map(|of_crate| circles(&Imports::of(&sources_of(of_crate)).by_file())).collect();
    let new = found.difference(&listed).map(|files| format!("not listed: {}", files.join(", ")));
    let gone = listed.difference(&found).map(|files| format!("listed, and not so any more: {}", files.join(", ")));
    let wrong: Vec<String> = new.chain(gone).collect();
    fail_if_any("circles of files: untie what is new, and shorten the list of docs/architecture.md by what is gone", &wrong);
}
