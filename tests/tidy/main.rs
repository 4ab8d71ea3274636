//! What the documents promise of the structure holds: read from the documents, checked against the tree as text.

mod imports;
mod structure;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// All files below a folder of the tree, relative to the tree, sorted.
fn files(folder: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(&next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.push(path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned());
            }
        }
    }
    found.sort();
    found
}

/// The cells of the lines of the table that stands below the heading `heading` of a page.
fn table(page: &str, heading: &str) -> Vec<Vec<String>> {
    let text = read(page);
    let (_, rest) = text.split_once(&format!("\n{heading}\n")).unwrap_or_else(|| panic!("{page} has no heading '{heading}'"));
    let lines = rest.lines().skip_while(|line| !line.starts_with('|')).take_while(|line| line.starts_with('|')).skip(2);
    lines.map(|line| line.trim_matches('|').split('|').map(|cell| cell.trim().replace('`', "")).collect()).collect()
}

fn list(cell: &str) -> Vec<&str> {
    cell.split(',').map(str::trim).filter(|word| !word.is_empty() && *word != "—").collect()
}

/// The code of a source file: without comments and without its module of tests.
fn code(text: &str) -> String {
    let text = text.split_once("#[cfg(test)]\nmod tests {").map_or(text, |(before, _)| before);
    text.lines().filter(|line| !line.trim_start().starts_with("//")).map(|line| format!("{line}\n")).collect()
}

/// The folders of the crates that are linked into the program: of the program itself (`""`), and those below `crates`.
fn crates() -> Vec<String> {
    let mut folders: Vec<String> = fs::read_dir(root().join("crates"))
        .unwrap()
        .map(|entry| format!("crates/{}/", entry.unwrap().file_name().into_string().unwrap()))
        .collect();
    folders.push(String::new());
    folders.sort();
    folders
}

/// The files that are linked into the program, with their code.
fn sources() -> Vec<(String, String)> {
    let tests = |path: &String| ["/tests.rs", "/testing.rs"].iter().any(|end| path.ends_with(end)) || path.contains("/tests/");
    let paths = crates().into_iter().flat_map(|folder| files(&format!("{folder}src")));
    let paths = paths.filter(|path| path.ends_with(".rs") && !tests(path));
    paths.map(|path| (path.clone(), code(&read(&path)))).collect()
}

/// Where in its crate's `src` a file lies.
fn inside(path: &str) -> &str {
    path.strip_prefix("src/").unwrap_or_else(|| path.split_once("/src/").unwrap().1)
}

fn fail_if_any(what: &str, found: &[String]) {
    assert!(found.is_empty(), "{what}:\n  {}", found.join("\n  "));
}

/// Whether code uses an outside crate of this name, which is no module of the file's own.
fn uses(code: &str, name: &str) -> bool {
    let local = [format!("mod {name};"), format!("mod {name} {{"), format!("super::{name}"), format!("use self::{name}")];
    if local.iter().any(|local| code.contains(local.as_str())) {
        return false;
    }
    ["::", "!"].iter().any(|end| {
        code.match_indices(&format!("{name}{end}")).any(|(at, _)| {
            let before = code[..at].chars().next_back().unwrap_or(' ');
            !before.is_alphanumeric() && !matches!(before, '_' | ':' | '"' | '.')
        })
    })
}

fn dependencies(manifest: &str, kind: &str) -> BTreeSet<String> {
    let manifest: toml::Table = read(manifest).parse().unwrap();
    // Those of one system are dependencies like any other.
    let of_systems = manifest.get("target").and_then(toml::Value::as_table).into_iter().flat_map(toml::Table::values);
    let tables = of_systems.filter_map(|system| system.get(kind)).chain(manifest.get(kind)).filter_map(toml::Value::as_table);
    tables.flat_map(|table| table.keys().cloned()).collect()
}

/// Whether a package is one of this tree.
fn ours(name: &str) -> bool {
    name.starts_with("tgvault")
}

#[test]
fn every_dependency_has_its_reason_and_stays_in_its_home() {
    let rows = table("docs/dependencies.md", "## Linked into the program");
    let documented: BTreeSet<String> = rows.iter().map(|row| row[0].clone()).collect();
    let of_crates: Vec<(String, BTreeSet<String>)> =
        crates().into_iter().map(|folder| (folder.clone(), dependencies(&format!("{folder}Cargo.toml"), "dependencies"))).collect();
    let linked: BTreeSet<String> = of_crates.iter().flat_map(|(_, names)| names).filter(|name| !ours(name)).cloned().collect();
    let mut wrong: Vec<String> = linked.difference(&documented).map(|name| format!("{name} has no line")).collect();
    wrong.extend(documented.difference(&linked).map(|name| format!("{name} has a line, but is no dependency")));
    let sources = sources();
    for (folder, names) in &of_crates {
        let of_crate: Vec<&String> =
            sources.iter().filter(|(path, _)| path.starts_with(&format!("{folder}src/"))).map(|(_, code)| code).collect();
        let unused = names.iter().filter(|name| !of_crate.iter().any(|code| uses(code, &name.replace('-', "_"))));
        wrong.extend(unused.map(|name| format!("{folder}Cargo.toml has {name}, which nothing there uses")));
    }
    for row in &rows {
        let (name, homes) = (row[0].replace('-', "_"), list(&row[1]));
        let mut used_in = BTreeSet::new();
        for (path, _) in sources.iter().filter(|(_, code)| uses(code, &name)) {
            let inside = inside(path);
            let is_home = |home: &&&str| {
                **home == "any"
                    || inside == **home
                    || [format!("{home}/"), format!("crates/{home}/")]
                        .iter()
                        .any(|folder| inside.starts_with(folder) || path.starts_with(folder))
            };
            let home = homes.iter().find(is_home);
            match home {
                Some(home) => drop(used_in.insert(*home)),
                None => wrong.push(format!("{path} uses {name}, whose home is {}", row[1])),
            }
        }
        wrong.extend(homes.iter().filter(|home| !used_in.contains(*home)).map(|home| format!("{name} is not used in {home}")));
        if row[3].len() < 5 {
            wrong.push(format!("{name} has no reason"));
        }
    }
    let documented: BTreeSet<String> =
        table("docs/dependencies.md", "## For tests and benchmarks").into_iter().map(|row| row[0].clone()).chain(linked).collect();
    let dev: BTreeSet<String> =
        crates().iter().flat_map(|folder| dependencies(&format!("{folder}Cargo.toml"), "dev-dependencies")).collect();
    wrong
        .extend(dev.iter().filter(|name| !ours(name) && !documented.contains(*name)).map(|name| format!("{name} (for tests) has no line")));
    fail_if_any("docs/dependencies.md is not true", &wrong);
}

/// Whether an SPDX expression can be met with the allowed licences.
fn is_met(expression: &str, allowed: &[&str]) -> bool {
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ").replace(" WITH ", "\u{1}");
    let words: Vec<String> = spaced.split_whitespace().map(|word| word.replace('\u{1}', " WITH ")).collect();
    fn any(words: &[String], at: &mut usize, allowed: &[&str]) -> bool {
        let mut met = all(words, at, allowed);
        while words.get(*at).is_some_and(|word| word == "OR") {
            *at += 1;
            let right = all(words, at, allowed);
            met = met || right;
        }
        met
    }
    fn all(words: &[String], at: &mut usize, allowed: &[&str]) -> bool {
        let mut met = one(words, at, allowed);
        while words.get(*at).is_some_and(|word| word == "AND") {
            *at += 1;
            let right = one(words, at, allowed);
            met = met && right;
        }
        met
    }
    fn one(words: &[String], at: &mut usize, allowed: &[&str]) -> bool {
        let word = words.get(*at).map_or("", String::as_str);
        *at += 1;
        if word != "(" {
            return allowed.contains(&word);
        }
        let met = any(words, at, allowed);
        *at += 1;
        met
    }
    let mut at = 0;
    let met = any(&words, &mut at, allowed);
    met && at == words.len()
}

#[test]
fn licence_expressions_are_understood() {
    let allowed = ["MIT", "ISC", "Apache-2.0 WITH LLVM-exception"];
    for good in ["MIT", "MIT OR GPL-2.0-only", "GPL-3.0/MIT", "ISC AND (MIT OR GPL-3.0)", "Apache-2.0 WITH LLVM-exception OR X"] {
        assert!(is_met(good, &allowed), "{good}");
    }
    for bad in ["", "GPL-3.0", "MIT AND GPL-3.0", "Apache-2.0", "ISC AND (GPL-2.0 OR GPL-3.0)", "MIT)"] {
        assert!(!is_met(bad, &allowed), "{bad}");
    }
}

#[test]
fn every_crate_in_the_tree_has_an_allowed_licence_and_comes_from_the_registry() {
    let platform = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    let asked = Command::new(cargo)
        .args(["metadata", "--locked", "--format-version", "1", "--filter-platform", &platform])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(asked.status.success(), "{}", String::from_utf8_lossy(&asked.stderr));
    let metadata: Value = serde_json::from_slice(&asked.stdout).unwrap();
    let deny: toml::Table = read("deny.toml").parse().unwrap();
    let allowed: Vec<&str> = deny["licenses"]["allow"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
    let banned: Vec<&str> = deny["bans"]["deny"].as_array().unwrap().iter().map(|ban| ban["crate"].as_str().unwrap()).collect();
    let mut wrong = Vec::new();
    let packages = metadata["packages"].as_array().unwrap();
    assert!(packages.len() > 100, "cargo metadata gave {} packages", packages.len());
    for package in packages {
        let name = package["name"].as_str().unwrap();
        match package["source"].as_str() {
            Some("registry+https://github.com/rust-lang/crates.io-index") => {}
            None if ours(name) => {}
            other => wrong.push(format!("{name} comes from {other:?}")),
        }
        match package["license"].as_str() {
            Some(licence) if is_met(licence, &allowed) => {}
            licence => wrong.push(format!("{name}: licence {licence:?} is not one that deny.toml allows")),
        }
        if banned.contains(&name) {
            wrong.push(format!("{name} is banned by deny.toml"));
        }
    }
    fail_if_any("dependencies that may not be", &wrong);
}

#[test]
fn the_changelog_names_the_version() {
    let heading = format!("\n## [{}]", env!("CARGO_PKG_VERSION"));
    assert!(read("CHANGELOG.md").contains(&heading), "CHANGELOG.md has no heading for version {}", env!("CARGO_PKG_VERSION"));
}

/// The text files that belong to the project.
fn texts() -> Vec<(String, String)> {
    let top = ["README.md", "CHANGELOG.md", "Cargo.toml", "deny.toml", ".ci/run"].map(str::to_owned).into_iter();
    let folders = ["src", "crates", "tests", "docs", "examples", "benches"].into_iter().flat_map(files);
    let texts = top.chain(folders).filter(|path| !path.contains("/node_modules/"));
    texts.filter_map(|path| Some((path.clone(), String::from_utf8(fs::read(root().join(&path)).unwrap()).ok()?))).collect()
}

#[test]
fn no_file_names_the_machine_it_was_written_on() {
    let places = ["work", "root", "tmp/brief"].map(|place| format!("/{place}/"));
    let mut wrong = Vec::new();
    for (path, text) in texts() {
        for (number, line) in text.lines().enumerate() {
            if places.iter().any(|place| {
                line.match_indices(place.as_str())
                    .any(|(at, _)| !line[..at].ends_with(|c: char| c.is_alphanumeric() || ".}>$)".contains(c)))
            }) {
                wrong.push(format!("{path}:{}: {}", number + 1, line.trim()));
            }
        }
    }
    fail_if_any("paths of one machine", &wrong);
}

#[test]
fn files_stay_short_enough_to_be_read() {
    /// 600 lines are the point to split; a little more may wait for its reason.
    const MOST: usize = 750;
    /// Tests are read one at a time.
    const MOST_OF_TESTS: usize = 1000;
    let mut wrong = Vec::new();
    for path in ["src", "crates", "tests", "benches", "examples"].into_iter().flat_map(files).filter(|path| path.ends_with(".rs")) {
        let lines = read(&path).lines().count();
        let is_tests = path.starts_with("tests/") || path.ends_with("/tests.rs");
        if lines > if is_tests { MOST_OF_TESTS } else { MOST } {
            wrong.push(format!("{path} has {lines} lines"));
        }
    }
    fail_if_any("files that should be split", &wrong);
}

#[test]
fn links_between_documents_lead_somewhere() {
    let mut wrong = Vec::new();
    let pages = texts().into_iter().filter(|(path, _)| path.ends_with(".md") && !path.starts_with("tests/"));
    for (path, text) in pages {
        for (at, _) in text.match_indices("](") {
            let target = text[at + 2..].split(')').next().unwrap();
            if target.contains("://") || target.starts_with('#') {
                continue;
            }
            let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
            let to: PathBuf = root().join(&path).parent().unwrap().join(file);
            if !to.exists() {
                wrong.push(format!("{path}: {target}"));
            } else if !anchor.is_empty() {
                let headings = fs::read_to_string(&to).unwrap();
                let headings = headings.lines().filter(|line| line.starts_with('#')).map(|line| {
                    let kept = line.trim_start_matches('#').trim().to_lowercase();
                    kept.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c)).collect::<String>().replace(' ', "-")
                });
                if !headings.into_iter().any(|heading| heading == anchor) {
                    wrong.push(format!("{path}: {target} (no such heading)"));
                }
            }
        }
    }
    fail_if_any("links that lead nowhere", &wrong);
}

#[test]
fn every_page_can_be_reached_from_the_readme() {
    let mut reached = BTreeSet::new();
    let mut next = vec!["README.md".to_owned()];
    while let Some(page) = next.pop() {
        if !reached.insert(page.clone()) {
            continue;
        }
        let text = read(&page);
        for (at, _) in text.match_indices("](") {
            let target = text[at + 2..].split([')', '#']).next().unwrap();
            let to = Path::new(&page).parent().unwrap().join(target);
            if target.ends_with(".md") && !target.contains("://") && root().join(&to).exists() {
                let to = fs::canonicalize(root().join(to)).unwrap();
                next.push(to.strip_prefix(fs::canonicalize(root()).unwrap()).unwrap().to_str().unwrap().to_owned());
            }
        }
    }
    let lost: Vec<String> = files("docs").into_iter().filter(|page| page.ends_with(".md") && !reached.contains(page)).collect();
    fail_if_any("pages that nothing links to", &lost);
}

/// The code that decides what is on disk.
const FORMAT: [&str; 19] = [
    "crates/tgvault-archive/src/archive/index.rs",
    "crates/tgvault-archive/src/archive/member.rs",
    "crates/tgvault-archive/src/archive/seek.rs",
    "crates/tgvault-archive/src/archive/writer.rs",
    "crates/tgvault-archive/src/model/digest.rs",
    "crates/tgvault-archive/src/model/entry.rs",
    "src/model/source.rs",
    "src/repository/format/descriptor.rs",
    "src/repository/format/lease.rs",
    "src/repository/format/lock.rs",
    "src/repository/format/mark.rs",
    "src/repository/format/names.rs",
    "src/repository/format/pack.rs",
    "src/repository/format/record.rs",
    "src/repository/format/root.rs",
    "src/repository/format/snapshot.rs",
    "src/repository/format/sums.rs",
    "src/repository/format/version.rs",
    "src/repository/index_copies.rs",
];

#[test]
fn the_format_is_the_one_that_is_described() {
    let listed: Vec<String> = files("src/repository/format").into_iter().filter(|path| !path.ends_with("/mod.rs")).collect();
    fail_if_any(
        "files of the format that this test does not know",
        &listed.into_iter().filter(|path| !FORMAT.contains(&path.as_str())).collect::<Vec<_>>(),
    );
    // Neither comments nor layout count.
    let words: String =
        FORMAT.iter().flat_map(|path| code(&read(path)).split_whitespace().map(str::to_owned).collect::<Vec<_>>()).collect();
    let found = tgvault::crypt::digest::sha256(words.as_bytes()).to_string();
    assert!(
        read("docs/format.md").contains(&format!("Code of the format: `{found}`")),
        "the code of the format has changed. See that docs/format.md, docs/recovery.md and the golden repositories still hold, add to \
         its \"Changes\" if what is stored has changed, and note there: Code of the format: `{found}`"
    );
}
