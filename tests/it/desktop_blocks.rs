//! What a page shows beside words: checklists, polls that are closed, giveaways, buttons that lead somewhere; and the chats of an account in
//! the order of its list. All of it comes back in `result.json`, on our pages, and from those.

use std::path::Path;

use serde_json::{Value, json};

use crate::imports::{found, import, write};
use crate::restore_as::{files, restored, tgvault};
use crate::support::World;

/// A message of a page of Telegram Desktop's, with a block before its text.
fn message(id: i64, block: &str, text: &str) -> String {
    format!(
        "\n     <div class=\"message default clearfix\" id=\"message{id}\">\n\n      <div class=\"body\">\n\n       <div class=\"pull_right date details\" title=\"01.09.2025 10:{:02}:00 UTC+00:00\">\n10:00\n       </div>\n\n       <div class=\"from_name\">\nBo Ek \n       </div>\n\n{block}       <div class=\"text\">\n{text}\n       </div>\n\n      </div>\n\n     </div>\n",
        id % 60
    )
}

fn page(name: &str, messages: &str) -> String {
    format!(
        "<!DOCTYPE html>\n<html>\n <head>\n  <meta charset=\"utf-8\"/>\n<title>Exported Data</title>\n </head>\n <body>\n  <div class=\"page_wrap\">\n   <div class=\"page_header\">\n    <div class=\"content\">\n     <div class=\"text bold\">\n{name} \n     </div>\n    </div>\n   </div>\n   <div class=\"page_body chat_page\">\n    <div class=\"history\">\n{messages}    </div>\n   </div>\n  </div>\n </body>\n</html>\n"
    )
}

fn wrapped(class: &str, inside: &str) -> String {
    format!("       <div class=\"media_wrap clearfix\">\n\n        <div class=\"{class}\">\n\n{inside}        </div>\n\n       </div>\n\n")
}

fn part(class: &str, text: &str) -> String {
    format!("         <div class=\"{class}\">\n{text}\n         </div>\n\n")
}

fn button(attribute: &str, text: &str) -> String {
    format!(
        "          <td class=\"bot_button_row\">\n           <div class=\"bot_button\">\n            <a {attribute}>\n             <div>\n{text}\n             </div>\n            </a>\n           </div>\n          </td>\n"
    )
}

fn blocks() -> Vec<String> {
    let poll = [
        part("question bold", "Tea or &lt;coffee&gt;?"),
        part("details", "Final results"),
        part("answer", "- tea <span class=\"details\">3 votes, chosen vote</span>"),
        part("answer", "- coffee"),
        part("total details", "3 votes"),
    ];
    let open =
        [part("question bold", "When?"), part("details", "Anonymous poll"), part("answer", "- - now"), part("total details", "0 votes")];
    let list =
        [part("question bold", "Packing"), part("details", "To-do list"), part("answer", "- boots"), part("answer", "- map &amp; torch")];
    let giveaway = [part("section_title bold", "Giveaway"), part("section_body", "<b>10</b> Telegram Premium subscriptions")];
    let buttons = [
        button("href=\"https://shop.example.org/?a=1&amp;b=2\"", "Open &amp; buy"),
        button("onclick=\"return ShowTextCopied('Data: \"x\" | Type: callback');\"", "<< Back"),
    ];
    let table = format!(
        "       <table class=\"bot_buttons_table\">\n        <tbody>\n         <tr>\n{}         </tr>\n        </tbody>\n       </table>\n\n",
        buttons.concat()
    );
    vec![
        wrapped("media_poll", &poll.concat()),
        wrapped("media_poll", &open.concat()),
        wrapped("media_poll", &list.concat()),
        wrapped("media_giveaway", &giveaway.concat()),
        table,
    ]
}

fn messages(world: &World, to: &str) -> Vec<Value> {
    let out = restored(world, to, &["--as", "telegram-desktop"]);
    serde_json::from_slice::<Value>(&files(&out)["result.json"]).unwrap()["messages"].as_array().unwrap().clone()
}

fn check(messages: &[Value]) {
    let [poll, open, list, giveaway, buttons] = messages else { panic!("{messages:#?}") };
    let answer = |text: &str, voters: u64, chosen: bool| json!({"text": text, "voters": voters, "chosen": chosen});
    let answers = [answer("tea", 3, true), answer("coffee", 0, false)];
    assert_eq!(poll["poll"], json!({"question": "Tea or <coffee>?", "closed": true, "total_voters": 3, "answers": answers}));
    assert_eq!((&open["poll"]["closed"], &open["poll"]["answers"][0]["text"]), (&json!(false), &json!("- now")));
    assert_eq!(list["todo_list"]["title"], "Packing");
    let tasks: Vec<&str> = list["todo_list"]["answers"].as_array().unwrap().iter().map(|task| task["text"].as_str().unwrap()).collect();
    assert_eq!(tasks, ["boots", "map & torch"]);
    assert!(giveaway["information_text"].as_str().unwrap().contains("10 Telegram Premium subscriptions"), "{giveaway}");
    let rows = &buttons["inline_bot_buttons"][0];
    assert_eq!((&rows[0]["type"], &rows[0]["text"]), (&json!("url"), &json!("Open & buy")));
    assert_eq!((&rows[0]["data"], &rows[1]["text"]), (&json!("https://shop.example.org/?a=1&b=2"), &json!("<< Back")));
}

#[tokio::test(flavor = "multi_thread")]
async fn blocks_of_pages_come_back_also_from_our_own() {
    let world = World::new().await;
    let all: String = (1i64..).zip(blocks()).map(|(id, block)| message(id, &block, &format!("number{id}"))).collect();
    write(&world.root.path().join("e"), "messages.html", page("Bo", &all).as_bytes());
    import(&world, &world.root.path().join("e"), &["--chat", "user5"]);
    check(&messages(&world, "out"));
    for (words, id) in [("packing", 3), ("torch", 3), ("coffee", 1), ("subscriptions", 4), ("\"Open & buy\"", 5)] {
        assert_eq!(found(&world, &[words]).into_iter().map(|(_, id, _)| id).collect::<Vec<_>>(), [id], "{words}");
    }
    let read = String::from_utf8(tgvault(&world, &["cat", "latest", "--chat", "user5"]).stdout).unwrap();
    for part in ["[poll, closed: Tea or <coffee>?, tea (3), coffee (0)]", "[checklist: Packing, boots, map & torch]", "Telegram Premium"] {
        assert!(read.contains(part), "{part}: {read}");
    }
    // What our pages show is read from them.
    let again = World::new().await;
    let pages = files(&restored(&world, "pages", &["--format", "html"]));
    assert!(String::from_utf8_lossy(&pages["messages.html"]).contains("href=\"https://shop.example.org/?a=1&amp;b=2\""));
    pages.iter().for_each(|(path, bytes)| write(&again.root.path().join("e"), path, bytes));
    import(&again, &again.root.path().join("e"), &["--chat", "user5"]);
    check(&messages(&again, "out"));
}

fn entry(folder: &str, name: &str, kind: &str) -> String {
    format!(
        "    <a class=\"entry block_link clearfix\" href=\"../chats/{folder}/messages.html#allow_back\">\n     <div class=\"body\">\n      <div class=\"pull_right info details\">\n{kind}\n      </div>\n      <div class=\"name bold\">\n{name}\n      </div>\n      <div class=\"details_entry details\">\n1 messages\n      </div>\n     </div>\n    </a>\n"
    )
}

/// Names and types of the chats of a restored account, in their order.
fn chats(folder: &Path) -> Vec<(String, String)> {
    let told: Value = serde_json::from_slice(&files(folder)["result.json"]).unwrap();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    told["chats"]["list"].as_array().unwrap().iter().map(|chat| (text(&chat["name"]), text(&chat["type"]))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn chats_of_pages_keep_the_order_of_their_list() {
    let world = World::new().await;
    let folder = world.root.path().join("account");
    let listed = [("chat_10", "Zed", "private"), ("chat_2", "Hikers", "group"), ("chat_1", "News", "channel"), ("chat_3", "Helper", "bot")];
    let list: String = listed.iter().map(|(folder, name, kind)| entry(folder, name, kind)).collect();
    let list = format!("<html><body><div class=\"page_body list_page\"><div class=\"entry_list\">{list}</div></div></body></html>");
    write(&folder, "lists/chats.html", list.as_bytes());
    write(&folder, "export_results.html", b"<html><body></body></html>");
    for (id, (chat, name, _)) in (1i64..).zip(listed) {
        write(&folder, &format!("chats/{chat}/messages.html"), page(name, &message(id, "", "hello")).as_bytes());
    }
    import(&world, &folder, &[]);
    let wanted = [("Zed", "personal_chat"), ("Hikers", "private_group"), ("News", "private_channel"), ("Helper", "bot_chat")];
    let told = chats(&restored(&world, "out", &[]));
    assert_eq!(told.iter().map(|(name, kind)| (name.as_str(), kind.as_str())).collect::<Vec<_>>(), wanted);
    // A second import of the same account moves nobody.
    import(&world, &folder, &[]);
    assert_eq!(chats(&restored(&world, "again", &[])), told);
}
