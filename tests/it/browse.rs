//! Looking around in a snapshot with a browser, as the program serves it on loopback.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout};

use serde_json::Value;
use tgvault_test_support::sandbox::Sandbox;

/// A vault with the sample export, and the program that shows it.
struct Viewer {
    sandbox: Sandbox,
    child: Child,
    _stdout: BufReader<ChildStdout>,
    port: u16,
    /// The path of the address that was printed.
    opening: String,
}

/// What the server said.
struct Answer {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl Answer {
    fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().filter_map(|line| line.split_once(": ")).find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

fn sample() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/sample-export")
}

impl Viewer {
    fn new(more: &[&str]) -> Self {
        let mut sandbox = Sandbox::new(env!("CARGO_BIN_EXE_tgvault")).unwrap();
        let file = |name: &str| sandbox.folder().join(name).to_string_lossy().into_owned();
        let (secret, _) = tgvault::crypt::keys::generate();
        fs::write(file("identity"), format!("{}\n", tgvault::crypt::keys::expose(&secret))).unwrap();
        fs::set_permissions(file("identity"), PermissionsExt::from_mode(0o600)).unwrap();
        let variables = [("TGVAULT_REPO", file("vault")), ("TGVAULT_IDENTITY", file("identity"))];
        sandbox.env(variables);
        let export = sample().to_string_lossy().into_owned();
        for arguments in [vec!["init"], vec!["backup", "desktop-export", &export]] {
            let run = sandbox.run(&arguments).unwrap();
            assert_eq!(run.code, Some(0), "{arguments:?}: {}", run.stderr);
        }
        let mut child = sandbox.command([&["--json", "browse", "--no-open"], more].concat()).spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        let said: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert_eq!(said["message_type"], "listening", "{line}");
        let address = said["address"].as_str().unwrap().strip_prefix("http://127.0.0.1:").unwrap();
        let (port, opening) = address.split_once('/').unwrap();
        Self { sandbox, child, port: port.parse().unwrap(), opening: format!("/{opening}"), _stdout: stdout }
    }

    /// Sends a request with these headers beside a right `Host`, and reads the whole answer.
    fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
        let host = format!("127.0.0.1:{}", self.port);
        self.ask_as(method, path, &host, headers)
    }

    fn ask_as(&self, method: &str, path: &str, host: &str, headers: &[(&str, &str)]) -> Answer {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        let mut request = format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n");
        for (name, value) in headers {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        stream.write_all(format!("{request}\r\n").as_bytes()).unwrap();
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).unwrap();
        let split = bytes.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
        let head = String::from_utf8_lossy(&bytes[..split]).into_owned();
        let mut body = bytes[split + 4..].to_vec();
        if head.to_ascii_lowercase().contains("transfer-encoding: chunked") {
            body = unchunked(&body);
        }
        Answer { status: head.split(' ').nth(1).unwrap().parse().unwrap(), head, body }
    }

    /// Opens the printed address, as a browser does; gives the secret folder and the cookie.
    fn enter(&self) -> (String, String) {
        let answer = self.ask("GET", &self.opening, &[]);
        assert_eq!(answer.status, 303, "{}", answer.head);
        let folder = answer.header("location").unwrap().strip_suffix("lists/chats.html").unwrap().to_owned();
        let cookie = answer.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
        (folder, cookie)
    }
}

impl Drop for Viewer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn unchunked(mut body: &[u8]) -> Vec<u8> {
    let mut whole = Vec::new();
    loop {
        let end = body.windows(2).position(|window| window == b"\r\n").unwrap();
        let length = usize::from_str_radix(std::str::from_utf8(&body[..end]).unwrap(), 16).unwrap();
        if length == 0 {
            return whole;
        }
        whole.extend_from_slice(&body[end + 2..end + 2 + length]);
        body = &body[end + 4 + length..];
    }
}

/// What stands between two texts, at each place.
fn between<'a>(text: &'a str, before: &str, after: &str) -> Vec<&'a str> {
    text.split(before).skip(1).filter_map(|rest| rest.split(after).next()).collect()
}

#[test]
fn chats_messages_media_and_search_are_shown() {
    let viewer = Viewer::new(&[]);
    let (folder, cookie) = viewer.enter();
    let get = |path: &str| viewer.ask("GET", &format!("{folder}{path}"), &[("Cookie", &cookie)]);

    let list = get("lists/chats.html");
    assert_eq!(list.status, 200, "{}", list.head);
    let chats: Vec<String> = between(&list.text(), "href=\"../chats/", "\"").into_iter().map(|rest| format!("chats/{rest}")).collect();
    // Five chats, and a channel that was left, which has no messages.
    assert_eq!(chats.len(), 6, "{}", list.text());

    // Every message of the export is on a page, and every file that a page names is there, byte for byte.
    let export: Value = serde_json::from_slice(&fs::read(sample().join("result.json")).unwrap()).unwrap();
    let messages: usize = export["chats"]["list"].as_array().unwrap().iter().map(|chat| chat["messages"].as_array().unwrap().len()).sum();
    let mut shown = 0;
    let mut files = 0;
    for chat in &chats {
        let page = get(chat);
        assert_eq!(page.status, 200, "{chat}");
        let text = page.text();
        // Lines with a day have small negative numbers, messages of a former basic group large ones.
        let is_message = |id: &&&str| id.parse::<i64>().is_ok_and(|id| !(-1_000_000..=0).contains(&id));
        shown += between(&text, "id=\"message", "\"").iter().filter(is_message).count();
        for path in between(&text, "href=\"../../media/", "\"") {
            let file = get(&format!("media/{path}"));
            assert_eq!(file.status, 200, "{path}");
            assert_eq!(file.header("content-length").unwrap().parse::<usize>().unwrap(), file.body.len());
            files += 1;
            // A player asks for parts.
            let part = viewer.ask("GET", &format!("{folder}media/{path}"), &[("Cookie", &cookie), ("Range", "bytes=1-3")]);
            assert_eq!((part.status, part.body.as_slice()), (206, &file.body[1..4]), "{path}");
            assert_eq!(part.header("content-range").unwrap(), format!("bytes 1-3/{}", file.body.len()));
            let behind = viewer.ask("GET", &format!("{folder}media/{path}"), &[("Cookie", &cookie), ("Range", "bytes=99999999-")]);
            assert_eq!(behind.status, 416, "{path}");
        }
    }
    assert_eq!(shown, messages);
    assert!(files > 0, "no file was shown");

    let found = get("search?q=the");
    let links = between(&found.text(), "href=\"chats/", "#").into_iter().map(|rest| format!("chats/{rest}")).collect::<Vec<_>>();
    assert!(!links.is_empty(), "{}", found.text());
    let id = links[0].split("around=").nth(1).unwrap();
    assert!(get(&links[0]).text().contains(&format!("id=\"message{id}\"")), "{}", links[0]);
    // So do hits in a basic group that became a supergroup.
    let all = export["chats"]["list"].as_array().unwrap().iter().flat_map(|chat| chat["messages"].as_array().unwrap());
    let mut moved = all.filter(|message| message["id"].as_i64().unwrap() < -1_000_000);
    let word = moved.find_map(|message| message["text"].as_str()?.split_whitespace().find(|word| word.chars().all(char::is_alphanumeric)));
    let found = get(&format!("search?q={}", word.expect("a message of the group")));
    let links = between(&found.text(), "href=\"chats/", "#").into_iter().map(|rest| format!("chats/{rest}")).collect::<Vec<_>>();
    let group = links.iter().find(|link| link.contains("around=-")).unwrap_or_else(|| panic!("{}", found.text()));
    let id = group.split("around=").nth(1).unwrap();
    assert!(get(group).text().contains(&format!("id=\"message{id}\"")), "{group}");
    assert!(get("search?q=nobodywrotethis").text().contains("No message matches."));
    for asset in ["css/style.css", "js/script.js"] {
        assert_eq!(get(asset).status, 200, "{asset}");
    }
    assert_eq!(get("chats/user404/messages.html").status, 404);
}

#[test]
fn nobody_else_is_let_in() {
    let viewer = Viewer::new(&[]);
    let chats = |folder: &str| format!("{folder}lists/chats.html");
    // Before anybody opened it, nothing is shown, and a wrong word opens nothing.
    assert_eq!(viewer.ask("GET", "/", &[]).status, 403);
    assert_eq!(viewer.ask("GET", "/open/00000000000000000000000000000000", &[]).status, 403);
    let (folder, cookie) = viewer.enter();
    // The address is good once.
    assert_eq!(viewer.ask("GET", &viewer.opening, &[]).status, 403);
    let own = [("Cookie", cookie.as_str())];
    let page = viewer.ask("GET", &chats(&folder), &own);
    assert_eq!(page.status, 200);
    assert_eq!(viewer.ask("GET", &chats(&folder), &[]).status, 403, "without the cookie");
    assert_eq!(viewer.ask("GET", &chats(&folder), &[("Cookie", "tgvault=00000000000000000000000000000000")]).status, 403);
    assert_eq!(viewer.ask("GET", &chats("/s/00000000000000000000000000000000/"), &own).status, 403, "in another folder");
    // A name of somebody else's that leads here, and pages of other sites.
    assert_eq!(viewer.ask_as("GET", &chats(&folder), &format!("rebind.test:{}", viewer.port), &own).status, 421);
    for site in ["cross-site", "same-site"] {
        assert_eq!(viewer.ask("GET", &chats(&folder), &[own[0], ("Sec-Fetch-Site", site)]).status, 403, "{site}");
    }
    assert_eq!(viewer.ask("GET", &chats(&folder), &[own[0], ("Sec-Fetch-Site", "same-origin")]).status, 200);
    for method in ["POST", "PUT", "DELETE", "OPTIONS"] {
        assert_eq!(viewer.ask(method, &chats(&folder), &own).status, 405, "{method}");
    }
    // Only media is served as it is stored, and nothing of this machine.
    for path in
        ["account/personal.json", "../../../../etc/passwd", "media/../account/personal.json", "%2e%2e/%2e%2e/etc/passwd", "tgvault.json"]
    {
        assert_eq!(viewer.ask("GET", &format!("{folder}{path}"), &own).status, 404, "{path}");
    }
    for (name, value) in [
        ("cache-control", "no-store"),
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
        ("cross-origin-resource-policy", "same-origin"),
    ] {
        assert_eq!(page.header(name), Some(value), "{}", page.head);
    }
    let policy = page.header("content-security-policy").unwrap();
    assert!(
        policy.contains("default-src 'none'") && policy.contains("script-src 'self';") && policy.contains("frame-ancestors 'none'"),
        "{policy}"
    );
}

#[test]
fn nothing_is_written_and_it_ends_when_nobody_looks() {
    let mut viewer = Viewer::new(&["--idle", "1s"]);
    let (folder, cookie) = viewer.enter();
    let page = viewer.ask("GET", &format!("{folder}lists/chats.html"), &[("Cookie", &cookie)]);
    let name = between(&page.text(), "<div class=\"name bold\">", "</div>")[0].to_owned();
    assert!(!name.is_empty());
    // Nobody asks any more: it ends by itself.
    assert!(viewer.child.wait().unwrap().success());
    let mut stack = vec![viewer.sandbox.folder().to_owned()];
    while let Some(next) = stack.pop() {
        for entry in fs::read_dir(next).unwrap().map(Result::unwrap) {
            if entry.file_type().unwrap().is_dir() {
                stack.push(entry.path());
            } else {
                let bytes = fs::read(entry.path()).unwrap();
                assert!(!bytes.windows(name.len()).any(|window| window == name.as_bytes()), "{} names a chat", entry.path().display());
            }
        }
    }
}
