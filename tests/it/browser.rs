//! Restored pages in a real browser: Debian's `chromium`, headless, without a network.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::chats::{data, import};
use crate::restore_as::{export_of, files, known, restored};
use crate::support::World;

/// Looks at a page in a frame that is as wide as a phone and tells the window around it what is wrong.
const LOOK: &str = r#"
addEventListener("load", function () {
  var wrong = [], width = document.documentElement.clientWidth;
  if (document.documentElement.scrollWidth > width) wrong.push("the page is wider than the screen");
  document.querySelectorAll("body *").forEach(function (element) {
    var box = element.getBoundingClientRect(), name = element.tagName + "." + element.className;
    if (box.width && (box.right > width + 1 || box.left < -1)) wrong.push(name + " leaves the screen");
    for (var at of element.attributes) if (at.name.startsWith("on")) wrong.push(name + " wants a mouse");
    if (element.tagName !== "A") return;
    var images = Array.from(element.querySelectorAll("img")).map(function (image) { return image.alt; });
    if (!element.getAttribute("href")) wrong.push(name + " leads nowhere");
    if (element.tabIndex < 0) wrong.push(name + " cannot be reached with the keyboard");
    if (!(element.textContent + images.join("")).trim()) wrong.push(name + " has no name");
  });
  parent.postMessage("looked at " + width + ": " + Array.from(new Set(wrong)).join("; ") + ".", "*");
});
"#;

/// Says what is wrong with a page on a phone, or with the keyboard.
fn look(home: &Path, page: &Path) -> String {
    let text = fs::read_to_string(page).unwrap();
    // What the page allows itself is the matter of another test; here, a script of ours is put into a copy.
    let (before, policy) = text.split_once("<meta http-equiv=\"Content-Security-Policy\"").unwrap();
    let (_, after) = policy.split_once('>').unwrap();
    let copy = page.with_file_name("copy-for-the-test.html");
    fs::write(&copy, format!("{before}{after}<script>{LOOK}</script>")).unwrap();
    let around = page.with_file_name("around-for-the-test.html");
    let tell = "addEventListener('message', function (told) { document.getElementById('told').textContent = told.data; });";
    let frame = "<iframe width=\"390\" height=\"800\" src=\"copy-for-the-test.html\"></iframe>";
    fs::write(&around, format!("<!DOCTYPE html><pre id=\"told\"></pre><script>{tell}</script>{frame}")).unwrap();
    let (document, _) = load(home, &around);
    fs::remove_file(copy).unwrap();
    fs::remove_file(around).unwrap();
    let told = document.split_once("<pre id=\"told\">").and_then(|(_, rest)| rest.split_once("</pre>")).expect("what the page told");
    told.0.to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_fit_a_phone_and_need_no_mouse() {
    tgvault_test_support::needs_programs!("chromium");
    let world = World::new().await;
    import(&world, &export_of(&world, "account-7.json"), "r1", &known()).await;
    let to = restored(&world, "out", &["--format", "html"]);
    let home = world.root.path();
    for page in ["export_results.html", "lists/chats.html", "lists/sessions.html", "chats/chat_1/messages.html"] {
        // Less than 390 where the bar to scroll with takes its part.
        let told = look(home, &to.join(page));
        assert!(told.starts_with("looked at 3") && told.ends_with(": ."), "{page}: {told}");
    }
    // The look does find what is wrong: without this the test above could not fail.
    let bad = to.join("bad.html");
    let policy = "<meta http-equiv=\"Content-Security-Policy\" content=\"\">";
    fs::write(&bad, format!("<!DOCTYPE html>{policy}<div style=\"width: 500px\" onclick=\"x()\">x</div><a href=\"x\"><img alt=\"\"></a>"))
        .unwrap();
    let told = look(home, &bad);
    for part in ["the page is wider", "DIV. leaves the screen", "DIV. wants a mouse", "A. has no name"] {
        assert!(told.contains(part), "{told}");
    }
}

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
    tgvault_test_support::needs_programs!("chromium");
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
