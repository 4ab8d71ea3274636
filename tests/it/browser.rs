//! Restored pages in a real browser: Debian's `chromium`, headless, without a network.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::chats::{data, import};
use crate::restore_as::{export_of, files, known, restored};
use crate::support::World;

/// Loads a page and gives the document as it is when scripts have run, and what the console said.
fn load(home: &Path, page: &Path) -> (String, Vec<String>) {
    let mut command = Command::new("chromium");
    command.env("HOME", home).args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars"]);
    // No component of the browser looks for anything outside.
    command.args(["--disable-background-networking", "--disable-sync", "--no-first-run", "--host-resolver-rules=MAP * ~NOTFOUND"]);
    command.arg(format!("--user-data-dir={}", home.join("browser").display()));
    command.args(["--enable-logging=stderr", "--timeout=20000", "--virtual-time-budget=5000"]).arg("--dump-dom");
    let output = command.arg(format!("file://{}", page.display())).output().expect("chromium, of Debian's package of that name");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let console = said.lines().filter(|line| line.contains(":CONSOLE")).map(str::to_owned).collect();
    (String::from_utf8(output.stdout).unwrap(), console)
}

fn pages(folder: &Path) -> Vec<PathBuf> {
    files(folder).into_keys().filter(|path| path.ends_with(".html")).map(|path| folder.join(path)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_load_without_a_word_on_the_console() {
    for name in ["sample-export", "account-7.json"] {
        let world = World::new().await;
        let folder = if name.ends_with(".json") { export_of(&world, name) } else { data(name) };
        import(&world, &folder, "r1", &known()).await;
        let to = restored(&world, "out", &["--format", "html"]);
        let home = world.root.path();
        // Every page of the small account, and the one with a message of every kind.
        for page in pages(&to).into_iter().filter(|page| name == "sample-export" || page.ends_with("chat_1/messages.html")) {
            let (document, console) = load(home, &page);
            assert!(console.is_empty(), "{}: {console:#?}", page.display());
            assert!(document.contains("page_wrap") && document.trim_end().ends_with("</html>"), "{}", page.display());
        }
    }
    // The console does tell of what a page may not do and of scripts that fail: without this the test above could not fail.
    let world = World::new().await;
    let page = world.root.path().join("page.html");
    let policy = "<meta http-equiv=\"Content-Security-Policy\" content=\"img-src 'none'\">";
    fs::write(&page, format!("<!DOCTYPE html>{policy}<img src=\"nowhere.jpg\"><script>nothing.at.all()</script>")).unwrap();
    let (_, console) = load(world.root.path(), &page);
    assert!(console.iter().any(|line| line.contains("Content Security Policy")), "{console:?}");
    assert!(console.iter().any(|line| line.contains("ReferenceError")), "{console:?}");
}
