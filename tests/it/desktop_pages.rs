//! Pages that are not as they should be: messages that lie in each other, signs that are not escaped, pages that editors and scripts
//! wrote anew. Every message of them is found, or its number is told.

use std::path::{Path, PathBuf};

use crate::imports::{comes_back, found, run, write};
use crate::support::World;

/// A message as Telegram Desktop writes it; `more` follows its text.
fn message(id: i64, more: &str) -> String {
    let (hour, minute) = (10 + id / 60, id % 60);
    format!(
        "     <div class=\"message default clearfix\" id=\"message{id}\">\n\n      <div class=\"pull_left userpic_wrap\">\n\n       <div class=\"userpic userpic3\">\n\n        <div class=\"initials\">\nAB\n        </div>\n\n       </div>\n\n      </div>\n\n      <div class=\"body\">\n\n       <div class=\"pull_right date details\" title=\"01.02.2024 {hour:02}:{minute:02}:00 UTC+00:00\">\n{hour:02}:{minute:02}\n       </div>\n\n       <div class=\"from_name\">\nAda Byron \n       </div>\n\n       <div class=\"text\">\nword number{id}\n       </div>\n\n{more}      </div>\n\n     </div>\n\n"
    )
}

fn service(id: i64, text: &str) -> String {
    format!(
        "     <div class=\"message service\" id=\"message{id}\">\n\n      <div class=\"body details\">\n{text}\n      </div>\n\n     </div>\n\n"
    )
}

fn page(messages: &str) -> String {
    format!(
        "<!DOCTYPE html>\n<html>\n <head>\n  <meta charset=\"utf-8\"/>\n<title>Exported Data</title>\n </head>\n <body>\n  <div class=\"page_wrap\">\n   <div class=\"page_header\">\n    <div class=\"content\">\n     <div class=\"text bold\">\nTea &amp; Co \n     </div>\n    </div>\n   </div>\n   <div class=\"page_body chat_page\">\n    <div class=\"history\">\n{}{messages}    </div>\n   </div>\n  </div>\n </body>\n</html>\n",
        service(-1, "1 February 2024")
    )
}

/// A button of a bot; `ends` closes its table.
fn button(text: &str, ends: &str) -> String {
    format!(
        "       <table class=\"bot_buttons_table\">\n        <tbody>\n         <tr>\n          <td class=\"bot_button_row\">\n           <div class=\"bot_button\">\n            <a onclick=\"return ShowTextCopied('Data: \"a\" | Type: callback');\">\n             <div>\n{text}\n             </div>\n            </a>\n           </div>\n{ends}"
    )
}

fn export(world: &World, name: &str, page: &str) -> PathBuf {
    let folder = world.root.path().join(name);
    write(&folder, "messages.html", page.as_bytes());
    folder
}

/// Takes an export in, and gives the exit code and what was said.
fn take(world: &World, folder: &Path, account: &str) -> (i32, String) {
    let ran = run(world, &["backup", "desktop-export", folder.to_str().unwrap(), "--account", account]);
    (ran.code, ran.err)
}

fn ids(world: &World, account: &str, words: &str) -> Vec<i64> {
    found(world, &[words, "--source", &format!("telegram:{account}")]).into_iter().map(|(_, id, _)| id).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_message_is_found_whatever_is_open_before_it() {
    const ENDS: &str = "          </td>\n         </tr>\n        </tbody>\n       </table>\n";
    let world = World::new().await;
    let whole: Vec<String> = (2..=9).map(|id| message(id, "")).collect();
    let with = |more: &str| page(&[message(1, more), whole.concat()].concat());
    let unescaped = |initials: &str| page(&[message(1, "").replace("AB", initials), whole.concat()].concat());
    let cases = [
        ("short-table", with(&button("Buy", &ENDS.replace("         </tr>\n", "")))),
        ("open-table", with(&button("Buy", ""))),
        ("no-end", with("").replacen("      </div>\n\n     </div>\n\n", "", 2)),
        ("too-many-ends", with(&"</div>".repeat(12))),
        ("back", with(&button("<< Back", ENDS))),
        ("next", with(&button("a < b <c", ENDS))),
        ("question", unescaped("<?")),
        ("letter", unescaped("<B")),
        ("quote", unescaped("<\"")),
        ("comment", unescaped("<!--")),
        ("slash", unescaped("</")),
        ("deep", page(&[message(1, &"<div><b>".repeat(300)), whole.concat()].concat())),
    ];
    for (name, page) in cases {
        let folder = export(&world, name, &page);
        let (code, said) = take(&world, &folder, name);
        assert_eq!(code, 0, "{name}: {said}");
        assert_eq!(ids(&world, name, "word"), (1..=9).collect::<Vec<_>>(), "{name}");
        comes_back(&world, &folder, &format!("{name}-out"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_that_editors_and_scripts_wrote_anew_are_read() {
    let world = World::new().await;
    let messages: String = (1..=4).map(|id| message(id, "")).collect::<String>() + &service(5, "Ada Byron pinned this message");
    let original = page(&messages);
    let indented = original.lines().map(|line| format!("\t\t{}\r\n", line.trim())).collect::<String>();
    let quotes = original.replace("id=\"", "id = '").replace("\">", "'>").replace("class=\"", "class='").replace("\" id", "' id");
    let bare_service =
        original.replace("<div class=\"body details\">\nAda Byron pinned this message\n      </div>", "Ada Byron pinned this message");
    assert!(bare_service.len() < original.len());
    for (name, page) in [("indented", indented), ("quotes", quotes), ("bare", bare_service)] {
        let folder = export(&world, name, &page);
        let (code, said) = take(&world, &folder, name);
        assert_eq!(code, 0, "{name}: {said}");
        assert_eq!(ids(&world, name, "word"), [1, 2, 3, 4], "{name}");
        assert_eq!(ids(&world, name, "pinned"), [5], "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_number_of_messages_that_disagrees_is_told() {
    let world = World::new().await;
    let lines = |say: &str| format!("{}{say}", message(1, ""));
    let cases = [
        (
            "hidden",
            page(&lines("<script>x = '<div id=\"message2\">'</script>")),
            "this page has 3 messages and date lines, of which 2 could be read",
        ),
        ("empty", page(&lines("<div class=\"message default\" id=\"message2\"></div>")), "this message cannot be read"),
        ("cut", page(&message(1, "")).replace("</html>", ""), "this page breaks off"),
    ];
    for (name, page, told) in cases {
        let folder = export(&world, name, &page);
        let (code, said) = take(&world, &folder, name);
        assert_eq!(code, 3, "{name}: {said}");
        assert!(said.contains(told), "{said}");
        assert_eq!(ids(&world, name, "word"), [1], "{name}");
        comes_back(&world, &folder, &format!("{name}-out"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_that_lost_their_classes_are_read_and_messages_that_lost_their_numbers_are_told() {
    let world = World::new().await;
    let one = message(1, "");
    let direct = one.replace("<div class=\"text\">\nword number1\n       </div>", "word <b>number1</b>");
    let capitals = page(&one).replace("title>", "TITLE>").replace("<div", "<DIV").replace("</div>", "</DIV>").replace("id=", "ID=");
    for (name, page) in [
        ("text", page(&one.replace("<div class=\"text\">", "<div>"))),
        ("paragraph", page(&one.replace("<div class=\"text\">\nword number1\n       </div>", "<p>word number1</p>"))),
        ("direct", page(&direct)),
        ("body", page(&one.replace("<div class=\"body\">", "<div>"))),
        ("capitals", capitals),
        // A text that looks like a message is one of its words.
        ("quoted", page(&one.replace("word number1", "word number1 &lt;div class=\"message default\" id=\"message7\"&gt;"))),
    ] {
        let folder = export(&world, name, &page);
        let (code, said) = take(&world, &folder, name);
        assert_eq!(code, 0, "{name}: {said}");
        assert_eq!(ids(&world, name, "word number1"), [1], "{name}");
        comes_back(&world, &folder, &format!("{name}-out"));
    }
    let lost = ["", "id=\"message\"", "id=\"message3x\"", "id=\"go_to_message3\"", "id=\"message99999999999999999999\""];
    for (name, other) in ["none", "empty", "letters", "other", "long"].into_iter().zip(lost) {
        for kind in [message(3, ""), service(3, "Ada Byron pinned this message")] {
            let name = format!("{name}-{}", kind.len());
            let folder = export(&world, &name, &page(&[one.clone(), kind.replace("id=\"message3\"", other)].concat()));
            let (code, said) = take(&world, &folder, &name);
            assert!(code == 3 && said.contains("messages without a number (1 of them)"), "{name}: {code} {said}");
            assert_eq!(ids(&world, &name, "word"), [1], "{name}");
            comes_back(&world, &folder, &format!("{name}-out"));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_under_other_names_are_an_export_when_they_are_named() {
    let world = World::new().await;
    let two = [page(&message(1, "")), page(&message(2, "").replace("Ada Byron", "Bo").replace("clearfix\" id", "clearfix joined\" id"))];
    for (name, files) in [("ones", ["messages1.html", "messages2.html"]), ("later", ["messages2.html", "messages3.html"])] {
        let folder = world.root.path().join(name);
        files.iter().zip(&two).for_each(|(file, page)| write(&folder, file, page.as_bytes()));
        let (code, said) = take(&world, &folder, name);
        assert_eq!((code, said.contains("has no page 1")), (0, name == "later"), "{said}");
        assert_eq!(ids(&world, name, "word"), [1, 2], "{name}");
    }
    let folder = world.root.path().join("account");
    write(&folder, "chats/chat_1/messages2.html", two[0].as_bytes());
    assert_eq!(take(&world, &folder, "account").0, 0);
    assert_eq!(ids(&world, "account", "word"), [1]);

    let folder = world.root.path().join("mixed");
    write(&folder, "messages.html", two[0].as_bytes());
    write(&folder, "messages2.html", b"<html>something else</html>");
    let (code, said) = take(&world, &folder, "mixed");
    assert!(code == 3 && said.contains("messages2.html"), "{said}");
}
